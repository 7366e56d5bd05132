"""Every object of the simulated APIv6 has the shape of OVHcloud's own schema."""

from __future__ import annotations

import jsonschema
import pytest

from bridge.demo import machines, objects
from bridge.demo.fleet import EXPIRED_SERVICE, SERVICE, build_fleet
from bridge.demo.options import DemoOptions
from bridge.demo.tasks import all_tasks, task_object
from bridge.ovh.objects import Datastore, Host, Task, Vm
from tests.demo.schema import json_schema

NOW = 1_795_400_000.0
FLEET = build_fleet(DemoOptions(), NOW)
FIGURES = machines.LiveFigures(FLEET)
VMS = [
    machines.vm_object(FLEET, vm, NOW, FIGURES.of(index, NOW)) for index, vm in enumerate(FLEET.vms)
]
HOSTS = [machines.host_object(FLEET, host, NOW) for host in FLEET.hosts]
STORES = [machines.store_object(FLEET, store, NOW) for store in FLEET.stores]
TASKS = [task_object(task, NOW) for task in all_tasks(FLEET, NOW).values()]
CLUSTERS = [
    objects.cluster_object(*cluster) for place in FLEET.places for cluster in place.clusters
]


@pytest.mark.parametrize(
    ("kind", "found"),
    [
        ("dedicatedCloud.Vm", VMS),
        ("dedicatedCloud.Host", HOSTS),
        ("dedicatedCloud.Filer", STORES),
        ("dedicatedCloud.Task", TASKS),
        ("dedicatedCloud.Cluster", CLUSTERS),
        ("dedicatedCloud.Datacenter", [objects.datacenter_object(p) for p in FLEET.places]),
        ("dedicatedCloud.User", [objects.user_object(*user) for user in objects.USERS]),
        ("dedicatedCloud.Backup", [objects.backup_object()]),
        ("dedicatedCloud.BackupRepository", [objects.repository_object(NOW)]),
        ("dedicatedCloud.Robot", [objects.robot_object("hardware-watch")]),
        ("dedicatedCloud.Vrops", [objects.vrops_object()]),
        ("dedicatedCloud.dedicatedCloudWithIAM", [objects.service_object(FLEET, SERVICE)]),
        (
            "services.Service",
            [
                objects.service_infos(FLEET, SERVICE, expired=False),
                objects.service_infos(FLEET, EXPIRED_SERVICE, expired=True),
            ],
        ),
    ],
)
def test_objects_fit_the_schema(kind: str, found: list[object]) -> None:
    validator = jsonschema.Draft202012Validator(json_schema(kind))

    assert found
    for one in found:
        assert list(validator.iter_errors(one)) == []


def test_the_schema_check_can_fail() -> None:
    validator = jsonschema.Draft202012Validator(json_schema("dedicatedCloud.Vm"))

    assert list(validator.iter_errors({**VMS[0], "powerState": "sleeping"}))
    assert list(validator.iter_errors({**VMS[0], "moRef": None}))
    assert list(validator.iter_errors({**VMS[0], "backup": {"lastResult": "perhaps"}}))
    assert list(validator.iter_errors({**VMS[0], "extra": 1}))


def test_the_bridge_reads_them() -> None:
    assert [Vm.model_validate(vm).mo_ref for vm in VMS] == [vm.mo_ref for vm in FLEET.vms]
    assert {Host.model_validate(host).billing_type for host in HOSTS} == {"monthly", "freeSpare"}
    assert sum(Datastore.model_validate(store).is_managed_by_ovh for store in STORES) == 1
    assert all(Task.model_validate(task).execution_date for task in TASKS)


def test_what_is_on_a_host_adds_up() -> None:
    running = [vm for vm in VMS if vm["powerState"] == "poweredOn"]

    assert sum(host["vmTotal"] for host in HOSTS) == len(running)
    assert sum(host["vmVcpuTotal"] for host in HOSTS) == sum(vm["cpuNum"] for vm in running)
    for store in STORES:
        assert store["spaceUsed"] + store["spaceFree"] == pytest.approx(store["size"]["value"])


def test_the_guide_s_objects_exist() -> None:
    assert FLEET.places[0].label == "pcc-37-187-228-180_datacenter869"
    assert HOSTS[0]["name"] == "172.17.86.51"
    assert STORES[0]["name"] == "pcc-000443"
    assert VMS[0]["moRef"] == "vm-1254"
    assert len({vm["moRef"] for vm in VMS}) == len({vm["name"] for vm in VMS}) == 60
