"""What one poll gives to the recording: formulas, states, and what gives nothing."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.catalog import Kind, catalogue
from bridge.ovh import measures
from bridge.ovh.ledger import EXPIRES, FULL_DAYS
from bridge.ovh.objects import Backup, Poll, VmFiler
from bridge.ovh.readings import SAMPLE_AGE, Reading, readings
from tests.ovh.snapshots import (
    ONE,
    READ_AT,
    datacenter,
    datastore,
    gigabytes,
    host,
    seen,
    service,
    vm,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bridge.ovh.objects import ServiceInventory

PLACE = f"{ONE}_datacenter10"
OURS = (("servicename", ONE), ("servicetype", "vscope"))
BUSY = {
    "cpu_used": 500, "cpu_max": 2000.0, "memory_used": 1024, "memory_max": 4096,
    "cpu_ready": 12.5, "cpu_ready_percent": 1.25, "net_rx": 1.0, "net_tx": 2.0,
    "net_packet_rx": 3.0, "net_packet_tx": 4.0, "read_per_second": 5.0, "write_per_second": 6.0,
    "read_rate": 7.0, "write_rate": 8.0, "read_latency": 9.0, "write_latency": 10.0,
    "snapshot_num": 2, "vmware_tools": "guestToolsRunning",
    "filers": (VmFiler(name="a", committed=1.5), VmFiler(name="b", committed=2.0)),
}  # fmt: skip
BUSY_VALUES = {
    "cpu.usage.perc": 25.0, "mem.usage.perc": 25.0, "cpu.ready": 12.5, "cpu.ready.perc": 1.25,
    "net.rx": 1.0, "net.tx": 2.0, "net.packetsrx": 3.0, "net.packetstx": 4.0,
    "disk.io.read": 5.0, "disk.io.write": 6.0, "disk.bandwidth.read": 7.0,
    "disk.bandwidth.write": 8.0, "disk.latency.read": 9.0, "disk.latency.write": 10.0,
}  # fmt: skip
IDLE_VALUES = {"disk.committed": 3584.0, "snapshots": 2.0, "tools.state": 1.0, "backup.state": 0.0}


def poll(known: ServiceInventory, started_at: float = READ_AT) -> Poll:
    return Poll(known, started_at, 120.0)


def read(known: ServiceInventory, name: str, started_at: float = READ_AT) -> Reading:
    [found] = [one for one in readings(poll(known, started_at)) if one.key[2] == name]
    return found


def values_of(prefix: str, found: Reading) -> Mapping[str, float]:
    return {
        metric.removeprefix(f"vscope.{prefix}."): value for metric, value in found.values.items()
    }


def machine(**fields: Any) -> Reading:
    return read(service(ONE, datacenter(ONE, 10, vms=[vm(1, "web", **fields)])), "vm-1")


def test_every_recorded_metric_has_its_formula_and_no_other() -> None:
    derived = {*SAMPLE_AGE.values(), FULL_DAYS, EXPIRES}
    for how in (measures.VMS, measures.HOSTS, measures.DATASTORES):
        names = [measure.metric for measure in how.measures]
        assert len(set(names)) == len(names)
        assert set(names) | derived == derived | {
            metric.name
            for metric in catalogue().values()
            if metric.kind is how.kind and metric.live is not None
        }


@pytest.mark.parametrize(
    ("metric", "codings"),
    [
        ("vscope.vm.power.state", measures.POWER),
        ("vscope.vm.tools.state", measures.TOOLS),
        ("vscope.vm.backup.state", {**measures.BACKUP, "": measures.NO_BACKUP}),
        ("vscope.host.connection.state", measures.HOST_CONNECTION),
        ("vscope.filer.datastore.connection.state", measures.DATASTORE_CONNECTION),
        ("vscope.host.maintenance.state", {"true": 1.0, "false": 0.0}),
    ],
)
def test_states_are_coded_as_the_catalogue_documents(
    metric: str, codings: Mapping[str, float]
) -> None:
    known = catalogue()[metric]
    assert set(codings.values()) == {float(value) for value, _ in known.states}
    for value, meaning in known.states:
        assert f"{value} {meaning}" in known.description


def test_a_running_machine_gives_everything() -> None:
    found = machine(**BUSY)
    assert found.key == (Kind.VM, PLACE, "vm-1")
    assert found.tags == (
        ("datacenter", PLACE),
        ("env", "prod"),
        *OURS,
        ("vm", "vm-1"),
    )
    assert found.labels == (("vm_name", "web"),)
    assert found.sampled
    assert values_of("vm", found) == {**BUSY_VALUES, **IDLE_VALUES, "power.state": 1.0}


@pytest.mark.parametrize(("state", "code"), [("poweredOff", 0.0), ("suspended", 2.0)])
def test_a_machine_that_does_not_run_gives_only_what_holds_all_the_same(
    state: str, code: float
) -> None:
    found = machine(**BUSY, power_state=state)
    assert values_of("vm", found) == {**IDLE_VALUES, "power.state": code}
    assert not found.sampled


def test_what_is_null_gives_no_point() -> None:
    found = machine()
    assert values_of("vm", found) == {"power.state": 1.0, "backup.state": 0.0}
    assert not found.sampled
    found = machine(cpu_used=0, cpu_max=0.0, memory_used=5, memory_max=None, net_rx=0.0)
    assert values_of("vm", found) == {"power.state": 1.0, "backup.state": 0.0, "net.rx": 0.0}
    assert found.sampled


def test_an_unknown_state_gives_no_point() -> None:
    found = machine(**BUSY | {"power_state": "paused", "vmware_tools": "guestToolsOdd"})
    assert {"power.state", "tools.state"}.isdisjoint(values_of("vm", found))
    assert BUSY_VALUES.items() <= values_of("vm", found).items()


@pytest.mark.parametrize(
    ("result", "code"),
    [("success", 1), ("running", 2), ("stopping", 2), ("warning", 3), ("stopped", 3),
     ("failed", 4), ("unknown", 0), (None, 0), ("unheard of", 0)],
)  # fmt: skip
def test_backups(result: str | None, code: int) -> None:
    backup = Backup(last_result=result, last_successful_creation_time="2026-11-23T06:00:00+00:00")  # type: ignore[arg-type]
    values = values_of("vm", machine(backup=backup))
    assert values["backup.state"] == code
    assert values["backup.age"] == 7200.0
    assert "backup.age" not in values_of("vm", machine(backup=Backup(last_result=result)))
    late = Backup(last_successful_creation_time="2026-11-23T09:00:00+00:00")  # type: ignore[arg-type]
    assert values_of("vm", machine(backup=late))["backup.age"] == 0.0


def test_a_deleted_machine_gives_nothing_and_its_successor_all() -> None:
    gone = seen(vm(7, "old", mo_ref="vm-1", power_state="deleted", **BUSY), deleted=True)
    known = service(ONE, datacenter(ONE, 10, vms=[gone]))
    assert list(readings(poll(known))) == []
    known = service(ONE, datacenter(ONE, 10, vms=[vm(8, "new", mo_ref="vm-1"), gone]))
    assert read(known, "vm-1").labels == (("vm_name", "new"),)


def test_of_twins_the_one_read_last_counts() -> None:
    older = seen(vm(1, "a", mo_ref="vm-1"), read_at=READ_AT)
    newer = seen(vm(2, "b", mo_ref="vm-1"), read_at=READ_AT + 1)
    for pair in ([older, newer], [newer, older]):
        known = service(ONE, datacenter(ONE, 10, vms=pair))
        assert read(known, "vm-1").labels == (("vm_name", "b"),)


def test_ovhcloud_s_own_objects_are_recorded_too() -> None:
    known = service(
        ONE,
        datacenter(
            ONE,
            10,
            hosts=[seen(host(1, billing_type="freeSpare"), managed=True)],
            vms=[seen(vm(1, "backupProxy1", **BUSY), managed=True)],
            datastores=[seen(datastore(1, is_managed_by_ovh=True, space_used=1.0), managed=True)],
        ),
    )
    assert len(list(readings(poll(known)))) == 3
    assert read(known, "vm-1").sampled


HOST = {
    "cpu_used": 3000, "cpu_max": 12_000, "memory_used": 65_536.0, "ram": gigabytes(256),
    "vm_total": 7, "vm_vcpu_total": 20, "uptime": 86_400, "connection_state": "connected",
    "in_maintenance": False, "cluster_name": "prod",
}  # fmt: skip


def test_a_host() -> None:
    known = service(ONE, datacenter(ONE, 10, hosts=[host(1, "172.16.0.1", **HOST)]))
    found = read(known, "172.16.0.1")
    assert found.tags == (("datacenter", PLACE), ("env", "prod"), ("host", "172.16.0.1"), *OURS)
    assert found.labels == (("cluster", "prod"),)
    assert found.sampled
    assert values_of("host", found) == {
        "cpu.usage.perc": 25.0, "mem.usage.perc": 25.0, "vms": 7.0, "vcpus": 20.0,
        "uptime": 86_400.0, "connection.state": 1.0, "maintenance.state": 0.0,
    }  # fmt: skip


@pytest.mark.parametrize(("state", "code"), [("disconnected", 0.0), ("notResponding", -1.0)])
def test_a_host_out_of_reach_gives_no_performance(state: str, code: float) -> None:
    fields = HOST | {"connection_state": state, "in_maintenance": True}
    found = read(service(ONE, datacenter(ONE, 10, hosts=[host(1, "h", **fields)])), "h")
    assert not found.sampled
    values = values_of("host", found)
    assert values["connection.state"] == code
    assert values["maintenance.state"] == 1.0
    assert {"cpu.usage.perc", "mem.usage.perc"}.isdisjoint(values)


STORE = {
    "space_used": 750.0, "space_free": 250.0, "space_provisionned": 1_500.0, "vm_total": 3,
    "connection_state": "online", "profile": "ssd",
}  # fmt: skip


def test_a_datastore() -> None:
    known = service(ONE, datacenter(ONE, 10, datastores=[datastore(1, "pcc-1", **STORE)]))
    found = read(known, "pcc-1")
    assert found.tags == (("datacenter", PLACE), ("datastore", "pcc-1"), ("env", "prod"), *OURS)
    assert found.labels == (("profile", "ssd"),)
    assert values_of("filer.datastore", found) == {
        "diskspace.used": 750 * 1024.0**2, "diskspace.used.perc": 75.0,
        "diskspace.capacity": 1000 * 1024.0**2, "diskspace.provisioned": 1500 * 1024.0**2,
        "diskspace.overcommit.perc": 150.0, "vms": 3.0, "connection.state": 1.0,
    }  # fmt: skip
    fields = STORE | {"connection_state": "offline"}
    known = service(ONE, datacenter(ONE, 10, datastores=[datastore(1, "pcc-1", **fields)]))
    found = read(known, "pcc-1")
    assert not found.sampled
    assert values_of("filer.datastore", found) == {"vms": 3.0, "connection.state": 0.0}


def test_a_global_datastore_is_recorded_once_in_the_lowest_datacenter() -> None:
    known = service(
        ONE,
        datacenter(ONE, 12),
        datacenter(ONE, 9, datastores=[datastore(51, "own", **STORE)]),
        datastores=[datastore(50, "shared", **STORE), datastore(51, "own", **STORE)],
    )
    found = {one.key for one in readings(poll(known))}
    assert found == {
        (Kind.DATASTORE, f"{ONE}_datacenter9", "shared"),
        (Kind.DATASTORE, f"{ONE}_datacenter9", "own"),
    }
    alone = service(ONE, datastores=[datastore(50, "shared", **STORE)])
    assert read(alone, "shared").tags == (("datastore", "shared"), ("env", "prod"), *OURS)


def test_what_was_not_read_in_this_poll_gives_no_value() -> None:
    known = service(ONE, datacenter(ONE, 10, vms=[vm(1, "web", **BUSY)]))
    found = read(known, "vm-1", started_at=READ_AT + 0.5)
    assert (found.labels, found.values, found.sampled) == (None, {}, False)


numbers = st.none() | st.integers(-5, 10**6) | st.floats()


@given(
    st.fixed_dictionaries(
        {}, optional={name: numbers for name in BUSY if name not in {"vmware_tools", "filers"}}
    ),
    st.sampled_from(["poweredOn", "poweredOff", "suspended", "odd", ""]),
)
def test_whatever_comes_gives_finite_values(fields: dict[str, Any], power: str) -> None:
    odd = vm(1, "web").model_copy(update={**fields, "power_state": power})
    found = read(service(ONE, datacenter(ONE, 10, vms=[odd])), "vm-1")
    assert all(math.isfinite(value) for value in found.values.values())
