"""OVHcloud's objects and the snapshot that holds them, all immutable.

Field names follow APIv6 (reference: ovh 1.2) in snake case. Nearly every number is
nullable upstream. Unknown fields are ignored and enumerations are plain text, so that a
value OVHcloud adds later does not make an object unreadable.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Generic, TypeVar

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class OvhObject(BaseModel):
    """Base of the objects read from APIv6."""

    model_config = ConfigDict(
        frozen=True,
        alias_generator=to_camel,
        populate_by_name=True,
        extra="ignore",
        allow_inf_nan=False,
    )


class UnitValue(OvhObject):
    """A number with its unit, for example 256 GB."""

    unit: str
    value: float


class Service(OvhObject):
    """``dedicatedCloud.dedicatedCloudWithIAM``, the part used here."""

    service_name: str
    description: str = ""
    location: str = ""
    state: str = ""
    commercial_range: str = ""
    generation: str = ""
    management_interface: str = ""
    web_interface_url: str = ""


class Datacenter(OvhObject):
    """``dedicatedCloud.Datacenter``."""

    datacenter_id: int
    name: str = ""
    description: str = ""
    commercial_name: str = ""
    commercial_range_name: str = ""
    version: str = ""


class Cluster(OvhObject):
    """``dedicatedCloud.Cluster``."""

    cluster_id: int
    name: str
    drs_mode: str = ""
    drs_status: str = ""
    ha_status: str = ""
    evc_mode: str = ""
    vmware_cluster_id: str = ""


class Host(OvhObject):
    """``dedicatedCloud.Host``: MHz, MB (``memory_used``), seconds (``uptime``)."""

    host_id: int
    name: str
    billing_type: str = ""
    cluster_name: str | None = None
    connection_state: str | None = None
    cpu: UnitValue | None = None
    cpu_max: int | None = None
    cpu_num: int | None = None
    cpu_used: int | None = None
    in_maintenance: bool | None = None
    memory_used: float | None = None
    profile: str = ""
    rack: str = ""
    ram: UnitValue | None = None
    state: str = ""
    uptime: int | None = None
    vm_total: int | None = None
    vm_vcpu_total: int | None = None


class Datastore(OvhObject):
    """``dedicatedCloud.Filer``: space in GB."""

    filer_id: int
    name: str
    billing_type: str | None = None
    active_node: str | None = None
    connection_state: str | None = None
    full_profile: str = ""
    is_managed_by_ovh: bool = False
    profile: str = ""
    size: UnitValue | None = None
    space_free: float | None = None
    space_provisionned: float | None = None
    space_used: float | None = None
    state: str = ""
    vm_total: int | None = None


class Backup(OvhObject):
    """``dedicatedCloud.backup.Backup``, the part used here."""

    state: str | None = None
    offer_type: str | None = None
    last_result: str | None = None
    last_creation_time: datetime | None = None
    last_successful_creation_time: datetime | None = None


class VmFiler(OvhObject):
    """A datastore in use by a VM; ``committed`` in MB."""

    name: str
    committed: float = 0.0


class Vm(OvhObject):
    """``dedicatedCloud.Vm``: MHz, MB, KB/s, ms, operations/s."""

    vm_id: int
    mo_ref: str
    name: str | None = None
    backup: Backup | None = None
    cluster_name: str | None = None
    cpu_max: float | None = None
    cpu_num: int | None = None
    cpu_ready: float | None = None
    cpu_ready_percent: float | None = None
    cpu_used: int | None = None
    filers: tuple[VmFiler, ...] | None = None
    folder_name: str | None = None
    guest_os_family: str | None = None
    host_name: str | None = None
    memory_max: int | None = None
    memory_used: int | None = None
    net_packet_rx: float | None = None
    net_packet_tx: float | None = None
    net_rx: float | None = None
    net_tx: float | None = None
    power_state: str = ""
    read_latency: float | None = None
    read_per_second: float | None = None
    read_rate: float | None = None
    snapshot_num: int | None = None
    vmware_tools: str | None = None
    vmware_tools_version: str | None = None
    write_latency: float | None = None
    write_per_second: float | None = None
    write_rate: float | None = None


class Task(OvhObject):
    """``dedicatedCloud.Task``."""

    task_id: int
    name: str
    type: str = ""
    state: str
    progress: int = 0
    description: str | None = None
    created_by: str | None = None
    datacenter_id: int | None = None
    host_id: int | None = None
    filer_id: int | None = None
    execution_date: datetime
    end_date: datetime | None = None
    last_modification_date: datetime | None = None
    maintenance_date_from: datetime | None = None
    maintenance_date_to: datetime | None = None


ObjectT = TypeVar("ObjectT", bound=OvhObject)


@dataclass(frozen=True, slots=True)
class Seen(Generic[ObjectT]):
    """An object and when it was read.

    Attributes:
        value: The object, possibly from an earlier poll when the last read failed.
        read_at: Epoch seconds of the read.
        managed: True for OVHcloud's own objects (gateways, backup proxies, spares);
            hidden unless asked for.
        deleted: True for virtual machines whose power state is ``deleted``; hidden too.
    """

    value: ObjectT
    read_at: float
    managed: bool = False
    deleted: bool = False

    @property
    def hidden(self) -> bool:
        """Whether tables and variables leave this out by default."""
        return self.managed or self.deleted


@dataclass(frozen=True, slots=True)
class DatacenterInventory:
    """One datacenter and what stands in it, each mapping by APIv6 id.

    Attributes:
        label: The stored ``datacenter`` label, ``{serviceName}_datacenter{id}``
            (reference: ovh 2.1).
    """

    datacenter: Seen[Datacenter]
    label: str
    clusters: Mapping[int, Seen[Cluster]] = field(default_factory=dict)
    hosts: Mapping[int, Seen[Host]] = field(default_factory=dict)
    vms: Mapping[int, Seen[Vm]] = field(default_factory=dict)
    datastores: Mapping[int, Seen[Datastore]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ServiceInventory:
    """One Hosted Private Cloud service as last polled.

    Attributes:
        name: ``serviceName``, for example ``pcc-37-187-228-180``.
        account: Name of the configured account (credential) it belongs to.
        state: ``warming`` (never polled), ``ok``, ``partial`` (some reads failed),
            ``expired`` (HTTP 460) or ``failed``.
        problem: One sentence when the state is not ``ok``.
        polled_at: Epoch seconds of the last completed poll, None before the first.
        datastores: Global datastores, mounted on all datacenters.
    """

    name: str
    account: str
    state: str = "warming"
    problem: str | None = None
    polled_at: float | None = None
    service: Seen[Service] | None = None
    datacenters: Mapping[int, DatacenterInventory] = field(default_factory=dict)
    datastores: Mapping[int, Seen[Datastore]] = field(default_factory=dict)
    tasks: Mapping[int, Seen[Task]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything known about all services at one moment.

    Attributes:
        services: By service name, in a stable order.
        version: Grows by one with every change, so that derived tables can be cached.
        unlisted: Accounts whose services are not known, since listing them never worked.
    """

    services: Mapping[str, ServiceInventory] = field(default_factory=dict)
    version: int = 0
    unlisted: tuple[str, ...] = ()

    def datacenters(self) -> Iterator[tuple[ServiceInventory, DatacenterInventory]]:
        """Yield every datacenter with its service."""
        for service in self.services.values():
            for datacenter in service.datacenters.values():
                yield service, datacenter


@dataclass(frozen=True, slots=True)
class Poll:
    """A service after an attempt to read it.

    Attributes:
        service: As it is known then; what could be read has a ``read_at`` from
            ``started_at`` on.
        started_at: Epoch seconds.
        interval_s: Seconds between two polls at that time.
    """

    service: ServiceInventory
    started_at: float
    interval_s: float
