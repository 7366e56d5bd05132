"""Opens the recording in the background, and again as long as that fails; then keeps it.

A bridge whose recording cannot be opened serves everything else, and says so.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import structlog

from bridge.errors import BridgeError
from bridge.ovh.together import together

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Protocol

    from bridge.ovh.recorder import Recorder
    from bridge.ovh.throttle import Sleep

    class Kept(Protocol):
        """A recording that is opened, kept in order, and closed."""

        async def open(self) -> None:
            """Open it; BridgeError says why that is impossible just now."""

        async def close(self) -> None:
            """Finish what is under way and close it."""

        async def run_maintenance(self) -> None:
            """Do what has to be done beside recording, without end."""

        async def interrupt_maintenance(self) -> None:
            """Break off what a cancelled ``run_maintenance`` has left running."""


RETRY_S = 30.0
#: What is left to write at the end gets so many seconds.
FINISH_S = 5.0
#: What recording can be: not opened (yet), or a state of the recorder.
RECORDING_STATES = ("closed", "waiting", "recording", "failing")

log = structlog.get_logger(__name__)


class RecordingKeeper:
    """Keeps the recording open while ``run`` runs.

    Args:
        history: Where it is.
        recorder: Writes to it; None where it is only read.
        work: More to run while it is open.
        sleep: Coroutine that waits, in seconds.
    """

    def __init__(
        self,
        history: Kept,
        recorder: Recorder | None,
        *work: Callable[[], Awaitable[None]],
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._history = history
        self._recorder = recorder
        self._work = work
        self._sleep = sleep
        self._is_open = False
        self._problem: str | None = None

    @property
    def state(self) -> str:
        """One of ``RECORDING_STATES``."""
        if not self._is_open:
            return "closed"
        return "waiting" if self._recorder is None else self._recorder.state.state

    def problem(self) -> str | None:
        """Say what is wrong with the recording now, None where nothing is."""
        if self._problem is not None:
            return f"nothing is recorded, and nothing of the recording can be read: {self._problem}"
        if self._recorder is None:
            return None
        state = self._recorder.state
        if state.state == "failing":
            return (
                f"recording has stopped: {state.problem}; {state.waiting_polls} polls wait in "
                f"memory, {state.lost_polls} are lost"
            )
        return None

    async def run(self) -> None:
        """Open the recording, then record and maintain it for ever."""
        while not await self._open():
            await self._sleep(RETRY_S)
        self._is_open = True
        log.info("recording_opened")
        # It ends only when all of it has ended: what still runs needs the open recording.
        recorder = [] if self._recorder is None else [self._recorder.run()]
        await together(*recorder, self._maintain(), *(self._beside(work) for work in self._work))

    async def close(self) -> None:
        """Close the recording, after what has been polled is written; ``run`` must have ended."""
        if self._is_open:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FINISH_S):
                    await self._history.interrupt_maintenance()
                    if self._recorder is not None:
                        await self._recorder.finish()
        await self._history.close()

    async def _beside(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except Exception:  # recording must outlive a mistake in what runs beside it
            log.exception("recording_work_failed")

    async def _maintain(self) -> None:
        while True:
            try:
                await self._history.run_maintenance()
            except Exception:  # recording must outlive a mistake in maintenance
                log.exception("maintenance_failed")
            await self._sleep(RETRY_S)

    async def _open(self) -> bool:
        try:
            await self._history.open()
        except (BridgeError, OSError) as error:
            problem = error.message if isinstance(error, BridgeError) else str(error)
            if problem != self._problem:
                log.error("recording_not_opened", reason=problem)  # noqa: TRY400 -- no mystery
            self._problem = problem
        except Exception:  # the bridge must outlive a mistake in its recording
            log.exception("recording_failed_to_open")
            self._problem = "an internal error; the log has the details"
        else:
            self._problem = None
        return self._problem is None
