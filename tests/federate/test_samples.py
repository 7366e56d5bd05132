"""What a snapshot shows to Prometheus: names, units, states, and what is left out."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text

from bridge.catalog import Kind, catalogue
from bridge.ovh.families import FAMILIES, IDENTITY
from bridge.ovh.objects import Backup, VmFiler
from tests.federate.reading import exposition, of, one, samples, whole
from tests.ovh.snapshots import (
    ONE,
    READ_AT,
    cluster,
    datacenter,
    datastore,
    gigabytes,
    host,
    seen,
    service,
    task,
    vm,
)

if TYPE_CHECKING:
    from bridge.ovh.objects import ServiceInventory
    from tests.federate.reading import Samples

PLACE = {"service": ONE, "datacenter": f"{ONE}_datacenter10"}
BUSY: dict[str, Any] = {
    "cpu_used": 500, "cpu_max": 2000.0, "cpu_num": 4, "memory_used": 1024, "memory_max": 4096,
    "cpu_ready": 12.5, "cpu_ready_percent": 1.25, "net_rx": 1.0, "net_tx": 2.0,
    "net_packet_rx": 3.0, "net_packet_tx": 4.0, "read_per_second": 5.0, "write_per_second": 6.0,
    "read_rate": 7.0, "write_rate": 8.0, "read_latency": 9.0, "write_latency": 403.89,
    "snapshot_num": 2, "vmware_tools": "guestToolsRunning",
    "filers": (VmFiler(name="a", committed=1.5), VmFiler(name="b", committed=2.0)),
    "backup": Backup(
        last_result="failed",
        last_successful_creation_time=datetime(2026, 11, 20, 22, tzinfo=UTC),
    ),
}  # fmt: skip
MEASURED = {
    "cpu_usage_ratio": 0.25, "cpu_ready_seconds": 0.0125, "cpu_ready_ratio": 0.0125,
    "cpu_used_hertz": 5e8, "memory_usage_ratio": 0.25, "memory_used_bytes": 2.0**30,
    "network_receive_bytes_per_second": 1000.0, "network_transmit_bytes_per_second": 2000.0,
    "network_receive_packets_per_second": 3.0, "network_transmit_packets_per_second": 4.0,
    "disk_read_operations_per_second": 5.0, "disk_write_operations_per_second": 6.0,
    "disk_read_bytes_per_second": 7000.0, "disk_write_bytes_per_second": 8000.0,
    "disk_read_latency_seconds": 0.009, "disk_write_latency_seconds": 0.40389,
}  # fmt: skip
FACTS = {
    "cpu_limit_hertz": 2e9, "cpus": 4.0, "memory_size_bytes": 2.0**32, "snapshots": 2.0,
    "disk_committed_bytes": 3.5 * 2**20, "tools_running": 1.0,
    "backup_last_success_timestamp_seconds": 1_795_212_000.0,
}  # fmt: skip


def shown(known: ServiceInventory, *, since: float = READ_AT - 900) -> Samples:
    """Both formats tell the same."""
    made = exposition(known, since=since)
    openmetrics = samples(whole(made, openmetrics=True), openmetrics=True)
    assert samples(whole(made, openmetrics=False), openmetrics=False) == openmetrics
    return openmetrics


def company(**inside: Any) -> ServiceInventory:
    return service(ONE, datacenter(ONE, 10, **inside))


def test_a_machine_in_base_units() -> None:
    found = shown(company(vms=[vm(1, "web01", **BUSY)]))
    for name, value in (MEASURED | FACTS).items():
        assert one(found, f"vscope_vm_{name}", **PLACE, vm="vm-1") == value, name
    assert states(found, "vscope_vm_power_state") == {"on": 1, "off": 0, "suspended": 0}
    assert states(found, "vscope_vm_backup_state") == {
        "success": 0, "running": 0, "warning": 0, "failed": 1,
    }  # fmt: skip


def states(found: Samples, name: str) -> dict[str, float]:
    having = {dict(labels)["state"]: value for labels, value in of(found, name).items()}
    assert len(having) == len(of(found, name))
    return having


@pytest.mark.parametrize("power", ["poweredOff", "suspended"])
def test_no_performance_of_what_does_not_run(power: str) -> None:
    found = shown(company(vms=[vm(1, "web01", **BUSY, power_state=power)]))
    names = {name.removeprefix("vscope_vm_") for name, _ in found if name.startswith("vscope_vm_")}
    assert names == {*FACTS, "power_state", "backup_state", "info"}


def test_what_is_not_known_is_no_sample() -> None:
    found = shown(company(vms=[vm(1, None, power_state="?")], hosts=[host(1)]))
    assert {name for name, _ in found if name.startswith(("vscope_vm_", "vscope_host_"))} == {
        "vscope_vm_info",
        "vscope_host_info",
    }
    assert of(found, "vscope_vm_info") == {frozenset({*PLACE.items(), ("vm", "vm-1")}): 1.0}


def test_hosts_and_datastores() -> None:
    stores = [datastore(9, space_used=300.0, space_free=100.0, space_provisionned=800.0, vm_total=7,
                        connection_state="online", profile="ssd")]  # fmt: skip
    hosts = [
        host(1, cpu_used=1000, cpu_max=4000, cpu_num=16, memory_used=512.0, ram=gigabytes(1),
             vm_total=3, vm_vcpu_total=9, uptime=86400, in_maintenance=True, cluster_name="prod",
             connection_state="connected"),
        host(2, cpu_used=1000, cpu_max=4000, connection_state="notResponding"),
    ]  # fmt: skip
    found = shown(company(hosts=hosts, datastores=stores))
    whose = {"datastore": "pcc-000009", **PLACE}
    assert one(found, "vscope_datastore_used_bytes", **whose) == 300 * 2**30
    assert one(found, "vscope_datastore_capacity_bytes", **whose) == 400 * 2**30
    assert one(found, "vscope_datastore_provisioned_ratio", **whose) == 2.0
    assert one(found, "vscope_datastore_used_ratio", **whose) == 0.75
    assert one(found, "vscope_datastore_online", **whose) == 1.0
    assert one(found, "vscope_datastore_info", profile="ssd", **whose) == 1.0
    whose = {"host": "172.16.0.1", **PLACE}
    assert one(found, "vscope_host_cpu_usage_ratio", **whose) == 0.25
    assert one(found, "vscope_host_memory_used_bytes", **whose) == 2.0**29
    assert one(found, "vscope_host_uptime_seconds", **whose) == 86400
    assert one(found, "vscope_host_in_maintenance", **whose) == 1.0
    assert one(found, "vscope_host_info", cluster="prod", **whose) == 1.0
    dead = {"host": "172.16.0.2", **PLACE}
    assert not of(found, "vscope_host_cpu_usage_ratio", **dead)
    assert one(found, "vscope_host_connection_state", state="notResponding", **dead) == 1.0
    assert one(found, "vscope_host_connection_state", state="connected", **dead) == 0.0


def test_hidden_and_old_objects_are_left_out() -> None:
    vms = [
        seen(vm(1)),
        seen(vm(2), managed=True),
        seen(vm(3), deleted=True),
        seen(vm(4), read_at=READ_AT - 1000),
    ]
    found = shown(company(vms=vms))
    assert {dict(labels)["vm"] for labels in of(found, "vscope_vm_info")} == {"vm-1"}


def test_twins_are_told_once_by_their_last_reading() -> None:
    twins = [
        seen(vm(1, "old", mo_ref="vm-7"), read_at=READ_AT - 60),
        seen(vm(2, "new", mo_ref="vm-7")),
    ]
    [labels] = of(shown(company(vms=twins)), "vscope_vm_info", vm="vm-7")
    assert ("vm_name", "new") in labels


def test_global_datastores_stand_in_one_datacenter_even_beside_a_namesake() -> None:
    own, shared = datastore(1, "same", vm_total=1), datastore(2, "same", vm_total=2)
    known = service(
        ONE,
        datacenter(ONE, 10, datastores=[own]),
        datacenter(ONE, 20),
        datastores=[shared, datastore(3, "alone", vm_total=3)],
    )
    found = shown(known)
    assert one(found, "vscope_datastore_vms", datastore="same") == 1
    assert one(found, "vscope_datastore_vms", datastore="alone", **PLACE) == 3


def test_the_service_is_told_whatever_happens() -> None:
    known = company(vms=[vm(1)], clusters=[cluster(1, "prod", ha_status="enabled")])
    found = shown(known, since=READ_AT)
    assert one(found, "vscope_service_up", service=ONE) == 1.0
    assert one(found, "vscope_service_read_timestamp_seconds", service=ONE) == READ_AT
    assert one(found, "vscope_cluster_info", cluster="prod", ha_status="enabled") == 1.0
    assert len(of(found, "vscope_datacenter_info")) == 1
    old = shown(known, since=READ_AT + 1)
    assert one(old, "vscope_service_up", service=ONE) == 0.0
    assert one(old, "vscope_service_read_timestamp_seconds", service=ONE) == READ_AT
    assert {name for name, _ in old} == {
        f"vscope_service_{name}" for name in ("up", "read_timestamp_seconds", "poll_state", "info")
    }
    ended = shown(service(ONE, datacenter(ONE, 10, vms=[vm(1)]), state="expired"))
    assert states(ended, "vscope_service_poll_state")["expired"] == 1.0
    assert not of(ended, "vscope_vm_info")


def test_tasks_by_state() -> None:
    known = service(ONE, tasks=[task(1), task(2), task(3, state="error")])
    assert states(shown(known), "vscope_service_tasks") == {"doing": 2, "error": 1}


def test_only_the_kinds_asked_for() -> None:
    known = company(vms=[vm(1)], hosts=[host(1)])
    made = exposition(known, since=0, kinds=("service", "host"))
    names = {name for name, _ in samples(whole(made, openmetrics=True), openmetrics=True)}
    assert {name.split("_")[1] for name in names} == {"service", "host"}


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=30), st.text(max_size=8))
def test_any_name_survives_both_formats(name: str, folder: str) -> None:
    made = exposition(company(vms=[vm(1, name, folder_name=folder)]), since=0)
    for openmetrics in (True, False):
        text = whole(made, openmetrics=openmetrics)
        [labels] = of(samples(text, openmetrics=openmetrics), "vscope_vm_info")
        assert dict(labels).get("vm_name", "") == name


# --- names, units and words --------------------------------------------------------------


def test_every_recorded_metric_is_shown_but_ages() -> None:
    recorded = {name for name, metric in catalogue().items() if metric.live}
    elsewhere = {
        # What changes with the moment it is looked at: shown as a moment, or computed there.
        "vscope.vm.backup.age", "vscope.credential.expires", "vscope.filer.datastore.full.days",
        *(name for name in recorded if name.endswith(".sample.age")),
    }  # fmt: skip
    assert {family.recorded for family in FAMILIES} - {None} == recorded - elsewhere


def test_names_follow_the_conventions() -> None:
    names = [family.name for family in FAMILIES]
    assert len(set(names)) == len(names)
    for family in FAMILIES:
        assert re.fullmatch(rf"vscope_{family.kind}_[a-z_]+", family.name)
        assert family.name.endswith(family.unit)
        assert not family.name.endswith(("_total", "_count", "_sum", "_bucket"))
        assert not set(family.more) & {*IDENTITY[family.kind], "job", "instance", "le", "quantile"}
        assert re.fullmatch(r"[A-Z0-9][^\n\\]+\.", family.help), family.help


def test_types_units_and_help_are_told() -> None:
    made = exposition(
        company(vms=[vm(1, **BUSY)], hosts=[host(1)], datastores=[datastore(1)]), since=0
    )
    told = {family.name: family for family in read_openmetrics(whole(made, openmetrics=True))}
    plain = {family.name: family for family in read_text(whole(made, openmetrics=False))}
    for family in FAMILIES:
        known = told.get(family.name.removesuffix("_info"))
        if known is None:
            continue
        assert known.type == ("info" if family.is_info else "gauge")
        assert (known.unit, known.documentation) == (family.unit, family.help)
        assert (plain[family.name].type, plain[family.name].documentation) == ("gauge", family.help)


def test_kinds_are_those_of_the_catalogue() -> None:
    assert {Kind.VM, Kind.HOST, Kind.DATASTORE} <= set(IDENTITY)
