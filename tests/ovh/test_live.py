"""Live tables: rows, formulas, filters, and that nothing upstream can break a cell's type."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic.alias_generators import to_camel

from bridge.catalog import OBJECT_LABEL
from bridge.errors import BadRequestError
from bridge.model import FilterKind, TagFilter
from bridge.ovh.live import LIVE_KINDS, Table, live_columns, live_table
from bridge.ovh.objects import (
    Backup,
    Datastore,
    Host,
    OvhObject,
    Snapshot,
    Task,
    UnitValue,
    Vm,
    VmFiler,
)
from bridge.ovh.reading import read_object
from tests.ovh.snapshots import (
    ONE,
    READ_AT,
    TWO,
    cluster,
    datacenter,
    datastore,
    gigabytes,
    host,
    seen,
    service,
    snapshot,
    task,
    two_services,
    vm,
)

NOW = READ_AT + 30


def records(table: Table) -> list[dict[str, Any]]:
    names = [column.name for column in table.columns]
    return [dict(zip(names, row, strict=True)) for row in table.rows]


def one(kind: str, inventory: Snapshot, **options: Any) -> dict[str, Any]:
    (record,) = records(live_table(inventory, kind, (), now=NOW, **options))
    return record


def names(table: Table) -> list[Any]:
    return [record["name"] for record in records(table)]


def where(key: str, text: str, kind: FilterKind = FilterKind.LITERAL_OR) -> TagFilter:
    return TagFilter(key, kind, text)


def in_one(**contents: Any) -> Snapshot:
    return snapshot(service(ONE, datacenter(ONE, 10, "Paris", **contents)))


def test_a_machine_with_everything() -> None:
    machine = vm(
        7,
        "web1",
        cluster_name="prod",
        host_name="172.16.0.1",
        folder_name="shop",
        cpu_used=500,
        cpu_max=2000.0,
        cpu_num=2,
        cpu_ready=12.5,
        cpu_ready_percent=0.5,
        memory_used=1024,
        memory_max=4096,
        net_rx=1.5,
        read_per_second=7.0,
        write_latency=3.0,
        filers=(VmFiler(name="b", committed=1024.0), VmFiler(name="a", committed=512.0)),
        snapshot_num=2,
        vmware_tools="guestToolsRunning",
        backup=Backup(
            state="delivered",
            last_result="success",
            last_successful_creation_time=datetime(2026, 11, 23, 7, 0, tzinfo=UTC),
        ),
    )
    record = one("vm", in_one(vms=[machine]))
    expected = {
        "name": "web1",
        "vm": "vm-7",
        "id": 7,
        "service": ONE,
        "datacenter": f"{ONE}_datacenter10",
        "datacenter_name": "Paris",
        "cluster": "prod",
        "host_name": "172.16.0.1",
        "folder": "shop",
        "power_state": "poweredOn",
        "cpu_usage_percent": 25.0,
        "cpu_used_mhz": 500,
        "cpu_ready_ms": 12.5,
        "cpu_ready_percent": 0.5,
        "mem_usage_percent": 25.0,
        "net_rx": 1.5,
        "disk_read_iops": 7.0,
        "disk_write_latency_ms": 3.0,
        "datastores": "a, b",
        "disk_committed_gb": 1.5,
        "snapshots": 2,
        "tools": "guestToolsRunning",
        "backup_result": "success",
        "backup_last_success": (int(READ_AT) - 3600) * 1000,
        "backup_age": 3630.0,
        "backup_last": None,
        "net_tx": None,
        "age": 30.0,
        "hidden": False,
    }
    assert {key: record[key] for key in expected} == expected


def test_a_host_is_measured_against_all_its_memory() -> None:
    record = one(
        "host",
        in_one(
            hosts=[
                host(
                    1,
                    cpu_used=1000,
                    cpu_max=4000,
                    cpu_num=8,
                    vm_vcpu_total=20,
                    memory_used=65536.0,
                    ram=gigabytes(256),
                    in_maintenance=True,
                    connection_state="connected",
                )
            ]
        ),
    )
    assert record["host"] == record["name"] == "172.16.0.1"
    assert record["cpu_usage_percent"] == 25.0
    assert record["mem_max_mb"] == 262144.0
    assert record["mem_usage_percent"] == 25.0
    assert record["vcpus_per_core"] == 2.5
    assert record["in_maintenance"] is True


@pytest.mark.parametrize(
    ("unit", "megabytes"), [("GB", 2048.0), ("TB", 2097152.0), ("MB", 2.0), ("furlong", None)]
)
def test_memory_is_read_in_its_unit(unit: str, megabytes: float | None) -> None:
    record = one("host", in_one(hosts=[host(1, ram=UnitValue(unit=unit, value=2))]))
    assert record["mem_max_mb"] == megabytes


def test_a_datastore_is_measured_against_used_and_free_space() -> None:
    record = one(
        "filer",
        in_one(
            datastores=[
                datastore(
                    1,
                    space_used=250.0,
                    space_free=750.0,
                    space_provisionned=1500.0,
                    size=gigabytes(9999),
                )
            ]
        ),
    )
    assert record["datastore"] == "pcc-000001"
    assert record["capacity_gb"] == 1000.0
    assert record["used_percent"] == 25.0
    assert record["free_percent"] == 75.0
    assert record["overcommit_percent"] == 150.0
    assert record["global"] is False


def test_a_global_datastore_stands_in_no_datacenter() -> None:
    inventory = snapshot(service(ONE, datastores=[datastore(1)]))
    record = one("filer", inventory)
    assert (record["global"], record["datacenter"], record["service"]) == (True, None, ONE)


@pytest.mark.parametrize(
    ("kind", "column", "contents"),
    [
        ("vm", "cpu_usage_percent", {"vms": [vm(1, cpu_used=5, cpu_max=0.0)]}),
        ("vm", "cpu_usage_percent", {"vms": [vm(1, cpu_max=5.0)]}),
        ("vm", "mem_usage_percent", {"vms": [vm(1, memory_used=5)]}),
        ("host", "mem_usage_percent", {"hosts": [host(1, memory_used=5.0)]}),
        ("host", "vcpus_per_core", {"hosts": [host(1, vm_vcpu_total=5, cpu_num=0)]}),
        ("filer", "used_percent", {"datastores": [datastore(1, space_used=0.0, space_free=0.0)]}),
        ("filer", "used_percent", {"datastores": [datastore(1, space_used=1.0)]}),
        ("filer", "capacity_gb", {"datastores": [datastore(1, space_free=1.0)]}),
        ("datacenter", "cpu_usage_percent", {"hosts": [host(1, cpu_used=1)]}),
        ("datacenter", "used_percent", {}),
        ("vm", "disk_committed_gb", {"vms": [vm(1)]}),
        ("vm", "backup_age", {"vms": [vm(1, backup=Backup())]}),
    ],
)
def test_what_cannot_be_computed_is_missing_not_zero(
    kind: str, column: str, contents: dict[str, Any]
) -> None:
    assert one(kind, in_one(**contents))[column] is None


def test_numbers_that_are_not_finite_are_missing() -> None:
    raw = {"vmId": 1, "moRef": "vm-1", "cpuReady": "NaN", "cpuUsed": 1, "cpuMax": "Infinity"}
    record = one("vm", in_one(vms=[read_object(Vm, raw)]))
    assert (record["cpu_ready_ms"], record["cpu_max_mhz"]) == (None, None)


def test_a_datacenter_adds_up_what_is_not_hidden() -> None:
    record = one(
        "datacenter",
        in_one(
            clusters=[cluster(1, "prod")],
            hosts=[
                host(1, cpu_used=100, cpu_max=1000, connection_state="connected"),
                host(2, cpu_used=300, cpu_max=1000, connection_state="notResponding"),
                # knows only one of the two: does not count in the percentage
                host(3, cpu_max=1000, in_maintenance=True),
                seen(host(4, cpu_used=900, cpu_max=1000), managed=True),
            ],
            vms=[
                vm(1),
                vm(2, power_state="poweredOff"),
                seen(vm(3, power_state="deleted"), deleted=True),
            ],
            datastores=[
                datastore(1, space_used=30.0, space_free=70.0, space_provisionned=150.0),
                datastore(2, space_used=50.0, space_free=50.0),
            ],
        ),
    )
    expected = {
        "clusters": 1,
        "hosts": 3,
        "hosts_disconnected": 1,
        "hosts_in_maintenance": 1,
        "cpu_usage_percent": 20.0,
        "vms": 2,
        "vms_powered_on": 1,
        "datastores": 2,
        "capacity_gb": 200.0,
        "used_percent": 40.0,
        "overcommit_percent": 150.0,
    }
    assert {key: record[key] for key in expected} == expected


def test_a_cluster_adds_up_its_own() -> None:
    table = live_table(two_services(), "cluster", [where("service", ONE)], now=NOW)
    found = {record["cluster"]: (record["hosts"], record["vms"]) for record in records(table)}
    assert found == {"lab": (1, 1), "prod": (1, 2)}


def test_a_service_counts_global_datastores_too() -> None:
    first, second = records(live_table(two_services(), "service", (), now=NOW))
    assert (first["name"], first["datacenters"], first["datastores"]) == (ONE, 2, 3)
    assert (second["name"], second["vms"], second["clusters"]) == (TWO, 2, 1)


def test_a_service_never_polled_or_expired_is_a_row() -> None:
    warming = service(ONE, state="warming", polled_at=None, service=None)
    expired = service(TWO, state="expired", problem="the service has expired")
    first, second = records(live_table(snapshot(warming, expired), "service", (), now=NOW))
    assert (first["poll_state"], first["poll_age"], first["age"]) == ("warming", None, None)
    assert (second["poll_state"], second["problem"]) == ("expired", "the service has expired")
    assert second["poll_age"] == 30.0


def test_a_task_names_what_it_is_about() -> None:
    inventory = snapshot(
        service(
            ONE,
            datacenter(ONE, 10, "Paris", hosts=[host(1)], datastores=[datastore(5)]),
            datastores=[datastore(6)],
            tasks=[
                task(1, datacenter_id=10, host_id=1, filer_id=5, progress=40),
                task(2, filer_id=6, end_date="2026-11-23T07:10:00Z", state="done"),
                task(3, datacenter_id=99, host_id=77),
            ],
        )
    )
    by_id = {record["id"]: record for record in records(live_table(inventory, "task", (), now=NOW))}
    assert (by_id[1]["host"], by_id[1]["datastore"]) == ("172.16.0.1", "pcc-000005")
    assert (by_id[1]["progress"], by_id[1]["ended"], by_id[1]["duration"]) == (40, False, 3630.0)
    assert (by_id[2]["datastore"], by_id[2]["ended"], by_id[2]["duration"]) == (
        "pcc-000006",
        True,
        600.0,
    )
    assert (by_id[3]["datacenter"], by_id[3]["host"]) == (None, None)
    assert by_id[1]["executed_at"] == (int(READ_AT) - 3600) * 1000


def test_a_time_without_zone_is_utc() -> None:
    naive = datetime(2026, 11, 23, 8, 0, tzinfo=UTC).replace(tzinfo=None)
    machine = vm(1, backup=Backup(last_creation_time=naive))
    assert one("vm", in_one(vms=[machine]))["backup_last"] == int(READ_AT) * 1000


def test_hidden_rows_are_shown_on_demand() -> None:
    prod = [where("cluster", "prod"), where("service", ONE)]
    assert names(live_table(two_services(), "vm", prod, now=NOW)) == ["web2", "web10"]
    shown = live_table(two_services(), "vm", prod, now=NOW, show_hidden=True)
    assert [(r["name"], r["hidden"]) for r in records(shown)] == [
        ("backupServer1", True),
        ("old1", True),
        ("web2", False),
        ("web10", False),
    ]


def test_rows_come_by_service_datacenter_and_name() -> None:
    table = live_table(two_services(), "vm", (), now=NOW)
    assert [(r["service"], r["datacenter_name"], r["name"]) for r in records(table)] == [
        (ONE, "Paris", "test1"),
        (ONE, "Paris", "web2"),
        (ONE, "Paris", "web10"),
        (ONE, "Lyon", "web2"),
        (TWO, "Paris", "mail1"),
        (TWO, "Paris", "web10"),
    ]


def test_order_does_not_depend_on_the_order_of_reading() -> None:
    machines = [vm(3, "b"), vm(1, "a"), vm(2, "a"), vm(4, None)]
    tables = [
        live_table(in_one(vms=order), "vm", (), now=NOW) for order in (machines, machines[::-1])
    ]
    assert tables[0] == tables[1]
    assert [record["id"] for record in records(tables[0])] == [1, 2, 3, 4]


def test_objects_without_a_name_can_be_told() -> None:
    assert one("vm", in_one(vms=[vm(4, None)]))["name"] == "vm-4"
    unnamed = Host(host_id=4, name="")
    assert (one("host", in_one(hosts=[unnamed]))["name"]) == "host4"
    assert (one("host", in_one(hosts=[unnamed]))["host"]) is None


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ([where("name", "web*", FilterKind.WILDCARD)], ["web2", "web10", "web2", "web10"]),
        ([where("vm_name", "MAIL1", FilterKind.ILITERAL_OR)], ["mail1"]),
        ([where("host", "172.16.0.2")], ["test1"]),
        ([where("cluster", "lab|prod"), where("service", TWO)], ["mail1", "web10"]),
        ([where("cluster", "lab"), where("cluster", "prod"), where("service", ONE)],
         ["test1", "web2", "web10"]),
        # Lyon's machine has no cluster: like a series without the tag, it matches no filter
        ([where("cluster", "prod", FilterKind.NOT_LITERAL_OR)], ["test1"]),
        ([where("folder", ".", FilterKind.REGEXP)], ["web2"]),
        ([where("id", "30")], ["web10"]),
        ([where("hidden", "true")], []),
        ([where("hidden", "false"), where("id", "1")], ["web2", "mail1"]),
        ([where("cluster", "nowhere")], []),
    ],
)  # fmt: skip
def test_filters(filters: list[TagFilter], expected: list[str]) -> None:
    assert names(live_table(two_services(), "vm", filters, now=NOW)) == expected


@pytest.mark.parametrize(
    ("text", "found"), [("0.5", True), ("12", False), ("0.50", False), ("0*", False)]
)
def test_numbers_are_compared_by_their_shortest_text(text: str, found: bool) -> None:
    table = in_one(vms=[vm(1, "a", cpu_ready_percent=0.5, cpu_ready=12.0)])
    assert bool(live_table(table, "vm", [where("cpu_ready_percent", text)], now=NOW).rows) == found
    assert live_table(table, "vm", [where("cpu_ready_ms", "12")], now=NOW).rows


def test_times_are_compared_as_utc() -> None:
    inventory = snapshot(service(ONE, tasks=[task(1)]))
    flt = where("executed_at", "2026-11-23T07:*", FilterKind.WILDCARD)
    assert live_table(inventory, "task", [flt], now=NOW).rows
    other = where("executed_at", "2026-11-22*", FilterKind.WILDCARD)
    assert not live_table(inventory, "task", [other], now=NOW).rows


def test_unknown_columns_name_the_nearest() -> None:
    with pytest.raises(BadRequestError, match=r"'vm' has no column 'clustr'.*cluster"):
        live_table(Snapshot(), "vm", [where("clustr", "a")], now=NOW)


def test_unknown_kinds_name_the_nearest() -> None:
    with pytest.raises(BadRequestError, match=r"'hosts'.*host"):
        live_table(Snapshot(), "hosts", (), now=NOW)
    with pytest.raises(BadRequestError, match="vm, host, filer"):
        live_columns("x")


@pytest.mark.parametrize("kind", LIVE_KINDS)
def test_columns_are_the_same_with_and_without_rows(kind: str) -> None:
    empty, full = (
        live_table(inventory, kind, (), now=NOW) for inventory in (Snapshot(), two_services())
    )
    assert empty.columns == full.columns == live_columns(kind)
    assert empty.rows == ()
    column_names = [column.name for column in empty.columns]
    assert len(set(column_names)) == len(column_names)
    assert {"name", "service", "age", "hidden"} <= set(column_names)
    assert all(column.description for column in empty.columns)


@pytest.mark.parametrize(
    ("kind", "label"),
    [("vm", "vm"), ("host", "host"), ("filer", "datastore"), ("datacenter", "datacenter")],
)
def test_tables_carry_the_labels_of_the_metrics(kind: str, label: str) -> None:
    assert label in {*OBJECT_LABEL.values(), "datacenter"}
    assert label in {column.name for column in live_columns(kind)}


KINDS: dict[str, type[OvhObject]] = {"vm": Vm, "host": Host, "filer": Datastore, "task": Task}
VALUES: dict[str, Any] = {
    "cpu": {"unit": "GHz", "value": 2.1},
    "ram": {"unit": "GB", "value": 256},
    "size": {"unit": "GB", "value": 1024},
    "filers": [{"name": "a", "committed": 10.0}, {"name": "b"}],
    "backup": {
        "state": "delivered",
        "lastResult": None,
        "lastCreationTime": "2026-11-23T01:00:00+01:00",
        "lastSuccessfulCreationTime": None,
    },
}


def _full(model: type[OvhObject]) -> dict[str, Any]:
    """Answer one object of APIv6 with every field set."""
    full: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        kind = str(field.annotation)
        if name in VALUES:
            full[to_camel(name)] = VALUES[name]
        elif "datetime" in kind:
            full[to_camel(name)] = "2026-11-23T07:00:00+00:00"
        elif "bool" in kind:
            full[to_camel(name)] = True
        elif "float" in kind:
            full[to_camel(name)] = 12.5
        elif "int" in kind:
            full[to_camel(name)] = 7
        else:
            full[to_camel(name)] = "7"
    return full


@pytest.mark.parametrize("kind", sorted(KINDS))
@given(data=st.data())
def test_any_pattern_of_nulls_gives_well_typed_cells(kind: str, data: st.DataObject) -> None:
    model = KINDS[kind]
    full = _full(model)
    nullable = [
        to_camel(name)
        for name, field in model.model_fields.items()
        if "None" in str(field.annotation)
    ]
    assert nullable
    values = {
        key: data.draw(st.sampled_from([value, 0]), label=key)
        if type(value) in {int, float}
        else value
        for key, value in full.items()
    }
    for key in data.draw(st.sets(st.sampled_from(nullable)), label="null"):
        values[key] = None
    made = model.model_validate(values)
    place = {"vm": "vms", "host": "hosts", "filer": "datastores"}.get(kind)
    inventory = in_one(**{place: [made]}) if place else snapshot(service(ONE, tasks=[made]))
    for shown in LIVE_KINDS:
        for record_columns, row in _cells(live_table(inventory, shown, (), now=NOW)):
            _check_types(record_columns, row)


def _cells(table: Table) -> list[tuple[Any, Any]]:
    return [(table.columns, row) for row in table.rows]


def _check_types(columns: Any, row: Any) -> None:
    allowed: dict[str, tuple[type, ...]] = {
        "string": (str,),
        "number": (int, float),
        "boolean": (bool,),
        "time": (int,),
    }
    assert len(columns) == len(row)
    for column, cell in zip(columns, row, strict=True):
        assert cell is None or type(cell) in allowed[column.type], column.name
        assert cell != "", column.name
