"""A store against plain dictionaries, through any sequence of what may happen to it."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, event, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from bridge.errors import BadRequestError
from bridge.model import FilterKind, TagFilter
from bridge.sources.history import History, Retention, merging
from bridge.sources.history.layout import DAY_MS, month_start
from bridge.sources.history.parts import read_parts
from tests.sources.history.batches import MEMORY, batch, bucketed, stored
from tests.sources.history.model import Model, Refused

if TYPE_CHECKING:
    from collections.abc import Coroutine

MINUTE = 60_000
BASE = 1_767_225_600_000  # 2026-01-01, start of a month
MACHINES = ("vm-1", "vm-2", "vm-3", "vm-4")

machines = st.sampled_from(MACHINES)
# Few places, so that points meet in a bucket and on a time.
moments = st.builds(
    lambda day, minute: BASE + day * DAY_MS + minute * MINUTE,
    st.sampled_from((0, 3, 30, 31, 32, 57, 58, 59, 60, 61, 95)),
    st.sampled_from((0, 1, 2, 9, 10, 11, 59, 60, 61, 719, 720, 1439)),
)
values = st.integers(-50, 50).map(lambda n: n / 4)
written = st.lists(st.tuples(machines, moments, values), min_size=1, max_size=12)
subsets = st.none() | st.sets(machines, min_size=1).map(sorted)
spans = st.just((-2, 132)) | st.tuples(st.integers(-2, 130), st.integers(0, 130))
steps = st.sampled_from([MINUTE * n for n in (1, 5, 10, 15, 20, 30, 60, 120, 1440, 10080)])
retentions = st.sampled_from(
    (Retention(10, 40, 90), Retention(40, 0, 90), Retention(5, 30, 0), Retention(1, 20, 400))
)


class Storing(RuleBasedStateMachine):
    """Writes of any age, maintenance, clocks that move either way, opening anew."""

    @initialize(retention=retentions, points=written)
    def open(self, retention: Retention, points: list[tuple[str, int, float]]) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="history-", dir=MEMORY))
        self.runner = asyncio.Runner()
        self.now = (BASE + 62 * DAY_MS) / 1000
        self.retention = retention
        self.model = Model()
        self.cuts = pytest.MonkeyPatch()
        self.cuts.setattr(merging, "MOST_POINTS", 6)
        self.cuts.setattr(merging, "SOME_POINTS", 3)
        self.history = self.opened()
        self.write(points, (-2, 132), 60 * MINUTE)
        self.maintain(everything=False, days=1)

    def teardown(self) -> None:
        if hasattr(self, "history"):
            self.run(self.history.close())
            self.runner.close()
            self.cuts.undo()
            shutil.rmtree(self.folder)

    def opened(self) -> History:
        history = History(self.folder, self.retention, clock=lambda: self.now)
        self.run(history.open())
        return history

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(work)

    @rule(points=written, span=spans, step=steps)
    def write(self, points: list[tuple[str, int, float]], span: tuple[int, int], step: int) -> None:
        self.run(self.history.write(batch(points)))
        for point in points:
            self.model.write(*point)
        self.read_buckets(None, span, step)

    @rule(minutes=st.sampled_from((1, 700, 3 * 1440, -90, -4 * 1440)))
    def move_clock(self, minutes: int) -> None:
        self.now += 60 * minutes

    @rule(everything=st.booleans(), days=st.integers(1, 3))
    def maintain(self, everything: bool, days: int) -> None:
        """A clock that runs on lets what waits for it happen."""
        for _ in range(days):
            self.now += 86_401
            self.run(self.history.maintain(everything=everything))
            store = self.history._store
            with store.snapshot() as cursor:
                assert cursor.execute("SELECT count(*) FROM late").fetchall() == [(0,)]
                there = read_parts(cursor)
            kept = frozenset((tier.name, part.month) for part in there for tier in part.files)
            for name, month in self.model.kept - kept:
                days_kept = {
                    "raw": self.retention.raw_days,
                    "10m": self.retention.ten_minutes_days,
                    "1h": self.retention.hour_days,
                }[name]
                assert (
                    not days_kept or month_start(month + 1) / 1000 <= self.now - 86_400 * days_kept
                )
            self.model.maintained(kept, store.moved_until)

    @rule(days=st.sampled_from((20, 35, 60)))
    def grow_old(self, days: int) -> None:
        """Time passes until what has become too old is deleted."""
        self.move_clock(days * 1440)
        self.maintain(everything=False, days=3)

    @rule(retention=retentions)
    def open_again(self, retention: Retention) -> None:
        self.run(self.history.close())
        self.retention = retention
        self.history = self.opened()

    @rule(chosen=subsets, span=spans)
    def read_points(self, chosen: list[str] | None, span: tuple[int, int]) -> None:
        first, days = span
        start, end = BASE + first * DAY_MS, BASE + (first + days) * DAY_MS - 1
        if end < start:
            return
        known = sorted(self.model.names())
        asked = [vm for vm in known if chosen is None or vm in chosen]
        got: Any
        try:
            got = self.run(stored(self.history, filters=only(chosen), start_ms=start, end_ms=end))
        except BadRequestError:
            got = Refused
        try:
            expected: Any = self.model.read_points(asked, start, end)
        except Refused:
            expected = Refused
        event("points refused" if expected is Refused else "points answered")
        assert got == expected

    @rule(chosen=subsets, span=spans, step=steps)
    def read_buckets(self, chosen: list[str] | None, span: tuple[int, int], step: int) -> None:
        first, days = span
        start = (BASE + first * DAY_MS) // step * step
        end = -(-(BASE + (first + days) * DAY_MS) // step) * step
        if end <= start:
            return
        asked = [vm for vm in sorted(self.model.names()) if chosen is None or vm in chosen]
        got: Any
        try:
            got = self.run(bucketed(self.history, start, end, step, filters=only(chosen)))
        except BadRequestError:
            got = Refused
        try:
            expected: Any = self.model.read_buckets(asked, start, end, step)
        except Refused:
            expected = Refused
        event("buckets refused" if expected is Refused else "buckets answered")
        if Refused in (got, expected):
            assert got is expected
            return
        assert got.keys() == expected.keys()
        for vm, own in expected.items():
            assert got[vm].keys() == own.keys()
            for bucket, column in own.items():
                assert got[vm][bucket] == pytest.approx(column, rel=1e-12, abs=1e-9)


def only(chosen: list[str] | None) -> tuple[TagFilter, ...]:
    if chosen is None:
        return ()
    return (TagFilter("vm", FilterKind.LITERAL_OR, "|".join(chosen)),)


TestStoring = pytest.mark.timeout(600)(Storing.TestCase)
TestStoring.settings = settings(
    max_examples=10,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
