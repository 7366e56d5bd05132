"""Points exported elsewhere into a store.

A file has the columns ``metric``, ``time`` (epoch milliseconds) and ``value``, and the labels
either as a column each or in one column ``tags``: a map in Parquet, a JSON object as text.
An empty label counts as none. Nothing of a file is stored when any row of it is wrong.

The file is first brought into a compact form beside the store, then stored month by month in
short transactions: an import that was broken off goes on with the month it was in.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bridge.errors import BadRequestError
from bridge.sources.history import foreign
from bridge.sources.history.choice import MONTH
from bridge.sources.history.copies import copy_names
from bridge.sources.history.database import columns, quoted, relation
from bridge.sources.history.layout import month_start
from bridge.sources.history.maintenance import move_until, stays_until
from bridge.sources.history.merging import cut, merge, parts_to_merge
from bridge.sources.history.meta import one
from bridge.sources.history.parts import scan
from bridge.sources.history.writing import add_series, put, texts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from bridge.model import SeriesKey
    from bridge.sources.history.store import Store

#: Bytes of disk a row needs at most until it is in its month's files.
_ROOM = 48


@dataclass(frozen=True, slots=True)
class Checked:
    """A file whose rows are all right.

    Attributes:
        file: The file.
        digest: Of its content: which import goes on where it was.
        rows: How many.
        series: The texts that name a series, and the series.
    """

    file: foreign.Foreign
    digest: str
    rows: int
    series: list[tuple[tuple[str | None, ...], SeriesKey]]


@dataclass(slots=True)
class Imported:
    """What an import did.

    Attributes:
        rows: In the file.
        stored: Of those, in months that an earlier, broken-off import had not finished.
        series: How many the file names.
        new_series: Of those, not known before.
    """

    rows: int
    stored: int = 0
    series: int = 0
    new_series: int = 0


def check(store: Store, path: Path) -> Checked:
    """Read a whole file without storing anything.

    Raises:
        BadRequestError: It cannot be read, or a row of it is wrong.
    """
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise BadRequestError(f"{path} cannot be read: {error.strerror}") from None
    with store.database.cursor() as cursor:
        file_ = foreign.look_at(cursor, path)
        rows = foreign.check(cursor, file_)
        return Checked(file_, digest, rows, foreign.series_of(cursor, file_))


def number(store: Store, checked: Checked, done: Imported) -> dict[SeriesKey, int]:
    """Give every series of a file its number."""
    keys = sorted({key for _, key in checked.series}, key=lambda key: (key.metric, key.tags))
    numbers, added = store.series.assign(keys)
    with store.database.transaction() as cursor:
        add_series(cursor, added)
    store.series.publish(added)
    done.series, done.new_series = len(keys), len(added)
    return dict(zip(keys, numbers.tolist(), strict=True))


def stage(store: Store, checked: Checked, numbers: dict[SeriesKey, int]) -> Path:
    """Bring a file into a compact form beside the store, and return where that is.

    Raises:
        BridgeError: There is no room for it.
    """
    store.require_room(_ROOM * checked.rows)
    path = store.layout.scratch / f"import-{checked.digest[:16]}.parquet"
    names = checked.file.naming
    table = {
        f"key_{at}": texts(row[at] or "" for row, _ in checked.series) for at in range(len(names))
    }
    series = np.array([numbers[key] for _, key in checked.series], dtype=np.int64)
    same = " AND ".join(f"coalesce({name}, '') = key_{at}" for at, name in enumerate(names))
    rows = f"(SELECT *, row_number() OVER () AS row FROM {checked.file.rows})"
    try:
        with store.database.cursor() as cursor, relation(cursor, "named", number=series, **table):
            cursor.execute(
                "COPY (SELECT number AS series, time, value, row "
                f"FROM {rows} JOIN named ON {same}) "
                f"TO {quoted(str(path))} (FORMAT parquet, COMPRESSION zstd, PARQUET_VERSION v2)"
            )
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return path


def store_staged(
    store: Store, staged: Path, checked: Checked, done: Imported, progress: Callable[[int], None]
) -> Iterator[None]:
    """Store what has been staged, a step an item; writes may come between two steps.

    Args:
        store: The store.
        staged: As ``stage`` returned it.
        checked: The file.
        done: Is filled in.
        progress: Told how many of the rows are stored.
    """
    rows = scan([staged])
    with store.snapshot() as cursor:
        months = columns(
            cursor, f"SELECT {MONTH} AS month, count(*) AS rows FROM {rows} GROUP BY 1 ORDER BY 1"
        )
        finished = {
            month
            for (month,) in cursor.execute(
                "SELECT month FROM imports WHERE file = ?", [checked.digest]
            ).fetchall()
        }
        newest = one(cursor, f"SELECT max(time) FROM {rows}")
    move_until(store, stays_until(store.now_ms()), newest)  # into files at once
    copy_names(store)
    passed = 0
    for month, count in zip(months["month"].tolist(), months["rows"].tolist(), strict=True):
        passed += count
        if month not in finished:
            yield from _store_month(store, rows, month, count)
            with store.database.transaction() as cursor:
                cursor.execute("INSERT INTO imports VALUES (?, ?)", [checked.digest, month])
            done.stored += count
        progress(passed)
        yield
    with store.database.transaction() as cursor:
        cursor.execute("DELETE FROM imports WHERE file = ?", [checked.digest])
    store.tidy_log(1)


def _store_month(store: Store, rows: str, month: int, count: int) -> Iterator[None]:
    first, end = month_start(month), month_start(month + 1)
    inside = f"time >= {first} AND time < {end}"
    with store.snapshot() as cursor:
        pieces = cut(cursor, f"(SELECT series FROM {rows} WHERE {inside})", count)
    for low, high in pieces:
        yield
        store.require_room(_ROOM * count)
        with store.database.transaction() as cursor:
            cursor.execute(
                "CREATE TEMP TABLE incoming AS SELECT series, time, arg_max(value, row) AS value "
                f"FROM {rows} WHERE {inside} AND series >= {low} AND series < {high} "
                "GROUP BY series, time"
            )
            split = f"{store.moved_until}"
            for table, condition in (("late", f"time < {split}"), ("recent", f"time >= {split}")):
                put(cursor, table, f"(SELECT * FROM incoming WHERE {condition})", first, end - 1)
        store.late_changed_ms = store.now_ms()
        for part in list(parts_to_merge(store, month)):
            yield
            merge(store, part)
        store.tidy_log()
