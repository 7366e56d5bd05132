"""Reads everything a store holds and says what is wrong with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bridge.errors import BridgeError
from bridge.sources.history.database import columns
from bridge.sources.history.layout import RAW, ROLLUPS, TIERS
from bridge.sources.history.meta import one
from bridge.sources.history.parts import read_parts, scan_tier
from bridge.sources.history.views import FIGURES, rolled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from bridge.sources.history.database import Cursor
    from bridge.sources.history.layout import Tier
    from bridge.sources.history.parts import Part, StoredFile
    from bridge.sources.history.store import Store

#: Sums are compared to this share of their size: they may be added in any order.
_SAME_SUM = 1e-9


@dataclass(frozen=True, slots=True)
class Verified:
    """What was read.

    Attributes:
        files: How many.
        rows: Points and buckets in them, and points in tables.
        problems: In words, each naming its file; empty when all is well.
    """

    files: int
    rows: int
    problems: tuple[str, ...]


def verify(store: Store, progress: Callable[[int, int], None]) -> Verified:
    """Read every file and table, a part at a time; no part may change meanwhile.

    Args:
        store: The store.
        progress: Told how many parts have been read, and of how many.
    """
    problems = list(store.damaged())
    with store.snapshot() as cursor:
        rows = sum(one(cursor, f"SELECT count(*) FROM {table}") for table in ("recent", "late"))
        problems += _tables(cursor, store)
        known = columns(cursor, "SELECT series FROM series")["series"]
        parts = read_parts(cursor)
    for at, part in enumerate(parts):
        progress(at, len(parts))
        problems += _part(store, part, known)
    progress(len(parts), len(parts))
    files = [file for part in parts for file in part.files.values()]
    return Verified(len(files), rows + sum(file.rows for file in files), tuple(problems))


def _part(store: Store, part: Part, known: NDArray[Any]) -> Iterator[str]:
    readable = True
    for tier in TIERS:
        file = part.files.get(tier)
        if file is None:
            continue
        try:
            with store.database.cursor() as cursor:
                found = columns(cursor, f"SELECT * FROM {scan_tier(store.layout, [part], tier)}")
        except BridgeError as error:
            readable = False
            yield f"{tier.name}/{file.name}: {error.message}"
        else:
            for problem in _rows(part, file, found, known):
                yield f"{tier.name}/{file.name}: {problem}"
    if readable and RAW in part.files:
        for tier in ROLLUPS:
            if tier in part.files:
                yield from _rollup(store, part, tier)


def _rows(
    part: Part, file: StoredFile, found: dict[str, NDArray[Any]], known: NDArray[Any]
) -> Iterator[str]:
    series, time = found["series"], found["time"]
    if len(series) != file.rows:
        yield f"{len(series)} rows instead of {file.rows}"
    if not len(series):
        return
    same = series[1:] == series[:-1]
    if (same & (time[1:] == time[:-1])).any():
        yield "several rows for one series and time"
    if ((series[1:] < series[:-1]) | (same & (time[1:] < time[:-1]))).any():
        yield "rows are not in order"
    if series.min() < part.low or series.max() >= part.high:
        yield "series of another part"
    if not np.isin(series, known).all():
        yield "series without a name"
    if time.min() < part.start_ms or time.max() >= part.end_ms:
        yield "times of another month"
    if file.tier.width_ms and (time % file.tier.width_ms).any():
        yield "times off the grid"
    if file.tier is RAW and not np.isfinite(found["value"]).all():
        yield "values that are not finite"


def _rollup(store: Store, part: Part, tier: Tier) -> Iterator[str]:
    """Compare a roll-up with the points, for the series whose points are all kept."""
    layout = store.layout
    complete = (
        f"(SELECT * FROM {{}} ANTI JOIN (SELECT series FROM coverage WHERE month = {part.month} "
        f"AND lost & {RAW.bit | tier.bit} <> 0) USING (series))"
    )
    points = complete.format(scan_tier(layout, [part], RAW))
    kept = complete.format(scan_tier(layout, [part], tier))
    differ = [
        f"made.{name} IS DISTINCT FROM kept.{name}"
        for name in map('"{}"'.format, FIGURES)
        if name != '"sum"'
    ]
    differ.append(
        'abs(made."sum" - kept."sum") > '
        f'{_SAME_SUM} * made."count" * greatest(abs(made."min"), abs(made."max"))'
    )
    sql = (
        f"SELECT count(*) FROM ({rolled(points, tier.width_ms)}) AS made FULL JOIN {kept} "
        f"AS kept USING (series, time) WHERE {' OR '.join(differ)}"
    )
    with store.database.cursor() as cursor:
        wrong = one(cursor, sql)
    if wrong:
        mine, theirs = part.files[tier].name, part.files[RAW].name
        yield f"{tier.name}/{mine}: {wrong} buckets differ from the points in raw/{theirs}"


def _tables(cursor: Cursor, store: Store) -> Iterator[str]:
    name = store.layout.database.name
    for table in ("recent", "late"):
        twice = one(
            cursor,
            f"SELECT count(*) FROM (SELECT series, time FROM {table} "
            "GROUP BY series, time HAVING count(*) > 1)",
        )
        if twice:
            yield f"{name}: {twice} times with several points of a series (table {table})"
        nameless = one(cursor, f"SELECT count(*) FROM {table} ANTI JOIN series USING (series)")
        if nameless:
            yield f"{name}: {nameless} points of series without a name (table {table})"
