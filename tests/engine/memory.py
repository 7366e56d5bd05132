"""A source over points in memory, for exact comparisons."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bridge.catalog import Kind, Metric
from bridge.engine.downsample import into_buckets
from bridge.engine.engine import Engine
from bridge.engine.filters import match_all
from bridge.model import Buckets, Points

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from bridge.model import BucketRequest, PointRequest, TagFilter, Window


class MemorySource:
    """Series given as (tags, [(ms, value), ...])."""

    name = "memory"

    def __init__(
        self, series: Sequence[tuple[Mapping[str, str], Sequence[tuple[int, float]]]]
    ) -> None:
        self.fetches: list[str] = []
        self.series = []
        for tags, points in series:
            ordered = sorted(points)
            self.series.append(
                Points(
                    dict(tags),
                    np.array([t for t, _ in ordered], dtype=np.int64),
                    np.array([v for _, v in ordered], dtype=np.float64),
                )
            )

    async def points(self, request: PointRequest) -> tuple[Points, ...]:
        self.fetches.append("points")
        return self._cut(request.start_ms, request.end_ms, request.filters)

    async def buckets(self, request: BucketRequest) -> tuple[Buckets, ...]:
        self.fetches.append("buckets")
        made = []
        for series in self._cut(request.start_ms, request.end_ms - 1, request.filters):
            lines = {
                f: into_buckets(series.stamps_ms, series.values, request.step_ms, f)
                for f in request.functions
            }
            stamps = next(iter(lines.values()))[0]
            made.append(Buckets(series.tags, stamps, {f: line[1] for f, line in lines.items()}))
        return tuple(made)

    async def metric_names(self, start: str, _limit: int) -> tuple[str, ...]:
        return tuple(name for name in ("memory.a", "memory.b") if name.startswith(start))

    async def lookup(
        self, _metric: str, filters: tuple[TagFilter, ...]
    ) -> tuple[Mapping[str, str], ...]:
        matches = match_all(filters)
        return tuple(s.tags for s in self.series if matches(s.tags))

    def _cut(
        self, start_ms: int, end_ms: int, filters: tuple[TagFilter, ...]
    ) -> tuple[Points, ...]:
        matches = match_all(filters)
        found = []
        for series in self.series:
            low = np.searchsorted(series.stamps_ms, start_ms)
            high = np.searchsorted(series.stamps_ms, end_ms, side="right")
            if matches(series.tags) and low < high:
                found.append(
                    Points(series.tags, series.stamps_ms[low:high], series.values[low:high])
                )
        return tuple(found)


class NoInventory:
    """An inventory that knows nothing."""

    unread: tuple[str, ...] = ()

    def enrich(self, _kind: Kind, tags: Mapping[str, str]) -> Mapping[str, str]:
        return tags

    def history(
        self, _kind: Kind, tags: Mapping[str, str], _keys: Collection[str]
    ) -> list[tuple[int, Mapping[str, str]]]:
        return [(0, tags)]

    def stored_candidates(
        self, _kind: Kind, filters: Sequence[TagFilter], _window: Window | None = None
    ) -> None:
        assert not filters


def engine_over(
    source: MemorySource, *names: str, max_points: int = 1_000_000, max_series: int = 1_000
) -> Engine:
    metrics = {n: Metric(n, Kind.VM, n, "none", ("datacenter", "vm"), None) for n in names}
    return Engine(
        source,
        metrics,
        NoInventory,
        source_step_ms=1_000,
        max_points=max_points,
        max_series=max_series,
    )
