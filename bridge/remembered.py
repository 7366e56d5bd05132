"""Answers kept for a while; equal questions at the same time are asked once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Generic, TypeVar

from cachetools import TTLCache

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Hashable

ValueT = TypeVar("ValueT")


class Remembered(Generic[ValueT]):
    """A small cache of what a coroutine answers, by key.

    A caller that is cancelled cancels nobody else's answer; a failure goes to those who wait
    for it and is not kept.

    Args:
        keep_s: How long an answer holds.
        timer: Monotonic seconds.
        most: Answers kept at once.
    """

    def __init__(self, keep_s: float, timer: Callable[[], float], *, most: int = 1024) -> None:
        self._answers: TTLCache[Hashable, ValueT] = TTLCache(most, keep_s, timer)
        self._running: dict[Hashable, asyncio.Task[ValueT]] = {}

    async def get(self, key: Hashable, ask: Callable[[], Coroutine[None, None, ValueT]]) -> ValueT:
        """Return the answer to ``key``, asking only where none is kept or on its way.

        Raises:
            Exception: Whatever ``ask`` raises.
        """
        try:
            return self._answers[key]
        except KeyError:
            pass
        task = self._running.get(key)
        if task is None:
            task = self._running[key] = asyncio.create_task(ask())
            task.add_done_callback(lambda done: self._ended(key, done))
        # Waited for, not awaited: a cancelled caller must not cancel the task.
        await asyncio.wait((task,))
        return task.result()

    def forget(self) -> None:
        """Drop every answer, those on their way included: their callers get them all the same."""
        self._answers.clear()
        self._running.clear()

    async def close(self) -> None:
        """Abandon what is on its way."""
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _ended(self, key: Hashable, task: asyncio.Task[ValueT]) -> None:
        current = self._running.get(key) is task
        if current:
            del self._running[key]
        if not task.cancelled() and task.exception() is None and current:
            self._answers[key] = task.result()
