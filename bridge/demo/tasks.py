"""Thirty days of OVHcloud's work on the simulated service, as ``dedicatedCloud.Task``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bridge.demo.fleet import HostRole
from bridge.demo.noise import fraction_of
from bridge.demo.objects import iso

if TYPE_CHECKING:
    from bridge.demo.fleet import Fleet

_DAY = 86400
_DAYS = 30
_ROUTINE = (
    ("backupJob", "user", "Backup of virtual machines"),
    ("updateUserRights", "user", "Propagating rights"),
    ("vmSnapshotCleanup", "generic", "Removing snapshots"),
    ("filerHealthCheck", "maintenance", "Checking the datastore"),
    ("hostPatch", "maintenance", "Installing a patch"),
)


@dataclass(frozen=True, slots=True)
class TaskSpec:
    """One piece of work; times in epoch seconds, ``end`` may lie ahead."""

    task_id: int
    name: str
    type: str
    description: str
    begin: int
    end: int
    datacenter_id: int | None = None
    host_id: int | None = None
    filer_id: int | None = None
    user_id: int | None = None
    failed: bool = False
    window: tuple[int, int] | None = None

    def state(self, now: float) -> str:
        """Return the ``TaskStateEnum`` value at ``now``."""
        if now < self.begin:
            return "todo"
        if now < self.end:
            return "doing"
        return "error" if self.failed else "done"

    def progress(self, now: float) -> int:
        """Return per cent at ``now``."""
        if now >= self.end:
            return 40 if self.failed else 100
        return max(0, int(100 * (now - self.begin) / (self.end - self.begin)))


def _stories(fleet: Fleet) -> list[TaskSpec]:
    anchor = fleet.anchor
    place = fleet.places[0].datacenter_id
    patched = next((h for h in fleet.hosts if h.role is HostRole.MAINTENANCE), fleet.hosts[0])
    return [
        # A finished maintenance inside its allowed window.
        TaskSpec(
            1_900_001, "hostMaintenance", "maintenance", "Replacing a power supply",
            anchor - 2 * _DAY, anchor - 2 * _DAY + 5400, place, fleet.hosts[0].host_id,
            window=(anchor - 2 * _DAY - 3600, anchor - 2 * _DAY + 3 * 3600),
        ),
        # Going on since the host was emptied; lasts as long as anybody looks.
        TaskSpec(
            1_900_002, "hostMaintenance", "maintenance", "Host in maintenance, upgrading firmware",
            fleet.maintenance - 900, anchor + 3 * _DAY, patched.datacenter_id, patched.host_id,
            window=(fleet.maintenance - 3600, anchor + 3 * _DAY),
        ),
        TaskSpec(
            1_900_003, "filerMigration", "maintenance", "Moving the datastore to a new filer",
            anchor + 2 * _DAY, anchor + 2 * _DAY + 7200, place, None, fleet.stores[1].filer_id,
            window=(anchor + 2 * _DAY - 3600, anchor + 2 * _DAY + 4 * 3600),
        ),
        TaskSpec(
            1_900_004, "backupJob", "user", "Backup failed: no space left in the repository",
            anchor - 4 * 3600, anchor - 4 * 3600 + 120, place, user_id=9004, failed=True,
        ),
        TaskSpec(
            1_900_005, "vmMigration", "user", "Emptying the host before its maintenance",
            fleet.maintenance - 600, fleet.maintenance, patched.datacenter_id, patched.host_id,
        ),
    ]  # fmt: skip


def _routine(fleet: Fleet, now: float) -> list[TaskSpec]:
    tasks = []
    today = int(now) // _DAY
    for day in range(today - _DAYS, today + 1):
        for number in range(1 + int(3 * fraction_of(fleet.seed, "tasks", day))):
            chance = fraction_of(fleet.seed, "task", day, number)
            name, kind, text = _ROUTINE[int(chance * 997) % len(_ROUTINE)]
            begin = day * _DAY + int(chance * _DAY)
            if begin > now:
                continue
            host = fleet.hosts[int(chance * 7919) % len(fleet.hosts)]
            store = fleet.stores[int(chance * 7907) % len(fleet.stores)]
            tasks.append(
                TaskSpec(
                    task_id=day * 10 + number,
                    name=name,
                    type=kind,
                    description=text,
                    begin=begin,
                    end=begin + 120 + int(chance * 3400),
                    datacenter_id=host.datacenter_id,
                    host_id=host.host_id if name == "hostPatch" else None,
                    filer_id=store.filer_id if name == "filerHealthCheck" else None,
                    user_id=9001 if kind == "user" else None,
                )
            )
    return tasks


def all_tasks(fleet: Fleet, now: float) -> dict[int, TaskSpec]:
    """Return every task known at ``now`` by id."""
    found = [*_routine(fleet, now), *_stories(fleet)]
    return {task.task_id: task for task in sorted(found, key=lambda task: task.task_id)}


def changed_at(task: TaskSpec, now: float) -> int:
    """Return the epoch second of the task's last modification."""
    return int(min(now, task.end)) if now >= task.begin else task.begin - 2 * _DAY


def task_object(task: TaskSpec, now: float) -> dict[str, Any]:
    """Return ``dedicatedCloud.Task`` at ``now``."""
    return {
        "createdBy": "xx12345-ovh" if task.type == "user" else "ovh",
        "createdFrom": "manager" if task.type == "user" else "robot",
        "datacenterId": task.datacenter_id,
        "description": task.description,
        "endDate": iso(task.end) if now >= task.end else None,
        "executionDate": iso(task.begin),
        "filerId": task.filer_id,
        "hostId": task.host_id,
        "lastModificationDate": iso(changed_at(task, now)),
        "maintenanceDateFrom": iso(task.window[0]) if task.window else None,
        "maintenanceDateTo": iso(task.window[1]) if task.window else None,
        "name": task.name,
        "network": None,
        "networkAccessId": None,
        "orderId": None,
        "parentTaskId": None,
        "progress": task.progress(now),
        "state": task.state(now),
        "taskId": task.task_id,
        "type": task.type,
        "userId": task.user_id,
        "vlanId": None,
    }
