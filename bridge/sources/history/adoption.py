"""A database anew, from the Parquet files and the copies of the names.

For a folder whose database was set aside or is lost: every file says in its own metadata
what it is. Points that were in no file yet are gone with the database.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog

from bridge.errors import BridgeError
from bridge.sources.history.aside import move_aside
from bridge.sources.history.errors import HistoryDamagedError
from bridge.sources.history.layout import HOUR, RAW, TIERS, file_month, file_number
from bridge.sources.history.meta import one, set_meta
from bridge.sources.history.parts import Part, StoredFile, replace_files, scan, scan_tier

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from bridge.sources.history.database import Cursor
    from bridge.sources.history.layout import Tier
    from bridge.sources.history.store import Store

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Generation:
    """The files written together for one range of series in a month."""

    number: int
    month: int
    low: int
    high: int
    files: dict[Tier, StoredFile] = field(default_factory=dict)


def needs_adoption(store: Store) -> bool:
    """Tell whether there are files, and a database that has never had any."""
    with store.snapshot() as cursor:
        used = one(cursor, "SELECT count(*) FROM meta WHERE key = 'next_file'")
    return not used and any(True for _ in store.layout.found())


def adopt(store: Store) -> None:
    """Enter every file that can be read; the others are set aside.

    Raises:
        HistoryDamagedError: The copy of the series' names cannot be read.
        BridgeError: Nothing has changed.
    """
    layout = store.layout
    there = [path for _, path in layout.found()]
    months: dict[int, dict[int, _Generation]] = defaultdict(dict)
    for tier, path in layout.found():
        try:
            _describe(store, tier, path, months[file_month(path.name)])
        except BridgeError as error:
            _log.error("history.file_damaged", path=str(path), problem=error.message)
    parts = [part for own in months.values() for part in _newest(own.values())]
    kept = {layout.file(tier, f.name) for part in parts for tier, f in part.files.items()}
    newest = max((f.last_ms for part in parts for f in part.files.values()), default=-1)
    if not layout.series.exists():
        raise HistoryDamagedError(layout.series, "it is missing")
    with store.database.transaction() as cursor:
        cursor.execute(f"INSERT INTO series SELECT * FROM {scan([layout.series])}")
        if layout.eras.exists():
            cursor.execute(f"INSERT INTO eras SELECT * FROM {scan([layout.eras])}")
        replace_files(cursor, None, parts)
        for part in parts:
            _cover(store, cursor, part)
        set_meta(cursor, "moved_until", newest - newest % HOUR.width_ms + HOUR.width_ms)
        set_meta(cursor, "next_file", max(file_number(path.name) for path in there) + 1)
    left = [path for path in there if path not in kept]
    for path in left:
        move_aside(layout, path)
    _log.warning("history.adopted", files=len(kept), set_aside=len(left))


def _describe(store: Store, tier: Tier, path: Path, found: dict[int, _Generation]) -> None:
    """Add a file to its generation."""
    with store.database.cursor() as cursor:
        said = {
            bytes(key).decode(): bytes(value).decode()
            for key, value in cursor.execute(
                "SELECT key, value FROM parquet_kv_metadata(?)", [str(path)]
            ).fetchall()
        }
        row = cursor.execute(
            f"SELECT count(*), min(time), max(time) FROM {scan([path])}"
        ).fetchone()
    try:
        low, high = int(said["low"]), int(said["high"])
    except (KeyError, ValueError):
        raise HistoryDamagedError(path, "it does not say what it holds") from None
    rows, first_ms, last_ms = row or (0, 0, 0)
    number = file_number(path.name)
    generation = found.setdefault(number, _Generation(number, file_month(path.name), low, high))
    generation.files[tier] = StoredFile(
        tier, path.name, rows, path.stat().st_size, first_ms, last_ms, store.now_ms()
    )


def _newest(generations: Iterable[_Generation]) -> list[Part]:
    """Choose among generations that hold the same series.

    Files of one range add up, the newer ones first. A range that was cut is replaced by its
    pieces if all of them are there: points are the last file of a piece.
    """
    ranges: dict[tuple[int, int], _Generation] = {}
    for each in sorted(generations, key=lambda each: each.number):
        known = ranges.setdefault((each.low, each.high), each)
        known.files |= each.files
    return [
        Part(each.month, each.low, each.high, each.files)
        for each in _uncut(sorted(ranges.values(), key=lambda each: (each.low, -each.high)))
    ]


def _uncut(nested: Sequence[_Generation]) -> list[_Generation]:
    """Return ranges that do not overlap, of ranges that lie side by side or in each other."""
    if not nested:
        return []
    widest = nested[0]
    inside = [each for each in nested[1:] if each.high <= widest.high]
    chosen = _uncut(inside)
    reached = widest.low
    for piece in chosen:
        if piece.low == reached and RAW in piece.files:
            reached = piece.high
    if reached < widest.high:
        chosen = [widest]
    return chosen + _uncut(nested[1 + len(inside) :])


def _cover(store: Store, cursor: Cursor, part: Part) -> None:
    """Note the series of a part, and which tiers know fewer points of one than another."""
    counted = " UNION ALL ".join(
        f"SELECT series, {tier.bit} AS tier, {'count(*)' if tier is RAW else 'sum(count)'} "
        f"AS known FROM {scan_tier(store.layout, [part], tier)} GROUP BY series"
        for tier in part.files
    )
    every = sum(tier.bit for tier in TIERS)
    cursor.execute(
        f"INSERT INTO coverage SELECT {part.month}, series, {every} - bit_or(tier) FROM "
        f"(SELECT *, max(known) OVER (PARTITION BY series) AS most FROM ({counted})) "
        "WHERE known = most GROUP BY series"
    )
