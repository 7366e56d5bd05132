"""Words for what a history cannot have, in place of an empty answer.

Not every metric can be in every history (see ``Metric``). An empty answer for one that cannot
would look like an object at rest, so ``NotOfferedError`` is raised: a source that is merged
with others is then left out, at no cost; where none is left, a person reads the reason next
to the graph, and an alert rule gets an error.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from bridge.errors import NotOfferedError
from bridge.sources.wrapped import Wrapped

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bridge.catalog import Metric
    from bridge.model import BucketRequest, Buckets, PointRequest, Points, Source, TagFilter


def ovhcloud_history(source: Source, catalogue: Mapping[str, Metric]) -> Source:
    """Return OVHcloud's own history, without asking it for what only a recording has."""
    reasons = {name: metric.not_at_ovhcloud for name, metric in catalogue.items()}
    return Lacking(source, {name: text for name, text in reasons.items() if text}, look=False)


def recording(source: Source, catalogue: Mapping[str, Metric]) -> Source:
    """Return a recording that tells what it never records.

    It is looked at all the same: series may have been imported, or copied from elsewhere.
    """
    reasons = {name: metric.unrecorded for name, metric in catalogue.items()}
    return Lacking(source, {name: text for name, text in reasons.items() if text}, look=True)


class Lacking(Wrapped):
    """A source that cannot have certain metrics.

    Args:
        source: The source.
        reasons: Why, by metric.
        look: Whether it may have series of them all the same.
    """

    def __init__(self, source: Source, reasons: Mapping[str, str], *, look: bool) -> None:
        super().__init__(source)
        self._reasons = MappingProxyType(dict(reasons))
        self._look = look

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

    async def _require(self, metric: str) -> None:
        """Raise NotOfferedError for a metric that cannot be there and is not."""
        reason = self._reasons.get(metric)
        if reason is None or (self._look and await self._source.lookup(metric, ())):
            return
        raise NotOfferedError(reason)
