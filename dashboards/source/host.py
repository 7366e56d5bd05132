"""One host: its state, its load, and the machines on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dashboards.source import looks
from dashboards.source.boards import (
    CLUSTER,
    HOST,
    SERVICE,
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
    from grafana_foundation_sdk.builders.dashboard import Panel

_ASKED = asked(HOST)
#: Machines know their host by a label of another name.
_ON_IT = {("host_name" if label == "host" else label): text for label, text in _ASKED.items()}


def _now(title: str, column: str, value: Value) -> Panel:
    query = Live(kind="host", columns=(column,), where=HOST)
    return number(title, query, value)


def _own(metric: str, alias: str) -> OpenTsdb:
    return OpenTsdb(metric=metric, where=_ASKED, alias=alias)


def _machines(metric: str) -> OpenTsdb:
    return OpenTsdb(metric=metric, where=_ON_IT, alias="$tag_vm_name")


BOARD = Board(
    uid="vscope-host",
    title="vScope: host",
    description="One host: its state, its load, and the virtual machines on it.",
    rows=[
        Row(
            "",
            [
                _now("Connection", "connection_state", Value(states=looks.CONNECTION)),
                _now("In maintenance", "in_maintenance", Value(states=looks.MAINTENANCE)),
                _now("CPU now", "cpu_usage_percent", Value(steps=looks.CPU, decimals=1)),
                _now("Memory now", "mem_usage_percent", Value(steps=looks.MEMORY, decimals=1)),
                _now("Virtual machines", "vms", Value(steps=looks.PLAIN)),
                _now(
                    "vCPUs per core",
                    "vcpus_per_core",
                    Value(steps=looks.VCPUS_PER_CORE, decimals=1),
                ),
                _now("Up for", "uptime", Value(steps=looks.PLAIN, decimals=0)),
                _now("Profile", "profile", Value(steps=looks.PLAIN)),
                lines(
                    "CPU and memory",
                    _own("vscope.host.cpu.usage.perc", "CPU"),
                    _own("vscope.host.mem.usage.perc", "Memory"),
                    steps=looks.CPU,
                    top=100,
                    calcs=("mean", "max", "lastNotNull"),
                ),
                lines(
                    "Virtual machines and vCPUs",
                    _own("vscope.host.vms", "Virtual machines"),
                    _own("vscope.host.vcpus", "vCPUs"),
                    calcs=("lastNotNull",),
                ),
                timeline(
                    "Connection over time",
                    _own("vscope.host.connection.state", "$tag_host"),
                    size=(12, 4),
                ),
                timeline(
                    "Maintenance over time",
                    _own("vscope.host.maintenance.state", "$tag_host"),
                    size=(12, 4),
                ),
            ],
        ),
        Row(
            "Virtual machines on this host",
            [
                live(
                    "Machines now, busiest first",
                    "vm",
                    Cell(name="name", title="Virtual machine", link=looks.VM_PAGE),
                    Cell(name="power_state", title="Power", states=looks.POWER, width=100),
                    Cell(name="cpu_usage_percent", title="CPU", steps=looks.CPU, bar=True),
                    Cell(name="cpu_ready_percent", title="Ready", steps=looks.READY, width=80),
                    Cell(name="mem_usage_percent", title="Memory", steps=looks.MEMORY, bar=True),
                    Cell(name="disk_read_latency_ms", title="Read", steps=looks.LATENCY, width=80),
                    Cell(
                        name="disk_write_latency_ms", title="Write", steps=looks.LATENCY, width=80
                    ),
                    Cell(name="vcpus", title="vCPUs", width=70),
                    *hidden("service", "datacenter", "vm"),
                    where=[HOST],
                    by="cpu_usage_percent",
                    size=(24, 9),
                ),
                lines("CPU of the machines", _machines("vscope.vm.cpu.usage.perc"), top=100),
                lines(
                    "CPU ready of the machines",
                    _machines("vscope.vm.cpu.ready.perc"),
                    steps=looks.READY,
                ),
                lines("Memory of the machines", _machines("vscope.vm.mem.usage.perc"), top=100),
                lines(
                    "Disk write latency of the machines",
                    _machines("vscope.vm.disk.latency.write"),
                    steps=looks.LATENCY,
                ),
            ],
        ),
    ],
    variables=[
        *places(),
        choice("host", "Host", "host", value="host", where=CLUSTER),
    ],
    annotations=events(SERVICE),
)
