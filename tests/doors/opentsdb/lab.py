"""The door in front of the points that stood in a real OpenTSDB when it was recorded."""

from __future__ import annotations

import json
from collections import defaultdict
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.middleware import Middleware

from bridge.catalog import uncatalogued
from bridge.doors import opentsdb
from bridge.doors.doorway import Doorway, Limits
from bridge.doors.guard import GuardMiddleware
from bridge.doors.http import EXCEPTION_HANDLERS
from bridge.engine.engine import Engine
from bridge.ovh.objects import Snapshot
from tests.engine.memory import MemorySource, NoInventory

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bridge.model import BucketRequest, Buckets, PointRequest, Points, TagFilter

FIXTURES = Path(__file__).parents[2] / "fixtures" / "opentsdb-2.4"

#: When the captures were made, in seconds.
RECORDED_AT = 1_795_477_640


@cache
def recorded(name: str) -> list[dict[str, Any]]:
    """Return the exchanges of one file."""
    content: list[dict[str, Any]] = json.loads((FIXTURES / f"{name}.json").read_text())
    return content


def _ms(stamp: int) -> int:
    return stamp if len(str(stamp)) > 10 else stamp * 1000


def stored() -> dict[str, MemorySource]:
    """Return the stored points by metric; of equal stamps the last written one counts."""
    sources = {}
    for metric, series in json.loads((FIXTURES / "data.json").read_text())["metrics"].items():
        merged: dict[tuple[tuple[str, str], ...], dict[int, float]] = defaultdict(dict)
        for one in series:
            key = tuple(one["tags"].items())
            merged[key] |= {_ms(at): float(value) for at, value in one["points"]}
        sources[metric] = MemorySource(
            [(dict(tags), list(points.items())) for tags, points in merged.items()]
        )
    return {**sources, "num": _numbers()}


def _numbers() -> MemorySource:
    """Return the series of ``numbers``, each of one point, which the data lack."""
    found = [
        (element["tags"], [(int(at) * 1000, float(value)) for at, value in element["dps"].items()])
        for exchange in recorded("numbers")
        if exchange["what"].endswith("put as JSON number")
        for element in exchange["response"]["body"]
    ]
    return MemorySource(found)


class Shelf:
    """Several metrics in memory."""

    name = "lab"

    def __init__(self, sources: Mapping[str, MemorySource]) -> None:
        self._sources = sources

    async def points(self, request: PointRequest) -> tuple[Points, ...]:
        return await self._sources[request.metric].points(request)

    async def buckets(self, request: BucketRequest) -> tuple[Buckets, ...]:
        return await self._sources[request.metric].buckets(request)

    async def lookup(
        self, metric: str, filters: tuple[TagFilter, ...]
    ) -> tuple[Mapping[str, str], ...]:
        return await self._sources[metric].lookup(metric, filters)

    async def metric_names(self, start: str, limit: int) -> tuple[str, ...]:
        return tuple(name for name in sorted(self._sources) if name.startswith(start))[:limit]


def make_lab() -> Starlette:
    sources = stored()
    engine = Engine(
        Shelf(sources),
        {name: uncatalogued(name) for name in sources},
        NoInventory,
        source_step_ms=300_000,
        max_points=10_000_000,
        max_series=1_000,
    )
    doorway = Doorway(engine, Snapshot, Limits(), clock=lambda: float(RECORDED_AT))
    return Starlette(
        routes=opentsdb.routes(doorway),
        middleware=[Middleware(GuardMiddleware, deadline_s=25.0)],
        exception_handlers=dict(EXCEPTION_HANDLERS),
    )
