"""Fleet: everything at once, and where to look next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dashboards.source import looks
from dashboards.source.boards import (
    CLUSTER,
    PLACE,
    SERVICE,
    Board,
    Row,
    asked,
    events,
    places,
)
from dashboards.source.panels import Value, alerts, lines, number, ranking
from dashboards.source.queries import Live, OpenTsdb
from dashboards.source.tables import Cell, hidden, live

if TYPE_CHECKING:
    from grafana_foundation_sdk.builders.dashboard import Panel

_VM_PLACE = hidden("service", "datacenter", "vm")
_VM = Cell(name="name", title="Virtual machine", link=looks.VM_PAGE)
_IN = Cell(name="cluster", title="Cluster", width=110)


def _sum(title: str, column: str, steps: looks.Steps = looks.PLAIN) -> Panel:
    query = Live(kind="cluster", columns=(column,), where=CLUSTER)
    return number(title, query, Value(steps=steps, decimals=0), calc="sum", size=(3, 4))


def _by_cluster(title: str, what: str, steps: looks.Steps) -> Panel:
    query = OpenTsdb(
        metric=f"vscope.host.{what}.usage.perc",
        where=asked(CLUSTER),
        by=("datacenter", "cluster"),
        aggregator="avg",
        alias="$tag_cluster, $tag_datacenter",
    )
    return lines(title, query, steps=steps, top=100)


_HEALTH = Row(
    "",
    [
        _sum("Hosts", "hosts"),
        _sum("Not connected", "hosts_disconnected", looks.ANY_IS_BAD),
        _sum("In maintenance", "hosts_in_maintenance", looks.ANY_IS_ODD),
        _sum("Virtual machines", "vms"),
        _sum("Powered on", "vms_powered_on"),
        number(
            "Highest vCPUs per core",
            Live(kind="cluster", columns=("vcpus_per_core",), where=CLUSTER),
            Value(steps=looks.VCPUS_PER_CORE, decimals=1),
            calc="max",
            description="Of the clusters; above 4 CPU ready usually rises.",
        ),
        number(
            "Fullest datastore",
            Live(kind="filer", columns=("used_percent",), where=SERVICE),
            Value(steps=looks.FILL, decimals=1),
            calc="max",
        ),
        number(
            "Oldest reading",
            Live(kind="service", columns=("poll_age",), where=SERVICE),
            Value(steps=looks.SAMPLE_AGE, decimals=0),
            calc="max",
            description="Time since OVHcloud was last read completely.",
        ),
        live(
            "Services",
            "service",
            Cell(name="name", title="Service", link=looks.SERVICE_PAGE),
            Cell(name="poll_state", title="Reading", states=looks.POLL, width=110),
            Cell(name="problem", title="Problem"),
            Cell(name="hosts", title="Hosts", width=70),
            Cell(name="vms", title="VMs", width=70),
            Cell(name="cpu_usage_percent", title="CPU", steps=looks.CPU, width=80),
            Cell(name="mem_usage_percent", title="Memory", steps=looks.MEMORY, width=80),
            Cell(name="used_percent", title="Space", steps=looks.FILL, width=80),
            *hidden("service"),
            where=[SERVICE],
            size=(16, 6),
        ),
        alerts("Alerts", size=(8, 6)),
    ],
)

_CAPACITY = Row(
    "Capacity",
    [
        _by_cluster("CPU of the hosts, by cluster", "cpu", looks.CPU),
        _by_cluster("Memory of the hosts, by cluster", "mem", looks.MEMORY),
        live(
            "Hosts, fullest memory first",
            "host",
            Cell(name="name", title="Host", link=looks.HOST_PAGE),
            Cell(name="cluster", title="Cluster"),
            Cell(name="connection_state", title="Connection", states=looks.CONNECTION),
            Cell(name="in_maintenance", title="Maintenance", states=looks.MAINTENANCE),
            Cell(name="cpu_usage_percent", title="CPU", steps=looks.CPU, bar=True),
            Cell(name="mem_usage_percent", title="Memory", steps=looks.MEMORY, bar=True),
            Cell(name="vms", title="VMs", width=70),
            Cell(name="vcpus_per_core", title="vCPUs/core", steps=looks.VCPUS_PER_CORE, width=100),
            *hidden("service", "datacenter", "host"),
            where=[CLUSTER],
            by="mem_usage_percent",
            size=(24, 8),
        ),
    ],
)

_MACHINES = Row(
    "Virtual machines",
    [
        live(
            "Most CPU ready",
            "vm",
            _VM,
            _IN,
            Cell(name="cpu_ready_percent", title="Ready", steps=looks.READY, width=90),
            Cell(name="cpu_usage_percent", title="CPU", width=90),
            Cell(name="vcpus", title="vCPUs", width=80),
            *_VM_PLACE,
            where=[CLUSTER],
            by="cpu_ready_percent",
            first=10,
            description="Ready to run but not scheduled: above 5 % people notice.",
        ),
        live(
            "Slowest disk writes",
            "vm",
            _VM,
            _IN,
            Cell(name="disk_write_latency_ms", title="Write", steps=looks.LATENCY, width=90),
            Cell(name="disk_read_latency_ms", title="Read", steps=looks.LATENCY, width=90),
            Cell(name="disk_write_iops", title="Writes", width=90),
            *_VM_PLACE,
            where=[CLUSTER],
            by="disk_write_latency_ms",
            first=10,
        ),
        live(
            "Most memory in use",
            "vm",
            _VM,
            _IN,
            Cell(name="mem_usage_percent", title="Memory", steps=looks.MEMORY, bar=True),
            Cell(name="mem_max_mb", title="Size", width=100),
            *_VM_PLACE,
            where=[CLUSTER],
            by="mem_usage_percent",
            first=10,
        ),
        live(
            "Slowest disk reads",
            "vm",
            _VM,
            _IN,
            Cell(name="disk_read_latency_ms", title="Read", steps=looks.LATENCY, width=90),
            Cell(name="disk_write_latency_ms", title="Write", steps=looks.LATENCY, width=90),
            Cell(name="disk_read_iops", title="Reads", width=90),
            *_VM_PLACE,
            where=[CLUSTER],
            by="disk_read_latency_ms",
            first=10,
        ),
    ],
)

_STORAGE = Row(
    "Datastores and tasks",
    [
        live(
            "Datastores",
            "filer",
            Cell(name="name", title="Datastore", link=looks.DATASTORE_PAGE),
            Cell(name="full_profile", title="Profile"),
            Cell(name="used_percent", title="Used", steps=looks.FILL, bar=True),
            Cell(name="free_gb", title="Free", width=90),
            Cell(name="overcommit_percent", title="Promised", steps=looks.OVERCOMMIT, width=90),
            *hidden("service", "datastore"),
            where=[PLACE, {**SERVICE, "global": "true"}],
            by="used_percent",
            description="Of the datacenters chosen above, and those mounted in all of them.",
        ),
        ranking(
            "Days until full",
            OpenTsdb(
                metric="vscope.filer.datastore.full.days",
                where=asked(SERVICE),
                function="last",
                alias="$tag_datastore",
            ),
            Value(steps=looks.DAYS_LEFT, decimals=0, least=0, most=365),
            description="By the trend of the recorded weeks; a full bar is a year or more.",
        ),
        live(
            "Tasks, newest first",
            "task",
            Cell(name="executed_at", title="Start", width=160),
            Cell(name="name", title="Task"),
            Cell(name="state", title="State", states=looks.TASK, width=100),
            Cell(name="progress", title="Done", width=80),
            Cell(name="description", title="What"),
            Cell(name="created_by", title="By", width=140),
            where=[SERVICE],
            by="executed_at",
            first=20,
            size=(24, 8),
        ),
    ],
)

BOARD = Board(
    uid="vscope-fleet",
    title="vScope: fleet",
    description="Health and capacity of all services, and which machines and datastores stand out.",
    rows=[_HEALTH, _CAPACITY, _MACHINES, _STORAGE],
    variables=places(),
    annotations=events(SERVICE),
)
