"""Backup and tasks: what is not safe, and what OVHcloud is doing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dashboards.source import looks
from dashboards.source.boards import (
    CLUSTER,
    SERVICE,
    Board,
    Row,
    asked,
    events,
    places,
)
from dashboards.source.panels import Value, lines, number, timeline
from dashboards.source.queries import Live, OpenTsdb
from dashboards.source.tables import Cell, hidden, live

if TYPE_CHECKING:
    from grafana_foundation_sdk.builders.dashboard import Panel

_WITH_JOB = {**CLUSTER, "backup_state": "*"}


def _count(title: str, column: str, where: dict[str, str], steps: looks.Steps) -> Panel:
    query = Live(kind="vm", columns=(column,), where=where)
    value = Value(steps=steps, decimals=0, unit="none", none="0")
    return number(title, query, value, calc="count", size=(6, 4))


def _of_all(metric: str) -> OpenTsdb:
    return OpenTsdb(
        metric=f"vscope.vm.{metric}", where=asked(CLUSTER), function="last", alias="$tag_vm_name"
    )


BOARD = Board(
    uid="vscope-backup",
    title="vScope: backup and tasks",
    description="Backups that failed or are old, and OVHcloud's tasks.",
    since="now-7d",
    rows=[
        Row(
            "",
            [
                _count("With a backup job", "vm", _WITH_JOB, looks.PLAIN),
                _count(
                    "Last backup failed",
                    "vm",
                    {**CLUSTER, "backup_result": "*fail*"},
                    looks.ANY_IS_BAD,
                ),
                number(
                    "Oldest good backup",
                    Live(kind="vm", columns=("backup_age",), where=_WITH_JOB),
                    Value(steps=looks.BACKUP_AGE, decimals=1),
                    calc="max",
                    size=(6, 4),
                ),
                number(
                    "Tasks with an error",
                    Live(kind="task", columns=("id",), where={**SERVICE, "state": "*error*"}),
                    Value(steps=looks.ANY_IS_ODD, decimals=0, unit="none", none="0"),
                    calc="count",
                    size=(6, 4),
                ),
                live(
                    "Backups, oldest first",
                    "vm",
                    Cell(name="name", title="Virtual machine", link=looks.VM_PAGE),
                    Cell(name="cluster", title="Cluster"),
                    Cell(name="backup_offer", title="Offer"),
                    Cell(name="backup_state", title="Job"),
                    Cell(name="backup_result", title="Last result"),
                    Cell(name="backup_last", title="Last run", width=160),
                    Cell(name="backup_last_success", title="Last success", width=160),
                    Cell(name="backup_age", title="Age", steps=looks.BACKUP_AGE, width=100),
                    *hidden("service", "datacenter", "vm"),
                    where=[_WITH_JOB],
                    by="backup_age",
                    size=(24, 9),
                ),
                lines(
                    "Age of the last good backup",
                    _of_all("backup.age"),
                    steps=looks.BACKUP_AGE,
                ),
                timeline(
                    "Last result",
                    _of_all("backup.state"),
                ),
                live(
                    "Snapshots",
                    "vm",
                    Cell(name="name", title="Virtual machine", link=looks.VM_PAGE),
                    Cell(name="snapshots", title="Snapshots", steps=looks.SNAPSHOTS, width=110),
                    Cell(name="disk_committed_gb", title="Space taken", width=120),
                    *hidden("service", "datacenter", "vm"),
                    where=[CLUSTER],
                    by="snapshots",
                    first=10,
                    description="How old a snapshot is, OVHcloud's API does not tell.",
                ),
                live(
                    "Maintenance announced",
                    "task",
                    Cell(name="maintenance_from", title="From", width=160),
                    Cell(name="maintenance_to", title="To", width=160),
                    Cell(name="name", title="Task"),
                    Cell(name="state", title="State", states=looks.TASK, width=100),
                    Cell(name="description", title="What"),
                    where=[{**SERVICE, "maintenance_from": "*"}],
                    by="maintenance_from",
                ),
                live(
                    "Tasks, newest first",
                    "task",
                    Cell(name="executed_at", title="Start", width=160),
                    Cell(name="ended_at", title="End", width=160),
                    Cell(name="name", title="Task"),
                    Cell(name="state", title="State", states=looks.TASK, width=100),
                    Cell(name="progress", title="Done", width=80),
                    Cell(name="duration", title="Lasted", width=100),
                    Cell(name="idle", title="Unchanged for", width=120),
                    Cell(name="description", title="What"),
                    Cell(name="created_by", title="By", width=140),
                    where=[SERVICE],
                    by="executed_at",
                    first=50,
                    size=(24, 10),
                ),
            ],
        ),
    ],
    variables=places(),
    annotations=events(SERVICE),
)
