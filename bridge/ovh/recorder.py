"""The recorder: every poll of the inventory becomes points in the recording.

One poll of one service is one transaction. Polling never waits for the recording: polls
queue up, and while the recording fails, what could not be written waits in memory, up to a
limit, and follows once it works again.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

import structlog

from bridge.errors import BadRequestError, BridgeError
from bridge.offload import in_slices
from bridge.ovh.grid import stamp_ms
from bridge.ovh.growth import GrowthWatch
from bridge.ovh.ledger import Ledger, batch_of
from bridge.ovh.readings import readings
from bridge.ovh.samples import recorded_samples

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from bridge.model import LabelEra, PointBatch, Recording, Source
    from bridge.ovh.eras import ObjectKey
    from bridge.ovh.expiry import ExpiryWatch
    from bridge.ovh.ledger import Entries
    from bridge.ovh.objects import Poll
    from bridge.ovh.samples import Samples
    from bridge.ovh.throttle import Clock

#: Polls that may wait to be looked at; of more the oldest are lost.
WAITING_POLLS = 16
#: Points that may wait for the recording to work again, about 30 bytes each.
WAITING_POINTS = 1_000_000
#: Seconds by which the clock may move between two polls without a word about it.
CLOCK_TOLERANCE_S = 5.0

_NO_ERAS: Mapping[ObjectKey, tuple[LabelEra, ...]] = MappingProxyType({})

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class RecordingState:
    """How recording is going.

    Attributes:
        state: ``waiting`` (nothing polled yet), ``recording`` or ``failing``.
        problem: One sentence while it is failing.
        written_ms: Stamp of the last poll written since the start.
        points: Points written since the start.
        waiting_polls: Polls that wait for the recording to work again.
        lost_polls: Polls given up since the start.
    """

    state: str = "waiting"
    problem: str | None = None
    written_ms: int | None = None
    points: int = 0
    waiting_polls: int = 0
    lost_polls: int = 0


class Recorder:
    """Records polls, one after another.

    Args:
        recording: Where to.
        source: The same recording, to be read: for ages across a restart, and for trends.
            None where it cannot be read.
        expiries: Of the accounts, by name.
        samples: Tells at a moment (epoch milliseconds) when objects last gave values; by
            default ``source`` does.
        records: Whether the values of a service are recorded, by its name; labels over time
            are noted of every service.
        clock: Epoch seconds.
        steady: Seconds of a clock that nobody sets.
    """

    def __init__(
        self,
        recording: Recording,
        source: Source | None,
        expiries: Mapping[str, ExpiryWatch],
        *,
        samples: Callable[[int], Awaitable[Samples]] | None = None,
        records: Callable[[str], bool] = lambda _: True,
        clock: Clock = time.time,
        steady: Clock = time.monotonic,
    ) -> None:
        self.state = RecordingState()
        self._recording = recording
        self._source = source
        self._expiries = expiries
        self._samples = samples
        self._records = records
        self._clock = clock
        self._steady = steady
        self._growth = GrowthWatch(source)
        self._ledger: Ledger | None = None
        self._polls: deque[Poll] = deque()
        self._current: Poll | None = None
        self._heard = asyncio.Event()
        self._unwritten: deque[tuple[PointBatch, tuple[LabelEra, ...]]] = deque()
        self._last_stamps: dict[str, int] = {}
        self._clocks: tuple[float, float] | None = None

    @property
    def eras(self) -> Mapping[ObjectKey, tuple[LabelEra, ...]]:
        """What is known of labels over time; empty until the recording has been read."""
        return _NO_ERAS if self._ledger is None else self._ledger.book.eras

    def hear(self, poll: Poll) -> None:
        """Take a poll, to be recorded by ``run``; never waits."""
        if len(self._polls) >= WAITING_POLLS:
            self._polls.popleft()
            self._lose()
        self._polls.append(poll)
        self._heard.set()

    async def run(self) -> None:
        """Read what is recorded, then record what is heard, for ever."""
        # Labels of the past are known from here on, before the first poll is over.
        await self._outlive(self.open())
        while True:
            await self._heard.wait()
            self._heard.clear()
            while self._polls:
                self._current = self._polls.popleft()
                await self._outlive(self.record(self._current))
                self._current = None

    async def finish(self) -> None:
        """Record what has been heard and is not recorded yet; ``run`` must have ended.

        Nothing is looked up for it any more: the recording is about to be closed.
        """
        if self._ledger is None:
            return
        rest = [*((self._current,) if self._current is not None else ()), *self._polls]
        self._current = None
        self._polls.clear()
        for poll in rest:
            await self._outlive(self._enter(poll, self._ledger))
        await self._outlive(self._write())

    async def _outlive(self, work: Awaitable[object]) -> None:
        """Do one piece of work; a mistake in it must not end the background loop."""
        try:
            await work
        except Exception:
            log.exception("recorder_failed")

    async def open(self) -> bool:
        """Read what an earlier run has recorded of labels and ages.

        Returns:
            Whether that has been done; otherwise ``state`` says why not.
        """
        if self._ledger is not None:
            return True
        try:
            eras = await self._recording.eras()
            samples = await self._recorded_samples()
        except BridgeError as error:
            self._fail(error)
            return False
        self._ledger = Ledger(eras, samples, growth=self._growth.kb_a_day)
        return True

    async def _recorded_samples(self) -> Samples:
        now_ms = round(self._clock() * 1000)
        try:
            if self._samples is not None:
                return await self._samples(now_ms)
            return {} if self._source is None else await recorded_samples(self._source, now_ms)
        except BadRequestError as error:
            # Too little is kept to tell: ages begin anew.
            log.warning("ages_unreadable", reason=error.message)
            return {}

    async def record(self, poll: Poll) -> None:
        """Record one poll, after what still waits; a failure becomes the state."""
        self._watch_clock(poll)
        if not await self.open() or self._ledger is None:
            self._lose()
            return
        expiry = self._expiries.get(poll.service.account)
        if expiry is not None and poll.service.state in {"ok", "partial"}:
            await expiry.refresh()
        await self._growth.refresh(stamp_ms(poll.started_at, poll.interval_s))
        await self._enter(poll, self._ledger)
        await self._write()

    async def _enter(self, poll: Poll, ledger: Ledger) -> None:
        """Make points of a poll, and let them wait to be written; once more changes nothing."""
        expiry = self._expiries.get(poll.service.account)
        expires_ms = None if expiry is None else expiry.expires_ms
        found = await in_slices(readings(poll), 0)
        entries: list[Entries] = []
        if self._records(poll.service.name):
            entries = await in_slices(ledger.entries(poll, found, expires_ms=expires_ms), 0)
        batch = batch_of(entries, stamp_ms(poll.started_at, poll.interval_s))
        # Nothing may come between: an era that is noted is written sooner or later.
        self._unwritten.append((batch, ledger.note(poll, found)))
        self._forget_oldest()

    async def _write(self) -> None:
        """Write what waits, oldest first, until that fails."""
        state = self.state
        while self._unwritten:
            batch, eras = self._unwritten[0]
            try:
                await self._recording.write(batch, eras)
            except BadRequestError as error:
                # It never will be taken, and must not stand in the others' way.
                log.error("points_refused", reason=error.message)  # noqa: TRY400 -- no mystery
                self._unwritten.popleft()
                self._lose()
                continue
            except BridgeError as error:
                self._fail(error)
                return
            self._unwritten.popleft()
            written = int(batch.stamps_ms[0]) if len(batch.stamps_ms) else self.state.written_ms
            points = self.state.points + len(batch.values)
            self.state = replace(self.state, written_ms=written, points=points)
        if state.state == "failing":
            log.info("recording_resumed", lost_polls=state.lost_polls)
        self.state = replace(self.state, state="recording", problem=None, waiting_polls=0)

    def _fail(self, error: BridgeError) -> None:
        if self.state.problem != error.message:
            log.error("recording_failed", reason=error.message)
        self.state = replace(
            self.state,
            state="failing",
            problem=error.message,
            waiting_polls=len(self._unwritten),
        )

    def _forget_oldest(self) -> None:
        """Keep what waits within its limit; eras are handed on to the next poll."""
        while (
            len(self._unwritten) > 1
            and sum(len(batch.values) for batch, _ in self._unwritten) > WAITING_POINTS
        ):
            _, eras = self._unwritten.popleft()
            batch, next_eras = self._unwritten[0]
            self._unwritten[0] = (batch, (*eras, *next_eras))
            self._lose()

    def _lose(self) -> None:
        self.state = replace(self.state, lost_polls=self.state.lost_polls + 1)

    def _watch_clock(self, poll: Poll) -> None:
        """Say so when the clock was set: stamps before and after do not follow each other."""
        now, steady = self._clock(), self._steady()
        stamp = stamp_ms(poll.started_at, poll.interval_s)
        last = self._last_stamps.get(poll.service.name)
        self._last_stamps[poll.service.name] = stamp
        before, self._clocks = self._clocks, (now, steady)
        moved_s = 0.0 if before is None else (now - before[0]) - (steady - before[1])
        if abs(moved_s) > CLOCK_TOLERANCE_S:
            log.warning("clock_moved", seconds=round(moved_s))
        if last is not None and stamp < last:
            log.warning(
                "points_replaced", service=poll.service.name, since_s=stamp // 1000,
                until_s=last // 1000,
            )  # fmt: skip
