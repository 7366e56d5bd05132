"""A small company and the doors in front of it, served over real HTTP."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
from starlette.applications import Starlette
from starlette.middleware import Middleware

from bridge.catalog import catalogue
from bridge.doors import annotations as annotations_door
from bridge.doors import federate, opentsdb, operations, query, rows, simplejson, simpod
from bridge.doors.auth import Admission, AuthMiddleware
from bridge.doors.doorway import Doorway, Limits
from bridge.doors.finished import finished_answers
from bridge.doors.guard import GuardMiddleware
from bridge.doors.http import EXCEPTION_HANDLERS
from bridge.doors.page import Site
from bridge.doors.page.status import Level, Mark, Status
from bridge.engine.engine import Engine
from bridge.engine.filters import match_all
from bridge.model import Buckets, Points
from bridge.ovh.labels import LabelCache
from bridge.ovh.objects import (
    Cluster,
    Datacenter,
    DatacenterInventory,
    Datastore,
    Host,
    Seen,
    Service,
    ServiceInventory,
    Snapshot,
    Task,
    Vm,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bridge.doors.finished import Finished
    from bridge.model import BucketRequest, PointRequest, Source, TagFilter
    from bridge.remembered import Remembered
    from bridge.settings import Credential

#: 2026-01-01T06:00:00Z, "now" of the small company.
NOW = 1_767_247_200
STEP_MS = 300_000
SERVICE = "pcc-192-0-2-1"
DC1, DC2 = f"{SERVICE}_datacenter1", f"{SERVICE}_datacenter2"
CPU, MEM = "vscope.vm.cpu.usage.perc", "vscope.vm.mem.usage.perc"

#: moRef -> name, cluster, host, power state. vm-103 is silent from 03:00 to 04:00.
VMS = {
    "vm-101": ("web01", "prod", "172.17.86.51", "poweredOn"),
    "vm-102": ("web02", "prod", "172.17.86.51", "poweredOn"),
    "vm-103": ("db.main (old)", "test", "172.17.86.52", "poweredOn"),
    "vm-104": ("gone", "test", "172.17.86.52", "deleted"),
}
SILENT_MS = (NOW - 3 * 3600) * 1000, (NOW - 2 * 3600) * 1000


def small_company() -> Snapshot:
    def seen(value: Any, **marks: bool) -> Seen[Any]:
        return Seen(value, NOW - 30, **marks)

    vms = {
        int(ref[3:]): seen(
            Vm(
                vm_id=int(ref[3:]),
                mo_ref=ref,
                name=name,
                cluster_name=cluster,
                host_name=host,
                cpu_num=2 + 2 * index,
                power_state=state,
                folder_name="vm",
            ),
            deleted=state == "deleted",
        )
        for index, (ref, (name, cluster, host, state)) in enumerate(VMS.items())
    }
    hosts = {
        index: seen(Host(host_id=index, name=f"172.17.86.{50 + index}", cluster_name=cluster))
        for index, cluster in ((1, "prod"), (2, "test"))
    }
    clusters = {
        index: seen(Cluster(cluster_id=index, name=name))
        for index, name in ((1, "prod"), (2, "test"))
    }
    stores = {9: seen(Datastore(filer_id=9, name="ssd-000009", profile="ssd"))}
    start = datetime.fromtimestamp(NOW, UTC) - timedelta(hours=2)
    running = {
        501: seen(
            Task(
                task_id=501,
                name="hostUpdate",
                state="done",
                description="Update of a host",
                execution_date=start,
                end_date=start + timedelta(minutes=20),
                datacenter_id=1,
                host_id=1,
            )
        ),
        502: seen(
            Task(task_id=502, name="addFiler", state="doing", progress=40, execution_date=start)
        ),
        503: seen(
            Task(
                task_id=503,
                name="oldTask",
                state="done",
                execution_date=start - timedelta(days=3),
                end_date=start - timedelta(days=3),
            )
        ),
    }
    first = DatacenterInventory(
        seen(Datacenter(datacenter_id=1, name="Roubaix")), DC1, clusters, hosts, vms, stores
    )
    second = DatacenterInventory(seen(Datacenter(datacenter_id=2, name="Gravelines")), DC2)
    service = ServiceInventory(
        SERVICE,
        "default",
        state="ok",
        polled_at=NOW - 30,
        service=seen(Service(service_name=SERVICE, description="Company cloud")),
        datacenters={1: first, 2: second},
        tasks=running,
    )
    return Snapshot({SERVICE: service}, version=1)


def _stored() -> dict[str, list[dict[str, str]]]:
    vms = [{"datacenter": DC1, "vm": ref} for ref in VMS]
    nics = [
        {"datacenter": DC1, "host": f"172.17.86.5{host}", "nicname": nic}
        for host in (1, 2)
        for nic in ("vmnic0", "vmnic1")
    ]
    return {
        CPU: vms,
        MEM: vms,
        "vscope.vm.net.rx": vms,
        "vscope.host.net.tx": nics,
        "vscope.filer.datastore.diskspace.used": [{"datacenter": DC1, "datastore": "ssd-000009"}],
    }


@dataclass
class MemorySource:
    """History in memory: a value every five minutes, that of ``vm-10N`` is ``N``."""

    name: str = "memory"
    failure: Exception | None = None
    #: Metrics the failure is for; empty means all.
    failing: frozenset[str] = frozenset()
    delay_s: float = 0.0
    running: int = 0
    most_running: int = 0
    cancelled: int = 0
    asked: list[str] = field(default_factory=list)

    async def buckets(self, request: BucketRequest) -> tuple[Buckets, ...]:
        await self._wait(request.metric)
        step = max(request.step_ms, STEP_MS)
        stamps = np.arange(request.start_ms, request.end_ms, step, dtype=np.int64)
        found = []
        for tags in self._matching(request.metric, request.filters):
            own = stamps
            if tags.get("vm") == "vm-103":
                own = stamps[(stamps < SILENT_MS[0]) | (stamps >= SILENT_MS[1])]
            values = np.full(len(own), _level(tags))
            found.append(Buckets(tags, own, dict.fromkeys(request.functions, values)))
        return tuple(found)

    async def points(self, request: PointRequest) -> tuple[Points, ...]:
        await self._wait(request.metric)
        first = -(-request.start_ms // STEP_MS) * STEP_MS
        stamps = np.arange(first, request.end_ms + 1, STEP_MS, dtype=np.int64)
        return tuple(
            Points(tags, stamps, np.full(len(stamps), _level(tags)))
            for tags in self._matching(request.metric, request.filters)
        )

    async def metric_names(self, start: str, limit: int) -> tuple[str, ...]:
        stored = ("stored.elsewhere",)
        return tuple(name for name in stored if start and name.startswith(start))[:limit]

    async def lookup(
        self, metric: str, filters: tuple[TagFilter, ...]
    ) -> tuple[Mapping[str, str], ...]:
        self._fail(metric)
        return tuple(self._matching(metric, filters))

    def _matching(self, metric: str, filters: Sequence[TagFilter]) -> list[dict[str, str]]:
        matches = match_all(filters)
        return [tags for tags in _stored().get(metric, []) if matches(tags)]

    def _fail(self, metric: str) -> None:
        if self.failure is not None and (not self.failing or metric in self.failing):
            raise self.failure

    async def _wait(self, metric: str) -> None:
        self.asked.append(metric)
        self._fail(metric)
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            await asyncio.sleep(self.delay_s)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.running -= 1


def _level(tags: Mapping[str, str]) -> float:
    name = tags.get("vm") or tags.get("nicname") or "1"
    return float(name[-1])


def make_app(
    source: Source | None = None,
    *,
    snapshot: Snapshot | None = None,
    credentials: Sequence[Credential] = (),
    admission: Admission | None = None,
    limits: Limits | None = None,
    deadline_s: float = 25.0,
    readiness: operations.Readiness = (True, ()),
    status: Status = Status(Mark("Working", Level.GOOD), "One service."),  # noqa: B008 -- frozen
    any_metric: bool = False,
    extra: Sequence[Any] = (),
    snapshots: Callable[[], Snapshot] | None = None,
    answers: Remembered[Finished] | None = None,
    timer: Callable[[], float] = time.monotonic,
) -> Starlette:
    """Wire the doors as the application does, in front of a history in memory."""
    company = small_company() if snapshot is None else snapshot
    current = snapshots or (lambda: company)
    cache = LabelCache(current)
    engine = Engine(
        source or MemorySource(),
        catalogue(),
        cache.current,
        source_step_ms=STEP_MS,
        max_points=2_000_000,
        max_series=2_000,
        any_metric=any_metric,
    )
    doorway = Doorway(
        engine,
        current,
        limits or Limits(),
        clock=lambda: float(NOW),
        timer=timer,
        answers=answers or finished_answers(0),
    )

    async def told() -> Status:
        return status

    site = Site(doorway, told, answer_s=0.9 * deadline_s)
    return Starlette(
        routes=[
            *operations.routes(lambda: readiness, site.home),
            *site.routes(),
            *query.routes(doorway),
            *simplejson.routes(doorway),
            *simpod.routes(doorway),
            *annotations_door.routes(doorway),
            *opentsdb.routes(doorway),
            *rows.routes(doorway),
            *federate.Federation(doorway).routes(),
            *extra,
        ],
        middleware=[
            Middleware(GuardMiddleware, deadline_s=deadline_s),
            Middleware(AuthMiddleware, admission=admission or Admission(credentials)),
        ],
        exception_handlers=dict(EXCEPTION_HANDLERS),
    )
