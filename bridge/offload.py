"""Long work beside other requests, in slices.

Work of medium size runs in the event loop itself, which gets a turn after every slice; a
thread would only cost latency, since almost all of the work holds the interpreter. Large
work, whose single steps may be long, runs in a worker thread; between two slices no thread
computes, so that waiting requests get the interpreter (docs/performance.md).
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, TypeVar
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from collections.abc import Iterator

ItemT = TypeVar("ItemT")

#: Seconds of work between two turns of the event loop.
SLICE_S = 0.004

#: Points from which a worker thread does the work.
THREAD_POINTS = 200_000


async def in_slices(work: Iterator[ItemT], points: int) -> list[ItemT]:
    """Run an iterator to its end, a slice at a time.

    Args:
        work: Does its computing in ``__next__``.
        points: About how many points it goes through.
    """
    done: list[ItemT] = []

    def one_slice() -> bool:
        until = time.perf_counter() + SLICE_S
        for item in work:
            done.append(item)
            if time.perf_counter() > until:
                return True
        return False

    while True:
        async with turn():
            more = await asyncio.to_thread(one_slice) if points > THREAD_POINTS else one_slice()
        if not more:
            return done
        await asyncio.sleep(0)


#: Of each event loop: who has it computes, until the loop has looked for other events.
_TURNS: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()


def turn() -> asyncio.Lock:
    """Return what to hold while computing for a millisecond or more.

    Many requests may be ready to compute at the same time. Each by itself is short; one after
    the other within one round of the loop they would be a long stall for all others.
    """
    loop = asyncio.get_running_loop()
    lock = _TURNS.get(loop)
    if lock is None:
        lock = _TURNS[loop] = asyncio.Lock()
    return lock
