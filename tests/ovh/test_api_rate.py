"""The rate limit: kept in every minute, urgent calls first."""

from __future__ import annotations

import asyncio

import pytest

from bridge.ovh.errors import OvhRateLimitedError
from bridge.ovh.throttle import Throttle
from tests.ovh.calling import opened
from tests.ovh.upstream import FakeTime, Upstream


@pytest.mark.parametrize("limit", [1, 5, 12, 60, 600])
async def test_no_minute_holds_more_calls_than_the_limit(limit: int) -> None:
    clock = FakeTime()
    throttle = Throttle(limit, clock=clock, sleep=clock.sleep)
    taken: list[float] = []

    async def caller(*, urgent: bool) -> None:
        for _ in range(limit):
            await throttle.take(urgent=urgent)
            taken.append(clock.now)

    await asyncio.gather(caller(urgent=False), caller(urgent=True))
    assert len(taken) == 2 * limit
    for start in taken:
        assert sum(start <= stamp < start + 60 for stamp in taken) <= limit
    # Nor is it much slower than it may be.
    assert taken[-1] - taken[0] <= 60 * 2.5


async def test_first_poll_after_a_start_is_not_held_up() -> None:
    clock = FakeTime()
    throttle = Throttle(60, clock=clock, sleep=clock.sleep)
    for _ in range(38):
        await throttle.take()
    assert clock.slept == []
    for _ in range(2):
        await throttle.take(urgent=True)
    assert clock.slept == []
    await throttle.take(urgent=True)
    assert clock.slept != []


async def test_clock_set_back_stops_nobody_for_long() -> None:
    clock = FakeTime()
    throttle = Throttle(60, clock=clock, sleep=clock.sleep)
    throttle.pause(30)
    for _ in range(60):
        await throttle.take()
    clock.now -= 86_400
    started = clock.now
    for _ in range(60):
        await throttle.take()
    assert clock.now - started < 200


async def test_whoever_waits_is_told_of_a_long_pause(upstream: Upstream) -> None:
    upstream.tree["/x"] = 1
    async with opened(upstream.account()) as api:
        upstream.fault("/1.0/x", 429, b"{}", headers={"Retry-After": "3600"})
        with pytest.raises(OvhRateLimitedError):
            await api.get("/x")
        asked = len(upstream.calls)
        with pytest.raises(OvhRateLimitedError, match="asked again in 30 s") as told:
            await api.get("/x", urgent=True)
        assert (told.value.status, told.value.retry_after) == (503, 30)
        assert len(upstream.calls) == asked
        assert await api.get("/x") == 1  # who has time waits
        assert await api.get("/x", urgent=True) == 1


async def test_calls_wait_for_the_rate(upstream: Upstream) -> None:
    upstream.tree["/x"] = 1
    clock = FakeTime()
    account = upstream.account(calls_per_minute=12)
    async with opened(account, clock=clock, sleep=clock.sleep) as api:
        for _ in range(13):
            await api.get("/x")
    assert api.calls == 14
    assert sum(clock.slept) >= 55


async def test_urgent_call_passes_a_waiting_poll() -> None:
    clock = FakeTime()
    blocked = asyncio.Event()

    async def sleep(_: float) -> None:
        blocked.set()
        await asyncio.sleep(3600)

    throttle = Throttle(60, clock=clock, sleep=sleep)

    async def poll() -> None:
        while True:
            await throttle.take()

    polling = asyncio.create_task(poll())
    await blocked.wait()
    await throttle.take(urgent=True)
    polling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await polling


async def test_cancelled_wait_takes_no_token() -> None:
    clock = FakeTime()

    async def never(_: float) -> None:
        await asyncio.sleep(3600)

    throttle = Throttle(6, clock=clock, sleep=never)
    for _ in range(4):
        await throttle.take()
    waiting = asyncio.create_task(throttle.take())
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    # The next one comes after the start's advance of three, at six a minute.
    clock.now += 40.0
    await asyncio.wait_for(throttle.take(), 5)
