"""Fetches on their way: everyone who needs part of one waits for it, and none is sent twice."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from bridge.engine.extents import joined, missing, overlap
from bridge.engine.grids import Grid
from bridge.engine.lanes import Lanes
from bridge.engine.rags import Rag
from bridge.engine.rosters import Roster
from bridge.errors import UnavailableError
from bridge.model import PointRequest
from bridge.offload import THREAD_POINTS, turn

if TYPE_CHECKING:
    from collections.abc import Callable

    from bridge.engine.extents import Span
    from bridge.engine.needs import Need
    from bridge.engine.sheets import Sheet
    from bridge.engine.shelves import Rules, Shelves
    from bridge.model import Buckets, Points, Source

#: Gaps at most this many steps apart are fetched as one.
CLOSE_STEPS = 16
#: Ranges of one need fetched side by side; with more gaps, the whole is fetched.
MOST_RANGES = 4


class Landed(NamedTuple):
    """What a flight brought.

    Attributes:
        sheet: Over the whole span of the flight.
        notices: What a source left out; such a sheet is not kept.
        is_empty: There was nothing at all.
    """

    sheet: Sheet
    notices: tuple[str, ...]
    is_empty: bool


@dataclass(eq=False, slots=True)
class Flight:
    """One fetch.

    Attributes:
        need: What is fetched.
        span: Over which span.
        read_at: When it began, in monotonic seconds.
        settled_until: What of it was settled then.
        landed: Its outcome.
        is_trusted: Whether its outcome may be kept.
    """

    need: Need
    span: Span
    read_at: float
    settled_until: int
    landed: asyncio.Future[Landed] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )
    is_trusted: bool = True


class Boarded(NamedTuple):
    """A flight and what is wanted of it."""

    flight: Flight
    span: Span


class Flights:
    """The fetches towards one source that have not landed yet.

    Args:
        source: Where they go.
        shelves: Where what they bring is kept.
        rules: How long what is trusted.
    """

    def __init__(self, source: Source, shelves: Shelves, rules: Rules) -> None:
        self._source = source
        self._shelves = shelves
        self._rules = rules
        self._lanes = Lanes(source)
        self._in_air: dict[tuple[Need, bool], list[Flight]] = defaultdict(list)
        #: Those of them that may bring what others need: a list of one name never does, and
        #: there can be thousands of those.
        self._wide: dict[tuple[Need, bool], list[Flight]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def board(
        self,
        need: Need,
        gaps: list[Span],
        moment: Moment,
        *,
        partial: bool,
        limit: int,
    ) -> list[Boarded]:
        """Return flights that together bring all of the gaps, sending those that lack.

        Args:
            need: What is needed.
            gaps: Where.
            moment: Now.
            partial: Whether a source may leave something out. Who may not be told of that
                never waits for such a flight.
            limit: Most raw points.
        """
        boarded: list[Boarded] = []
        for flight in self._fitting(need, partial=partial):
            for gap in gaps:
                shared = overlap(self._worth(flight, moment.timer), gap)
                if shared is not None:
                    boarded.append(Boarded(flight, shared))
            gaps = [rest for gap in gaps for rest in missing(gap, [one.span for one in boarded])]
        for span in _ranges(gaps, need.grid_ms):
            flight = self._send(need, span, moment, partial=partial, limit=limit)
            shares = (overlap(span, gap) for gap in gaps)
            boarded += [Boarded(flight, shared) for shared in shares if shared is not None]
        return boarded

    def distrust(self) -> None:
        """Let nothing that is on its way be kept, or be waited for by anyone new."""
        for flights in self._in_air.values():
            for flight in flights:
                flight.is_trusted = False
        self._in_air.clear()
        self._wide.clear()

    async def close(self) -> None:
        """Abandon what is on its way."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(self._lanes.close(), *tasks, return_exceptions=True)

    def _fitting(self, need: Need, *, partial: bool) -> list[Flight]:
        """Return the flights that bring the series of a need: its own, then wider ones."""
        found = [*self._in_air.get((need, partial), ())]
        for (other, other_partial), flights in self._wide.items():
            if other != need and other_partial == partial and other.brings(need):
                found += flights
        return found

    def _worth(self, flight: Flight, now: float) -> Span:
        """Return what of a flight is current enough to wait for."""
        tail_s = self._rules.trusted_s(flight.need.grid_ms, settled=False, empty=False)
        start, end = flight.span
        age_s = now - flight.read_at
        if age_s < tail_s:
            return start, end
        settled_until = flight.settled_until if age_s < self._rules.empty_s else start
        return start, max(start, min(end, settled_until))

    def _send(self, need: Need, span: Span, moment: Moment, *, partial: bool, limit: int) -> Flight:
        settled = self._rules.settled_until(moment.epoch_ms, need.grid_ms)
        flight = Flight(need, span, moment.timer, settled)
        # Nobody may be waiting any more when it fails.
        flight.landed.add_done_callback(lambda done: done.cancelled() or done.exception())
        flights = self._in_air[need, partial]
        flights.append(flight)
        if need.is_wide:
            self._wide[need, partial] = flights
        task = asyncio.create_task(self._fly(flight, partial=partial, limit=limit))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return flight

    async def _fly(self, flight: Flight, *, partial: bool, limit: int) -> None:
        try:
            landed = await self._fetch(flight, partial=partial, limit=limit)
            flight.landed.set_result(landed)
            if flight.is_trusted and not landed.notices:
                await self._keep(flight, landed)
        except asyncio.CancelledError:
            if not flight.landed.done():
                flight.landed.set_exception(UnavailableError("the bridge is stopping"))
            raise
        except Exception as error:
            if flight.landed.done():
                raise  # a mistake in keeping it is nobody's answer
            flight.landed.set_exception(error)
        finally:
            flights = self._in_air.get((flight.need, partial), [])
            if flight in flights:
                flights.remove(flight)
                if not flights:
                    del self._in_air[flight.need, partial]
                    self._wide.pop((flight.need, partial), None)

    async def _fetch(self, flight: Flight, *, partial: bool, limit: int) -> Landed:
        need, span = flight.need, flight.span
        if need.step_ms:
            answer, notices = await self._lanes.fetch(need, span, partial=partial)
            points = len(answer) * (span[1] - span[0]) // need.step_ms
            return await _beside(points, lambda: self._laid_out(flight, answer, notices))
        told: list[str] = []
        request = PointRequest(
            need.metric,
            need.filters,
            span[0],
            span[1] - 1,
            limit,
            on_missing=told.append if partial else None,
        )
        lines = await self._source.points(request)
        rag = Rag.of_points(lines, span, self._roster(need, lines))
        return Landed(rag, tuple(told), rag.is_empty)

    def _laid_out(
        self, flight: Flight, answer: tuple[Buckets, ...], notices: tuple[str, ...]
    ) -> Landed:
        need = flight.need
        roster = self._roster(need, answer)
        grid = Grid.of_buckets(answer, need.functions, flight.span, need.step_ms, roster)
        return Landed(grid, notices, grid.is_empty)

    def _roster(self, need: Need, answer: tuple[Buckets, ...] | tuple[Points, ...]) -> Roster:
        """Return the need's roster if it fits, so that its sheets share one."""
        known = self._shelves.roster(need)
        if 2 * len(answer) < len(known.tags):
            known = Roster(())  # most of it is gone
        return known.with_all([one.tags for one in answer])

    async def _keep(self, flight: Flight, landed: Landed) -> None:
        settled = flight.settled_until
        work = self._shelves.put(flight.need, landed.sheet, flight.read_at, settled)
        await turn()
        while flight.is_trusted and next(work, _DONE) is not _DONE:
            await asyncio.sleep(0)
            await turn()


_DONE = object()


class Moment(NamedTuple):
    """Now, on both clocks."""

    timer: float
    epoch_ms: int


def _ranges(gaps: list[Span], grid_ms: int) -> list[Span]:
    ranges = joined(gaps, slack=CLOSE_STEPS * grid_ms)
    if len(ranges) > MOST_RANGES:
        return [(ranges[0][0], ranges[-1][1])]
    return ranges


async def _beside(points: int, work: Callable[[], Landed]) -> Landed:
    """Do large work in a thread."""
    if points > THREAD_POINTS:
        return await asyncio.to_thread(work)
    await turn()
    return work()
