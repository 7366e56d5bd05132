"""One service, polled: what is read, how often, and what a failure leaves standing.

Calls of one poll, for 200 virtual machines and 10 hosts in 2 datacenters: 14 for those
(2 lists of ids, and a batch for each 40 objects, in each datacenter), 3 for datastores, 1 or
2 for tasks. Lists that hardly ever change are read every ten minutes.
"""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING
from urllib.parse import quote

import structlog

from bridge.ovh.errors import OvhError, OvhExpiredError, OvhNotFoundError, OvhTimeoutError, gist
from bridge.ovh.objects import (
    Cluster,
    Datacenter,
    DatacenterInventory,
    Datastore,
    Host,
    OvhObject,
    Seen,
    Service,
    ServiceInventory,
    Task,
    Vm,
)
from bridge.ovh.reader import PartReader, Round
from bridge.ovh.together import together

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TypeVar

    from bridge.ovh.api import OvhApi
    from bridge.ovh.throttle import Clock

    ObjectT = TypeVar("ObjectT", bound=OvhObject)

SLOW_S = 600.0
"""Between two reads of what hardly changes: service, datacenters, clusters, lists of stores."""
EXPIRED_S = 3600.0
"""Between two attempts at an expired service."""
TASK_DAYS = 30
TASKS_A_POLL = 120
"""Tasks read in one poll, newest first; an older history fills up over several polls."""
FINISHED = frozenset({"done", "canceled", "error"})
"""Task states that never change again (reference: ovh 1.3)."""
RUNNING = (
    "doing", "fixing", "toCancel", "toCreate", "todo", "unknown", "waitingForChilds",
    "waitingTodo",
)  # fmt: skip

MOST_PROBLEMS = 3
"""Problems spelled out in a service's sentence; the rest is counted."""

log = structlog.get_logger(__name__)


class ServicePoller:
    """Polls one service; ``inventory`` is its state after the last poll.

    Args:
        api: The account's API.
        account: The account's name.
        name: ``serviceName``.
        clock: Epoch seconds.
    """

    def __init__(self, api: OvhApi, account: str, name: str, *, clock: Clock = time.time) -> None:
        self.inventory = ServiceInventory(name=name, account=account)
        self._path = f"/dedicatedCloud/{quote(name, safe='')}"
        self._clock = clock
        self._reader = PartReader(api, clock=clock)
        self._ids: dict[str, tuple[int, ...]] = {}
        self._expired_at: float | None = None

    async def poll(self) -> None:
        """Read everything that is due; a failure becomes the service's state."""
        if self._expired_at is not None and 0 <= self._clock() - self._expired_at < EXPIRED_S:
            return
        self._expired_at = None
        before = self.inventory
        current = Round()
        try:
            polled = await self._read(current)
        except OvhExpiredError as error:
            self._expired_at = self._clock()
            polled = replace(before, state="expired", problem=error.message)
        except OvhError as error:
            # What was read is dropped with the poll, so nothing counts as freshly read.
            self._reader.forget(self._path)
            polled = replace(before, state="failed", problem=error.message)
        else:
            problem = _summary(current.problems)
            if current.reads == 0:
                polled = replace(before, state="failed", problem=problem)
            else:
                state = "partial" if problem else "ok"
                polled = replace(polled, state=state, problem=problem, polled_at=self._clock())
        self.inventory = polled
        if (polled.state, gist(polled.problem)) != (before.state, gist(before.problem)):
            say = log.info if polled.state == "ok" else log.warning
            say("service_state", service=polled.name, state=polled.state, problem=polled.problem)

    def fail(self, problem: str) -> None:
        """Mark the service as failed for a reason outside of it; what is known stays."""
        if self.inventory.state != "expired":
            self.inventory = replace(self.inventory, state="failed", problem=problem)

    async def _read(self, current: Round) -> ServiceInventory:
        old = self.inventory
        # First alone: when the service is expired or out of reach, one call finds out.
        service = await self._reader.part(
            current,
            self._path,
            old.service,
            lambda: self._reader.one(self._path, Service),
            every_s=SLOW_S,
            fatal=(OvhNotFoundError, OvhTimeoutError),
        )
        datacenters = await self._datacenters(current)
        datastores = await self._known(
            current, f"{self._path}/filer", Datastore, old.datastores, list_every_s=SLOW_S
        )
        tasks = await self._reader.part(
            current, f"{self._path}/globalTasks", old.tasks, lambda: self._tasks(current)
        )
        return replace(
            old, service=service, datacenters=datacenters, datastores=datastores, tasks=tasks
        )

    async def _datacenters(self, current: Round) -> Mapping[int, DatacenterInventory]:
        path = f"{self._path}/datacenter"
        old = {key: known.datacenter for key, known in self.inventory.datacenters.items()}
        seen = await self._known(
            current, path, Datacenter, old, list_every_s=SLOW_S, every_s=SLOW_S
        )
        read = await together(
            *(self._datacenter(current, key, seen.get(key)) for key in self._ids.get(path, ()))
        )
        found = {known.datacenter.value.datacenter_id: known for known in read if known}
        return MappingProxyType(found)

    async def _datacenter(
        self, current: Round, key: int, seen: Seen[Datacenter] | None
    ) -> DatacenterInventory | None:
        if seen is None:
            return None
        path = f"{self._path}/datacenter/{key}"
        old = self.inventory.datacenters.get(key) or DatacenterInventory(seen, "")
        clusters = await self._known(
            current, f"{path}/cluster", Cluster, old.clusters, list_every_s=SLOW_S, every_s=SLOW_S
        )
        hosts = await self._known(current, f"{path}/host", Host, old.hosts)
        vms = await self._known(current, f"{path}/vm", Vm, old.vms)
        datastores = await self._known(
            current, f"{path}/filer", Datastore, old.datastores, list_every_s=SLOW_S
        )
        return DatacenterInventory(
            datacenter=seen,
            label=f"{self.inventory.name}_datacenter{key}",
            clusters=clusters,
            hosts=hosts,
            vms=vms,
            datastores=datastores,
        )

    async def _known(
        self,
        current: Round,
        path: str,
        model: type[ObjectT],
        old: Mapping[int, Seen[ObjectT]],
        *,
        list_every_s: float = 0.0,
        every_s: float = 0.0,
    ) -> Mapping[int, Seen[ObjectT]]:
        """Read a list of ids and the objects behind it; ids no longer listed are dropped."""
        before = self._ids.get(path, ())
        ids = await self._reader.part(
            current, f"{path}#ids", before, lambda: self._reader.ids(path), every_s=list_every_s
        )
        self._ids[path] = ids
        listed = MappingProxyType({key: old[key] for key in ids if key in old})
        if len(listed) != len(ids):
            # Something new: do not wait for the slow round.
            every_s = 0.0
        if not ids:
            return listed
        return await self._reader.part(
            current,
            path,
            listed,
            lambda: self._reader.many(current, path, ids, model, listed),
            every_s=every_s,
        )

    async def _tasks(self, current: Round) -> Mapping[int, Seen[Task]]:
        """Read unfinished tasks and those of the last 30 days; finished ones only once."""
        path = f"{self._path}/globalTasks"
        since = datetime.fromtimestamp(self._clock(), UTC) - timedelta(days=TASK_DAYS)
        query = {"lastModificationDate.from": since.isoformat(timespec="seconds")}
        recent = set(await self._reader.ids(path, query))
        # A task waiting for a far maintenance window may not have changed for long.
        running = await self._reader.part(
            current,
            f"{path}#running",
            self._ids.get(path, ()),
            lambda: self._reader.ids(path, {"state": RUNNING}),
            every_s=SLOW_S,
        )
        self._ids[path] = running
        old = self.inventory.tasks
        listed = sorted({*recent, *running}, reverse=True)
        tasks = {
            key: old[key]
            for key in listed
            if key in old and (key in recent or old[key].value.state not in FINISHED)
        }
        unfinished = [key for key, seen in tasks.items() if seen.value.state not in FINISHED]
        unknown = [key for key in listed if key not in old]
        wanted = [*unfinished, *unknown][:TASKS_A_POLL]
        if wanted:
            fresh = await self._reader.many(current, f"{self._path}/task", wanted, Task, tasks)
            tasks = {key: seen for key, seen in tasks.items() if key not in wanted} | dict(fresh)
        return MappingProxyType(dict(sorted(tasks.items())))


def _summary(problems: list[str]) -> str | None:
    different = list(dict.fromkeys(problems))
    shown = different[:MOST_PROBLEMS]
    if len(different) > len(shown):
        shown.append(f"and {len(different) - len(shown)} more")
    return "; ".join(shown) or None
