"""Rows of the store into per-series points and buckets."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import numpy as np

from bridge.errors import TooMuchError
from bridge.model import BucketFunction, Buckets, Points
from bridge.sources.history.database import columns, relation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from bridge.model import BucketRequest, PointRequest
    from bridge.sources.history.database import Cursor
    from bridge.sources.history.series import Selection

#: Numbers written into a query; more are joined.
_MOST_LITERALS = 100

_SQL = {
    BucketFunction.AVG: "sum(value) / count(*)",
    BucketFunction.SUM: "sum(value)",
    BucketFunction.COUNT: "count(*)::DOUBLE",
    BucketFunction.MIN: "min(value)",
    BucketFunction.MAX: "max(value)",
    BucketFunction.FIRST: "arg_min(value, time)",
    BucketFunction.LAST: "arg_max(value, time)",
}


def read_points(cursor: Cursor, request: PointRequest, selection: Selection) -> tuple[Points, ...]:
    """Return raw points of the selected series.

    Raises:
        TooMuchError: There are more than the request's limit.
    """
    with _wanted(cursor, selection) as condition:
        found = columns(
            cursor,
            f"SELECT series, time, value FROM points WHERE {condition} "
            f"AND time BETWEEN {request.start_ms} AND {request.end_ms} LIMIT {request.limit + 1}",
        )
    if len(found["time"]) > request.limit:
        raise TooMuchError(
            f"more than the limit of {request.limit:,} points (setting max_points): "
            "narrow the range or the filters"
        )
    return tuple(
        Points(selection.tags[at], rows["time"], rows["value"])
        for at, rows in _by_series(found, selection)
    )


def read_buckets(
    cursor: Cursor, request: BucketRequest, selection: Selection
) -> tuple[Buckets, ...]:
    """Return buckets of the selected series."""
    functions = sorted(request.functions)
    figures = ", ".join(f"{_SQL[function]} AS {function}" for function in functions)
    with _wanted(cursor, selection) as condition:
        found = columns(
            cursor,
            f"SELECT series, time - time % {request.step_ms} AS time, {figures} "
            f"FROM points WHERE {condition} "
            f"AND time >= {request.start_ms} AND time < {request.end_ms} GROUP BY ALL",
        )
    return tuple(
        Buckets(selection.tags[at], rows["time"], {f: rows[f] for f in functions})
        for at, rows in _by_series(found, selection)
    )


@contextlib.contextmanager
def _wanted(cursor: Cursor, selection: Selection) -> Iterator[str]:
    """Give the SQL condition that a row belongs to a selected series."""
    numbers = selection.numbers
    span = f"series BETWEEN {numbers[0]} AND {numbers[-1]}"
    if selection.whole or len(numbers) == 1:
        yield span
    elif len(numbers) <= _MOST_LITERALS:
        yield f"{span} AND series IN ({', '.join(map(str, numbers.tolist()))})"
    else:
        with relation(cursor, "wanted", series=numbers):
            yield f"{span} AND series IN (SELECT series FROM wanted)"


def _by_series(
    found: dict[str, NDArray[Any]], selection: Selection
) -> Iterator[tuple[int, dict[str, NDArray[Any]]]]:
    """Sort rows and cut them into series, given by their place in the selection."""
    series = found["series"]
    if not len(series):
        return
    time = found["time"]
    same = series[1:] == series[:-1]
    if not ((series[1:] > series[:-1]) | (same & (time[1:] > time[:-1]))).all():
        order = np.lexsort((time, series))
        found = {name: column[order] for name, column in found.items()}
        series = found["series"]
    edges = np.flatnonzero(series[1:] != series[:-1]) + 1
    starts = [0, *edges.tolist()]
    places = np.searchsorted(selection.numbers, series[starts]).tolist()
    for place, low, high in zip(places, starts, [*starts[1:], len(series)], strict=True):
        yield place, {name: column[low:high] for name, column in found.items()}
