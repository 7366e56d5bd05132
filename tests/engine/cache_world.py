"""A cache in front of a store that is written to, fails and runs on clocks that are set.

Time only passes when told to. The store remembers when each point was written, so that any
answer can be held against what the store knew at any moment.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from bridge.engine.cache import SeriesCache
from bridge.engine.downsample import into_buckets
from bridge.engine.filters import match_all
from bridge.engine.shelves import Rules
from bridge.errors import BridgeError, UpstreamError
from bridge.model import (
    BucketFunction,
    BucketRequest,
    Buckets,
    FilterKind,
    PointRequest,
    Points,
    TagFilter,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

HOUR_MS = 3_600_000
START_MS = 1_700_000_400_000 // HOUR_MS * HOUR_MS
SPAN_MS = 4 * HOUR_MS
RULES = Rules(settle_s=300, tail_s=15, keep_s=7200, empty_s=60, stale_s=600)

SERIES: tuple[Mapping[str, str], ...] = (
    {"dc": "d1", "vm": "a"},
    {"dc": "d1", "vm": "b"},
    {"dc": "d2", "vm": "b"},
    {"dc": "d2", "vm": "c"},
)
_LITERAL, _STAR = FilterKind.LITERAL_OR, FilterKind.WILDCARD
FILTERS: tuple[tuple[TagFilter, ...], ...] = (
    (),
    (TagFilter("vm", _STAR, "*"),),
    (TagFilter("vm", _LITERAL, "a"),),
    (TagFilter("vm", _LITERAL, "b"),),
    (TagFilter("vm", _LITERAL, "b|a"),),
    (TagFilter("vm", _LITERAL, "a|b|c"), TagFilter("dc", _LITERAL, "d1")),
    (TagFilter("dc", FilterKind.NOT_LITERAL_OR, "d1"), TagFilter("vm", _LITERAL, "c|b")),
    (TagFilter("vm", _LITERAL, "nobody"),),
)
STEPS_MS = (60_000, 120_000, 300_000, 600_000, 3_600_000)
FUNCTIONS = tuple(BucketFunction)

Key = tuple[tuple[str, str], ...]
Line = tuple[tuple[int, ...], tuple[tuple[float, ...], ...]]


@dataclass(frozen=True)
class Ask:
    """One request; ``step_ms`` 0 asks for raw points."""

    filters: tuple[TagFilter, ...]
    start_ms: int
    end_ms: int
    step_ms: int
    functions: frozenset[BucketFunction]
    seen: bool


@dataclass
class Time:
    """Seconds that pass, and a wall clock that may be set."""

    timer: float = 1000.0
    wall: float = (START_MS + SPAN_MS) / 1000


@dataclass
class Store:
    """The source behind the cache."""

    time: Time
    name: str = "the store"
    #: What was there from the beginning.
    first: dict[Key, Points] = field(default_factory=dict)
    #: What was written since: when, stamp and value.
    since: dict[Key, list[tuple[float, int, float]]] = field(
        default_factory=lambda: {key_of(tags): [] for tags in SERIES}
    )
    failing: bool = False
    #: A series that is left out, with a notice, or else an error.
    lost: Key | None = None
    turns: int = 1
    asked: int = 0
    slots: int = 0
    #: Reads that ended badly.
    failures: int = 0

    def write(self, row: int, stamp: int, value: float) -> None:
        # No two things happen at the same moment, or nobody could tell which came first.
        self.time.timer += 0.001
        self.time.wall += 0.001
        self.since[key_of(SERIES[row])].append((self.time.timer, stamp, value))

    def lines(
        self, start: int, end: int, matches: Callable[[Mapping[str, str]], bool], at: float
    ) -> list[Points]:
        """What it knew at a moment; ``end`` is exclusive."""
        found = []
        for tags in SERIES:
            if not matches(tags):
                continue
            key = key_of(tags)
            stamps, values = np.empty(0, dtype=np.int64), np.empty(0)
            if key in self.first:
                low, high = self.first[key].stamps_ms.searchsorted((start, end))
                stamps = self.first[key].stamps_ms[low:high]
                values = self.first[key].values[low:high]
            later = {t: v for w, t, v in self.since[key] if w <= at and start <= t < end}
            if later:
                known = dict(zip(stamps.tolist(), values.tolist(), strict=True)) | later
                stamps = np.array(sorted(known), dtype=np.int64)
                values = np.array([known[stamp] for stamp in sorted(known)])
            if len(stamps):
                found.append(Points(tags, stamps, values))
        return found

    async def buckets(self, request: BucketRequest) -> tuple[Buckets, ...]:
        self.slots += (request.end_ms - request.start_ms) // request.step_ms
        lines = await self._read(request, request.end_ms)
        return tuple(reduced(one, request.step_ms, request.functions) for one in lines)

    async def points(self, request: PointRequest) -> tuple[Points, ...]:
        return tuple(await self._read(request, request.end_ms + 1))

    async def lookup(
        self, _metric: str, filters: tuple[TagFilter, ...]
    ) -> tuple[Mapping[str, str], ...]:
        return tuple(filter(match_all(filters), SERIES))

    async def metric_names(self, _start: str, _limit: int) -> tuple[str, ...]:
        return ()

    async def _read(self, request: BucketRequest | PointRequest, end: int) -> list[Points]:
        self.asked += 1
        matches = match_all(request.filters)
        lines = self.lines(request.start_ms, end, matches, self.time.timer)
        failing, lost = self.failing, self.lost
        for _ in range(self.turns):
            await asyncio.sleep(0)
        if failing:
            self.failures += 1
            raise UpstreamError("it is down")
        if lost is not None:
            if request.on_missing is None:
                self.failures += 1
                raise UpstreamError("half of it is down")
            request.on_missing("half of it is missing")
            lines = [one for one in lines if key_of(one.tags) != lost]
        return lines


def key_of(tags: Mapping[str, str]) -> Key:
    return tuple(sorted(tags.items()))


def reduced(line: Points, step_ms: int, functions: frozenset[BucketFunction]) -> Buckets:
    lines = {f: into_buckets(line.stamps_ms, line.values, step_ms, f) for f in functions}
    stamps = next(iter(lines.values()))[0]
    return Buckets(line.tags, stamps, {f: one[1] for f, one in lines.items()})


class World:
    """The cache, the store and the clocks, with everything that may happen to them."""

    def __init__(self, *, max_bytes: int = 50_000_000) -> None:
        self.time = Time()
        self.store = Store(self.time)
        self.cache = SeriesCache(
            RULES,
            max_bytes=max_bytes,
            clock=lambda: self.time.wall,
            timer=lambda: self.time.timer,
        )
        self.source = self.cache.wrap(self.store)
        for row in range(3):  # the fourth series is not there yet
            stamps = np.arange(START_MS, START_MS + SPAN_MS, 60_000) + 1000 * row
            values = (stamps // 60_000 % 17 + row).astype(np.float64)
            self.store.first[key_of(SERIES[row])] = Points(SERIES[row], stamps, values)

    @property
    def now_ms(self) -> int:
        return int(self.time.wall * 1000)

    def wait(self, seconds: float) -> None:
        self.time.timer += seconds
        self.time.wall += seconds

    def set_clock(self, seconds: float) -> None:
        self.time.wall += seconds

    def write(self, row: int, age_s: int, value: int) -> None:
        """Write a point as late as the settling time allows."""
        self.store.write(row, self.now_ms - min(age_s, 298) * 1000, float(value))

    def bring_in(self, row: int, minutes: Sequence[int], value: int) -> None:
        """Import old points, and say so."""
        for minute in minutes:
            self.store.write(row, START_MS + minute * 60_000, float(value))
        self.cache.invalidate(
            "m", START_MS + min(minutes) * 60_000, START_MS + max(minutes) * 60_000 + 1
        )

    async def query(self, ask: Ask, *, failures: int | None = None) -> str:
        """Ask, and hold the answer against what the store knew; return what came of it.

        Args:
            ask: The question.
            failures: How many there had been when nothing was on its way: who joins a fetch
                that has failed already, but not landed, fails with it.
        """
        begun = self.time.timer
        failures = self.store.failures if failures is None else failures
        told: list[str] = []
        on_missing = told.append if ask.seen else None
        try:
            got = await self._asked(ask, on_missing)
        except BridgeError:
            broken = self.store.failing or self.store.lost is not None
            assert broken or self.store.failures > failures, "failed without a reason"
            return "failed"
        earliest = begun - min(RULES.tail_s, ask.step_ms / 1000 or 60)
        lost = any("half" in words for words in told)
        future_ms = 2**62
        if told and not lost:
            earliest -= RULES.stale_s
            # Of what was the future when it was read, nothing is taken to exist.
            future_ms = self.now_ms - int((self.time.timer - earliest) * 1000)
        self._hold(ask, got, earliest, lost=lost, future_ms=future_ms)
        return "marked" if told else "fresh"

    async def _asked(self, ask: Ask, on_missing: Callable[[str], None] | None) -> dict[Key, Line]:
        if not ask.step_ms:
            points = await self.source.points(
                PointRequest("m", ask.filters, ask.start_ms, ask.end_ms - 1, 1_000_000, on_missing)
            )
            return {
                key_of(one.tags): (tuple(one.stamps_ms.tolist()), (tuple(one.values.tolist()),))
                for one in points
            }
        buckets = await self.source.buckets(
            BucketRequest(
                "m", ask.filters, ask.start_ms, ask.end_ms, ask.step_ms, ask.functions, on_missing
            )
        )
        assert len({key_of(one.tags) for one in buckets}) == len(buckets)
        return {key_of(one.tags): _line(one) for one in buckets}

    def _hold(
        self,
        ask: Ask,
        got: dict[Key, Line],
        earliest: float,
        *,
        lost: bool,
        future_ms: int,
    ) -> None:
        """Every cell must be what the store knew at some moment since ``earliest``."""
        moments = {earliest, self.time.timer} | {
            written
            for writes in self.store.since.values()
            for written, _, _ in writes
            if earliest < written <= self.time.timer
        }
        allowed: dict[tuple[Key, int], set[object]] = defaultdict(set)
        truths = [self._truth(ask, moment) for moment in sorted(moments)]
        cells = {cell for truth in truths for cell in truth}
        for truth in truths:
            for cell in cells:
                allowed[cell].add(truth.get(cell))
        have = {
            (key, stamp): tuple(column[at] for column in columns)
            for key, (stamps, columns) in got.items()
            for at, stamp in enumerate(stamps)
        }
        for cell in cells | have.keys():
            if lost and cell not in have and cell[0] == self.store.lost:
                continue
            if cell not in have and cell[1] + max(ask.step_ms, 1) > future_ms:
                continue
            assert have.get(cell) in allowed[cell], (
                f"{cell}: {have.get(cell)} is none of {allowed[cell]} for {ask}"
            )
        for key, (stamps, _) in got.items():
            assert list(stamps) == sorted(set(stamps)), key

    def _truth(self, ask: Ask, moment: float) -> dict[tuple[Key, int], tuple[float, ...]]:
        lines = self.store.lines(ask.start_ms, ask.end_ms, match_all(ask.filters), moment)
        found = {}
        for one in lines:
            if ask.step_ms:
                stamps, columns = _line(reduced(one, ask.step_ms, ask.functions))
            else:
                stamps, columns = tuple(one.stamps_ms.tolist()), (tuple(one.values.tolist()),)
            for at, stamp in enumerate(stamps):
                found[key_of(one.tags), stamp] = tuple(column[at] for column in columns)
        return found


def _line(buckets: Buckets) -> Line:
    columns = tuple(tuple(buckets.columns[name].tolist()) for name in sorted(buckets.columns))
    return tuple(buckets.stamps_ms.tolist()), columns
