"""The live data as Prometheus names it: metric families in base units.

What a family tells and how its value is read has its origin in the catalogue and in
:mod:`bridge.ovh.measures`; here it gets the name, unit and type of Prometheus' conventions.
All are gauges: OVHcloud gives the newest sample of VMware's counters, never a running count.

A state with two values is 1 or 0. One with more has a series for each state, 1 for the one
that holds, so that none of them ends while another begins.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Generic

from bridge.catalog import Kind, catalogue
from bridge.ovh.figures import epoch_ms, finite, megabytes
from bridge.ovh.measures import DATASTORES, HOSTS, VMS, Measure, ObjectT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bridge.ovh.measures import Recorded
    from bridge.ovh.objects import Datastore, Host, Vm

    Pairs = tuple[tuple[str, str], ...]

#: Base unit, and what a value is multiplied with and divided by, for the units of the
#: catalogue and of live tables. Two numbers, since 0.1 has no exact half.
_BASE: Mapping[str, tuple[str, float, float]] = MappingProxyType(
    {
        "none": ("", 1.0, 1.0),
        "percent": ("ratio", 1.0, 100.0),
        "kbytes": ("bytes", 1024.0, 1.0),
        "mbytes": ("bytes", 1048576.0, 1.0),
        "KBs": ("bytes_per_second", 1000.0, 1.0),
        "pps": ("packets_per_second", 1.0, 1.0),
        "iops": ("operations_per_second", 1.0, 1.0),
        "ms": ("seconds", 1.0, 1000.0),
        "s": ("seconds", 1.0, 1.0),
        "rotmhz": ("hertz", 1000000.0, 1.0),
    }
)

#: The labels that name an object of each kind, most significant first.
IDENTITY: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "service": ("service",),
        "datacenter": ("service", "datacenter"),
        "cluster": ("service", "datacenter", "cluster"),
        "host": ("service", "datacenter", "host"),
        "datastore": ("service", "datacenter", "datastore"),
        "vm": ("service", "datacenter", "vm"),
    }
)


@dataclass(frozen=True, slots=True, eq=False)
class Family:
    """A metric family.

    Attributes:
        name: Of its samples; ends in the unit.
        kind: What it is measured on, a key of ``IDENTITY``.
        help: One sentence.
        unit: A base unit; empty where it counts or tells a state.
        more: Names of the labels that its samples have besides the identity.
        recorded: The metric of the catalogue that tells the same; None where there is none.
    """

    name: str
    kind: str
    help: str
    unit: str = ""
    more: tuple[str, ...] = ()
    recorded: str | None = None

    @property
    def is_info(self) -> bool:
        """Whether its samples are always 1 and carry names."""
        return self.name.endswith("_info")


@dataclass(frozen=True, slots=True)
class Exposed(Generic[ObjectT]):
    """A family with how its samples are read from an object.

    Attributes:
        family: The family.
        measure: Gives the value in the unit of the catalogue.
        times: What that is multiplied with ...
        per: ... and then divided by.
        states: Label pairs of each state and its code, for a state of more than two values.
    """

    family: Family
    measure: Measure[ObjectT]
    times: float = 1.0
    per: float = 1.0
    states: tuple[tuple[Pairs, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Kinded(Generic[ObjectT]):
    """Everything that is exposed of one kind of object.

    Attributes:
        how: How it is named, and whether it can have performance values.
        info: Its family of names ...
        names: ... and their values, in the order of ``info.more``.
        exposed: Its other families.
    """

    how: Recorded[ObjectT]
    info: Family
    names: Callable[[ObjectT], tuple[str | None, ...]]
    exposed: tuple[Exposed[ObjectT], ...]


_CATALOGUE = catalogue()
_STATE = "state"


def _recorded(
    how: Recorded[ObjectT], stems: Mapping[str, str], sentences: Mapping[str, str]
) -> tuple[Exposed[ObjectT], ...]:
    """Expose measures of the recording.

    Args:
        how: Has the measures.
        stems: The family's name without ``vscope_`` and unit, by metric without ``vscope.``.
        sentences: What more to say of some.
    """
    measures = {measure.metric: measure for measure in how.measures}
    found = []
    for short, stem in stems.items():
        metric = _CATALOGUE[f"vscope.{short}"]
        unit, times, per = _BASE[metric.unit]
        many = len(metric.states) > 2
        help_text = metric.description.partition(":")[0] if many else metric.description
        family = Family(
            f"vscope_{stem}_{unit}" if unit else f"vscope_{stem}",
            how.kind.value,
            f"{help_text}{sentences.get(short, '')}.",
            unit,
            (_STATE,) if many else (),
            metric.name,
        )
        # Of what has no result there is nothing to tell: code 0 of a backup.
        coded = [(text, float(code)) for code, text in metric.states if " or " not in text]
        states = tuple((((_STATE, text),), code) for text, code in coded) if many else ()
        found.append(Exposed(family, measures[metric.name], times, per, states))
    return tuple(found)


def _live(
    kind: Kind,
    stem: str,
    unit: str,
    sentence: str,
    value: Callable[[ObjectT], float | None],
    *,
    measured: bool = False,
) -> Exposed[ObjectT]:
    """Expose what the recording lacks."""
    base, times, per = _BASE[unit]
    name = f"vscope_{kind.value}_{stem}"
    family = Family(f"{name}_{base}" if base else name, kind.value, sentence, base)
    measure: Measure[ObjectT] = Measure("", lambda one, _: finite(value(one)), measured)
    return Exposed(family, measure, times, per)


def _last_backup(vm: Vm) -> float | None:
    moment = epoch_ms(vm.backup.last_successful_creation_time if vm.backup else None)
    return None if moment is None else moment / 1000


_VM: tuple[Exposed[Vm], ...] = (
    *_recorded(
        VMS,
        {
            "vm.cpu.usage.perc": "vm_cpu_usage",
            "vm.cpu.ready": "vm_cpu_ready",
            "vm.cpu.ready.perc": "vm_cpu_ready",
            "vm.mem.usage.perc": "vm_memory_usage",
            "vm.net.rx": "vm_network_receive",
            "vm.net.tx": "vm_network_transmit",
            "vm.net.packetsrx": "vm_network_receive",
            "vm.net.packetstx": "vm_network_transmit",
            "vm.disk.io.read": "vm_disk_read",
            "vm.disk.io.write": "vm_disk_write",
            "vm.disk.bandwidth.read": "vm_disk_read",
            "vm.disk.bandwidth.write": "vm_disk_write",
            "vm.disk.latency.read": "vm_disk_read_latency",
            "vm.disk.latency.write": "vm_disk_write_latency",
            "vm.disk.committed": "vm_disk_committed",
            "vm.snapshots": "vm_snapshots",
            "vm.power.state": "vm_power_state",
            "vm.tools.state": "vm_tools_running",
            "vm.backup.state": "vm_backup_state",
        },
        {"vm.cpu.ready": " of an interval of 20 s, added up over its virtual processors"},
    ),
    _live(
        Kind.VM,
        "backup_last_success_timestamp",
        "s",
        "When the VM was last backed up with success, epoch seconds.",
        _last_backup,
    ),
    _live(Kind.VM, "cpus", "none", "Virtual processors of the VM.", lambda vm: vm.cpu_num),
    _live(
        Kind.VM,
        "cpu_used",
        "rotmhz",
        "VM processor in use.",
        lambda vm: vm.cpu_used,
        measured=True,
    ),
    _live(Kind.VM, "cpu_limit", "rotmhz", "VM processor maximum.", lambda vm: vm.cpu_max),
    _live(
        Kind.VM,
        "memory_used",
        "mbytes",
        "VM memory in use.",
        lambda vm: vm.memory_used,
        measured=True,
    ),
    _live(Kind.VM, "memory_size", "mbytes", "VM memory size.", lambda vm: vm.memory_max),
)

_HOST: tuple[Exposed[Host], ...] = (
    *_recorded(
        HOSTS,
        {
            "host.cpu.usage.perc": "host_cpu_usage",
            "host.mem.usage.perc": "host_memory_usage",
            "host.vms": "host_vms",
            "host.vcpus": "host_vm_cpus",
            "host.uptime": "host_uptime",
            "host.connection.state": "host_connection_state",
            "host.maintenance.state": "host_in_maintenance",
        },
        {},
    ),
    _live(Kind.HOST, "cpu_cores", "none", "Physical cores of the host.", lambda host: host.cpu_num),
    _live(
        Kind.HOST,
        "cpu_used",
        "rotmhz",
        "Host processor in use.",
        lambda host: host.cpu_used,
        measured=True,
    ),
    _live(Kind.HOST, "cpu_limit", "rotmhz", "Host processor maximum.", lambda host: host.cpu_max),
    _live(
        Kind.HOST,
        "memory_used",
        "mbytes",
        "Host memory in use.",
        lambda host: host.memory_used,
        measured=True,
    ),
    _live(Kind.HOST, "memory_size", "mbytes", "Host memory.", lambda host: megabytes(host.ram)),
)

_DATASTORE: tuple[Exposed[Datastore], ...] = _recorded(
    DATASTORES,
    {
        "filer.datastore.diskspace.used": "datastore_used",
        "filer.datastore.diskspace.used.perc": "datastore_used",
        "filer.datastore.diskspace.capacity": "datastore_capacity",
        "filer.datastore.diskspace.provisioned": "datastore_provisioned",
        "filer.datastore.diskspace.overcommit.perc": "datastore_provisioned",
        "filer.datastore.vms": "datastore_vms",
        "filer.datastore.connection.state": "datastore_online",
    },
    {},
)

KINDED: Sequence[Kinded[Any]] = (
    Kinded(
        HOSTS,
        Family(
            "vscope_host_info",
            "host",
            "Names of a host, and what it is.",
            more=("cluster", "profile", "rack"),
        ),
        lambda host: (host.cluster_name, host.profile, host.rack),
        _HOST,
    ),
    Kinded(
        DATASTORES,
        Family("vscope_datastore_info", "datastore", "Profile of a datastore.", more=("profile",)),
        lambda store: (store.profile,),
        _DATASTORE,
    ),
    Kinded(
        VMS,
        Family(
            "vscope_vm_info",
            "vm",
            "Names of a VM, and where it is.",
            more=("vm_name", "cluster", "host", "folder", "guest_os"),
        ),
        lambda vm: (
            vm.name,
            vm.cluster_name,
            vm.host_name,
            vm.folder_name,
            vm.guest_os_family,
        ),
        _VM,
    ),
)

DATACENTER_INFO = Family(
    "vscope_datacenter_info",
    "datacenter",
    "Names of a datacenter, and what it is.",
    more=("datacenter_name", "description", "commercial_name", "version"),
)
CLUSTER_INFO = Family(
    "vscope_cluster_info",
    "cluster",
    "How VMware runs a cluster.",
    more=("drs_status", "drs_mode", "ha_status"),
)
SERVICE_UP = Family(
    "vscope_service_up",
    "service",
    "1 while there is a fresh reading of the service, and with it samples of its objects.",
)
SERVICE_READ = Family(
    "vscope_service_read_timestamp_seconds",
    "service",
    "When the service was last read, epoch seconds.",
    "seconds",
)
SERVICE_POLL = Family(
    "vscope_service_poll_state",
    "service",
    "How the last poll of the service ended: 1 for the state that holds.",
    more=(_STATE,),
)
SERVICE_TASKS = Family(
    "vscope_service_tasks",
    "service",
    "Tasks of the service by state: unfinished ones, and those of the last 30 days.",
    more=(_STATE,),
)
SERVICE_INFO = Family(
    "vscope_service_info",
    "service",
    "Names of a service, and what it is.",
    more=("account", "description", "location", "commercial_range"),
)

#: Every family, in the order in which they are shown.
FAMILIES: tuple[Family, ...] = (
    SERVICE_UP,
    SERVICE_READ,
    SERVICE_POLL,
    SERVICE_TASKS,
    SERVICE_INFO,
    DATACENTER_INFO,
    CLUSTER_INFO,
    *(
        family
        for kinded in KINDED
        for family in (kinded.info, *(one.family for one in kinded.exposed))
    ),
)
