"""Warp 10's BUCKETIZE, fills and REDUCE, vectorised over all series of a query.

A grid has one row a series and one column a bucket that is in use; a missing value is
NaN in ``values`` **and** False in ``present`` (a fill of NaN is present).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bridge.demo.erlenmeyer.selectors import BackendError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from bridge.demo.shelf import StoredSeries

MAX_BUCKETS = 1_000_000
_MAX_CELLS = 50_000_000
_PERCENTILES = {"p50": 50.0, "p75": 75.0, "p90": 90.0, "p95": 95.0, "p99": 99.0, "p999": 99.9}


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """Bucketed series: ``stamps_us`` ascending, one column each."""

    stamps_us: NDArray[np.int64]
    values: NDArray[np.float64]
    present: NDArray[np.bool_]


def percentile_index(percent: float, size: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return which sorted value Warp 10 takes as the percentile (it never interpolates)."""
    rank = np.floor(0.5 + percent * size / 100.0 + 0.5).astype(np.int64) - 1
    index: NDArray[np.int64] = np.minimum(rank, size - 1)
    return index


def _segments(
    function: str, values: NDArray[np.float64], starts: NDArray[np.int64], sizes: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Reduce each run of ``values`` (starting at ``starts``, ``sizes`` long) to one value."""
    if function in {"sum", "zimsum"}:
        out = np.add.reduceat(values, starts)
    elif function == "avg":
        out = np.add.reduceat(values, starts) / sizes
    elif function in {"min", "mimmin"}:
        out = np.minimum.reduceat(values, starts)
    elif function in {"max", "mimmax"}:
        out = np.maximum.reduceat(values, starts)
    elif function == "count":
        out = sizes.astype(np.float64)
    elif function == "first":
        out = values[starts]
    elif function == "last":
        out = values[starts + sizes - 1]
    elif function == "dev":
        # Bessel's correction; a single value deviates by nothing.
        mean = np.repeat(np.add.reduceat(values, starts) / sizes, sizes)
        square = np.add.reduceat((values - mean) ** 2, starts)
        out = np.sqrt(square / np.maximum(sizes - 1, 1))
    else:
        run = np.repeat(np.arange(len(starts)), sizes)
        ordered = values[np.lexsort((values, run))]
        out = ordered[starts + percentile_index(_PERCENTILES[function], sizes)]
    result: NDArray[np.float64] = np.asarray(out, dtype=np.float64)
    return result


def bucketize(
    series: Sequence[StoredSeries],
    function: str,
    *,
    span_us: int,
    start_us: int,
    end_us: int,
    every: bool,
) -> Grid:
    """Put points into buckets that are counted back from ``end_us``.

    Bucket k is stamped ``end_us - k * span`` and covers (stamp - span, stamp]; there are
    floor((end - start) / span) of them, so that the oldest remainder is dropped. A span
    of 0 is one bucket; one longer than the range reaches back far enough for all points.

    Args:
        series: At least one.
        function: A downsampling function.
        span_us: Bucket width.
        start_us: Start of the query.
        end_us: End of the query.
        every: Keep every bucket as a column (for fills), not just those in use.

    Raises:
        BackendError: more buckets than Warp 10 allows.
    """
    if span_us == 0:
        span_us, count = max(end_us - start_us, 1), 1
    else:
        count = (end_us - start_us) // span_us or 1
    if count > MAX_BUCKETS:
        raise BackendError
    stamps = np.concatenate([s.stamps_us for s in series])
    values = np.concatenate([s.values for s in series])
    rows = np.repeat(np.arange(len(series)), [len(s.stamps_us) for s in series])
    back = (end_us - stamps) // span_us
    keep = back < count
    values, rows, column = values[keep], rows[keep], (count - 1 - back)[keep]
    used = np.arange(count) if every else np.unique(column)
    if len(series) * len(used) > _MAX_CELLS:
        raise BackendError
    grid = Grid(
        stamps_us=end_us - (count - 1 - used) * span_us,
        values=np.full((len(series), len(used)), np.nan),
        present=np.zeros((len(series), len(used)), dtype=bool),
    )
    if len(values):
        cell = rows * len(used) + np.searchsorted(used, column)
        filled, starts, sizes = np.unique(cell, return_index=True, return_counts=True)
        grid.values.flat[filled] = _segments(function, values, starts, sizes)
        grid.present.flat[filled] = True
    return grid


def fill(grid: Grid, policy: str, *, interpolate: bool) -> Grid:
    """Apply a fill policy; without one, gaps are interpolated and both ends prolonged."""
    if policy in {"nan", "zero"}:
        filler = 0.0 if policy == "zero" else np.nan
        values = np.where(grid.present, grid.values, filler)
        return Grid(grid.stamps_us, values, np.ones_like(grid.present))
    if not interpolate:
        return grid
    values = grid.values.copy()
    present = grid.present.copy()
    columns = np.arange(values.shape[1])
    for row in range(values.shape[0]):
        known = grid.present[row]
        if known.any() and not known.all():
            values[row] = np.interp(columns, columns[known], grid.values[row][known])
            present[row] = True
    return Grid(grid.stamps_us, values, present)


def reduce_rows(
    grid: Grid, rows: NDArray[np.int64], function: str
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Merge some rows into one series, stamp by stamp; NaN values spoil their stamp.

    Returns:
        Stamps in microseconds and values, only where at least one row has a value.
    """
    present = grid.present[rows]
    values = grid.values[rows]
    sizes = present.sum(axis=0)
    used = sizes > 0
    if not used.any():
        return grid.stamps_us[:0], np.zeros(0)
    if len(rows) == 1 and function not in {"count", "dev"}:
        return grid.stamps_us[used], values[0][used]
    sizes = sizes[used]
    # Column-major order puts the values of one stamp next to each other.
    flat = values.T[present.T]
    starts = np.concatenate(([0], np.cumsum(sizes)[:-1]))
    return grid.stamps_us[used], _segments(function, flat, starts, sizes)
