"""Small inventories made by hand, for the tests of everything that reads a snapshot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bridge.ovh.objects import (
    Cluster,
    Datacenter,
    DatacenterInventory,
    Datastore,
    Host,
    OvhObject,
    Seen,
    Service,
    ServiceInventory,
    Snapshot,
    Task,
    UnitValue,
    Vm,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bridge.ovh.objects import ObjectT

#: When everything was read, unless a test says otherwise (2026-11-23T08:00:00Z).
READ_AT = 1_795_420_800.0

ONE = "pcc-10-0-0-1"
TWO = "pcc-10-0-0-2"


def seen(
    value: ObjectT, *, managed: bool = False, deleted: bool = False, read_at: float = READ_AT
) -> Seen[ObjectT]:
    return Seen(value, read_at=read_at, managed=managed, deleted=deleted)


def vm(number: int, name: str | None = None, **fields: Any) -> Vm:
    return Vm(
        **{"vm_id": number, "mo_ref": f"vm-{number}", "name": name, "power_state": "poweredOn"}
        | fields
    )


def host(number: int, name: str | None = None, **fields: Any) -> Host:
    return Host(**{"host_id": number, "name": name or f"172.16.0.{number}"} | fields)


def datastore(number: int, name: str | None = None, **fields: Any) -> Datastore:
    return Datastore(**{"filer_id": number, "name": name or f"pcc-{number:06}"} | fields)


def cluster(number: int, name: str, **fields: Any) -> Cluster:
    return Cluster(**{"cluster_id": number, "name": name} | fields)


def task(number: int, **fields: Any) -> Task:
    return Task(
        **{
            "task_id": number,
            "name": "maintenance",
            "state": "doing",
            "execution_date": "2026-11-23T07:00:00Z",
        }
        | fields
    )


def gigabytes(value: float) -> UnitValue:
    return UnitValue(unit="GB", value=value)


def datacenter(
    service: str,
    number: int,
    name: str | None = None,
    *,
    clusters: Iterable[Cluster | Seen[Cluster]] = (),
    hosts: Iterable[Host | Seen[Host]] = (),
    vms: Iterable[Vm | Seen[Vm]] = (),
    datastores: Iterable[Datastore | Seen[Datastore]] = (),
) -> DatacenterInventory:
    own = Datacenter(datacenter_id=number, name=f"datacenter{number}" if name is None else name)
    return DatacenterInventory(
        datacenter=seen(own),
        label=f"{service}_datacenter{number}",
        clusters=_by_id(clusters, "cluster_id"),
        hosts=_by_id(hosts, "host_id"),
        vms=_by_id(vms, "vm_id"),
        datastores=_by_id(datastores, "filer_id"),
    )


def service(
    name: str,
    *datacenters: DatacenterInventory,
    description: str = "",
    datastores: Iterable[Datastore | Seen[Datastore]] = (),
    tasks: Iterable[Task | Seen[Task]] = (),
    **fields: Any,
) -> ServiceInventory:
    return ServiceInventory(
        **{
            "name": name,
            "account": "default",
            "state": "ok",
            "polled_at": READ_AT,
            "service": seen(Service(service_name=name, description=description)),
            "datacenters": {dc.datacenter.value.datacenter_id: dc for dc in datacenters},
            "datastores": _by_id(datastores, "filer_id"),
            "tasks": _by_id(tasks, "task_id"),
        }
        | fields
    )


def snapshot(*services: ServiceInventory, version: int = 1) -> Snapshot:
    return Snapshot(services={one.name: one for one in services}, version=version)


def _by_id(objects: Iterable[Any], identity: str) -> dict[int, Any]:
    wrapped = (seen(one) if isinstance(one, OvhObject) else one for one in objects)
    return {getattr(one.value, identity): one for one in wrapped}


def two_services() -> Snapshot:
    """Two services whose moRefs, host names and datacenter names overlap."""
    first = service(
        ONE,
        datacenter(
            ONE,
            10,
            "Paris",
            clusters=[cluster(1, "prod"), cluster(2, "lab")],
            hosts=[host(1, cluster_name="prod"), host(2, cluster_name="lab")],
            vms=[
                vm(
                    1,
                    "web2",
                    cluster_name="prod",
                    host_name="172.16.0.1",
                    folder_name="shop",
                ),
                vm(2, "web10", cluster_name="prod", host_name="172.16.0.1"),
                vm(3, "test1", cluster_name="lab", host_name="172.16.0.2"),
                seen(vm(8, "backupServer1", cluster_name="prod"), managed=True),
                seen(vm(9, "old1", cluster_name="prod", power_state="deleted"), deleted=True),
            ],
            datastores=[datastore(1, profile="ssd"), datastore(2, profile="hdd")],
        ),
        datacenter(ONE, 11, "Lyon", vms=[vm(20, "web2")]),
        description="Shop",
        datastores=[datastore(50, "ssd-000050", profile="global-ssd")],
    )
    second = service(
        TWO,
        datacenter(
            TWO,
            10,
            "Paris",
            clusters=[cluster(1, "prod")],
            hosts=[host(1, cluster_name="prod")],
            vms=[vm(1, "mail1", cluster_name="prod"), vm(30, "web10", cluster_name="prod")],
            datastores=[datastore(1, profile="hdd")],
        ),
    )
    return snapshot(first, second)
