"""Computing beside the event loop: in slices, in rounds, in order."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from bridge import offload
from bridge.offload import SLICE_S, in_slices, turn

if TYPE_CHECKING:
    from collections.abc import Iterator


class Clock:
    """Time that passes only by working."""

    def __init__(self) -> None:
        self.now = 0.0

    def work(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(offload, "time", SimpleNamespace(perf_counter=lambda: made.now))
    return made


async def longest_round(clock: Clock, tasks: list[asyncio.Task[None]]) -> float:
    """Run tasks to their end; return the most work between two looks of another task."""
    longest, last = 0.0, clock.now
    while not all(task.done() for task in tasks):
        await asyncio.sleep(0)
        longest, last = max(longest, clock.now - last), clock.now
    return longest


async def test_many_short_works_are_spread_over_rounds_in_their_order(clock: Clock) -> None:
    ended: list[int] = []

    async def short(number: int) -> None:
        await turn()
        clock.work(0.001)
        ended.append(number)

    tasks = [asyncio.create_task(short(number)) for number in range(100)]
    assert await longest_round(clock, tasks) <= SLICE_S + 0.0011
    assert ended == list(range(100))


async def test_long_works_take_turns(clock: Clock) -> None:
    def items() -> Iterator[int]:
        for number in range(50):
            clock.work(0.0005)
            yield number

    async def long() -> None:
        assert await in_slices(items(), 50) == list(range(50))

    tasks = [asyncio.create_task(long()) for _ in range(20)]
    assert await longest_round(clock, tasks) <= SLICE_S + 0.0011


async def test_after_work_that_took_too_long_a_turn_of_the_loop_is_free_of_any(
    clock: Clock,
) -> None:
    async def busy() -> None:
        await turn()
        clock.work(0.01)

    tasks = [asyncio.create_task(busy()) for _ in range(10)]
    worked, last = [], clock.now
    while not all(task.done() for task in tasks):
        await asyncio.sleep(0)
        worked.append(clock.now - last)
        last = clock.now
    assert sum(map(bool, worked)) == 10
    assert not any(one and following for one, following in pairwise(worked))


async def test_alone_nobody_waits(clock: Clock) -> None:
    looks = 0

    async def look() -> None:
        nonlocal looks
        while True:
            looks += 1
            await asyncio.sleep(0)

    looking = asyncio.create_task(look())
    for _ in range(3):
        assert await turn() == clock.now + SLICE_S
    assert looks == 0
    looking.cancel()


async def test_who_leaves_holds_nobody_up(clock: Clock) -> None:
    async def busy() -> None:
        await turn()
        clock.work(0.01)

    tasks = [asyncio.create_task(busy()) for _ in range(40)]
    await asyncio.sleep(0)
    for task in tasks[1::2]:
        task.cancel()
    outcomes = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 10)
    assert [type(one) for one in outcomes[1::2]] == [asyncio.CancelledError] * 20
    assert outcomes[0::2] == [None] * 20


async def test_large_work_runs_beside_the_loop_and_in_order() -> None:
    assert await in_slices(iter(range(1_000)), 10**9) == list(range(1_000))
