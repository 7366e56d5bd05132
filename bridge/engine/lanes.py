"""Sends fetches to a source; lists of names that wait at the same time go as one.

Alert rules and panels that repeat ask for one machine each. Upstream a question costs far
more than another name in it (docs/performance.md), so what waits while others of its kind
are on their way leaves together, without any delay for the first ones.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from bridge.engine.filter_sets import listing, literal_filter
from bridge.errors import BadRequestError, TooMuchError
from bridge.model import BucketRequest, Buckets

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bridge.engine.extents import Span
    from bridge.engine.filter_sets import Filters
    from bridge.engine.needs import Need
    from bridge.model import BucketFunction, Source

#: Names in one joint question at most; sources send longer lists as "everything".
LONGEST_LIST = 200
#: Questions of one kind on their way, from which others of it wait and gather.
ON_THEIR_WAY = 4
#: Spans may differ by this many steps, or by half, to go together.
CLOSE_STEPS = 8


class Outcome(NamedTuple):
    """What a source answered, and what it left out, in words."""

    answer: tuple[Buckets, ...]
    notices: tuple[str, ...]


class _Kind(NamedTuple):
    """What questions must have in common to go as one."""

    metric: str
    filters: Filters
    key: str
    step_ms: int
    functions: tuple[BucketFunction, ...]
    partial: bool


@dataclass(eq=False, slots=True)
class _Waiting:
    need: Need
    span: Span
    names: frozenset[str]
    outcome: asyncio.Future[Outcome]


@dataclass(eq=False, slots=True)
class _Lane:
    waiting: list[_Waiting] = field(default_factory=list)
    running: int = 0


class Lanes:
    """Bucket fetches towards one source.

    Args:
        source: Where they go.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._lanes: dict[_Kind, _Lane] = defaultdict(_Lane)
        self._tasks: set[asyncio.Task[None]] = set()

    async def fetch(self, need: Need, span: Span, *, partial: bool) -> Outcome:
        """Fetch the buckets of a need.

        Args:
            need: With a step.
            span: On its grid.
            partial: Whether a source may leave something out, and say so.

        Raises:
            BridgeError: Whatever the source raises.
        """
        listed = listing(need.filters)
        if listed is None or len(listed[1]) > LONGEST_LIST // 2:
            return await self._ask(need, span, need.filters, partial=partial)
        key, names, others = listed
        kind = _Kind(need.metric, others, key, need.step_ms, need.functions, partial)
        loop = asyncio.get_running_loop()
        waiting = _Waiting(need, span, names, loop.create_future())
        lane = self._lanes[kind]
        lane.waiting.append(waiting)
        if len(lane.waiting) == 1:
            # Whatever else is due in this turn of the loop joins first.
            loop.call_soon(self._leave, kind)
        return await waiting.outcome

    async def close(self) -> None:
        """Abandon what is on its way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _leave(self, kind: _Kind) -> None:
        lane = self._lanes[kind]
        while lane.waiting and lane.running < ON_THEIR_WAY:
            group = _together(lane.waiting)
            lane.waiting = [one for one in lane.waiting if one not in group]
            lane.running += 1
            task = asyncio.create_task(self._run(kind, lane, group))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        if not lane.waiting and not lane.running:
            del self._lanes[kind]

    async def _run(self, kind: _Kind, lane: _Lane, group: list[_Waiting]) -> None:
        try:
            await self._answer(kind, group)
        finally:
            for one in group:
                if not one.outcome.done():
                    one.outcome.cancel()
            lane.running -= 1
            if lane.waiting or not lane.running:
                self._leave(kind)

    async def _answer(self, kind: _Kind, group: list[_Waiting]) -> None:
        names = frozenset[str]().union(*(one.names for one in group))
        span = min(one.span[0] for one in group), max(one.span[1] for one in group)
        filters = (*kind.filters, literal_filter(kind.key, names))
        try:
            together = await self._ask(group[0].need, span, filters, partial=kind.partial)
        except (BadRequestError, TooMuchError) as error:
            # One of several may be at fault; each answers for itself.
            if len(group) == 1:
                _fail(group[0], error)
            else:
                await asyncio.gather(*(self._answer(kind, [one]) for one in group))
        except Exception as error:  # noqa: BLE001 -- whoever waits gets it
            for one in group:
                _fail(one, error)
        else:
            _hand_out(kind.key, group, together)

    async def _ask(self, need: Need, span: Span, filters: Filters, *, partial: bool) -> Outcome:
        notices: list[str] = []
        request = BucketRequest(
            need.metric,
            filters,
            *span,
            need.step_ms,
            frozenset(need.functions),
            on_missing=notices.append if partial else None,
        )
        return Outcome(await self._source.buckets(request), tuple(notices))


def _together(waiting: list[_Waiting]) -> list[_Waiting]:
    """Choose the first that waits and those that fit it: close spans, not too many names."""
    first = waiting[0]
    start, end = first.span
    close = CLOSE_STEPS * first.need.step_ms
    longest = max((end - start) * 3 // 2, end - start + close)
    shortest = min((end - start) // 2, end - start - close)
    names = set[str]()
    group = []
    for one in waiting:
        begin, until = min(start, one.span[0]), max(end, one.span[1])
        if until - begin > longest or one.span[1] - one.span[0] < shortest:
            continue
        if len(names | one.names) > LONGEST_LIST:
            continue
        start, end = begin, until
        names |= one.names
        group.append(one)
    return group


def _hand_out(key: str, group: list[_Waiting], together: Outcome) -> None:
    named: dict[str, list[Buckets]] = defaultdict(list)
    for series in together.answer:
        named[series.tags.get(key, "")].append(series)
    for one in group:
        own = together.answer if len(group) == 1 else _cut(one, named)
        if not one.outcome.done():
            one.outcome.set_result(Outcome(tuple(own), together.notices))


def _cut(one: _Waiting, named: dict[str, list[Buckets]]) -> Iterator[Buckets]:
    for name in sorted(one.names):
        for series in named.get(name, ()):
            low, high = series.stamps_ms.searchsorted(one.span)
            if low < high:
                columns = {name: column[low:high] for name, column in series.columns.items()}
                yield Buckets(series.tags, series.stamps_ms[low:high], columns)


def _fail(one: _Waiting, error: Exception) -> None:
    if not one.outcome.done():
        one.outcome.set_exception(error)
