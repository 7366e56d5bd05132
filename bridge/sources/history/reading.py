"""Rows of the store into per-series points and buckets."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import numpy as np

from bridge.errors import TooMuchError
from bridge.model import Buckets, Points
from bridge.sources.history.blame import blaming
from bridge.sources.history.choice import Asked, choose
from bridge.sources.history.database import columns, relation
from bridge.sources.history.layout import RAW, ROLLUPS
from bridge.sources.history.parts import scan_tier
from bridge.sources.history.views import NEEDED, as_rollup, merged, overlaid, renewed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from bridge.model import BucketRequest, PointRequest
    from bridge.sources.history.choice import Choice
    from bridge.sources.history.database import Cursor
    from bridge.sources.history.layout import Tier
    from bridge.sources.history.parts import Part
    from bridge.sources.history.series import Selection
    from bridge.sources.history.store import Store

#: Numbers written into a query; more are joined.
_MOST_LITERALS = 100


def read_points(store: Store, request: PointRequest, selection: Selection) -> tuple[Points, ...]:
    """Return raw points of the selected series.

    Raises:
        TooMuchError: There are more than the request's limit.
        BadRequestError: Points of these series are no longer kept for all of the range.
        BridgeError: The store failed.
    """
    used: list[Part] = []
    with (
        blaming(store, used),
        store.snapshot() as cursor,
        _wanted(cursor, selection) as wanted,
    ):
        asked = Asked(selection, wanted, request.start_ms, request.end_ms)
        choice = choose(cursor, store, asked)
        used += choice.used
        rows = points_sql(store, choice.parts.get(RAW, ()), asked.condition, late=choice.late)
        found = columns(cursor, f"SELECT * FROM ({rows}) LIMIT {request.limit + 1}")
    if len(found["time"]) > request.limit:
        raise TooMuchError(
            f"more than the limit of {request.limit:,} points (setting max_points): "
            "narrow the range or the filters"
        )
    return tuple(
        Points(selection.tags[at], own["time"], own["value"])
        for at, own in _by_series(found, selection)
    )


def read_buckets(store: Store, request: BucketRequest, selection: Selection) -> tuple[Buckets, ...]:
    """Return buckets of the selected series, from the coarsest tier that gives them exactly.

    Raises:
        BadRequestError: What is kept for the range cannot give them.
        BridgeError: The store failed.
    """
    functions = sorted(request.functions)
    used: list[Part] = []
    with (
        blaming(store, used),
        store.snapshot() as cursor,
        _wanted(cursor, selection) as wanted,
    ):
        asked = Asked(
            selection, wanted, request.start_ms, request.end_ms - 1, step_ms=request.step_ms
        )
        choice = choose(cursor, store, asked)
        used += choice.used
        rows = _rollups(store, choice, asked, functions)
        found = columns(cursor, merged(rows, request.step_ms, functions))
    return tuple(
        Buckets(selection.tags[at], own["time"], {f: own[f"{f}_"] for f in functions})
        for at, own in _by_series(found, selection)
    )


def points_sql(store: Store, parts: Sequence[Part], condition: str, *, late: bool) -> str:
    """Return the SQL of points: of files, recent ones, and late ones over both."""
    rows = f"SELECT series, time, value FROM recent WHERE {condition}"
    if parts:
        files = scan_tier(store.layout, parts, RAW)
        rows += f" UNION ALL SELECT series, time, value FROM {files} WHERE {condition}"
    if late:
        rows = overlaid(f"({rows})", f"(SELECT * FROM late WHERE {condition})")
    return rows


def _rollups(store: Store, choice: Choice, asked: Asked, functions: Sequence[Any]) -> str:
    """Return the SQL of the roll-ups, of any width, that the buckets are merged of."""
    needed = sorted({column for name in functions for column in NEEDED[name][0]})
    names = ", ".join(f'"{name}"' for name in needed)
    elsewhere = "".join(f" AND NOT {part.region}" for part, _ in choice.patched)
    points = points_sql(
        store, choice.parts.get(RAW, ()), asked.condition + elsewhere, late=choice.late
    )
    pieces = [as_rollup(f"({points})", needed)]
    pieces += [
        f"SELECT series, time, {names} FROM {scan_tier(store.layout, parts, tier)} "
        f"WHERE {asked.condition}"
        for tier in ROLLUPS
        if (parts := choice.parts.get(tier))
    ]
    pieces += [
        f"SELECT series, time, {names} FROM ({_patched(store, part, tier, asked)})"
        for part, tier in choice.patched
    ]
    return " UNION ALL ".join(pieces)


def _patched(store: Store, part: Part, tier: Tier, asked: Asked) -> str:
    """Return the SQL of a part's roll-up, renewed by points that came late."""
    condition = f"{asked.condition} AND {part.region}"
    having = [part] if RAW in part.files else []
    return renewed(
        f"(SELECT * FROM {scan_tier(store.layout, [part], tier)} WHERE {asked.condition})",
        points=f"({points_sql(store, having, condition, late=True)})",
        pending=f"({points_sql(store, [], condition, late=True)})",
        width_ms=tier.width_ms,
        lost=f"(SELECT series FROM coverage WHERE month = {part.month} AND lost & {RAW.bit} <> 0)",
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
    series, time = found["series"], found["time"]
    if not len(series):
        return
    same = series[1:] == series[:-1]
    if not ((series[1:] > series[:-1]) | (same & (time[1:] > time[:-1]))).all():
        order = np.lexsort((time, series))
        found = {name: column[order] for name, column in found.items()}
        series = found["series"]
    edges = (np.flatnonzero(series[1:] != series[:-1]) + 1).tolist()
    starts = [0, *edges]
    places = np.searchsorted(selection.numbers, series[starts]).tolist()
    for place, low, high in zip(places, starts, [*edges, len(series)], strict=True):
        yield place, {name: column[low:high] for name, column in found.items()}
