"""Long work beside other requests, in slices.

Work of medium size runs in the event loop itself, which gets a turn after every slice; a
thread would only cost latency, since almost all of the work holds the interpreter. Large
work, whose single steps may be long, runs in a worker thread; between two slices no thread
computes, so that waiting requests get the interpreter (docs/performance.md).
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from typing import TYPE_CHECKING, TypeVar
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from collections.abc import Iterator

ItemT = TypeVar("ItemT")

#: Seconds of work between two turns of the event loop.
SLICE_S = 0.003

#: Points from which a worker thread does the work.
THREAD_POINTS = 200_000


async def in_slices(work: Iterator[ItemT], points: int) -> list[ItemT]:
    """Run an iterator to its end, a slice at a time.

    Args:
        work: Does its computing in ``__next__``.
        points: About how many points it goes through.
    """
    done: list[ItemT] = []

    def one_slice(until: float) -> bool:
        for item in work:
            done.append(item)
            if time.perf_counter() > until:
                return True
        return False

    if points > THREAD_POINTS:
        while await asyncio.to_thread(one_slice, time.perf_counter() + SLICE_S):
            pass
    else:
        while one_slice(await turn()):  # noqa: ASYNC110 -- nothing is waited for: each turn works
            await asyncio.sleep(0)
    return done


async def turn() -> float:
    """Wait until the event loop has time for a millisecond or more of computing.

    Many requests may be ready at once. Each computes for a short time only, but one after
    the other within one round of the loop they would be a long stall for all others; so a
    round begins no work after ``SLICE_S`` seconds of it.

    Returns:
        When this round's time is over (``time.perf_counter``).
    """
    loop = asyncio.get_running_loop()
    rounds = _ROUNDS.get(loop)
    if rounds is None:
        rounds = _ROUNDS[loop] = _Rounds()
    return await rounds.turn()


class _Rounds:
    """The rounds of one event loop, and who waits for the next one."""

    def __init__(self) -> None:
        self._until: float | None = None
        self._ending = False
        self._resting = False
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []
        self._tickets = itertools.count()

    async def turn(self) -> float:
        if not self._waiting and (until := self._open()) is not None:
            return until
        ticket = next(self._tickets)
        while True:
            woken = asyncio.get_running_loop().create_future()
            heapq.heappush(self._waiting, (ticket, woken))
            self._end_soon()
            await woken
            until = self._open()
            if until is not None:
                return until

    def _open(self) -> float | None:
        """Return when this round's time is over, if it is not yet."""
        if self._resting:
            return None
        now = time.perf_counter()
        if self._until is None:
            self._until = now + SLICE_S
            self._end_soon()
        return self._until if now < self._until else None

    def _end_soon(self) -> None:
        if not self._ending:
            self._ending = True
            asyncio.get_running_loop().call_soon(self._end)

    def _end(self) -> None:
        self._ending = False
        overrun = self._until is not None and time.perf_counter() > self._until
        self._until = None
        if overrun:
            # What waits for more than one turn of the loop, as whatever arrives does, is not
            # to meet work in each of them.
            self._resting = True
            asyncio.get_running_loop().call_soon(self._rested)
        else:
            self._wake()

    def _rested(self) -> None:
        self._resting = False
        self._wake()

    def _wake(self) -> None:
        for _ in range(min(len(self._waiting), _WOKEN)):
            _, woken = heapq.heappop(self._waiting)
            if not woken.done():
                woken.set_result(None)
        if self._waiting:
            self._end_soon()


#: Who is woken at once: those for whom the round has no time wait again, in their order.
_WOKEN = 16

_ROUNDS: WeakKeyDictionary[asyncio.AbstractEventLoop, _Rounds] = WeakKeyDictionary()
