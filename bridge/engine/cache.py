"""A source that remembers what another one answered, and asks it only for the rest.

What it promises: for settled, unchanged data an answer equals the source's own; younger data
are at most one ``Rules.tail_s`` old; what is older, because the source fails, is given only
to those who can be told (``on_missing``), and told. An answer with something left out, and a
failure, are never kept.
"""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import structlog

from bridge.engine.extents import missing
from bridge.engine.filter_sets import listing, normal_filters
from bridge.engine.flights import Flights, Moment
from bridge.engine.grids import Grid
from bridge.engine.needs import POINT_GRID_MS, Need
from bridge.engine.rags import Rag
from bridge.engine.rosters import Roster
from bridge.engine.shelves import Part, Shelves, of_need
from bridge.errors import (
    NotOfferedError,
    TooMuchError,
    UnavailableError,
    UpstreamError,
    UpstreamTimeoutError,
)
from bridge.model import Freshness, PointRequest
from bridge.offload import THREAD_POINTS, in_slices, turn
from bridge.remembered import Remembered

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bridge.engine.extents import Span
    from bridge.engine.flights import Boarded
    from bridge.engine.sheets import Sheet
    from bridge.engine.shelves import Rules
    from bridge.errors import BridgeError
    from bridge.model import BucketRequest, Buckets, Points, Source, TagFilter

_log = structlog.get_logger(__name__)

SheetT = TypeVar("SheetT", Grid, Rag)

#: Seconds that lists of series and of metrics are given again.
LOOKUP_S = 60.0

#: More than any stamp, in milliseconds.
_EVER = (-(2**62), 2**62)

#: A clock set back by more than this makes all settling times wrong.
SET_BACK_S = 1.0


class SeriesCache:
    """What several sources answered, in one room.

    Args:
        rules: How long what is trusted.
        max_bytes: Room for series data.
        clock: Epoch seconds.
        timer: Monotonic seconds.
    """

    def __init__(
        self,
        rules: Rules,
        *,
        max_bytes: int,
        clock: Callable[[], float] = time.time,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self.rules = rules
        self.shelves = Shelves(max_bytes, rules)
        self.timer = timer
        self._clock = clock
        self._ahead_s = clock() - timer()
        self._sources: list[CachedSource] = []
        self._watchers: list[Callable[[], None]] = []

    @property
    def nbytes(self) -> int:
        """Bytes of series data kept."""
        return self.shelves.nbytes

    def wrap(self, source: Source) -> CachedSource:
        """Return a source that remembers what this one answers.

        Sources of sources are not worth wrapping: each of those they ask is.
        """
        wrapped = CachedSource(self, source, origin=len(self._sources))
        self._sources.append(wrapped)
        return wrapped

    def watch(self, watcher: Callable[[], None]) -> None:
        """Call ``watcher`` whenever something known is forgotten on purpose."""
        self._watchers.append(watcher)

    def invalidate(
        self, metric: str | None = None, start_ms: int | None = None, end_ms: int | None = None
    ) -> None:
        """Forget what is known, since a store was written to other than at its end.

        Args:
            metric: None means all.
            start_ms: Of what was written; None means from the beginning.
            end_ms: Exclusive; None means without end.
        """
        for source in self._sources:
            source.forget()
        start = _EVER[0] if start_ms is None else start_ms
        self.shelves.forget(metric, (start, _EVER[1] if end_ms is None else end_ms))
        for watcher in self._watchers:
            watcher()

    def moment(self) -> Moment:
        """Look at both clocks; forget everything when the clock was set back.

        What was settled by the old time may not be by the new one.
        """
        timer, epoch = self.timer(), self._clock()
        ahead_s = epoch - timer
        if ahead_s < self._ahead_s - SET_BACK_S:
            _log.warning("clock_set_back", seconds=round(self._ahead_s - ahead_s, 1))
            self.invalidate()
        self._ahead_s = ahead_s
        return Moment(timer, int(epoch * 1000))

    async def close(self) -> None:
        """Abandon what is on its way."""
        await asyncio.gather(*(source.close() for source in self._sources))


class CachedSource:
    """A source in front of another; ``SeriesCache.wrap`` makes it.

    Args:
        cache: Where what is read is kept.
        source: The other.
        origin: Tells its data from those of other sources.
    """

    def __init__(self, cache: SeriesCache, source: Source, *, origin: int) -> None:
        self._cache = cache
        self._rules = cache.rules
        self._shelves = cache.shelves
        self._source = source
        self._origin = origin
        self._flights = Flights(source, cache.shelves, cache.rules)
        self._series: Remembered[Roster] = Remembered(LOOKUP_S, cache.timer)
        self._metrics: Remembered[tuple[str, ...]] = Remembered(LOOKUP_S, cache.timer)

    @property
    def name(self) -> str:
        """The source's name, for messages."""
        return self._source.name

    async def buckets(self, request: BucketRequest) -> tuple[Buckets, ...]:
        """Give buckets, fetching what is not known.

        Raises:
            BridgeError: As the source.
        """
        functions = tuple(sorted(request.functions))
        need = Need(
            self._origin,
            request.metric,
            normal_filters(request.filters),
            request.step_ms,
            functions,
        )
        parts = await self._read(need, (request.start_ms, request.end_ms), request)
        if not parts:
            return ()
        grid = await _join(Grid, parts)
        return tuple(await in_slices(grid.buckets(functions), grid.cells.size))

    async def points(self, request: PointRequest) -> tuple[Points, ...]:
        """Give raw points, fetching what is not known.

        Raises:
            TooMuchError: More points than the request's limit.
            BridgeError: As the source.
        """
        need = Need(self._origin, request.metric, normal_filters(request.filters))
        start = request.start_ms // POINT_GRID_MS * POINT_GRID_MS
        end = -(-(request.end_ms + 1) // POINT_GRID_MS) * POINT_GRID_MS
        parts = await self._read(need, (start, end), request)
        if not parts:
            return ()
        rag = (await _join(Rag, parts)).crop((request.start_ms, request.end_ms + 1))
        total = sum(len(stamps) for stamps, _ in rag.lines)
        if total > request.limit:
            raise TooMuchError(
                f"{total:,} points, more than the limit of {request.limit:,} "
                "(setting max_points): narrow the range or the filters"
            )
        return tuple(rag.points())

    async def lookup(
        self, metric: str, filters: tuple[TagFilter, ...]
    ) -> tuple[Mapping[str, str], ...]:
        """List the stored tags of a metric's series.

        Raises:
            BridgeError: As the source.
        """
        plain = normal_filters(filters)
        listed = listing(plain)
        # Lists of names are many, and differ from one alert rule to the next.
        asked = plain if listed is None else listed[2]

        async def look_up() -> Roster:
            return Roster.of(await self._source.lookup(metric, asked))

        roster = await self._series.get((metric, asked), look_up)
        if listed is None:
            return roster.tags
        return tuple(roster.tags[row] for row in roster.matching(plain).tolist())

    async def metric_names(self, start: str, limit: int) -> tuple[str, ...]:
        """List metrics that begin with a text.

        Raises:
            BridgeError: As the source.
        """
        return await self._metrics.get(
            (start, limit), lambda: self._source.metric_names(start, limit)
        )

    def forget(self) -> None:
        """Forget lists, and keep nothing of what is on its way."""
        self._flights.distrust()
        self._series.forget()
        self._metrics.forget()

    async def close(self) -> None:
        """Abandon what is on its way."""
        await asyncio.gather(self._flights.close(), self._series.close(), self._metrics.close())

    async def _read(
        self, need: Need, span: Span, request: BucketRequest | PointRequest
    ) -> list[Part]:
        """Return parts that cover the span, in order.

        Tells the request what was left out, and how current all of it is.
        """
        if span[0] >= span[1]:
            return []
        moment = self._cache.moment()
        parts = self._shelves.find(need, span, moment.timer)
        gaps = missing(span, [part.span for part in parts])
        stale = False
        if gaps:
            boarded = self._flights.board(
                need,
                gaps,
                moment,
                partial=request.on_missing is not None,
                limit=request.limit if isinstance(request, PointRequest) else 0,
            )
            try:
                parts += await self._landed(need, boarded, request)
            except (UpstreamError, UpstreamTimeoutError, UnavailableError) as error:
                parts = self._overdue(need, span, error, request)
                stale = True
            parts.sort(key=lambda part: part.span)
        if request.on_read is not None:
            now = self._cache.timer()
            ages = (now - part.read_at for part in parts if stale or not part.settled)
            good_s = 0.0 if stale else max(0.0, min(part.until for part in parts) - now)
            request.on_read(Freshness(max(ages, default=0.0), good_s, stale))
        return parts

    async def _landed(
        self, need: Need, boarded: list[Boarded], request: BucketRequest | PointRequest
    ) -> list[Part]:
        """Wait for flights.

        Raises:
            BridgeError: The first failure; the other flights go on.
        """
        # Waited for, not awaited: a cancelled request must not cancel what others wait for.
        await asyncio.wait({flight.landed for flight, _ in boarded})
        parts = []
        told = set()
        for flight, span in boarded:
            landed = flight.landed.result()
            settled = span[1] <= flight.settled_until
            trusted = self._rules.trusted_s(
                flight.need.grid_ms, settled=settled, empty=landed.is_empty
            )
            for notice in landed.notices:
                if notice not in told and request.on_missing is not None:
                    request.on_missing(notice)
                told.add(notice)
            until = flight.read_at + (0.0 if landed.notices else trusted)
            sheet = partial(_share, need, flight.need, landed.sheet, span)
            weight = (span[1] - span[0]) // flight.need.grid_ms * len(landed.sheet.roster.tags)
            parts.append(Part(span, sheet, flight.read_at, settled, until, weight))
        return parts

    def _overdue(
        self,
        need: Need,
        span: Span,
        error: BridgeError,
        request: BucketRequest | PointRequest,
    ) -> list[Part]:
        """Return older data in place of a failed fetch, and say so to who can be told.

        Raises:
            BridgeError: The failure, where nobody can be told or nothing is known.
        """
        if request.on_missing is None or isinstance(error, NotOfferedError):
            raise error
        moment = self._cache.moment()
        parts = self._shelves.find(need, span, moment.timer, overdue_s=self._rules.stale_s)
        ages = [
            moment.timer - part.read_at
            for part in parts
            if not part.settled or part.until <= moment.timer
        ]
        age_s = max(ages, default=0.0)
        for gap in missing(span, [part.span for part in parts]):
            # There was nothing later than the reading when it was read.
            if not ages or gap[0] < moment.epoch_ms - age_s * 1000:
                raise error
            nothing = partial(_nothing, need, gap)
            parts.append(Part(gap, nothing, moment.timer, settled=False, until=0.0, weight=0))
        request.on_missing(
            f"{self.name} cannot be read now ({error.message}); "
            f"this was read {_in_words(age_s)} ago"
        )
        _log.warning("stale_answer", metric=need.metric, age_s=round(age_s), reason=error.message)
        return parts


def _share(need: Need, carried: Need, sheet: Sheet, span: Span) -> Sheet:
    return of_need(need, carried, sheet.crop(span))


async def _join(kind: type[SheetT], parts: list[Part]) -> SheetT:
    """Make and join sheets, beside the event loop where it is much work."""

    def work() -> SheetT:
        return kind.join([sheet for part in parts if isinstance(sheet := part.sheet(), kind)])

    if sum(part.weight for part in parts) > THREAD_POINTS:
        return await asyncio.to_thread(work)
    await turn()
    return work()


def _nothing(need: Need, span: Span) -> Sheet:
    if need.step_ms:
        return Grid.empty(span, need.step_ms, len(need.functions))
    return Rag(Roster(()), span, ())


def _in_words(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 120 else f"{seconds:.0f} s"
