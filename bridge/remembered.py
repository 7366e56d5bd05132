"""Answers kept for a while; equal questions at the same time are asked once."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from cachetools import TLRUCache

from bridge.offload import turn

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Hashable

ValueT = TypeVar("ValueT")


@dataclass(eq=False, slots=True)
class _Running:
    task: asyncio.Task[Any]
    since: float
    waiting: int = 0


class Remembered(Generic[ValueT]):
    """A bounded cache of what coroutines answer, by key.

    A caller that is cancelled cancels nobody else's answer; where nobody waits any more, the
    asking ends. A failure goes to those who wait for it and is not kept.

    Args:
        keep_s: How long an answer holds, or how to tell; 0 keeps none.
        timer: Monotonic seconds.
        room: The most that is kept, in the unit of ``size_of``.
        size_of: What an answer takes.
        holds: Whether an answer holds for who asked at a moment, later than it was begun.
    """

    def __init__(
        self,
        keep_s: float | Callable[[ValueT], float],
        timer: Callable[[], float],
        *,
        room: int = 1024,
        size_of: Callable[[ValueT], int] = lambda _: 1,
        holds: Callable[[ValueT, float], bool] = lambda _, __: True,
    ) -> None:
        self._timer = timer
        self._holds = holds
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
        asked = self._timer()
        while True:
            try:
                return self._answers[key]
            except KeyError:
                pass
            running = self._running.get(key)
            if running is None:
                running = self._running[key] = _Running(asyncio.create_task(ask()), self._timer())
                running.task.add_done_callback(lambda done: self._ended(key, done))
            answer: ValueT = await self._outcome(key, running)
            if running.since >= asked or self._holds(answer, asked):
                return answer

    async def _outcome(self, key: Hashable, running: _Running) -> ValueT:
        running.waiting += 1
        try:
            # Waited for, not awaited: a cancelled caller must not cancel the task.
            await asyncio.wait((running.task,))
        finally:
            running.waiting -= 1
            if not running.waiting and not running.task.done():
                if self._running.get(key) is running:  # whoever comes now asks anew
                    del self._running[key]
                running.task.cancel()
        await turn()  # many may have waited, and all go on from here
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
