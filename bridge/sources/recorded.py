"""The recording as the engine sees it: in the labelled unit, with a word on what it lacks.

The recording holds space in kB, whatever ``diskspace_unit`` says: the setting tells how
OVHcloud's own history is to be read, and may be corrected when months are recorded already.
Values are turned into the labelled unit here, where they are read, so that one graph over
both histories never mixes units. ``Rescaled`` does the same the other way round for whoever
copies OVHcloud's history into the recording.
"""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from bridge.catalog import DISKSPACE_USED
from bridge.errors import NotOfferedError
from bridge.model import BucketFunction

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bridge.catalog import Metric
    from bridge.model import BucketRequest, Buckets, PointRequest, Points, Source, TagFilter

KB_PER_GB = 1024.0 * 1024.0


def recorded(source: Source, catalogue: Mapping[str, Metric]) -> Source:
    """Return the recording for the engine.

    Args:
        source: The recording as it is stored.
        catalogue: The metrics, with their units.
    """
    in_gb = catalogue[DISKSPACE_USED].unit == "gbytes"
    if in_gb:
        source = Rescaled(source, {DISKSPACE_USED: 1.0 / KB_PER_GB})
    return NeverRecorded(source, catalogue)


class Rescaled:
    """A source with the values of some metrics multiplied.

    Args:
        source: The values as they are stored.
        factors: By metric; others pass unchanged.
    """

    def __init__(self, source: Source, factors: Mapping[str, float]) -> None:
        self._source = source
        self._factors = MappingProxyType(dict(factors))

    @property
    def name(self) -> str:
        """The source's own name."""
        return self._source.name

    async def buckets(self, request: BucketRequest) -> tuple[Buckets, ...]:
        """Fetch buckets, everything but counts multiplied."""
        found = await self._source.buckets(request)
        factor = self._factors.get(request.metric)
        if factor is None:
            return found
        return tuple(
            replace(
                series,
                columns={
                    function: column if function is BucketFunction.COUNT else column * factor
                    for function, column in series.columns.items()
                },
            )
            for series in found
        )

    async def points(self, request: PointRequest) -> tuple[Points, ...]:
        """Fetch raw points, multiplied."""
        found = await self._source.points(request)
        factor = self._factors.get(request.metric)
        if factor is None:
            return found
        return tuple(replace(series, values=series.values * factor) for series in found)

    async def lookup(
        self, metric: str, filters: tuple[TagFilter, ...]
    ) -> tuple[Mapping[str, str], ...]:
        """List series."""
        return await self._source.lookup(metric, filters)

    async def metric_names(self, start: str, limit: int) -> tuple[str, ...]:
        """List metrics."""
        return await self._source.metric_names(start, limit)


class NeverRecorded:
    """A recording that says so when asked for what cannot be recorded.

    A metric without a live value upstream has series here only when they were imported or
    copied; where there are none at all, an empty answer would look like an object without
    traffic, so ``NotOfferedError`` is raised in its place.

    Args:
        source: The recording.
        catalogue: Tells which metrics are never recorded.
    """

    def __init__(self, source: Source, catalogue: Mapping[str, Metric]) -> None:
        self._source = source
        self._reasons = {
            name: metric.unrecorded for name, metric in catalogue.items() if metric.unrecorded
        }

    @property
    def name(self) -> str:
        """The source's own name."""
        return self._source.name

    async def buckets(self, request: BucketRequest) -> tuple[Buckets, ...]:
        """Fetch buckets."""
        await self._require(request.metric)
        return await self._source.buckets(request)

    async def points(self, request: PointRequest) -> tuple[Points, ...]:
        """Fetch raw points."""
        await self._require(request.metric)
        return await self._source.points(request)

    async def lookup(
        self, metric: str, filters: tuple[TagFilter, ...]
    ) -> tuple[Mapping[str, str], ...]:
        """List series."""
        await self._require(metric)
        return await self._source.lookup(metric, filters)

    async def metric_names(self, start: str, limit: int) -> tuple[str, ...]:
        """List metrics."""
        return await self._source.metric_names(start, limit)

    async def _require(self, metric: str) -> None:
        """Raise NotOfferedError for a metric that is never recorded and was never imported."""
        reason = self._reasons.get(metric)
        if reason is not None and not await self._source.lookup(metric, ()):
            raise NotOfferedError(reason)
