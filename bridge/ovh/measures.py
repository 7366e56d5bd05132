"""What each object gives to the recording: formulas of reference ovh 2.2, states as numbers.

*Measured* values are the performance of an object that runs and can be reached; of one that
is off, suspended, disconnected or offline whatever OVHcloud still shows is old, so nothing is
recorded. *Facts* hold all the same: states, counts, space that stays taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from types import MappingProxyType
from typing import TYPE_CHECKING, Generic, TypeVar

from bridge.catalog import DISKSPACE_USED, Kind
from bridge.ovh.figures import added, age_s, finite, megabytes, percent
from bridge.ovh.label_tables import datastore_labels, host_labels, vm_labels
from bridge.ovh.objects import Datastore, Host, Vm

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ObjectT = TypeVar("ObjectT", Vm, Host, Datastore)

KB_PER_MB = 1024.0
KB_PER_GB = 1024.0 * 1024.0
#: Decimals kept of a percentage; OVHcloud's own history has two.
_DECIMALS = 4

POWER = MappingProxyType({"poweredOn": 1.0, "poweredOff": 0.0, "suspended": 2.0})
HOST_CONNECTION = MappingProxyType({"connected": 1.0, "disconnected": 0.0, "notResponding": -1.0})
DATASTORE_CONNECTION = MappingProxyType({"online": 1.0, "offline": 0.0})
TOOLS = MappingProxyType(
    {
        "guestToolsRunning": 1.0,
        "guestToolsExecutingScripts": 1.0,
        "guestToolsNotRunning": 0.0,
    }
)
#: By severity, so that a threshold of 3 tells failed ones from all others. A backup that was
#: stopped is no success; one being stopped has no result yet.
BACKUP = MappingProxyType(
    {"success": 1.0, "running": 2.0, "stopping": 2.0, "warning": 3.0, "stopped": 3.0, "failed": 4.0}
)
NO_BACKUP = 0.0


@dataclass(frozen=True, slots=True)
class Measure(Generic[ObjectT]):
    """One metric of one kind of object.

    Attributes:
        metric: Its name in the catalogue.
        value: Gives the value at a stamp (epoch seconds), None where it is not known.
        measured: Whether it takes an object that runs and can be reached.
    """

    metric: str
    value: Callable[[ObjectT, float], float | None]
    measured: bool


def _measured(
    metric: str, value: Callable[[ObjectT], float | None], *, decimals: int | None = None
) -> Measure[ObjectT]:
    def read(one: ObjectT, _: float) -> float | None:
        found = value(one)
        # Not by ``finite``: a call more for each of a million points.
        if found is None or not isfinite(found):
            return None
        return found if decimals is None else round(found, decimals)

    return Measure(f"vscope.{metric}", read, measured=True)


def _fact(metric: str, value: Callable[[ObjectT], float | None]) -> Measure[ObjectT]:
    return Measure(f"vscope.{metric}", lambda one, _: finite(value(one)), measured=False)


def _state(
    metric: str, coding: Mapping[str, float], text: Callable[[ObjectT], str | None]
) -> Measure[ObjectT]:
    return Measure(f"vscope.{metric}", lambda one, _: coding.get(text(one) or ""), measured=False)


def _kilobytes(amount: float | None, kb_each: float) -> float | None:
    """Return whole kB; OVHcloud gives GB with a few decimals."""
    amount = finite(amount)
    return None if amount is None else float(round(amount * kb_each))


def _capacity_gb(store: Datastore) -> float | None:
    return added(store.space_used, store.space_free)


def _committed_kb(vm: Vm) -> float | None:
    if vm.filers is None:
        return None
    return _kilobytes(sum(filer.committed for filer in vm.filers), KB_PER_MB)


def _backup_state(vm: Vm, _: float) -> float | None:
    result = vm.backup.last_result if vm.backup else None
    return BACKUP.get(result or "", NO_BACKUP)


def _backup_age(vm: Vm, stamp_s: float) -> float | None:
    return age_s(vm.backup.last_successful_creation_time, stamp_s) if vm.backup else None


def _as_number(flag: bool | None) -> float | None:  # noqa: FBT001 -- converts one
    return None if flag is None else float(flag)


_VM: tuple[Measure[Vm], ...] = (
    _measured("vm.cpu.usage.perc", lambda vm: percent(vm.cpu_used, vm.cpu_max), decimals=_DECIMALS),
    _measured(
        "vm.mem.usage.perc", lambda vm: percent(vm.memory_used, vm.memory_max), decimals=_DECIMALS
    ),
    _measured("vm.cpu.ready", lambda vm: vm.cpu_ready),
    _measured("vm.cpu.ready.perc", lambda vm: vm.cpu_ready_percent, decimals=_DECIMALS),
    _measured("vm.net.rx", lambda vm: vm.net_rx),
    _measured("vm.net.tx", lambda vm: vm.net_tx),
    _measured("vm.net.packetsrx", lambda vm: vm.net_packet_rx),
    _measured("vm.net.packetstx", lambda vm: vm.net_packet_tx),
    _measured("vm.disk.io.read", lambda vm: vm.read_per_second),
    _measured("vm.disk.io.write", lambda vm: vm.write_per_second),
    _measured("vm.disk.bandwidth.read", lambda vm: vm.read_rate),
    _measured("vm.disk.bandwidth.write", lambda vm: vm.write_rate),
    _measured("vm.disk.latency.read", lambda vm: vm.read_latency),
    _measured("vm.disk.latency.write", lambda vm: vm.write_latency),
    _fact("vm.disk.committed", _committed_kb),
    _fact("vm.snapshots", lambda vm: vm.snapshot_num),
    _state("vm.power.state", POWER, lambda vm: vm.power_state),
    _state("vm.tools.state", TOOLS, lambda vm: vm.vmware_tools),
    Measure("vscope.vm.backup.state", _backup_state, measured=False),
    Measure("vscope.vm.backup.age", _backup_age, measured=False),
)

_HOST: tuple[Measure[Host], ...] = (
    _measured(
        "host.cpu.usage.perc", lambda host: percent(host.cpu_used, host.cpu_max), decimals=_DECIMALS
    ),
    _measured(
        "host.mem.usage.perc",
        lambda host: percent(host.memory_used, megabytes(host.ram)),
        decimals=_DECIMALS,
    ),
    _fact("host.vms", lambda host: host.vm_total),
    _fact("host.vcpus", lambda host: host.vm_vcpu_total),
    _fact("host.uptime", lambda host: host.uptime),
    _state("host.connection.state", HOST_CONNECTION, lambda host: host.connection_state),
    _fact("host.maintenance.state", lambda host: _as_number(host.in_maintenance)),
)

_DATASTORE: tuple[Measure[Datastore], ...] = (
    Measure(
        DISKSPACE_USED, lambda store, _: _kilobytes(store.space_used, KB_PER_GB), measured=True
    ),
    _measured(
        "filer.datastore.diskspace.used.perc",
        lambda store: percent(store.space_used, _capacity_gb(store)),
        decimals=_DECIMALS,
    ),
    _measured(
        "filer.datastore.diskspace.capacity",
        lambda store: _kilobytes(_capacity_gb(store), KB_PER_GB),
    ),
    _measured(
        "filer.datastore.diskspace.provisioned",
        lambda store: _kilobytes(store.space_provisionned, KB_PER_GB),
    ),
    _measured(
        "filer.datastore.diskspace.overcommit.perc",
        lambda store: percent(store.space_provisionned, _capacity_gb(store)),
        decimals=_DECIMALS,
    ),
    _fact("filer.datastore.vms", lambda store: store.vm_total),
    _state(
        "filer.datastore.connection.state",
        DATASTORE_CONNECTION,
        lambda store: store.connection_state,
    ),
)


@dataclass(frozen=True, slots=True)
class Recorded(Generic[ObjectT]):
    """How one kind of object is recorded.

    Attributes:
        kind: The kind.
        measures: Its metrics.
        name: Gives the value of its object label.
        labels: Gives the labels it adds to its series.
        answers: Whether it can have performance values; an unknown state may.
    """

    kind: Kind
    measures: tuple[Measure[ObjectT], ...]
    name: Callable[[ObjectT], str]
    labels: Callable[[ObjectT], Mapping[str, str | None]]
    answers: Callable[[ObjectT], bool]


VMS = Recorded(
    Kind.VM,
    _VM,
    lambda vm: vm.mo_ref,
    vm_labels,
    lambda vm: vm.power_state not in {"poweredOff", "suspended", "deleted"},
)
HOSTS = Recorded(
    Kind.HOST,
    _HOST,
    lambda host: host.name,
    host_labels,
    lambda host: host.connection_state not in {"disconnected", "notResponding"},
)
DATASTORES = Recorded(
    Kind.DATASTORE,
    _DATASTORE,
    lambda store: store.name,
    datastore_labels,
    lambda store: store.connection_state != "offline",
)
