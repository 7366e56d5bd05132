"""The store: what the recorder writes to, and what brings it to the cluster."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeVar

import structlog
from tenacity import AsyncRetrying, retry_if_exception_type, wait_random_exponential

from bridge.errors import BridgeError, UpstreamError, UpstreamTimeoutError
from bridge.sources.opentsdb_store.put import PutClient
from bridge.sources.opentsdb_store.spool import Spool, Waiting

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from pathlib import Path

    from tenacity import RetryCallState

    from bridge.model import LabelEra, PointBatch
    from bridge.sources.opentsdb import OpenTsdb
    from bridge.sources.opentsdb_store.put import PointId
    from bridge.sources.opentsdb_store.spool import Spooled
    from bridge.sources.upstream import Upstream

ResultT = TypeVar("ResultT")

#: Seconds between two tries: random, up to the first, doubled, up to the second.
FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 15.0
#: Points of small polls that are sent together: OpenTSDB stores what it has once a second,
#: so one after the other, hundreds of services would never be done.
TOGETHER = 8 * 500
#: Seconds of delivering what came late after which what was read before is forgotten.
_LATE_TOLD_S = 10.0
#: Refused series that are remembered, so that each is logged once.
_MOST_REFUSED = 1_000
#: Seconds for which a refused series counts as a problem of now.
_REFUSED_S = 3_600.0

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class StoreState:
    """How writing to the cluster is going; counts are since the start.

    Attributes:
        waiting: What is in the spool.
        problem: One sentence while the cluster cannot be written to.
        demands: What should be set otherwise at the cluster, in sentences.
        written: Points that OpenTSDB has said are stored.
        written_ms: Stamp of the newest poll of these.
        refused: Points that OpenTSDB never will store.
        given_up_polls: Polls given up because the spool was full.
        given_up: Their points.
    """

    waiting: Waiting = field(default=Waiting())
    problem: str | None = None
    demands: tuple[str, ...] = ()
    written: int = 0
    written_ms: int | None = None
    refused: int = 0
    given_up_polls: int = 0
    given_up: int = 0


class OpenTsdbStore:
    """Implements ``Recording`` on an OpenTSDB cluster and a spool beside the bridge.

    Args:
        path: The spool's file.
        upstream: Connections to the cluster, for nothing else.
        server: The cluster, over these.
        spool_bytes: What the spool may hold.
        remembered: Metrics of which the newest points are kept, see ``last``.
        late_s: Seconds after which a point comes late: what was read before is wrong.
        on_late: Told of the stamp from which on points came late.
        clock: Epoch seconds.
    """

    def __init__(
        self,
        path: Path,
        upstream: Upstream,
        server: OpenTsdb,
        *,
        spool_bytes: int,
        remembered: Collection[str] = (),
        late_s: float = 300.0,
        on_late: Callable[[int], None] = lambda _: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.state = StoreState()
        self._spool = Spool(path, spool_bytes, remembered)
        self._upstream = upstream
        self._client = PutClient(server, self._note_refused)
        self._late_s = late_s
        self._on_late = on_late
        self._clock = clock
        # One thread: what is begun on the file is ended before anything else.
        self._thread: ThreadPoolExecutor | None = None
        self._wake = asyncio.Event()
        #: When each refused series was last refused, and the words for it.
        self._refused: dict[tuple[str, tuple[tuple[str, str], ...]], tuple[float, str]] = {}
        self._learnt = False
        self._late_ms: int | None = None
        self._late_since = 0.0

    def problems(self) -> tuple[str, ...]:
        """Say what is wrong, in sentences."""
        state = self.state
        found = []
        if state.problem is not None:
            waiting = state.waiting
            found.append(
                f"OpenTSDB is not written to: {state.problem}; {waiting.polls:,} polls "
                f"({waiting.points:,} points) wait in the spool"
            )
        if state.given_up_polls:
            found.append(
                f"the spool was full: {state.given_up_polls:,} polls ({state.given_up:,} points) "
                "have been given up since the start"
            )
        since = self._clock() - _REFUSED_S
        refused = [text for at, text in self._refused.values() if at > since]
        if refused:
            found.append(f"OpenTSDB does not take {len(refused):,} series, such as {refused[-1]}")
        return (*found, *state.demands)

    def late_ms(self) -> int | None:
        """Return the stamp from which on points wait that should have been stored by now."""
        oldest = self.state.waiting.oldest_ms
        if oldest is None or self._clock() - oldest / 1000 <= self._late_s:
            return None
        return oldest

    async def open(self) -> None:
        """Open the spool.

        Raises:
            BridgeError: It cannot be opened.
        """
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "spool")
        await self._in_thread(self._spool.open)
        await self._count()
        if self.state.waiting.polls:
            waiting = self.state.waiting
            _log.info("spool_not_empty", polls=waiting.polls, points=waiting.points)

    async def close(self) -> None:
        """Close the spool, after what is being written, and the connections."""
        await self._upstream.close()
        thread, self._thread = self._thread, None
        if thread is not None:
            await asyncio.get_running_loop().run_in_executor(thread, self._spool.close)
            thread.shutdown(wait=False)

    async def write(self, batch: PointBatch, eras: Sequence[LabelEra] = ()) -> None:
        """Keep points and eras until the cluster has them; the same once more changes nothing.

        Raises:
            BridgeError: Nothing of it has been kept.
        """
        polls, points = await self._in_thread(lambda: self._spool.put(batch, eras))
        if polls:
            _log.error("spool_full", polls=polls, points=points)
            state = self.state
            self.state = replace(
                state,
                given_up_polls=state.given_up_polls + polls,
                given_up=state.given_up + points,
            )
        await self._count()
        self._wake.set()

    async def eras(self) -> tuple[LabelEra, ...]:
        """Return every era this bridge has seen, by object and time."""
        return await self._in_thread(self._spool.eras)

    async def last(self) -> tuple[PointBatch, ...]:
        """Return the newest points of the remembered metrics, by service."""
        return await self._in_thread(self._spool.last)

    async def learn(self) -> PutClient:
        """Ask the cluster what it is, and whether it can be written to; writes nothing.

        Raises:
            UpstreamError, UpstreamTimeoutError: It cannot.
        """
        settings = await self._client.learn()
        demands = settings.demands()
        if demands != self.state.demands:
            for demand in demands:
                _log.warning("opentsdb_settings", reason=demand)
        self.state = replace(self.state, demands=demands)
        self._learnt = True
        return self._client

    async def run_maintenance(self) -> None:
        """Send what is in the spool, oldest first, without end."""
        while True:
            self._wake.clear()
            try:
                spooled = await self._in_thread(lambda: self._spool.oldest(TOGETHER))
                if spooled:
                    await self._deliver(spooled)
            except BridgeError as error:  # of the spool: the cluster's are tried again inside
                if self._is_new(error.message):
                    _log.warning("spool_failed", reason=error.message)
                await asyncio.sleep(LONGEST_WAIT_S)
                continue
            if not spooled:
                self._tell_late()
                await self._wake.wait()

    async def interrupt_maintenance(self) -> None:
        """Break off nothing: what is not sent any more stays in the spool."""

    async def _deliver(self, spooled: Sequence[Spooled]) -> None:
        """Send polls until all of them are stored, refused or given up."""
        newest = spooled[-1].number
        delivery = None
        # Ever slower, without end: only the spool's size bounds it.
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type((UpstreamError, UpstreamTimeoutError)),
            wait=wait_random_exponential(multiplier=FIRST_WAIT_S, max=LONGEST_WAIT_S),
            before_sleep=self._note_failure,
        ):
            with attempt:
                if await self._in_thread(self._spool.first) != spooled[0].number:
                    return  # given up meanwhile, some of them at least
                if not self._learnt:
                    await self.learn()
                if delivery is None:
                    delivery = await self._client.lines(one.batch for one in spooled)
                before = delivery.stored
                try:
                    await self._client.round(delivery)
                finally:
                    written = self.state.written + delivery.stored - before
                    self.state = replace(self.state, written=written)
        await self._in_thread(lambda: self._spool.remove(newest))
        await self._count()
        self._note_success([int(one.batch.stamps_ms.min()) for one in spooled])

    def _note_failure(self, retrying: RetryCallState) -> None:
        # It may be another server, or with other settings, when it is back.
        self._learnt = False
        error = retrying.outcome.exception() if retrying.outcome else None
        text = error.message if isinstance(error, BridgeError) else str(error)
        if self._is_new(text):
            _log.warning("opentsdb_not_written", reason=text)

    def _is_new(self, problem: str) -> bool:
        """Take note of a problem; return whether it is another one than before."""
        before = self.state.problem
        self.state = replace(self.state, problem=problem)
        return before != problem

    def _note_success(self, stamps_ms: Sequence[int]) -> None:
        oldest, newest = min(stamps_ms), max(stamps_ms)
        state = self.state
        if state.problem is not None:
            _log.info("opentsdb_written_again", waiting_polls=state.waiting.polls)
        self.state = replace(
            state, problem=None, written_ms=max(newest, state.written_ms or newest)
        )
        now = self._clock()
        if now - oldest / 1000 > self._late_s:
            if self._late_ms is None:
                self._late_ms, self._late_since = oldest, now
            self._late_ms = min(self._late_ms, oldest)
        if self._late_ms is not None and now - self._late_since > _LATE_TOLD_S:
            self._tell_late()

    def _tell_late(self) -> None:
        late, self._late_ms = self._late_ms, None
        if late is not None:
            self._on_late(late)

    def _note_refused(self, point: PointId, reason: str) -> None:
        metric, tags, _ = point
        series = metric, tags
        if series not in self._refused:
            if len(self._refused) >= _MOST_REFUSED:
                self._refused.pop(next(iter(self._refused)))
            _log.error("points_not_taken", metric=metric, tags=dict(tags), reason=reason)
        name = f"{metric}{{{','.join(f'{key}={text}' for key, text in tags)}}}"
        self._refused[series] = self._clock(), f"{name}: {reason}"
        self.state = replace(self.state, refused=self.state.refused + 1)

    async def _count(self) -> None:
        waiting = await self._in_thread(self._spool.waiting)
        self.state = replace(self.state, waiting=waiting)

    async def _in_thread(self, work: Callable[[], ResultT]) -> ResultT:
        if self._thread is None:
            raise BridgeError("the spool is not open")
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)
