"""Points into tables: a point replaces one of the same series and time, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import orjson

from bridge.catalog import Kind
from bridge.errors import BadRequestError
from bridge.model import LabelEra
from bridge.sources.history.database import relation
from bridge.sources.history.layout import FIRST_MS, LAST_MS
from bridge.sources.history.meta import set_meta

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from bridge.model import PointBatch
    from bridge.sources.history.database import Cursor
    from bridge.sources.history.series import NewSeries
    from bridge.sources.history.store import Store

#: Bytes of disk a point needs at most until it is in a file.
_ROOM = 100


def write_batch(store: Store, batch: PointBatch, eras: Sequence[LabelEra]) -> None:
    """Store points and eras in one transaction.

    Raises:
        BadRequestError: As ``check_batch``.
        BridgeError: Nothing of it has been stored.
    """
    check_batch(batch)
    store.require_room(_ROOM * len(batch.values))
    numbers, added = store.series.assign(batch.keys)
    with store.database.transaction() as cursor:
        add_series(cursor, added)
        late = add_points(
            cursor, numbers[batch.series], batch.stamps_ms, batch.values, store.moved_until
        )
        add_eras(cursor, eras)
        set_meta(cursor, "written_ms", store.now_ms())
    store.series.publish(added)
    if late:
        store.late_changed_ms = store.now_ms()
        store.late_waiting += late
    store.tidy_log()


def check_batch(batch: PointBatch) -> None:
    """Refuse what cannot be stored exactly.

    Raises:
        BadRequestError: Arrays of different lengths, an unknown series, a value that is not
            finite, or a time before 1970 or after 2099.
    """
    if not len(batch.series) == len(batch.stamps_ms) == len(batch.values):
        raise BadRequestError("a batch of points needs a series, a time and a value for each")
    if not len(batch.series):
        return
    if int(batch.series.min()) < 0 or int(batch.series.max()) >= len(batch.keys):
        raise BadRequestError("a batch of points names a series that it does not list")
    if not np.isfinite(batch.values).all():
        at = int(np.flatnonzero(~np.isfinite(batch.values))[0])
        key = batch.keys[int(batch.series[at])]
        raise BadRequestError(
            f"{key.metric} {dict(key.tags)}: {float(batch.values[at])!r} cannot be recorded; "
            "expected finite values"
        )
    outside = (batch.stamps_ms < FIRST_MS) | (batch.stamps_ms >= LAST_MS)
    if outside.any():
        at = int(np.flatnonzero(outside)[0])
        raise BadRequestError(
            f"{int(batch.stamps_ms[at])} is no time that can be recorded; "
            "expected epoch milliseconds between 1970 and 2099"
        )


def add_series(cursor: Cursor, added: Sequence[NewSeries]) -> None:
    """Store series that are new."""
    if not added:
        return
    with relation(
        cursor,
        "incoming",
        series=np.array([new.number for new in added], dtype=np.int64),
        metric=texts(new.metric for new in added),
        tags=texts(new.tags_text for new in added),
    ):
        cursor.execute("INSERT INTO series SELECT series, metric, tags FROM incoming")


def add_points(
    cursor: Cursor,
    numbers: NDArray[np.int64],
    stamps: NDArray[np.int64],
    values: NDArray[np.float64],
    moved_until: int,
) -> int:
    """Store points of series, by their numbers; of two for one time the later one counts.

    Returns:
        How many came late: for times from which points move into files.
    """
    if not len(numbers):
        return 0
    order = np.lexsort((stamps, numbers))  # stable: equal ones stay in their order
    numbers, stamps, values = numbers[order], stamps[order], values[order]
    last = np.append((numbers[1:] != numbers[:-1]) | (stamps[1:] != stamps[:-1]), True)
    if not last.all():
        numbers, stamps, values = numbers[last], stamps[last], values[last]
    late = stamps < moved_until
    for table, own in (("late", late), ("recent", ~late)):
        if own.any():
            with relation(
                cursor, "incoming", series=numbers[own], time=stamps[own], value=values[own]
            ):
                put(cursor, table, "incoming", int(stamps[own].min()), int(stamps[own].max()))
    return int(late.sum())


def put(cursor: Cursor, table: str, incoming: str, first_ms: int, last_ms: int) -> None:
    """Store the rows of a relation, unique by series and time, that are not stored so.

    Args:
        cursor: Inside a transaction.
        table: ``recent`` or ``late``.
        incoming: The relation, with ``series``, ``time`` and ``value``.
        first_ms: Its earliest time.
        last_ms: Its latest one.
    """
    span = f"time BETWEEN {first_ms} AND {last_ms}"
    if cursor.execute(f"SELECT 1 FROM {table} WHERE {span} LIMIT 1").fetchone() is None:
        cursor.execute(f"INSERT INTO {table} SELECT series, time, value FROM {incoming}")
        return
    cursor.execute(
        f"DELETE FROM {table} AS old USING {incoming} AS new WHERE old.{span} "
        "AND old.series = new.series AND old.time = new.time AND old.value <> new.value"
    )
    cursor.execute(
        f"INSERT INTO {table} SELECT series, time, value FROM {incoming} AS new ANTI JOIN "
        f"(SELECT series, time FROM {table} WHERE {span}) AS old USING (series, time)"
    )


def add_eras(cursor: Cursor, eras: Sequence[LabelEra]) -> None:
    """Store eras; one replaces another of the same object and start."""
    if not eras:
        return
    latest = {(era.kind, era.datacenter, era.value, era.since_ms): era for era in eras}.values()
    with relation(
        cursor,
        "incoming",
        kind=texts(str(era.kind) for era in latest),
        datacenter=texts(era.datacenter for era in latest),
        value=texts(era.value for era in latest),
        since_ms=np.array([era.since_ms for era in latest], dtype=np.int64),
        until_ms=np.array([_or_none(era.until_ms) for era in latest], dtype=np.int64),
        labels=texts(orjson.dumps(dict(era.labels)).decode() for era in latest),
    ):
        cursor.execute(
            "DELETE FROM eras AS old USING incoming AS new WHERE old.kind = new.kind AND "
            "old.datacenter = new.datacenter AND old.value = new.value "
            "AND old.since_ms = new.since_ms"
        )
        cursor.execute(
            "INSERT INTO eras SELECT kind, datacenter, value, since_ms, "
            f"nullif(until_ms, {_NONE}), labels FROM incoming"
        )


def read_eras(cursor: Cursor) -> tuple[LabelEra, ...]:
    """Return every era, by object and time."""
    rows = cursor.execute(
        "SELECT kind, datacenter, value, since_ms, until_ms, labels FROM eras "
        "ORDER BY kind, datacenter, value, since_ms"
    ).fetchall()
    return tuple(
        LabelEra(
            Kind(kind),
            datacenter,
            value,
            tuple(sorted(orjson.loads(labels).items())),
            since_ms,
            until_ms,
        )
        for kind, datacenter, value, since_ms, until_ms, labels in rows
    )


def texts(given: Iterable[str]) -> NDArray[np.object_]:
    """Return texts as an array that DuckDB reads as VARCHAR."""
    return np.array(list(given), dtype=np.object_)


#: Stands for NULL, which an array of integers cannot hold.
_NONE = -(1 << 62)


def _or_none(number: int | None) -> int:
    return _NONE if number is None else number
