"""The threads of an open store: some that read side by side, one that writes."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ResultT = TypeVar("ResultT")

#: Questions answered side by side; more wait.
READERS = 4


class Workers:
    """Runs work beside the event loop."""

    def __init__(self) -> None:
        self._readers = ThreadPoolExecutor(READERS, "history-read")
        self._long = ThreadPoolExecutor(1, "history-long")
        self._writer = ThreadPoolExecutor(1, "history-write")

    async def read(self, work: Callable[[], ResultT]) -> ResultT:
        """Run a question."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, work)

    async def read_long(self, work: Callable[[], ResultT]) -> ResultT:
        """Run what may read for minutes, one at a time."""
        return await asyncio.get_running_loop().run_in_executor(self._long, work)

    async def write(self, work: Callable[[], ResultT]) -> ResultT:
        """Run what changes the store, after whatever is changing it."""
        return await asyncio.get_running_loop().run_in_executor(self._writer, work)

    async def write_in_steps(self, steps: Iterator[object]) -> None:
        """Run an iterator to its end; writes come in between its items."""
        end = object()
        while await self.write(lambda: next(steps, end)) is not end:
            pass

    def stop(self) -> None:
        """End what is under way and take nothing more."""
        for pool in (self._readers, self._long, self._writer):
            pool.shutdown(cancel_futures=True)
