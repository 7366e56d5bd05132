"""Damaged files out of the way: moved into ``set-aside``, never deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bridge.errors import NotFoundError
from bridge.sources.history.layout import TIER, Layout, sync
from bridge.sources.history.lock import FolderLock
from bridge.sources.history.meta import one

if TYPE_CHECKING:
    from pathlib import Path

    from bridge.sources.history.store import Store


def move_aside(layout: Layout, path: Path) -> Path:
    """Move a file into ``set-aside`` under a name that is free, and return that."""
    layout.aside.mkdir(exist_ok=True)
    tier = "" if path.parent == layout.folder else f"{path.parent.name}-"
    place = layout.aside / f"{tier}{path.name}"
    attempt = 1
    while place.exists():
        attempt += 1
        place = layout.aside / f"{tier}{path.stem}.{attempt}{path.suffix}"
    path.rename(place)
    sync(layout.aside)
    sync(path.parent)
    return place


def set_file_aside(store: Store, path: Path) -> Path | None:
    """Go on without one Parquet file of points.

    Its month stays usable as far as other tiers have it; a roll-up is made again from the
    points, where those are kept.

    Returns:
        Where the file is now; None when there was none to move.

    Raises:
        NotFoundError: The store knows no such file.
    """
    path = store.layout.folder / path
    tier = TIER.get(path.parent.name)
    if tier is None or path.parent.parent != store.layout.folder:
        raise NotFoundError(f"{path} is no file of points in {store.layout.folder}")
    with store.database.transaction() as cursor:
        row = cursor.execute(
            "DELETE FROM files WHERE tier = ? AND name = ? RETURNING month, low, high",
            [tier.name, path.name],
        ).fetchone()
        if row is None:
            raise NotFoundError(f"{path} is not known to this store")
        month, low, high = row
        store.lost_until = max(store.lost_until, month)
        covered = f"month = {month} AND series >= {low} AND series < {high}"
        if one(cursor, f"SELECT count(*) FROM files WHERE month = {month} AND low = {low}"):
            cursor.execute(f"UPDATE coverage SET lost = lost | {tier.bit} WHERE {covered}")
        else:
            cursor.execute(f"DELETE FROM coverage WHERE {covered}")
    return move_aside(store.layout, path) if path.exists() else None


def set_database_aside(folder: Path) -> list[Path]:
    """Take the database of a store that is not open out of the way.

    The next opening makes a new one from the Parquet files; points that were in no file
    yet are missing from it.

    Returns:
        Where its files are now.

    Raises:
        HistoryInUseError: A bridge has the folder open.
        NotFoundError: There is no database.
    """
    layout = Layout(folder.absolute())
    if not layout.database.exists():
        raise NotFoundError(f"there is no {layout.database}")
    lock = FolderLock(folder)
    lock.acquire()
    try:
        return [move_aside(layout, path) for path in (layout.database, layout.log) if path.exists()]
    finally:
        lock.release()
