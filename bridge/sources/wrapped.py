"""What a source around another one is made of: everything passes, until it is overridden."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bridge.model import BucketRequest, Buckets, PointRequest, Points, Source, TagFilter


class Wrapped:
    """A source that answers as another one does.

    Args:
        source: The other one.
    """

    def __init__(self, source: Source) -> None:
        self._source = source

    @property
    def name(self) -> str:
        """The source's own name."""
        return self._source.name

    async def buckets(self, request: BucketRequest) -> tuple[Buckets, ...]:
        """Fetch buckets."""
        return await self._source.buckets(request)

    async def points(self, request: PointRequest) -> tuple[Points, ...]:
        """Fetch raw points."""
        return await self._source.points(request)

    async def lookup(
        self, metric: str, filters: tuple[TagFilter, ...]
    ) -> tuple[Mapping[str, str], ...]:
        """List series."""
        return await self._source.lookup(metric, filters)

    async def metric_names(self, start: str, limit: int) -> tuple[str, ...]:
        """List metrics."""
        return await self._source.metric_names(start, limit)
