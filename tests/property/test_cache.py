"""Whatever is asked, written, broken and set: the cache keeps its promise."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from tests.engine.cache_steps import run
from tests.engine.cache_world import FILTERS, FUNCTIONS, SERIES, STEPS_MS, Ask, World

rows = st.integers(0, len(SERIES) - 1)
minutes = st.integers(0, 420)


class CacheMachine(RuleBasedStateMachine):
    @initialize(room=st.sampled_from([5_000, 40_000, 50_000_000]))
    def begin(self, room: int) -> None:
        self.world = World(max_bytes=room)
        self.runner = asyncio.Runner()
        self.asks: list[Ask] = []

    def teardown(self) -> None:
        self.runner.run(self.world.cache.close())
        self.runner.close()

    @rule(
        filters=st.sampled_from(FILTERS),
        step=st.sampled_from((0, *STEPS_MS)),
        functions=st.frozensets(st.sampled_from(FUNCTIONS), min_size=1, max_size=2),
        ago=minutes,
        length=st.integers(1, 300),
        seen=st.booleans(),
    )
    def ask(
        self, filters: Any, step: int, functions: Any, ago: int, length: int, seen: bool
    ) -> None:
        grid = step or 1000
        end = -(-(self.world.now_ms + 600_000 - ago * 60_000) // grid) * grid
        start = min((end - length * 60_000) // grid * grid, end - grid)
        ask = Ask(filters, start, end, step, functions, seen)
        self.asks = [*self.asks[-20:], ask]
        self.runner.run(self.world.query(ask))

    @rule(at=st.integers(0, 20), slide=st.integers(0, 10), seen=st.booleans())
    def ask_again(self, at: int, slide: int, seen: bool) -> None:
        if self.asks:
            self.runner.run(self.world.query(self._slid(at, slide, seen)))

    @rule(
        burst=st.lists(
            st.tuples(
                st.integers(0, 20),
                st.integers(0, 3),
                st.booleans(),
                st.booleans(),
                st.sampled_from([0, 0, 1, 16]),
            ),
            min_size=2,
            max_size=6,
        ),
        turns=st.integers(0, 15),
        apart=st.integers(0, 4),
    )
    def ask_together(self, burst: Any, turns: int, apart: int) -> None:
        if not self.asks:
            return
        self.world.store.turns = turns

        async def run() -> None:
            tasks = []
            for at, slide, seen, leaves, seconds in burst:
                task = asyncio.create_task(self.world.query(self._slid(at, slide, seen)))
                tasks.append((task, leaves))
                for _ in range(apart):
                    await asyncio.sleep(0)
                self.world.wait(seconds)
            for task, leaves in tasks:
                if leaves:
                    task.cancel()
            outcomes = await asyncio.gather(*(t for t, _ in tasks), return_exceptions=True)
            for outcome, (task, leaves) in zip(outcomes, tasks, strict=True):
                if isinstance(outcome, BaseException) and not (leaves and task.cancelled()):
                    raise outcome

        self.runner.run(run())

    @rule(seconds=st.sampled_from([1, 5, 14, 16, 40, 61, 130, 301, 700, 1900]))
    def wait(self, seconds: int) -> None:
        self.world.wait(seconds)

    @rule(seconds=st.sampled_from([-7200, -3600, -400, -20, -5, 5, 20, 400, 3600]))
    def set_clock(self, seconds: int) -> None:
        self.world.set_clock(seconds)

    @rule(row=rows, age=st.integers(0, 298), value=st.integers(0, 50))
    def write(self, row: int, age: int, value: int) -> None:
        self.world.write(row, age, value)

    @rule(row=rows, at=st.lists(minutes, min_size=1, max_size=3), value=st.integers(51, 99))
    def bring_in(self, row: int, at: list[int], value: int) -> None:
        self.world.bring_in(row, at, value)

    @rule(failing=st.booleans())
    def fail(self, failing: bool) -> None:
        self.world.store.failing = failing

    @rule(lost=st.none() | rows)
    def lose(self, lost: int | None) -> None:
        self.world.store.lost = None if lost is None else tuple(sorted(SERIES[lost].items()))

    def _slid(self, at: int, slide: int, seen: bool) -> Ask:
        ask = self.asks[at % len(self.asks)]
        by = slide * (ask.step_ms or 60_000)
        return Ask(
            ask.filters, ask.start_ms + by, ask.end_ms + by, ask.step_ms, ask.functions, seen
        )


TestCache = CacheMachine.TestCase
TestCache.settings = settings(
    max_examples=40,
    stateful_step_count=50,
    deadline=None,
    phases=set(Phase) - {Phase.explain},
)


def test_a_long_random_life() -> None:
    """More of the same, without the cost of shrinking; ``make soak`` makes it a million."""
    seen = run(3_000, seed=20_000)
    assert seen["fresh"] > 500
    assert seen["marked"] > 50
    assert seen["failed"] > 50
