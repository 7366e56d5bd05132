"""What is too much: of one client, and of all."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import httpx
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from bridge.doors.traffic import TrafficMiddleware
from tests.doors.test_http import assert_union

if TYPE_CHECKING:
    from starlette.requests import Request


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Slow:
    """An application whose requests end when they are let go."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.running = self.most = self.served = 0

    async def answer(self, _request: Request) -> Response:
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await self.go.wait()
        finally:
            self.running -= 1
        self.served += 1
        return Response()


def guarded(work: Any, clock: Clock | None = None, **limits: int) -> TrafficMiddleware:
    app = Starlette(routes=[Route(path, work) for path in ("/", "/healthz", "/readyz")])
    wanted = {"per_minute": 0, "running": 8, "waiting": 8, **limits}
    return TrafficMiddleware(app, clock=clock or Clock(), **wanted)


def client(app: TrafficMiddleware, address: str = "192.0.2.1") -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app, client=(address, 1234))
    return httpx.AsyncClient(transport=transport, base_url="http://bridge")


async def at_once(_request: Request) -> Response:
    return Response()


async def test_a_client_that_asks_too_fast_is_told_when_to_ask_again() -> None:
    clock = Clock()
    app = guarded(at_once, clock, per_minute=60)
    async with client(app) as fast, client(app, "192.0.2.2") as other:
        answers = [(await fast.get("/")).status_code for _ in range(12)]
        assert answers == [200] * 10 + [429] * 2
        refused = await fast.get("/")
        assert_union(refused, 429)
        assert refused.headers["retry-after"] == "1"
        assert (await other.get("/")).status_code == 200
        assert (await fast.get("/healthz")).status_code == 200
        clock.now += 1.0
        assert [(await fast.get("/")).status_code for _ in range(2)] == [200, 429]


@given(st.lists(st.floats(0, 5), max_size=200), st.sampled_from([1, 30, 60, 600]))
def test_no_minute_holds_much_more_than_allowed(pauses: list[float], per_minute: int) -> None:
    clock = Clock()
    limiter = guarded(at_once, clock, per_minute=per_minute)
    passed: list[float] = []
    for pause in pauses:
        clock.now += pause
        if limiter._take("a") == 0.0:
            passed.append(clock.now)
    for start in passed:
        within = sum(start <= moment < start + 60 for moment in passed)
        assert within <= per_minute + max(per_minute / 6, 1) + 1


async def test_requests_wait_for_their_turn_and_those_beyond_are_refused() -> None:
    slow = Slow()
    app = guarded(slow.answer, running=2, waiting=3)
    async with client(app) as asking:
        asked = [asyncio.create_task(asking.get("/")) for _ in range(7)]
        refused = {task.result() for task in (await asyncio.wait(asked, timeout=0.2))[0]}
        assert len(refused) == 2
        for answer in refused:
            assert_union(answer, 503)
            assert answer.headers["retry-after"] == "1"
        assert slow.running == 2
        slow.go.set()
        answers = await asyncio.gather(*asked)
    assert sorted(answer.status_code for answer in answers) == [200] * 5 + [503] * 2
    assert slow.most == 2


async def test_whoever_leaves_while_waiting_frees_the_place() -> None:
    slow = Slow()
    app = guarded(slow.answer, running=1, waiting=1)
    async with client(app) as asking:
        first = asyncio.create_task(asking.get("/"))
        second = asyncio.create_task(asking.get("/"))
        await asyncio.sleep(0.05)
        second.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await second
        third = asyncio.create_task(asking.get("/"))
        await asyncio.sleep(0.05)
        slow.go.set()
        assert [(await one).status_code for one in (first, third)] == [200, 200]
    assert slow.served == 2
