"""A copy of an open store, which is a store of its own.

The Parquet files never change, so that they are linked where the copy is on the same disk,
and left alone where an earlier copy has them. The database is written anew from one snapshot;
it comes last, under its name in one step: until then an earlier copy stays whole.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

import duckdb

from bridge.errors import BadRequestError
from bridge.sources.history.database import quoted
from bridge.sources.history.errors import HistoryFullError
from bridge.sources.history.layout import Layout, sync
from bridge.sources.history.lock import FolderLock
from bridge.sources.history.parts import read_parts

if TYPE_CHECKING:
    from pathlib import Path

    from bridge.sources.history.database import Cursor
    from bridge.sources.history.parts import Part
    from bridge.sources.history.store import Store


@dataclass(frozen=True, slots=True)
class BackedUp:
    """What a backup did.

    Attributes:
        folder: Where the copy is.
        files: Parquet files in it.
        copied: Of those, not there from an earlier copy.
        size: Of all of it, in bytes.
    """

    folder: Path
    files: int
    copied: int
    size: int


def back_up(store: Store, folder: Path) -> BackedUp:
    """Copy a store into a folder, which may hold an earlier copy.

    Raises:
        BadRequestError: The folder cannot be used.
        HistoryFullError: There is no room for the copy.
        BridgeError: The store failed.
    """
    there = Layout(folder.absolute())
    if there.folder == store.layout.folder:
        raise BadRequestError(f"{folder} is the recording itself: expected another folder")
    try:
        there.make()
        lock = FolderLock(there.folder)
        lock.acquire()
        try:
            return _copy(store, there)
        finally:
            lock.release()
    except (OSError, ValueError) as error:
        raise HistoryFullError(f"the backup failed: {error}") from None


def _copy(store: Store, there: Layout) -> BackedUp:
    database = there.scratch / there.database.name
    for old in there.scratch.iterdir():
        old.unlink()
    with store.pins.hold(), store.database.cursor() as cursor:
        parts = _copy_database(store, cursor, database)
        wanted = {
            there.file(tier, file.name): store.layout.file(tier, file.name)
            for part in parts
            for tier, file in part.files.items()
        }
        missing = [place for place in wanted if not place.exists()]
        for place in missing:
            _bring(wanted[place], place, there.scratch)
    for copy in (store.layout.series, store.layout.eras):
        if copy.exists():
            _bring(copy, there.folder / copy.name, there.scratch)
    for folder in {place.parent for place in wanted}:
        sync(folder)
    sync(database)
    there.log.unlink(missing_ok=True)
    database.replace(there.database)
    sync(there.folder)
    for _, path in list(there.found()):
        if path not in wanted:
            path.unlink()
    size = sum(path.stat().st_size for path in (there.database, *wanted))
    return BackedUp(there.folder, len(wanted), len(missing), size)


def _copy_database(store: Store, cursor: Cursor, place: Path) -> list[Part]:
    """Write the tables of one snapshot into a new database; return the parts it knows."""
    cursor.execute(f"ATTACH {quoted(str(place))} AS backup")
    try:
        cursor.execute("BEGIN")
        parts = read_parts(cursor)
        cursor.execute(f"COPY FROM DATABASE {store.layout.database.stem} TO backup")
        cursor.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(duckdb.Error):
            cursor.execute("ROLLBACK")
        raise
    finally:
        with contextlib.suppress(duckdb.Error):
            cursor.execute("DETACH backup")
    return parts


def _bring(source: Path, place: Path, scratch: Path) -> None:
    """Link a file that never changes to its place, or copy it to another disk."""
    if place.exists() and place.samefile(source):
        return
    aside = scratch / place.name
    try:
        os.link(source, aside)
    except OSError:
        shutil.copyfile(source, aside)
        sync(aside)
    aside.replace(place)
