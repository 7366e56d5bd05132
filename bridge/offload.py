"""Long work beside the event loop, in slices.

A worker thread that computes for long keeps taking the interpreter back from the event
loop. Between two slices no thread computes, so waiting requests get their turn.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator

ItemT = TypeVar("ItemT")

#: Seconds of work between two turns of the event loop.
SLICE_S = 0.01


async def in_slices(work: Iterator[ItemT]) -> list[ItemT]:
    """Run an iterator to its end in a worker thread, a slice at a time.

    Args:
        work: Does its computing in ``__next__``; each step should be short.
    """
    done: list[ItemT] = []

    def one_slice() -> bool:
        until = time.perf_counter() + SLICE_S
        for item in work:
            done.append(item)
            if time.perf_counter() > until:
                return True
        return False

    while await asyncio.to_thread(one_slice):
        pass
    return done
