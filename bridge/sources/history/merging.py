"""Points from the tables into the files of their month, and into its roll-ups.

One part is renewed at a time, in one transaction: its new files are written aside, made
durable and put into place, then they count instead of the old ones, and the points in them
leave the tables. Whatever breaks this off leaves the old state, and files nobody knows.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from bridge.sources.history.blame import blaming
from bridge.sources.history.database import columns
from bridge.sources.history.layout import HOUR, RAW, ROLLUPS, TEN_MINUTES, month_start
from bridge.sources.history.meta import one
from bridge.sources.history.partfiles import PartFiles
from bridge.sources.history.parts import (
    HIGHEST,
    LOWEST,
    Part,
    read_parts,
    replace_files,
    scan_tier,
)
from bridge.sources.history.views import overlaid, renewed, rolled, widened

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bridge.sources.history.database import Cursor
    from bridge.sources.history.layout import Tier
    from bridge.sources.history.store import Store

#: Points in a part above which it is cut, and about how many each piece gets.
MOST_POINTS, SOME_POINTS = 3_000_000, 1_500_000

#: Bytes of disk a point needs at most while its part is renewed, roll-ups included.
_ROOM = 16


def tiled(parts: Sequence[Part], month: int) -> Iterator[Part]:
    """List the parts of a month, with empty ones for the series that have none."""
    low = LOWEST
    for part in parts:
        if part.low > low:
            yield Part(month, low, part.low)
        yield part
        low = part.high
    if low < HIGHEST:
        yield Part(month, low, HIGHEST)


def parts_to_merge(store: Store, month: int) -> Iterator[Part]:
    """List the parts of a month that have points to move.

    A month that has no files yet comes in as many pieces as it will have parts.
    """
    with store.snapshot() as cursor:
        first = month_start(month)
        parts = list(tiled(read_parts(cursor, start_ms=first, end_ms=first), month))
        for part in parts:
            pending = _pending(store, part)
            total = one(cursor, f"SELECT count(*) FROM {pending}")
            if part.files and total:
                yield part
            elif total:
                for low, high in cut(cursor, pending, total, part.low, part.high):
                    yield Part(month, low, high)


def missing_rollups(store: Store, part: Part) -> list[Tier]:
    """Return the roll-ups that are to be kept of a part, are not there, and can be made."""
    now = store.now_ms()
    return [
        tier
        for tier in ROLLUPS
        if tier not in part.files
        and store.retention.keeps(tier, part.month, now)
        and (RAW in part.files or (tier is HOUR and TEN_MINUTES in part.files))
    ]


def merge(store: Store, part: Part) -> int:
    """Move the points of a part from the tables into its files, and make missing roll-ups.

    Points of the table ``late`` are moved, and those of ``recent`` before
    ``store.moved_until``.

    Returns:
        How many points were moved.

    Raises:
        BridgeError: Nothing has changed.
    """
    work = _Merge(store, part)
    try:
        with blaming(store, [part]), store.snapshot() as cursor:
            moved = work.run(cursor)
    except BaseException:
        # A commit that failed may have happened: then its files count.
        if not store.knows(work.names):
            work.discard()
        raise
    store.pins.retire(
        store.layout.file(file.tier, file.name)
        for file in part.files.values()
        if file.tier in work.replaced
    )
    return moved


class _Merge:
    """One merge.

    Attributes:
        replaced: The tiers whose old file no longer counts.
    """

    def __init__(self, store: Store, part: Part) -> None:
        self.replaced: set[Tier] = set()
        self._store = store
        self._part = part
        self._made: list[PartFiles] = []
        self._covered = f"(month = {part.month} AND series >= {part.low} AND series < {part.high})"

    def run(self, cursor: Cursor) -> int:
        """Do everything inside a transaction; return how many points were moved."""
        part = self._part
        late = one(cursor, f"SELECT count(*) FROM late WHERE {part.region}")
        cursor.execute(f"CREATE TEMP TABLE pending AS SELECT * FROM {_pending(self._store, part)}")
        cursor.execute(
            "CREATE TEMP TABLE lost AS SELECT series FROM coverage "
            f"WHERE {self._covered} AND lost & {RAW.bit} <> 0"
        )
        moved = one(cursor, "SELECT count(*) FROM pending")
        if moved and not (late and self._known(cursor)):
            self._renew(cursor, moved)
        elif missing_rollups(self._store, part):
            self._complete(cursor)
        if moved:
            cursor.execute(f"DELETE FROM recent WHERE {_moving(self._store, part)}")
            cursor.execute(f"DELETE FROM late WHERE {part.region}")
        return moved

    @property
    def names(self) -> list[str]:
        """What the files are called that have been written."""
        return [files.name for files in self._made]

    def discard(self) -> None:
        """Delete what has been written."""
        for files in self._made:
            files.discard()

    def _known(self, cursor: Cursor) -> bool:
        """Tell whether the files hold every pending point as it is."""
        return RAW in self._part.files and not one(
            cursor,
            f"SELECT count(*) FROM pending ANTI JOIN {self._old(RAW)} USING (series, time, value)",
        )

    def _renew(self, cursor: Cursor, moved: int) -> None:
        """Write new files of every tier, for one part or for several in its place."""
        part, store = self._part, self._store
        raw = part.files.get(RAW)
        total = moved + (raw.rows if raw else 0)
        store.require_room(total * _ROOM)
        everything = "SELECT series FROM pending"
        if raw is not None:
            everything += f" UNION ALL SELECT series FROM {self._old(RAW)}"
        ranges = cut(cursor, f"({everything})", total, part.low, part.high)
        self.replaced |= part.files.keys()
        newer = self._is_newer(cursor)
        new = []
        for (low, high), number in zip(ranges, store.next_numbers(len(ranges)), strict=True):
            files = PartFiles(store, cursor, part.month, low, high, number)
            self._made.append(files)
            inside = f"series >= {low} AND series < {high}"
            pending = f"(SELECT * FROM pending WHERE {inside})"
            points = pending
            if raw is not None:
                points = f"({self._joined(RAW, inside, pending, newer=newer)})"
            files.write(RAW, points)
            points = files.points or pending
            for tier in ROLLUPS:
                if tier in part.files and newer:
                    made = f"({rolled(pending, tier.width_ms)})"
                    files.write(tier, f"({self._joined(tier, inside, made, newer=True)})")
                elif tier in part.files:
                    old = f"(SELECT * FROM {self._old(tier)} WHERE {inside})"
                    files.write(tier, f"({renewed(old, points, pending, tier.width_ms, 'lost')})")
                elif store.retention.keeps(tier, part.month, store.now_ms()):
                    files.write(tier, f"({self._afresh(cursor, tier, points, inside)})")
            new.append(files.publish())
        replace_files(cursor, part, new)
        cursor.execute(
            f"INSERT INTO coverage SELECT {part.month}, series, 0 FROM "
            "(SELECT DISTINCT series FROM pending) ANTI JOIN "
            f"(SELECT series FROM coverage WHERE month = {part.month}) USING (series)"
        )

    def _is_newer(self, cursor: Cursor) -> bool:
        """Tell whether every pending point lies behind everything in the files.

        That is so from day to day; nothing has to be looked up then.
        """
        last = max((file.last_ms for file in self._part.files.values()), default=-1)
        first = one(cursor, "SELECT min(time) FROM pending")
        return first >= last - last % HOUR.width_ms + HOUR.width_ms

    def _joined(self, tier: Tier, inside: str, new: str, *, newer: bool) -> str:
        """Return the rows of the old file and new ones, which replace those they are for."""
        old = f"(SELECT * FROM {self._old(tier)} WHERE {inside})"
        if newer:
            return f"SELECT * FROM {old} UNION ALL SELECT * FROM {new}"
        return overlaid(old, new)

    def _complete(self, cursor: Cursor) -> None:
        """Write the roll-ups that are missing, and leave the other files."""
        part, store = self._part, self._store
        (number,) = store.next_numbers(1)
        files = PartFiles(store, cursor, part.month, part.low, part.high, number)
        self._made.append(files)
        points = self._old(RAW) if RAW in part.files else "pending"
        for tier in missing_rollups(store, part):
            files.write(tier, f"({self._afresh(cursor, tier, points, 'true')})")
        added = files.publish()
        replace_files(cursor, None, [added])

    def _afresh(self, cursor: Cursor, tier: Tier, points: str, inside: str) -> str:
        """Return a roll-up that was not there, and note for which series it is incomplete.

        Series whose points are no longer all kept have theirs from the narrower roll-up,
        if that is complete.
        """
        gone = f"lost & {RAW.bit} <> 0"
        old = None
        if tier is HOUR and TEN_MINUTES in self._part.files:
            gone += f" AND lost & {TEN_MINUTES.bit} <> 0"
            narrow = f"{self._old(TEN_MINUTES)} SEMI JOIN lost USING (series) WHERE {inside}"
            old = f"({widened(f'(SELECT * FROM {narrow})', tier.width_ms)})"
        cursor.execute(
            f"UPDATE coverage SET lost = CASE WHEN {gone} THEN lost | {tier.bit} "
            f"ELSE lost & ~{tier.bit} END WHERE {self._covered} AND lost <> 0"
        )
        kept = rolled(f"(SELECT * FROM {points} ANTI JOIN lost USING (series))", tier.width_ms)
        rest = renewed(
            old,
            f"(SELECT * FROM {points} SEMI JOIN lost USING (series))",
            "(SELECT * FROM pending SEMI JOIN lost USING (series))",
            tier.width_ms,
            "lost",
        )
        return f"{kept} UNION ALL SELECT * FROM ({rest})"

    def _old(self, tier: Tier) -> str:
        return scan_tier(self._store.layout, [self._part], tier)


def _moving(store: Store, part: Part) -> str:
    return f"{part.region} AND time < {store.moved_until}"


def _pending(store: Store, part: Part) -> str:
    """Return a table of the points to move; of two for one time the late one counts."""
    rows = overlaid(
        f"(SELECT * FROM recent WHERE {_moving(store, part)})",
        f"(SELECT * FROM late WHERE {part.region})",
    )
    return f"({rows})"


def cut(
    cursor: Cursor, points: str, total: int, low: int = LOWEST, high: int = HIGHEST
) -> list[tuple[int, int]]:
    """Cut a range of series into some with about as many points each, if there are many."""
    cuts = [low, high]
    if total > MOST_POINTS:
        counted = columns(
            cursor,
            f"SELECT series, count(*) AS points FROM {points} GROUP BY series ORDER BY series",
        )
        piece = counted["points"].cumsum() * (-(-total // SOME_POINTS)) // (total + 1)
        first = np.flatnonzero(np.diff(piece)) + 1
        cuts[1:1] = counted["series"][first].tolist()
    return list(pairwise(cuts))
