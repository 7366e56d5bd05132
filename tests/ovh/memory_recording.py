"""A recording in memory: everything the store promises, and a failure on demand."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from tests.engine.memory import MemorySource

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bridge.errors import BridgeError
    from bridge.model import (
        BucketRequest,
        Buckets,
        LabelEra,
        PointBatch,
        PointRequest,
        Points,
        SeriesKey,
        TagFilter,
    )


class MemoryRecording:
    """Both a ``Recording`` and a ``Source``."""

    name = "the recording"

    def __init__(self) -> None:
        self.series: dict[SeriesKey, dict[int, float]] = defaultdict(dict)
        self.stored_eras: dict[tuple[str, str, str, int], LabelEra] = {}
        self.failure: BridgeError | None = None
        self.reads_fail = True
        self.writes = 0

    async def write(self, batch: PointBatch, eras: Sequence[LabelEra] = ()) -> None:
        if self.failure is not None:
            raise self.failure
        assert len(set(batch.keys)) == len(batch.keys)
        self.writes += 1
        for index, stamp, value in zip(batch.series, batch.stamps_ms, batch.values, strict=True):
            self.series[batch.keys[index]][int(stamp)] = float(value)
        for era in eras:
            self.stored_eras[era.kind, era.datacenter, era.value, era.since_ms] = era

    async def eras(self) -> tuple[LabelEra, ...]:
        if self.failure is not None and self.reads_fail:
            raise self.failure
        return tuple(self.stored_eras[key] for key in sorted(self.stored_eras))

    async def buckets(self, request: BucketRequest) -> tuple[Buckets, ...]:
        return await self._of(request.metric).buckets(request)

    async def points(self, request: PointRequest) -> tuple[Points, ...]:
        return await self._of(request.metric).points(request)

    async def lookup(
        self, metric: str, filters: tuple[TagFilter, ...]
    ) -> tuple[Mapping[str, str], ...]:
        return await self._of(metric).lookup(metric, filters)

    async def metric_names(self, start: str, limit: int) -> tuple[str, ...]:
        names = sorted({key.metric for key in self.series if key.metric.startswith(start)})
        return tuple(names[:limit])

    def _of(self, metric: str) -> MemorySource:
        if self.failure is not None and self.reads_fail:
            raise self.failure
        return MemorySource(
            [
                (dict(key.tags), sorted(points.items()))
                for key, points in self.series.items()
                if key.metric == metric
            ]
        )

    def of(self, metric: str, **tags: str) -> dict[int, float]:
        """The points of the only series of a metric that carries these tags."""
        [found] = [
            points
            for key, points in self.series.items()
            if key.metric == metric and tags.items() <= dict(key.tags).items()
        ]
        return dict(found)

    def metrics(self, **tags: str) -> set[str]:
        """The metrics that have points on an object."""
        return {key.metric for key in self.series if tags.items() <= dict(key.tags).items()}
