"""Keeps the store in shape: moves points into files, rolls them up, lets old ones go.

Everything comes as small steps, so that a write waits for one step at most.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

import structlog

from bridge.errors import BridgeError, UnavailableError
from bridge.sources.history.choice import MONTH
from bridge.sources.history.copies import copy_names
from bridge.sources.history.errors import HistoryFullError
from bridge.sources.history.layout import DAY_MS, HOUR, TIERS, moment_text, month_text
from bridge.sources.history.merging import merge, missing_rollups, parts_to_merge
from bridge.sources.history.meta import meta, one, set_meta
from bridge.sources.history.parts import read_parts
from bridge.sources.history.series import SeriesTable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bridge.sources.history.layout import Tier
    from bridge.sources.history.parts import Part
    from bridge.sources.history.store import Store

_log = structlog.get_logger(__name__)

#: Points stay in the database for half a day to one and a half, and leave it day by day.
STAY_MS, STEP_MS = DAY_MS // 2, DAY_MS

#: Late points are merged once none has come for this time, or once there are many.
SETTLED_MS, MANY_LATE = 600_000, 1_000_000

#: A file goes only when nothing has come into its month for this time: what comes piece by
#: piece for a month long past must be rolled up together.
UNTOUCHED_MS = DAY_MS

#: The clock has jumped when the last run was so long ago, or after now by so much.
JUMP_MS, BACK_MS = 2 * DAY_MS, 60_000


@dataclass(slots=True)
class Maintained:
    """What a run of maintenance did.

    Attributes:
        moved: Points moved into files.
        merged: Parts of months renewed.
        deleted: Files that had become too old.
        waits: In words, why nothing that goes by the clock was done; None if it was.
        failed: The first error of a part; the others were merged nevertheless.
    """

    moved: int = 0
    merged: int = 0
    deleted: int = 0
    waits: str | None = None
    failed: BridgeError | None = None


def maintain(store: Store, done: Maintained, *, everything: bool = False) -> Iterator[None]:
    """Run maintenance, a step an item; writes may come between two steps.

    Args:
        store: The store.
        done: Is filled in.
        everything: Move all points up to the last whole hour, and every late one.

    Raises:
        HistoryFullError: There is no room; what was done before stays done.
        BridgeError: Something else than a part failed; the same.
    """
    now = store.now_ms()
    done.waits = _clock_jumped(store, now)
    if everything or done.waits is None:
        with store.snapshot() as cursor:
            newest = one(cursor, "SELECT max(time) FROM recent")
        move_until(store, now - now % HOUR.width_ms if everything else stays_until(now), newest)
    months = _months(store, late=everything or _late_is_due(store, now))
    if months:
        copy_names(store)
    for month in months:
        for part in list(parts_to_merge(store, month)):
            yield
            _merge(store, part, done)
    with store.snapshot() as cursor:
        parts = read_parts(cursor)
    for part in parts:
        if missing_rollups(store, part):
            yield
            _merge(store, part, done)
    if done.waits is None:
        for month, own in groupby(parts, key=lambda part: part.month):
            for tier, old in _too_old(store, month, list(own), now):
                yield
                done.deleted += _drop(store, month, tier, old)
    yield
    with store.database.transaction() as cursor:
        set_meta(cursor, "maintained_ms", now)
    store.tidy_log(1 if done.moved or done.deleted else None)


def _merge(store: Store, part: Part, done: Maintained) -> None:
    """Merge one part; a damaged file must not hold up the others."""
    try:
        done.moved += merge(store, part)
        done.merged += 1
    except (HistoryFullError, UnavailableError):
        raise
    except BridgeError as error:
        _log.warning("history.merge_failed", month=month_text(part.month), problem=error.message)
        done.failed = done.failed or error


def _clock_jumped(store: Store, now: int) -> str | None:
    """Say why nothing may go by the clock: it has jumped less than a day ago."""
    with store.database.transaction() as cursor:
        seen = meta(cursor, "clock_seen", now)
        wait_until = meta(cursor, "wait_until", 0)
        if not seen - BACK_MS <= now <= seen + JUMP_MS:
            wait_until = now + DAY_MS
            set_meta(cursor, "wait_until", wait_until)
            _log.warning("history.clock_jumped", before=moment_text(seen), now=moment_text(now))
        set_meta(cursor, "clock_seen", now)
    if now >= wait_until:
        return None
    return (
        "the clock has jumped, or the bridge has not run for long: "
        f"nothing is moved or deleted before {moment_text(wait_until)}"
    )


def move_until(store: Store, boundary: int, newest: int) -> None:
    """Let points before a time go into files, up to about the newest point there is.

    A clock that is ahead must not make late what comes once it is right again.
    """
    boundary = min(boundary, newest - newest % HOUR.width_ms + HOUR.width_ms)
    if boundary > store.moved_until:
        with store.database.transaction() as cursor:
            set_meta(cursor, "moved_until", boundary)
        store.moved_until = boundary


def stays_until(now: int) -> int:
    """Return from when on points stay in the database."""
    return (now - STAY_MS) // STEP_MS * STEP_MS


def _late_is_due(store: Store, now: int) -> bool:
    store.late_waiting = 0
    if not 0 <= now - store.late_changed_ms < SETTLED_MS:
        return True
    with store.snapshot() as cursor:
        return one(cursor, "SELECT count(*) FROM late") >= MANY_LATE


def _months(store: Store, *, late: bool) -> list[int]:
    """Return the months with points to move."""
    sql = f"SELECT DISTINCT {MONTH} AS month FROM recent WHERE time < {store.moved_until}"
    if late:
        sql += f" UNION SELECT DISTINCT {MONTH} FROM late"
    with store.snapshot() as cursor:
        return sorted(month for (month,) in cursor.execute(sql).fetchall())


def _too_old(
    store: Store, month: int, parts: Sequence[Part], now: int
) -> Iterator[tuple[Tier, list[Part]]]:
    for tier in TIERS:
        having = [part for part in parts if tier in part.files]
        if (
            having
            and not store.retention.keeps(tier, month, now)
            and all(part.files[tier].changed_ms <= now - UNTOUCHED_MS for part in having)
        ):
            yield tier, having


def _drop(store: Store, month: int, tier: Tier, parts: Sequence[Part]) -> int:
    """Delete a tier of a month, and what is known of series that have nothing else."""
    store.lost_until = max(store.lost_until, month)
    purged = 0
    with store.database.transaction() as cursor:
        cursor.execute("DELETE FROM files WHERE month = ? AND tier = ?", [month, tier.name])
        if one(cursor, f"SELECT count(*) FROM files WHERE month = {month}"):
            cursor.execute(f"UPDATE coverage SET lost = lost | {tier.bit} WHERE month = {month}")
        else:
            cursor.execute(f"DELETE FROM coverage WHERE month = {month}")
            purged = len(
                cursor.execute(
                    "DELETE FROM series WHERE series NOT IN (SELECT series FROM coverage UNION "
                    "SELECT series FROM recent UNION SELECT series FROM late) RETURNING series"
                ).fetchall()
            )
    if purged:
        with store.snapshot() as cursor:
            store.series = SeriesTable.load(cursor)
    files = [store.layout.file(tier, part.files[tier].name) for part in parts]
    store.pins.retire(files)
    return len(files)
