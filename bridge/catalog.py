"""The vScope metrics: what they measure, in which unit, with which labels.

Source of the names: OVHcloud's vScope guide (20 metrics) and client code that used four
more (reference: ovh 2.2). Each metric with a ``live`` expression can be rebuilt from the
live APIv6 object of its kind; the host's network counters cannot.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class Kind(StrEnum):
    """What a metric is measured on."""

    DATASTORE = "datastore"
    HOST = "host"
    VM = "vm"
    OTHER = "other"


#: The stored label that names the object, for each kind that the inventory knows.
OBJECT_LABEL: Mapping[Kind, str] = MappingProxyType(
    {Kind.DATASTORE: "datastore", Kind.HOST: "host", Kind.VM: "vm", Kind.OTHER: ""}
)

#: Labels the inventory adds to stored series (see ``bridge.ovh.labels``).
ENRICHED_LABELS: Mapping[Kind, tuple[str, ...]] = MappingProxyType(
    {
        Kind.DATASTORE: ("service", "profile"),
        Kind.HOST: ("service", "cluster"),
        Kind.VM: ("service", "vm_name", "cluster", "host_name", "folder"),
        Kind.OTHER: (),
    }
)

#: Enriched labels that may change while the object lives; an answer shows them only when
#: the query groups or filters by them.
CHANGING_LABELS = frozenset({"cluster", "host_name", "folder"})


@dataclass(frozen=True, slots=True)
class Metric:
    """One vScope metric.

    Attributes:
        name: As OVHcloud stores it.
        kind: What it is measured on.
        description: One line for a person.
        unit: A Grafana unit id (``percent`` is 0 to 100, ``kbytes`` is KiB, ``KBs`` is
            kB/s, ``pps`` packets/s, ``iops`` operations/s, ``ms``, ``none``).
        labels: Stored labels, most significant first.
        live: The APIv6 field (or formula) this comes from; None where APIv6 has none.
        guide: Whether OVHcloud's guide lists it.
    """

    name: str
    kind: Kind
    description: str
    unit: str
    labels: tuple[str, ...]
    live: str | None
    guide: bool = True

    @property
    def all_labels(self) -> tuple[str, ...]:
        """Stored labels, then those the inventory adds."""
        return self.labels + ENRICHED_LABELS[self.kind]


_DATASTORE = ("datacenter", "datastore")
_HOST = ("datacenter", "host")
_NIC = ("datacenter", "host", "nicname")
_VM = ("datacenter", "vm")

_METRICS = (
    Metric(
        "vscope.filer.datastore.diskspace.used",
        Kind.DATASTORE,
        "Datastore space used",
        "kbytes",
        _DATASTORE,
        "spaceUsed * 1024 * 1024",
    ),
    Metric(
        "vscope.filer.datastore.diskspace.used.perc",
        Kind.DATASTORE,
        "Datastore space used, of used and free",
        "percent",
        _DATASTORE,
        "100 * spaceUsed / (spaceUsed + spaceFree)",
        guide=False,
    ),
    Metric(
        "vscope.host.cpu.usage.perc",
        Kind.HOST,
        "Host processor usage",
        "percent",
        _HOST,
        "100 * cpuUsed / cpuMax",
    ),
    Metric(
        "vscope.host.mem.usage.perc",
        Kind.HOST,
        "Host memory usage",
        "percent",
        _HOST,
        "100 * memoryUsed / (ram.value * 1024)",
    ),
    Metric(
        "vscope.host.mem.tps",
        Kind.HOST,
        "Host memory shared between virtual machines",
        "none",
        _HOST,
        None,
        guide=False,
    ),
    Metric("vscope.host.net.tx", Kind.HOST, "Host network, sent", "KBs", _NIC, None),
    Metric("vscope.host.net.rx", Kind.HOST, "Host network, received", "KBs", _NIC, None),
    Metric("vscope.host.net.packetstx", Kind.HOST, "Host packets sent", "pps", _NIC, None),
    Metric("vscope.host.net.packetsrx", Kind.HOST, "Host packets received", "pps", _NIC, None),
    Metric(
        "vscope.vm.cpu.usage.perc",
        Kind.VM,
        "VM processor usage",
        "percent",
        _VM,
        "100 * cpuUsed / cpuMax",
    ),
    Metric(
        "vscope.vm.mem.usage.perc",
        Kind.VM,
        "VM memory usage",
        "percent",
        _VM,
        "100 * memoryUsed / memoryMax",
    ),
    Metric(
        "vscope.vm.mem.tps",
        Kind.VM,
        "VM memory shared with other virtual machines",
        "none",
        _VM,
        None,
        guide=False,
    ),
    Metric("vscope.vm.cpu.ready", Kind.VM, "VM CPU ready time", "ms", _VM, "cpuReady"),
    Metric("vscope.vm.net.rx", Kind.VM, "VM network, received", "KBs", _VM, "netRx"),
    Metric("vscope.vm.net.tx", Kind.VM, "VM network, sent", "KBs", _VM, "netTx"),
    Metric("vscope.vm.net.packetsrx", Kind.VM, "VM packets received", "pps", _VM, "netPacketRx"),
    Metric("vscope.vm.net.packetstx", Kind.VM, "VM packets sent", "pps", _VM, "netPacketTx"),
    Metric("vscope.vm.disk.io.read", Kind.VM, "VM disk reads", "iops", _VM, "readPerSecond"),
    Metric("vscope.vm.disk.io.write", Kind.VM, "VM disk writes", "iops", _VM, "writePerSecond"),
    Metric(
        "vscope.vm.disk.bandwidth.read", Kind.VM, "VM disk read bandwidth", "KBs", _VM, "readRate"
    ),
    Metric(
        "vscope.vm.disk.bandwidth.write",
        Kind.VM,
        "VM disk write bandwidth",
        "KBs",
        _VM,
        "writeRate",
    ),
    Metric(
        "vscope.vm.disk.latency.read", Kind.VM, "VM disk read latency", "ms", _VM, "readLatency"
    ),
    Metric(
        "vscope.vm.disk.latency.write", Kind.VM, "VM disk write latency", "ms", _VM, "writeLatency"
    ),
)


def uncatalogued(name: str) -> Metric:
    """Return what is known of a metric outside the catalogue: its name."""
    return Metric(name, Kind.OTHER, name, "none", (), None, guide=False)


def catalogue(*, diskspace_unit: str = "kB") -> Mapping[str, Metric]:
    """Return the metrics by name.

    Args:
        diskspace_unit: ``kB`` (the guide's word) or ``GB`` (what one client plotted); it
            decides only how ``diskspace.used`` is labelled, stored values pass unchanged.
    """
    unit = {"kB": "kbytes", "GB": "gbytes"}[diskspace_unit]
    return MappingProxyType(
        {
            m.name: m
            if m.name != "vscope.filer.datastore.diskspace.used"
            else Metric(m.name, m.kind, m.description, unit, m.labels, m.live, m.guide)
            for m in _METRICS
        }
    )
