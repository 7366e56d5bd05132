"""The cluster as the engine sees it: in the labelled unit, with a word on what it lacks.

While polls wait in the spool, what the cluster has of their time is not all there is. A panel
is told so; who cannot see that gets no answer.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from bridge.catalog import DISKSPACE_USED
from bridge.errors import BadRequestError, UnavailableError
from bridge.sources.offered import recording
from bridge.sources.recorded import KB_PER_GB, Rescaled
from bridge.sources.wrapped import Wrapped

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from bridge.catalog import Metric
    from bridge.model import BucketRequest, Buckets, PointRequest, Points, Source


def stored(
    source: Source, catalogue: Mapping[str, Metric], late_ms: Callable[[], int | None]
) -> Source:
    """Return a cluster that the bridge records into, for the engine.

    Args:
        source: The cluster as it is; space in kB.
        catalogue: The metrics, with their units.
        late_ms: See ``CatchingUp``.
    """
    source = CatchingUp(Filling(source, catalogue), late_ms)
    if catalogue[DISKSPACE_USED].unit == "gbytes":
        source = Rescaled(source, {DISKSPACE_USED: 1.0 / KB_PER_GB})
    return recording(source, catalogue)


class Filling(Wrapped):
    """A source that has nothing yet of the metrics it does not know.

    OpenTSDB refuses a metric without a single point; here the first one is on its way.

    Args:
        source: The source.
        known: The names that are metrics; others stay refused.
    """

    def __init__(self, source: Source, known: Collection[str]) -> None:
        super().__init__(source)
        self._known = known

    async def buckets(self, request: BucketRequest) -> tuple[Buckets, ...]:
        """Fetch buckets."""
        try:
            return await self._source.buckets(request)
        except BadRequestError as error:
            self._require_known(request.metric, error)
            return ()

    async def points(self, request: PointRequest) -> tuple[Points, ...]:
        """Fetch raw points."""
        try:
            return await self._source.points(request)
        except BadRequestError as error:
            self._require_known(request.metric, error)
            return ()

    def _require_known(self, metric: str, error: BadRequestError) -> None:
        if error.field != "metric" or metric not in self._known:
            raise error


class CatchingUp(Wrapped):
    """A source that owns up to points it has not been given yet.

    Args:
        source: The source.
        late_ms: Gives the stamp from which on points wait that should be there; None for none.
    """

    def __init__(self, source: Source, late_ms: Callable[[], int | None]) -> None:
        super().__init__(source)
        self._late_ms = late_ms

    async def buckets(self, request: BucketRequest) -> tuple[Buckets, ...]:
        """Fetch buckets.

        Raises:
            UnavailableError: Points of their time wait, and the client cannot be told.
        """
        self._own_up(request.end_ms - 1, request.on_missing)
        return await self._source.buckets(request)

    async def points(self, request: PointRequest) -> tuple[Points, ...]:
        """Fetch raw points; errors as ``buckets``."""
        self._own_up(request.end_ms, request.on_missing)
        return await self._source.points(request)

    def _own_up(self, end_ms: int, on_missing: Callable[[str], None] | None) -> None:
        since_ms = self._late_ms()
        if since_ms is None or end_ms < since_ms:
            return
        since = datetime.fromtimestamp(since_ms / 1000, UTC)
        words = f"points since {since:%Y-%m-%d %H:%M:%S} UTC wait to be stored in OpenTSDB"
        if on_missing is None:
            raise UnavailableError(words, retry_after=15)
        on_missing(words)
