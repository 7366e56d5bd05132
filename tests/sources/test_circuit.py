"""A host that keeps failing is left alone, probed, and welcomed back; others are not touched."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from bridge.errors import UpstreamError, UpstreamTimeoutError
from bridge.sources.circuit import FAILURES, FIRST_PAUSE_S, LONGEST_PAUSE_S, Circuit
from bridge.sources.upstream import Upstream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Clock:
    def __init__(self) -> None:
        self.now = 50.0

    def __call__(self) -> float:
        return self.now


def fail(circuit: Circuit, error: type[Exception] = UpstreamError) -> None:
    with contextlib.suppress(error), circuit.request():
        raise error("broken")


def answer(circuit: Circuit) -> None:
    with circuit.request():
        pass


def opened() -> tuple[Circuit, Clock]:
    clock = Clock()
    circuit = Circuit("metrics.example", clock)
    for _ in range(FAILURES):
        fail(circuit)
    return circuit, clock


def test_it_opens_after_failures_in_a_row_only() -> None:
    circuit = Circuit("metrics.example", Clock())
    for _ in range(3):
        for _ in range(FAILURES - 1):
            fail(circuit)
        answer(circuit)
    assert not circuit.is_open
    fail(circuit, UpstreamTimeoutError)
    for _ in range(FAILURES - 1):
        fail(circuit)
    with pytest.raises(UpstreamError, match=r"metrics\.example .* within 5 s"), circuit.request():
        pytest.fail("was sent")


def test_one_probe_decides_and_the_pause_doubles() -> None:
    circuit, clock = opened()
    pause = FIRST_PAUSE_S
    while pause < LONGEST_PAUSE_S:
        clock.now += pause
        fail(circuit)
        pause = min(2 * pause, LONGEST_PAUSE_S)
        clock.now += pause - 0.1
        with pytest.raises(UpstreamError, match="left alone"), circuit.request():
            pytest.fail("was sent")
        clock.now += 0.1
    with circuit.request(), pytest.raises(UpstreamError, match="left alone"):  # noqa: SIM117 -- the second is refused while the first probes
        with circuit.request():
            pytest.fail("was sent")
    assert not circuit.is_open


def test_a_cancelled_request_says_nothing_and_frees_the_probe() -> None:
    circuit, clock = opened()
    clock.now += FIRST_PAUSE_S
    fail(circuit, asyncio.CancelledError)
    assert circuit.is_open
    answer(circuit)
    assert not circuit.is_open


class Agrees(RuleBasedStateMachine):
    """Whatever happens: at most one probe a pause, never refused for longer than the pause."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.circuit = Circuit("h", self.clock)
        self.refused_since: float | None = None

    @rule(outcome=st.sampled_from(["fails", "answers"]))
    def request(self, outcome: str) -> None:
        sent = False
        with contextlib.suppress(UpstreamError), self.circuit.request():
            sent = True
            if outcome == "fails":
                raise UpstreamError("broken")
        if sent:
            self.refused_since = None
            assert outcome == "fails" or not self.circuit.is_open
        elif self.refused_since is None:
            self.refused_since = self.clock.now

    @rule(seconds=st.floats(0.0, 30.0))
    def wait(self, seconds: float) -> None:
        self.clock.now += seconds

    @invariant()
    def never_shut_for_ever(self) -> None:
        if self.refused_since is not None and self.circuit.is_open:
            waited = self.clock.now - self.refused_since
            if waited > LONGEST_PAUSE_S:
                with self.circuit.request():
                    self.refused_since = None


TestAgrees = Agrees.TestCase
TestAgrees.settings = settings(max_examples=50, stateful_step_count=30)


@contextlib.asynccontextmanager
async def upstream(timeout_s: float = 1.0) -> AsyncIterator[Upstream]:
    pool = Upstream(concurrency=2, timeout_s=timeout_s)
    try:
        yield pool
    finally:
        await pool.close()


@contextlib.asynccontextmanager
async def listening(reply: bytes | None) -> AsyncIterator[str]:
    """A server that answers these bytes, or nothing at all."""

    serving: set[asyncio.Task[None] | None] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(asyncio.current_task())
        with contextlib.closing(writer), contextlib.suppress(asyncio.IncompleteReadError):
            while True:
                await reader.readuntil(b"\r\n\r\n")
                if reply is None:
                    await asyncio.sleep(60)
                else:
                    writer.write(reply)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        tasks = [task for task in serving if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]"
REFUSED = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 2\r\n\r\nno"


async def test_a_dead_host_is_left_alone_and_a_living_one_is_not() -> None:
    async with upstream() as pool, listening(OK) as alive:
        async with listening(OK) as dead:
            pass
        for _ in range(FAILURES):
            with pytest.raises(UpstreamError, match="refused the connection"):
                await pool.request("GET", dead)
        with pytest.raises(UpstreamError, match="left alone"):
            await pool.request("GET", dead)
        assert (await pool.request("GET", alive)).body == b"[]"


async def test_a_host_that_refuses_is_asked_again_and_again() -> None:
    async with upstream() as pool, listening(REFUSED) as url:
        for _ in range(2 * FAILURES):
            assert (await pool.request("GET", url)).status == 500


async def test_a_host_that_hangs_takes_no_place_of_another() -> None:
    async with upstream(timeout_s=20.0) as pool, listening(None) as slow, listening(OK) as fast:
        hanging = [asyncio.create_task(pool.request("GET", slow)) for _ in range(20)]
        await asyncio.sleep(0.05)
        assert (await pool.request("GET", fast)).body == b"[]"
        assert not any(task.done() for task in hanging)
        for task in hanging:
            task.cancel()
        await asyncio.gather(*hanging, return_exceptions=True)
