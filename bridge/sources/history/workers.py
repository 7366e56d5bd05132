"""The threads of an open store: some that read side by side, one that writes.

A question whose asker has gone is interrupted: it must not keep others waiting.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Protocol, TypeVar

from bridge.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ResultT = TypeVar("ResultT")

#: Questions answered side by side; more wait.
READERS = 4

#: Seconds between two attempts to interrupt a step.
AGAIN_S = 0.02


class Interruptible(Protocol):
    """A connection whose query another thread can end."""

    def interrupt(self) -> None:
        """Let the running query fail."""


class Job:
    """One question or step, and the connections it uses at the moment."""

    _here = threading.local()

    def __init__(self) -> None:
        self._state = threading.Lock()
        self._used: list[Interruptible] = []
        self._stopped = False

    @classmethod
    def current(cls) -> Job | None:
        """Return the job of this thread, if it has one."""
        job: Job | None = getattr(cls._here, "job", None)
        return job

    def run(self, work: Callable[[], ResultT]) -> ResultT:
        """Do the work in this thread."""
        Job._here.job = self
        try:
            return work()
        finally:
            Job._here.job = None

    @contextlib.contextmanager
    def using(self, connection: Interruptible) -> Iterator[None]:
        """Note what to interrupt; nobody wants the rest of a job that was stopped."""
        with self._state:
            if self._stopped:
                raise UnavailableError("nobody waits for the answer any more")
            self._used.append(connection)
        try:
            yield
        finally:
            with self._state:
                self._used.remove(connection)

    def stop(self) -> None:
        """Interrupt the work."""
        with self._state:
            self._stopped = True
            for connection in self._used:
                connection.interrupt()


class Workers:
    """Runs work beside the event loop."""

    def __init__(self) -> None:
        self._readers = ThreadPoolExecutor(READERS, "history-read")
        self._long = ThreadPoolExecutor(1, "history-long")
        self._writer = ThreadPoolExecutor(1, "history-write")
        self._step: Job | None = None
        self._stopped = False

    async def read(self, work: Callable[[], ResultT]) -> ResultT:
        """Run a question; it is interrupted when the asker is cancelled."""
        return await self._interruptible(self._readers, work)

    async def read_long(self, work: Callable[[], ResultT]) -> ResultT:
        """Run what may read for minutes, one at a time; interrupted in the same way."""
        return await self._interruptible(self._long, work)

    async def write(self, work: Callable[[], ResultT]) -> ResultT:
        """Run what changes the store, after whatever is changing it, to its end."""
        return await self._run(self._writer, work)

    async def write_in_steps(self, steps: Iterator[object]) -> None:
        """Run an iterator to its end; writes come in between its items."""
        end = object()

        def step() -> object:
            self._step = Job()
            try:
                return self._step.run(lambda: next(steps, end))
            finally:
                self._step = None

        while await self.write(step) is not end:
            pass

    async def interrupt_step(self) -> None:
        """Let a step that is under way fail: what it was to do is done another time."""
        while self._interrupted():  # noqa: ASYNC110 -- in a thread, which can tell nobody
            await asyncio.sleep(AGAIN_S)

    def stop(self) -> None:
        """End what is under way and take nothing more."""
        self._stopped = True
        while self._interrupted():
            time.sleep(AGAIN_S)
        for pool in (self._readers, self._long, self._writer):
            pool.shutdown(cancel_futures=True)

    def _interrupted(self) -> bool:
        """Interrupt the step under way; return whether there was one.

        Once is not enough: between two queries of a step nothing can be interrupted.
        """
        step = self._step
        if step is not None:
            step.stop()
        return step is not None

    async def _interruptible(
        self, pool: ThreadPoolExecutor, work: Callable[[], ResultT]
    ) -> ResultT:
        job = Job()
        try:
            return await self._run(pool, lambda: job.run(work))
        except asyncio.CancelledError:
            job.stop()
            raise

    async def _run(self, pool: ThreadPoolExecutor, work: Callable[[], ResultT]) -> ResultT:
        if self._stopped:
            raise UnavailableError("the recording is being closed")
        return await asyncio.get_running_loop().run_in_executor(pool, work)
