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
from bridge.model import BucketFunction, Freshness
from bridge.sources.offered import recording
from bridge.sources.wrapped import Wrapped

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bridge.catalog import Metric
    from bridge.model import BucketRequest, Buckets, PointRequest, Points, Source

KB_PER_GB = 1024.0 * 1024.0


def recorded(source: Source, catalogue: Mapping[str, Metric], *, good_s: float = 0.0) -> Source:
    """Return the recording for the engine.

    Args:
        source: The recording as it is stored.
        catalogue: The metrics, with their units.
        good_s: Seconds for which an answer made of it may be given again.
    """
    if catalogue[DISKSPACE_USED].unit == "gbytes":
        source = Rescaled(source, {DISKSPACE_USED: 1.0 / KB_PER_GB})
    return Reread(recording(source, catalogue), good_s)


class Reread(Wrapped):
    """A source that is read anew every time, and says for how long an answer holds.

    A poll that waited for room on the disk comes late, so no time of it is ever settled.

    Args:
        source: The source.
        good_s: Seconds.
    """

    def __init__(self, source: Source, good_s: float) -> None:
        super().__init__(source)
        self._freshness = Freshness(good_s=good_s)

    async def buckets(self, request: BucketRequest) -> tuple[Buckets, ...]:
        """Fetch buckets."""
        found = await self._source.buckets(request)
        self._tell(request)
        return found

    async def points(self, request: PointRequest) -> tuple[Points, ...]:
        """Fetch raw points."""
        found = await self._source.points(request)
        self._tell(request)
        return found

    def _tell(self, request: BucketRequest | PointRequest) -> None:
        if request.on_read is not None:
            request.on_read(self._freshness)


class Rescaled(Wrapped):
    """A source with the values of some metrics multiplied.

    Args:
        source: The values as they are stored.
        factors: By metric; others pass unchanged.
    """

    def __init__(self, source: Source, factors: Mapping[str, float]) -> None:
        super().__init__(source)
        self._factors = MappingProxyType(dict(factors))

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
