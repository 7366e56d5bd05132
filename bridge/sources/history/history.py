"""The recording: a source of series, and the place where they are recorded."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Self, TypeVar

from bridge.errors import UnavailableError
from bridge.sources.history.database import Database
from bridge.sources.history.layout import Layout
from bridge.sources.history.lock import FolderLock
from bridge.sources.history.reading import read_buckets, read_points
from bridge.sources.history.schema import migrate
from bridge.sources.history.series import SeriesTable
from bridge.sources.history.writing import (
    add_eras,
    add_points,
    add_series,
    check_batch,
    read_eras,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
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

ResultT = TypeVar("ResultT")

#: Questions answered side by side.
_READERS = 4


class History:
    """Implements ``Source`` and ``Recording`` on a folder of this machine.

    Nothing is touched before ``open``, which ``async with`` calls.

    Args:
        folder: Where everything is; made when there is none.
        memory_mb: What the database may use.
    """

    def __init__(self, folder: Path, *, memory_mb: int = 256) -> None:
        self._layout = Layout(folder)
        self._lock = FolderLock(folder)
        self._database = Database(self._layout.database, self._layout.scratch, memory_mb)
        self._series = SeriesTable()
        self._readers: ThreadPoolExecutor | None = None
        self._writer: ThreadPoolExecutor | None = None

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
        await asyncio.to_thread(self._open)

    async def close(self) -> None:
        """Finish what is under way and close the store."""
        await asyncio.to_thread(self._close)

    async def buckets(self, request: BucketRequest) -> tuple[Buckets, ...]:
        """Fetch buckets; true gaps stay gaps."""
        selection = self._series.select(request.metric, request.filters)
        if not selection.tags:
            return ()

        def read() -> tuple[Buckets, ...]:
            with self._database.transaction() as cursor:
                return read_buckets(cursor, request, selection)

        return await self._read(read)

    async def points(self, request: PointRequest) -> tuple[Points, ...]:
        """Fetch raw points.

        Raises:
            TooMuchError: There are more than the request's limit.
        """
        selection = self._series.select(request.metric, request.filters)
        if not selection.tags:
            return ()

        def read() -> tuple[Points, ...]:
            with self._database.transaction() as cursor:
                return read_points(cursor, request, selection)

        return await self._read(read)

    async def lookup(
        self, metric: str, filters: tuple[TagFilter, ...]
    ) -> tuple[Mapping[str, str], ...]:
        """List the tags of a metric's series."""
        return self._series.select(metric, filters).tags

    async def metric_names(self, start: str, limit: int) -> tuple[str, ...]:
        """List the recorded metrics that begin with a text."""
        return tuple(self._series.metrics(start)[:limit])

    async def write(self, batch: PointBatch, eras: Sequence[LabelEra] = ()) -> None:
        """Store points and eras in one transaction; the same once more changes nothing.

        Raises:
            BadRequestError: A value or time that cannot be stored.
            HistoryFullError: The disk is full.
            BridgeError: Nothing of it has been stored.
        """
        check_batch(batch)

        def write() -> None:
            numbers, added = self._series.assign(batch.keys)
            with self._database.transaction() as cursor:
                add_series(cursor, added)
                add_points(cursor, "points", numbers[batch.series], batch.stamps_ms, batch.values)
                add_eras(cursor, eras)
            self._series.publish(added)

        await self._write(write)

    async def eras(self) -> tuple[LabelEra, ...]:
        """Return every era stored, by object and time."""

        def read() -> tuple[LabelEra, ...]:
            with self._database.transaction() as cursor:
                return read_eras(cursor)

        return await self._read(read)

    def _open(self) -> None:
        self._layout.make()
        self._lock.acquire()
        try:
            self._database.open()
            migrate(self._database)
            with self._database.cursor() as cursor:
                self._series = SeriesTable.load(cursor)
        except BaseException:
            self._database.close()
            self._lock.release()
            raise
        self._readers = ThreadPoolExecutor(_READERS, "history-read")
        self._writer = ThreadPoolExecutor(1, "history-write")

    def _close(self) -> None:
        for pool in (self._readers, self._writer):
            if pool is not None:
                pool.shutdown(cancel_futures=True)
        self._readers = self._writer = None
        self._database.close()
        self._lock.release()

    async def _read(self, work: Callable[[], ResultT]) -> ResultT:
        return await self._in(self._readers, work)

    async def _write(self, work: Callable[[], ResultT]) -> ResultT:
        return await self._in(self._writer, work)

    async def _in(self, pool: ThreadPoolExecutor | None, work: Callable[[], ResultT]) -> ResultT:
        if pool is None:
            raise UnavailableError("the recording is not open")
        return await asyncio.get_running_loop().run_in_executor(pool, work)
