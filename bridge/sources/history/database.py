"""One DuckDB file, used from many threads: a cursor each, errors in the bridge's words.

After a fatal error (a disk that filled up during a checkpoint, for example) DuckDB refuses
everything until the file is opened anew; that happens here, before the next use.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
from typing import TYPE_CHECKING, Any

import duckdb

from bridge.errors import TooMuchError, UnavailableError, UpstreamError
from bridge.sources.history.errors import HistoryDamagedError, HistoryFullError
from bridge.sources.history.workers import Job

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    Cursor = duckdb.DuckDBPyConnection

#: The most threads DuckDB gets: questions come side by side anyway.
MAX_THREADS = 4

_NO_ROOM = re.compile(
    r"No space left|File too large|quota exceeded|max_temp_directory_size", re.IGNORECASE
)
_CORRUPT = re.compile(r"corrupt|checksum", re.IGNORECASE)
_PARQUET = re.compile(r"[\"']([^\"']+\.parquet)[\"']")
_LONGEST_MESSAGE = 300


class Database:
    """The store's DuckDB file.

    Args:
        path: The file; made when there is none.
        scratch: Folder for what does not fit into memory.
        memory_mb: What DuckDB may use.
    """

    def __init__(self, path: Path, scratch: Path, memory_mb: int) -> None:
        self.path = path
        self._config: dict[str, Any] = {
            "memory_limit": f"{memory_mb}MiB",
            "threads": min(os.cpu_count() or 1, MAX_THREADS),
            "temp_directory": str(scratch),
            # A failing checkpoint inside a commit would fail a commit that is durable.
            "checkpoint_threshold": "1TB",
            "auto_checkpoint_skip_wal_threshold": str(1 << 62),
            # Lets a question through while maintenance keeps every thread busy.
            "scheduler_process_partial": "true",
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "allow_persistent_secrets": "false",
            "python_enable_replacements": "false",
        }
        self._connection: Cursor | None = None
        self._state = threading.Condition()
        self._users = 0
        self._broken = False
        self._here = threading.local()

    def open(self) -> None:
        """Open the file.

        Raises:
            HistoryDamagedError: It is no DuckDB file, or a damaged one.
            HistoryFullError: There is no room to open it.
        UpstreamError: It may not be opened.
        """
        try:
            self._connection = duckdb.connect(str(self.path), config=self._config)
            self._connection.execute("SET parquet_metadata_cache = true")
        except duckdb.Error as error:
            if _NO_ROOM.search(str(error)):
                raise _full() from None
            if "Permission denied" in str(error):
                raise UpstreamError(f"{self.path} may not be opened: permission denied") from None
            raise HistoryDamagedError(self.path, one_line(error)) from None

    def close(self) -> None:
        """Close the file; its write-ahead log is merged into it."""
        if self._connection is not None:
            with contextlib.suppress(duckdb.Error):
                self._connection.close()
            self._connection = None

    @contextlib.contextmanager
    def cursor(self) -> Iterator[Cursor]:
        """Lend a connection of its own to one thread.

        Raises:
            BridgeError: In place of any error of DuckDB's.
        """
        connection = self._enter()
        try:
            cursor = connection.cursor()
            job = Job.current()
            try:
                with contextlib.nullcontext() if job is None else job.using(cursor):
                    yield cursor
            finally:
                with contextlib.suppress(duckdb.Error):
                    cursor.close()
        except duckdb.Error as error:
            raise self._translated(error) from error
        finally:
            self._leave()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Cursor]:
        """Lend a connection inside a transaction: all of it is stored, or nothing.

        Raises:
            BridgeError: Nothing has been stored.
        """
        with self.cursor() as cursor:
            cursor.execute("BEGIN")
            try:
                yield cursor
                cursor.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(duckdb.Error):
                    cursor.execute("ROLLBACK")
                raise

    def log_bytes(self) -> int:
        """Return the size of the write-ahead log."""
        try:
            return self.path.with_name(self.path.name + ".wal").stat().st_size
        except FileNotFoundError:
            return 0

    def _enter(self) -> Cursor:
        depth = getattr(self._here, "depth", 0)
        with self._state:
            if self._broken and not depth:  # else this thread would wait for itself
                while self._users:
                    self._state.wait()
                self._reopen()
            if self._connection is None:
                raise UpstreamError("the recording is not open")
            self._users += not depth
        self._here.depth = depth + 1
        return self._connection

    def _leave(self) -> None:
        self._here.depth -= 1
        with self._state:
            self._users -= not self._here.depth
            self._state.notify_all()

    def _reopen(self) -> None:
        if self._broken:  # another thread may have done it meanwhile
            self.close()
            self.open()
            self._broken = False

    def _translated(self, error: duckdb.Error) -> Exception:
        if isinstance(error, duckdb.FatalException):
            with self._state:
                self._broken = True
        text = str(error)
        if _NO_ROOM.search(text):
            return _full()
        if isinstance(error, duckdb.OutOfMemoryException):
            return TooMuchError(
                "this needs more memory than the recording may use (setting history_memory_mb): "
                "narrow the range or the filters"
            )
        if _CORRUPT.search(text):
            return HistoryDamagedError(self.path, one_line(error))
        named = _PARQUET.search(text)
        if named is not None:
            return HistoryDamagedError(self.path.parent / named[1], one_line(error))
        if isinstance(error, duckdb.InterruptException):
            return UnavailableError("the work was broken off")
        return UpstreamError(f"the recording's database: {one_line(error)}")


def columns(
    cursor: Cursor, sql: str, parameters: Sequence[Any] = ()
) -> dict[str, NDArray[np.generic]]:
    """Run a query and return its columns as arrays; none of them may hold NULL."""
    return cursor.execute(sql, list(parameters)).fetchnumpy()


@contextlib.contextmanager
def relation(cursor: Cursor, name: str, **arrays: NDArray[np.generic]) -> Iterator[None]:
    """Let arrays of one length be read as a table of this name."""
    cursor.register(name, arrays)
    try:
        yield
    finally:
        with contextlib.suppress(duckdb.Error):
            cursor.unregister(name)


def one_line(error: Exception) -> str:
    """Return the first line of an error's text, cut."""
    return str(error).partition("\n")[0][:_LONGEST_MESSAGE]


def quoted(text: str) -> str:
    """Return a text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def _full() -> HistoryFullError:
    return HistoryFullError(
        "the disk of the recording is full: nothing has been written", retry_after=60
    )
