"""Answers kept for a while; equal questions at the same time are asked once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from cachetools import TLRUCache

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Hashable

ValueT = TypeVar("ValueT")


class _Running(NamedTuple):
    task: asyncio.Task[Any]
    since: float


class Remembered(Generic[ValueT]):
    """A bounded cache of what coroutines answer, by key.

    A caller that is cancelled cancels nobody else's answer; a failure goes to those who wait
    for it and is not kept.

    Args:
        keep_s: How long an answer holds, or how to tell; 0 keeps none.
        timer: Monotonic seconds.
        room: The most that is kept, in the unit of ``size_of``.
        size_of: What an answer takes.
        join_s: How long after a question was sent others like it still wait for its answer.
    """

    def __init__(
        self,
        keep_s: float | Callable[[ValueT], float],
        timer: Callable[[], float],
        *,
        room: int = 1024,
        size_of: Callable[[ValueT], int] = lambda _: 1,
        join_s: float = 60.0,
    ) -> None:
        self._timer = timer
        self._join_s = join_s
        self._answers: TLRUCache[Hashable, ValueT] = TLRUCache(
            room,
            lambda _, value, now: now + (keep_s(value) if callable(keep_s) else keep_s),
            timer,
            size_of,
        )
        self._running: dict[Hashable, _Running] = {}

    async def get(self, key: Hashable, ask: Callable[[], Coroutine[Any, Any, ValueT]]) -> ValueT:
        """Return the answer to ``key``, asking only where none is kept or on its way.

        Raises:
            Exception: Whatever ``ask`` raises.
        """
        try:
            return self._answers[key]
        except KeyError:
            pass
        now = self._timer()
        running = self._running.get(key)
        if running is None or now - running.since > self._join_s:
            task = asyncio.create_task(ask())
            running = self._running[key] = _Running(task, now)
            task.add_done_callback(lambda done: self._ended(key, done))
        # Waited for, not awaited: a cancelled caller must not cancel the task.
        await asyncio.wait((running.task,))
        answer: ValueT = running.task.result()
        return answer

    def forget(self) -> None:
        """Drop every answer, those on their way included: their callers get them all the same."""
        self._answers.clear()
        self._running.clear()

    async def close(self) -> None:
        """Abandon what is on its way."""
        tasks = [running.task for running in self._running.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _ended(self, key: Hashable, task: asyncio.Task[ValueT]) -> None:
        running = self._running.get(key)
        current = running is not None and running.task is task
        if current:
            del self._running[key]
        # Asking for the exception says that it was seen, even if nobody waits any more.
        if task.cancelled() or task.exception() is not None or not current:
            return
        try:
            self._answers[key] = task.result()
        except ValueError:  # larger than all the room there is
            return
