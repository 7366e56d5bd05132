"""The vScope metrics: what they measure, in which unit, with which labels.

Source of the names: OVHcloud's vScope guide (20 metrics) and client code that used four
more (reference: ovh 2.2). Each metric with a ``live`` expression is recorded from the live
APIv6 object of its kind; the host's network counters cannot be. The rest is the bridge's own,
under names of the same form, and exists only where the bridge has recorded it.
"""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from bridge.metric import (
    CHANGING_LABELS,
    ENRICHED_LABELS,
    OBJECT_LABEL,
    Kind,
    Metric,
    uncatalogued,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "CHANGING_LABELS",
    "DISKSPACE_USED",
    "ENRICHED_LABELS",
    "OBJECT_LABEL",
    "SERVICE_LABELS",
    "Kind",
    "Metric",
    "catalogue",
    "uncatalogued",
]

#: Labels OVHcloud adds to every stored series (reference: ovh 2.1).
SERVICE_LABELS = frozenset({"env", "servicename", "servicetype"})

#: The metric of which OVHcloud's unit is in doubt (reference: ovh 2.2).
DISKSPACE_USED = "vscope.filer.datastore.diskspace.used"

_DATASTORE = ("datacenter", "datastore")
_HOST = ("datacenter", "host")
_NIC = ("datacenter", "host", "nicname")
_VM = ("datacenter", "vm")

_OVHCLOUD = (
    Metric(
        DISKSPACE_USED,
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


def _own(
    name: str,
    kind: Kind,
    unit: str,
    description: str,
    live: str,
    states: tuple[tuple[int, str], ...] = (),
) -> Metric:
    """Make a metric that only the bridge's recording has."""
    if states:
        coding = ", ".join(f"{value} {meaning}" for value, meaning in states)
        description = f"{description}: {coding}"
    labels = {Kind.DATASTORE: _DATASTORE, Kind.HOST: _HOST, Kind.VM: _VM}.get(kind, ("account",))
    return Metric(
        f"vscope.{name}",
        kind,
        description,
        unit,
        labels,
        live,
        guide=False,
        ovhcloud=False,
        states=states,
    )


_SAMPLE_AGE = "stamp - stamp of the last poll that gave its performance values"

_RECORDED = (
    _own(
        "filer.datastore.diskspace.capacity",
        Kind.DATASTORE,
        "kbytes",
        "Datastore capacity, used and free",
        "(spaceUsed + spaceFree) * 1024 * 1024",
    ),
    _own(
        "filer.datastore.diskspace.provisioned",
        Kind.DATASTORE,
        "kbytes",
        "Datastore space promised to virtual machines",
        "spaceProvisionned * 1024 * 1024",
    ),
    _own(
        "filer.datastore.diskspace.overcommit.perc",
        Kind.DATASTORE,
        "percent",
        "Datastore space promised, of the capacity",
        "100 * spaceProvisionned / (spaceUsed + spaceFree)",
    ),
    _own(
        "filer.datastore.full.days",
        Kind.DATASTORE,
        "d",
        "Days until the datastore is full; 3650 is not in sight",
        "spaceFree / trend of the recorded weeks",
    ),
    _own(
        "filer.datastore.vms",
        Kind.DATASTORE,
        "none",
        "Virtual machines on the datastore",
        "vmTotal",
    ),
    _own(
        "filer.datastore.connection.state",
        Kind.DATASTORE,
        "none",
        "Datastore connection",
        "connectionState",
        ((1, "online"), (0, "offline")),
    ),
    _own(
        "filer.datastore.sample.age",
        Kind.DATASTORE,
        "s",
        "Time since the datastore's values were last given",
        _SAMPLE_AGE,
    ),
    _own("host.vms", Kind.HOST, "none", "Virtual machines on the host", "vmTotal"),
    _own(
        "host.vcpus",
        Kind.HOST,
        "none",
        "Virtual processors of the host's machines",
        "vmVcpuTotal",
    ),
    _own("host.uptime", Kind.HOST, "s", "Time since the host started", "uptime"),
    _own(
        "host.connection.state",
        Kind.HOST,
        "none",
        "Host connection",
        "connectionState",
        ((1, "connected"), (0, "disconnected"), (-1, "notResponding")),
    ),
    _own(
        "host.maintenance.state",
        Kind.HOST,
        "none",
        "Host maintenance",
        "inMaintenance",
        ((1, "in maintenance"), (0, "in service")),
    ),
    _own(
        "host.sample.age",
        Kind.HOST,
        "s",
        "Time since the host's values were last given",
        _SAMPLE_AGE,
    ),
    _own(
        "vm.cpu.ready.perc",
        Kind.VM,
        "percent",
        "VM CPU ready, share of time",
        "cpuReadyPercent",
    ),
    _own(
        "vm.disk.committed",
        Kind.VM,
        "kbytes",
        "VM space taken on all datastores",
        "sum of filers[].committed * 1024",
    ),
    _own("vm.snapshots", Kind.VM, "none", "VM snapshots", "snapshotNum"),
    _own(
        "vm.power.state",
        Kind.VM,
        "none",
        "VM power",
        "powerState",
        ((1, "on"), (0, "off"), (2, "suspended")),
    ),
    _own(
        "vm.tools.state",
        Kind.VM,
        "none",
        "VMware Tools",
        "vmwareTools",
        ((1, "running"), (0, "not running")),
    ),
    _own(
        "vm.backup.state",
        Kind.VM,
        "none",
        "VM backup, last result",
        "backup.lastResult",
        ((0, "none or unknown"), (1, "success"), (2, "running"), (3, "warning"), (4, "failed")),
    ),
    _own(
        "vm.backup.age",
        Kind.VM,
        "s",
        "Time since the VM's last successful backup",
        "stamp - backup.lastSuccessfulCreationTime",
    ),
    _own(
        "vm.sample.age",
        Kind.VM,
        "s",
        "Time since the VM's values were last given",
        _SAMPLE_AGE,
    ),
    _own(
        "credential.expires",
        Kind.ACCOUNT,
        "s",
        "Time until the OVHcloud credential expires",
        "expiration of /auth/currentCredential - stamp",
    ),
)


def catalogue(*, diskspace_unit: str = "kB") -> Mapping[str, Metric]:
    """Return the metrics by name.

    Args:
        diskspace_unit: ``kB`` (the guide's word) or ``GB`` (what one client plotted); it
            decides only how ``diskspace.used`` is labelled, stored values pass unchanged.
    """
    unit = {"kB": "kbytes", "GB": "gbytes"}[diskspace_unit]
    return MappingProxyType(
        {
            m.name: replace(m, unit=unit) if m.name == DISKSPACE_USED else m
            for m in (*_OVHCLOUD, *_RECORDED)
        }
    )
