"""The essentials through the JSON datasource by simPod, for Grafana without the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dashboards.source import looks
from dashboards.source.boards import CLUSTER, SERVICE, Board, Row, annotation, variable
from dashboards.source.datasources import JSON
from dashboards.source.panels import Value, lines, number
from dashboards.source.queries import Live, SimPod
from dashboards.source.tables import Cell, live

if TYPE_CHECKING:
    from grafana_foundation_sdk.builders.dashboard import Panel, QueryVariable


def _listed(name: str, label: str, call: str) -> QueryVariable:
    query: dict[str, object] = {"query": call, "format": "string", "refId": name}
    return variable(name, label, query, JSON, several=True)


def _graph(title: str, target: str, unit: str, steps: looks.Steps = ()) -> Panel:
    return lines(title, SimPod(target=target), unit=unit, steps=steps)


def _sum(title: str, column: str, steps: looks.Steps = looks.PLAIN) -> Panel:
    query = Live(kind="cluster", columns=(column,), where=CLUSTER, simpod=True)
    return number(title, query, Value(steps=steps, decimals=0), calc="sum", size=(6, 4))


_IN_CLUSTER = "{datacenter=$datacenter,cluster=$cluster}"

BOARD = Board(
    uid="vscope-through-json",
    title="vScope: through the JSON datasource",
    description="The essentials through the JSON datasource by simPod. Its values come with "
    "units and names, and what is missing is a gap; alert rules cannot use it.",
    rows=[
        Row(
            "",
            [
                _sum("Hosts", "hosts"),
                _sum("Not connected", "hosts_disconnected", looks.ANY_IS_BAD),
                _sum("Virtual machines", "vms"),
                _sum("Powered on", "vms_powered_on"),
                _graph(
                    "CPU of the hosts, by cluster",
                    f"avg:vscope.host.cpu.usage.perc{_IN_CLUSTER}",
                    "percent",
                    looks.CPU,
                ),
                _graph(
                    "Memory of the hosts, by cluster",
                    f"avg:vscope.host.mem.usage.perc{_IN_CLUSTER}",
                    "percent",
                    looks.MEMORY,
                ),
                _graph(
                    "CPU ready, the worst machine of each cluster",
                    f"max:vscope.vm.cpu.ready{_IN_CLUSTER}",
                    "ms",
                ),
                _graph(
                    "Datastores, space used",
                    "vscope.filer.datastore.diskspace.used.perc{}{service=$service}",
                    "percent",
                    looks.FILL,
                ),
                live(
                    "Hosts now",
                    "host",
                    Cell(name="name", title="Host"),
                    Cell(name="cluster", title="Cluster"),
                    Cell(name="connection_state", title="Connection", states=looks.CONNECTION),
                    Cell(name="cpu_usage_percent", title="CPU", steps=looks.CPU, bar=True),
                    Cell(name="mem_usage_percent", title="Memory", steps=looks.MEMORY, bar=True),
                    where=[CLUSTER],
                    simpod=True,
                ),
                live(
                    "Most CPU ready",
                    "vm",
                    Cell(name="name", title="Virtual machine"),
                    Cell(name="cluster", title="Cluster"),
                    Cell(name="cpu_ready_percent", title="Ready", steps=looks.READY, width=90),
                    Cell(name="cpu_usage_percent", title="CPU", width=90),
                    where=[CLUSTER],
                    by="cpu_ready_percent",
                    first=10,
                    simpod=True,
                ),
                live(
                    "Datastores",
                    "filer",
                    Cell(name="name", title="Datastore"),
                    Cell(name="used_percent", title="Used", steps=looks.FILL, bar=True),
                    Cell(name="free_gb", title="Free", width=90),
                    where=[SERVICE],
                    by="used_percent",
                    simpod=True,
                ),
                live(
                    "Tasks, newest first",
                    "task",
                    Cell(name="executed_at", title="Start", width=160),
                    Cell(name="name", title="Task"),
                    Cell(name="state", title="State", states=looks.TASK, width=100),
                    Cell(name="description", title="What"),
                    where=[SERVICE],
                    by="executed_at",
                    first=20,
                    simpod=True,
                ),
            ],
        ),
    ],
    variables=[
        _listed("service", "Service", "services()"),
        _listed("datacenter", "Datacenter", "datacenters($service)"),
        _listed("cluster", "Cluster", "clusters($datacenter)"),
    ],
    annotations=[annotation("Tasks", SimPod(target="live:task{service=$service}"), "blue")],
)
