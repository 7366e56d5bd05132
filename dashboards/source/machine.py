"""One virtual machine: what it is, what it needs, what it waits for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dashboards.source import looks
from dashboards.source.boards import (
    CLUSTER,
    SERVICE,
    VM,
    Board,
    Row,
    asked,
    choice,
    events,
    places,
)
from dashboards.source.panels import Value, lines, number, timeline
from dashboards.source.queries import Live, OpenTsdb
from dashboards.source.tables import Cell, hidden, live

if TYPE_CHECKING:
    from collections.abc import Mapping

    from grafana_foundation_sdk.builders.dashboard import Panel

_ASKED = asked(VM)


def _now(title: str, column: str, value: Value) -> Panel:
    return number(title, Live(kind="vm", columns=(column,), where=VM), value)


def _own(metric: str, alias: str = "$tag_vm_name", function: str = "avg") -> OpenTsdb:
    return OpenTsdb(metric=f"vscope.vm.{metric}", where=_ASKED, alias=alias, function=function)


def _both(title: str, stem: str, ends: Mapping[str, str], steps: looks.Steps = ()) -> Panel:
    """Return one graph of metrics that belong together, such as reads and writes."""
    queries = (_own(f"{stem}{end}", word) for end, word in ends.items())
    return lines(title, *queries, steps=steps, calcs=("mean", "max"))


_DISK = {"read": "Read", "write": "Write"}
_NET = {"rx": "Received", "tx": "Sent"}
_PACKETS = {"packetsrx": "Received", "packetstx": "Sent"}

BOARD = Board(
    uid="vscope-vm",
    title="vScope: virtual machine",
    description="One virtual machine: what it is, what it needs, what it waits for.",
    rows=[
        Row(
            "",
            [
                _now("Power now", "power_state", Value(states=looks.POWER)),
                _now("CPU ready now", "cpu_ready_percent", Value(steps=looks.READY, decimals=2)),
                _now("CPU now", "cpu_usage_percent", Value(steps=looks.CPU, decimals=1)),
                _now("Memory now", "mem_usage_percent", Value(steps=looks.MEMORY, decimals=1)),
                _now("Snapshots now", "snapshots", Value(steps=looks.SNAPSHOTS)),
                _now("VMware Tools", "tools", Value(steps=looks.PLAIN)),
                _now("Last backup", "backup_result", Value(steps=looks.PLAIN, none="none")),
                _now("Space taken now", "disk_committed_gb", Value(steps=looks.PLAIN, decimals=1)),
                live(
                    "What it is",
                    "vm",
                    Cell(name="name", title="Name"),
                    Cell(name="guest_os", title="Guest system"),
                    Cell(name="vcpus", title="vCPUs", width=70),
                    Cell(name="mem_max_mb", title="Memory", width=90),
                    Cell(name="cluster", title="Cluster"),
                    Cell(name="host_name", title="Host", link=looks.VMS_HOST_PAGE),
                    Cell(name="folder", title="Folder"),
                    Cell(name="datastores", title="Datastores"),
                    Cell(name="backup_last_success", title="Last good backup", width=160),
                    *hidden("service", "datacenter"),
                    where=[VM],
                    size=(24, 4),
                ),
            ],
        ),
        Row(
            "Processor and memory",
            [
                lines("CPU", _own("cpu.usage.perc"), steps=looks.CPU, top=100),
                lines(
                    "CPU ready",
                    _own("cpu.ready.perc"),
                    steps=looks.READY,
                    description="Ready to run but not scheduled: above 5 % people notice.",
                ),
                lines("Memory", _own("mem.usage.perc"), steps=looks.MEMORY, top=100),
                timeline("Power", _own("power.state", function="last")),
            ],
        ),
        Row(
            "Disks",
            [
                _both("Latency", "disk.latency.", _DISK, looks.LATENCY),
                _both("Operations", "disk.io.", _DISK),
                _both("Bandwidth", "disk.bandwidth.", _DISK),
                lines("Space taken", _own("disk.committed", function="last")),
            ],
        ),
        Row(
            "Network, snapshots and backup",
            [
                _both("Network", "net.", _NET),
                _both("Packets", "net.", _PACKETS),
                lines("Snapshots", _own("snapshots", function="max"), steps=looks.SNAPSHOTS),
                lines(
                    "Age of the last good backup",
                    _own("backup.age", function="last"),
                    steps=looks.BACKUP_AGE,
                ),
            ],
        ),
    ],
    variables=[
        *places(),
        choice("host", "Host", "host", value="host", where=CLUSTER, several=True),
        choice(
            "vm",
            "Virtual machine",
            "vm",
            value="vm",
            where={**CLUSTER, "host_name": "${host:regex}"},
        ),
    ],
    annotations=events(SERVICE),
)
