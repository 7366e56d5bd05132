"""The recording: a source of series, and the place where they are recorded."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Self

import structlog

from bridge.errors import BridgeError, UnavailableError
from bridge.sources.history import exporting, importing
from bridge.sources.history.aside import set_file_aside
from bridge.sources.history.backup import BackedUp, back_up
from bridge.sources.history.importing import Imported
from bridge.sources.history.layout import Layout
from bridge.sources.history.maintenance import MANY_LATE, Maintained, maintain
from bridge.sources.history.reading import read_buckets, read_points
from bridge.sources.history.retention import Retention
from bridge.sources.history.stats import HistoryStats, read_stats
from bridge.sources.history.store import Store
from bridge.sources.history.streaming import stream
from bridge.sources.history.verifying import Verified, verify
from bridge.sources.history.workers import Workers
from bridge.sources.history.writing import read_eras, write_batch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    from bridge.model import (
        BucketRequest,
        Buckets,
        LabelEra,
        PointBatch,
        PointRequest,
        Points,
        TagFilter,
    )
    from bridge.sources.history.exporting import ExportRequest

    Progress = Callable[[int, int], None]

_log = structlog.get_logger(__name__)

#: Seconds between two runs of maintenance.
MAINTENANCE_S = 300.0


class History:
    """Implements ``Source`` and ``Recording`` on a folder of this machine.

    Nothing is touched before ``open``, which ``async with`` calls.

    Args:
        folder: Where everything is; made when there is none.
        retention: How long each tier is kept.
        memory_mb: What the database may use.
        clock: Epoch seconds.
    """

    def __init__(
        self,
        folder: Path,
        retention: Retention | None = None,
        *,
        memory_mb: int = 256,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = Store(folder, retention or Retention(), memory_mb, clock)
        self._workers: Workers | None = None
        self._changing = asyncio.Lock()
        self._wake = asyncio.Event()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    @staticmethod
    def is_in(folder: Path) -> bool:
        """Tell whether a folder holds a recording."""
        return Layout(folder).database.is_file()

    @property
    def name(self) -> str:
        """The source's name, for messages."""
        return "the recording"

    async def open(self) -> None:
        """Open the store, and bring it to the present version.

        Raises:
            HistoryInUseError: Another bridge has it.
            HistoryVersionError: A newer bridge wrote it.
            HistoryDamagedError: Its database cannot be read.
            BridgeError: It cannot be opened for another reason.
        """
        await asyncio.to_thread(self._store.open)
        self._workers = Workers()

    async def interrupt_maintenance(self) -> None:
        """Break off a step of maintenance, so that a write need not wait for its end."""
        if self._workers is not None:
            await self._workers.interrupt_step()

    async def close(self) -> None:
        """Finish what is under way, but for maintenance, and close the store."""
        workers, self._workers = self._workers, None
        if workers is not None:
            await asyncio.to_thread(workers.stop)
            await asyncio.to_thread(self._store.close)

    async def buckets(self, request: BucketRequest) -> tuple[Buckets, ...]:
        """Fetch buckets; true gaps stay gaps.

        Raises:
            BadRequestError: What is kept for the range cannot give them exactly.
            BridgeError: The store failed.
        """
        workers = self._at_work
        selection = self._store.series.select(request.metric, request.filters)
        if not selection.tags:
            return ()
        return await workers.read(lambda: read_buckets(self._store, request, selection))

    async def points(self, request: PointRequest) -> tuple[Points, ...]:
        """Fetch raw points.

        Raises:
            TooMuchError: There are more than the request's limit.
            BadRequestError: They are no longer kept for all of the range.
            BridgeError: The store failed.
        """
        workers = self._at_work
        selection = self._store.series.select(request.metric, request.filters)
        if not selection.tags:
            return ()
        return await workers.read(lambda: read_points(self._store, request, selection))

    async def lookup(
        self, metric: str, filters: tuple[TagFilter, ...]
    ) -> tuple[Mapping[str, str], ...]:
        """List the tags of a metric's series.

        Raises:
            UnavailableError: The store is not open.
        """
        self._require_open()
        return self._store.series.select(metric, filters).tags

    async def metric_names(self, start: str, limit: int) -> tuple[str, ...]:
        """List the recorded metrics that begin with a text.

        Raises:
            UnavailableError: The store is not open.
        """
        self._require_open()
        return tuple(self._store.series.metrics(start)[:limit])

    async def write(self, batch: PointBatch, eras: Sequence[LabelEra] = ()) -> None:
        """Store points and eras in one transaction; the same once more changes nothing.

        Raises:
            BadRequestError: A value or time that cannot be stored.
            HistoryFullError: The disk is full.
            BridgeError: Nothing of it has been stored.
        """
        await self._at_work.write(lambda: write_batch(self._store, batch, eras))
        if self._store.late_waiting >= MANY_LATE:
            self._wake.set()

    async def eras(self) -> tuple[LabelEra, ...]:
        """Return every era stored, by object and time."""

        def read() -> tuple[LabelEra, ...]:
            with self._store.snapshot() as cursor:
                return read_eras(cursor)

        return await self._at_work.read(read)

    async def maintain(self, *, everything: bool = False) -> Maintained:
        """Move points into files, roll them up, and delete what is too old.

        Args:
            everything: Move all points up to the last whole hour, and every late one,
                whatever the clock has done; deletes only what is too old, as always.

        Raises:
            BridgeError: A step failed; what was done before it stays done.
        """
        done = Maintained()
        async with self._changing:
            steps = maintain(self._store, done, everything=everything)
            await self._at_work.write_in_steps(steps)
        if done.failed is not None:
            raise done.failed
        return done

    async def compact(self) -> Maintained:
        """Move all points up to the last whole hour into files, and every late one.

        Raises:
            BridgeError: As ``maintain``.
        """
        return await self.maintain(everything=True)

    async def run_maintenance(self, interval_s: float = MAINTENANCE_S) -> None:
        """Run maintenance from time to time, without end; a failing run is logged.

        Many points that come late, as from a backfill, do not wait for the next time.
        """
        while True:
            self._wake.clear()
            try:
                done = await self.maintain()
            except BridgeError as error:
                _log.warning("history.maintenance_failed", problem=error.message)
            else:
                if done.merged or done.deleted:
                    _log.info(
                        "history.maintained",
                        moved=done.moved,
                        merged=done.merged,
                        deleted=done.deleted,
                    )
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), interval_s)

    async def stats(self) -> HistoryStats:
        """Count what the store holds."""
        return await self._at_work.read(lambda: read_stats(self._store))

    async def verify(self, progress: Progress | None = None) -> Verified:
        """Read everything and say what is wrong with it; maintenance waits meanwhile.

        Args:
            progress: Told how many parts of months have been read, and of how many.
        """
        told = self._telling(progress)
        async with self._changing:
            return await self._at_work.read_long(lambda: verify(self._store, told))

    def export(self, request: ExportRequest) -> AsyncIterator[bytes]:
        """Give points as a stream of CSV or Parquet.

        Raises (while it is read):
            BadRequestError: Nothing matches, or it cannot be written so; nothing was given.
            BridgeError: The store failed; what has been given is incomplete.
        """
        return stream(self._at_work, lambda sink: exporting.export(self._store, request, sink))

    async def import_file(self, path: Path, progress: Progress | None = None) -> Imported:
        """Store the points of a CSV or Parquet file; the same once more changes nothing.

        An import that was broken off goes on with the month it was in.

        Args:
            path: The file.
            progress: Told how many rows are stored, and of how many.

        Raises:
            BadRequestError: A row is wrong; nothing has been stored.
            HistoryFullError: The disk is full; whole months may have been stored.
            BridgeError: The store failed; the same.
        """
        workers, store = self._at_work, self._store
        checked = await workers.read_long(lambda: importing.check(store, path))
        done = Imported(checked.rows)
        told = self._telling(progress)
        async with self._changing:
            numbers = await workers.write(lambda: importing.number(store, checked, done))
            staged = await workers.read_long(lambda: importing.stage(store, checked, numbers))
            try:
                steps = importing.store_staged(
                    store, staged, checked, done, lambda rows: told(rows, checked.rows)
                )
                await workers.write_in_steps(steps)
            finally:
                staged.unlink(missing_ok=True)
        return done

    async def back_up(self, folder: Path) -> BackedUp:
        """Copy the store into another folder, or bring an earlier copy there up to date.

        Raises:
            BridgeError: The folder cannot be used, or there is no room.
        """
        return await self._at_work.read_long(lambda: back_up(self._store, folder))

    async def set_aside(self, path: Path) -> Path | None:
        """Go on without a damaged Parquet file, which is moved into ``set-aside``.

        Args:
            path: As in the error's message, or below the folder (``raw/2026-03....parquet``).

        Returns:
            Where the file is now; None when it was missing.

        Raises:
            NotFoundError: The store knows no such file.
        """
        async with self._changing:
            return await self._at_work.write(lambda: set_file_aside(self._store, path))

    def _telling(self, progress: Progress | None) -> Progress:
        """Let a worker thread tell of its progress in the event loop."""
        if progress is None:
            return lambda _done, _total: None
        loop = asyncio.get_running_loop()

        def tell(done: int, total: int) -> None:
            loop.call_soon_threadsafe(progress, done, total)

        return tell

    def _require_open(self) -> None:
        """Tell a store that is not open from one that holds nothing."""
        _ = self._at_work

    @property
    def _at_work(self) -> Workers:
        if self._workers is None:
            raise UnavailableError("the recording is not open")
        return self._workers
