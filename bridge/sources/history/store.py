"""An open store: its database, its files, and what is known of them without asking."""

from __future__ import annotations

import contextlib
import shutil
from typing import TYPE_CHECKING

import structlog

from bridge.errors import BadRequestError, BridgeError
from bridge.sources.history.adoption import adopt, needs_adoption
from bridge.sources.history.database import Database
from bridge.sources.history.errors import HistoryFullError
from bridge.sources.history.layout import Layout, file_number
from bridge.sources.history.lock import FolderLock
from bridge.sources.history.meta import meta, one, set_meta
from bridge.sources.history.parts import read_parts
from bridge.sources.history.pins import Pins
from bridge.sources.history.schema import migrate
from bridge.sources.history.series import SeriesTable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from bridge.sources.history.database import Cursor
    from bridge.sources.history.retention import Retention

_log = structlog.get_logger(__name__)

#: Size of the write-ahead log from which it is merged into the database.
LOG_BYTES = 16 * 1024 * 1024

#: Room that must be left on the disk, in bytes, for anything to be written.
SPARE_BYTES = 32 * 1024 * 1024


class Store:
    """What readers, writers and maintenance share.

    Attributes:
        moved_until: Points before this time belong into files: they are there, or on their
            way; a new one goes into the table ``late``.
        lost_until: The latest month of which some tier has been deleted; -1 if there is none.
            It is raised before the deletion is committed.
        late_changed_ms: When a point last came late.
        late_waiting: About how many have come since maintenance looked for them.
    """

    def __init__(
        self, folder: Path, retention: Retention, memory_mb: int, clock: Callable[[], float]
    ) -> None:
        self.layout = Layout(folder.absolute())
        self.retention = retention
        self.database = Database(self.layout.database, self.layout.scratch, memory_mb)
        self.series = SeriesTable()
        self.pins = Pins()
        self.moved_until = 0
        self.lost_until = -1
        self.late_changed_ms = 0
        self.late_waiting = 0
        self._clock = clock
        self._lock = FolderLock(folder)

    def now_ms(self) -> int:
        """Return the present time."""
        return int(self._clock() * 1000)

    def open(self) -> None:
        """Open the folder.

        Raises:
            HistoryInUseError: Another bridge has it.
            HistoryVersionError: A newer bridge wrote it, or it is none of a bridge's.
            HistoryDamagedError: Its database cannot be read.
            BadRequestError: The folder cannot be used.
        """
        try:
            self.layout.make()
            self._lock.acquire()
        except (OSError, ValueError) as error:
            raise BadRequestError(
                f"the folder of the recording cannot be used: {error}", field="history_dir"
            ) from None
        try:
            self._empty_scratch()
            self.database.open()
            self._look_around()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the folder; harmless when it is not open."""
        self.database.close()
        self._lock.release()

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[Cursor]:
        """Read one state of the store, files included.

        Raises:
            BridgeError: In place of any error of DuckDB's.
        """
        with self.pins.hold(), self.database.transaction() as cursor:
            yield cursor

    def next_numbers(self, count: int) -> range:
        """Return numbers no file has had, even if what they are for never comes about."""
        with self.database.transaction() as cursor:
            first = meta(cursor, "next_file", 1)
            set_meta(cursor, "next_file", first + count)
        return range(first, first + count)

    def knows(self, names: Sequence[str]) -> bool:
        """Tell whether files of these names may count; True when that cannot be found out."""
        if not names:
            return False
        try:
            with self.snapshot() as cursor:
                known = {name for (name,) in cursor.execute("SELECT name FROM files").fetchall()}
        except BridgeError:
            return True
        return not known.isdisjoint(names)

    def require_room(self, size: int) -> None:
        """Refuse early what would fill the disk.

        Raises:
            HistoryFullError: ``size`` bytes more would leave too little room.
        """
        if shutil.disk_usage(self.layout.folder).free < size + SPARE_BYTES:
            raise HistoryFullError(
                f"the disk of {self.layout.folder} is nearly full: nothing has been written",
                retry_after=60,
            )

    def tidy_log(self, at_least: int | None = None) -> None:
        """Merge the write-ahead log into the database, once it is large."""
        size = self.database.log_bytes()
        if size < (LOG_BYTES if at_least is None else at_least):
            return
        try:
            self.require_room(2 * size)
            with self.database.cursor() as cursor:
                cursor.execute("CHECKPOINT")
        except BridgeError as error:
            _log.warning("history.checkpoint_failed", problem=error.message)

    def damaged(self) -> list[str]:
        """Say which files are not there as they were written, or are not known."""
        with self.snapshot() as cursor:
            known = self._known_files(cursor)
            return self._compared(known, self._found_files())

    def _look_around(self) -> None:
        migrate(self.database)
        if needs_adoption(self):
            adopt(self)
        with self.database.transaction() as cursor:
            self.series = SeriesTable.load(cursor)
            self.moved_until = meta(cursor, "moved_until", 0)
            self.lost_until = one(
                cursor, "SELECT coalesce(max(month), -1) FROM coverage WHERE lost <> 0"
            )
            known = self._known_files(cursor)
            next_number = meta(cursor, "next_file", 1)
        there = self._found_files()
        for path in there.keys() - known.keys():
            # Replaced, or never finished: its rows are elsewhere.
            if file_number(path.name) < next_number:
                path.unlink()
                del there[path]
        for problem in self._compared(known, there):
            _log.error("history.file_damaged", problem=problem)

    def _compared(self, known: Mapping[Path, int], there: Mapping[Path, int]) -> list[str]:
        problems = [f"{path} is not known to this store" for path in there.keys() - known.keys()]
        for path, size in known.items():
            if path not in there:
                problems.append(f"{path} is missing")
            elif there[path] != size:
                problems.append(f"{path} has {there[path]} bytes instead of {size}")
        return sorted(problems)

    def _found_files(self) -> dict[Path, int]:
        return {path: path.stat().st_size for _, path in self.layout.found()}

    def _known_files(self, cursor: Cursor) -> dict[Path, int]:
        return {
            self.layout.file(tier, file.name): file.size
            for part in read_parts(cursor)
            for tier, file in part.files.items()
        }

    def _empty_scratch(self) -> None:
        shutil.rmtree(self.layout.scratch, ignore_errors=True)
        self.layout.scratch.mkdir(exist_ok=True)
