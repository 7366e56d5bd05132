"""Points into buckets, and gaps into fill values, for one series at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bridge.model import BucketFunction

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bridge.engine.plan import Plan
    from bridge.model import Downsample, Points, Query

    Line = tuple[NDArray[np.int64], NDArray[np.float64]]


def into_buckets(
    stamps: NDArray[np.int64], values: NDArray[np.float64], step_ms: int, function: BucketFunction
) -> Line:
    """Reduce ascending points to epoch-aligned buckets.

    Args:
        stamps: Ascending epoch milliseconds.
        values: One per stamp.
        step_ms: Bucket width; each bucket covers [stamp, stamp + width).
        function: How the points of a bucket become one value.
    """
    if not len(stamps):
        return stamps, values
    starts = stamps - stamps % step_ms
    first = np.flatnonzero(np.diff(starts, prepend=starts[0] - 1))
    return starts[first], _reduce(values, first, function)


def _reduce(
    values: NDArray[np.float64], first: NDArray[np.intp], function: BucketFunction
) -> NDArray[np.float64]:
    ends = np.append(first[1:], len(values))
    counts = (ends - first).astype(np.float64)
    result: NDArray[np.float64]
    match function:
        case BucketFunction.COUNT:
            result = counts
        case BucketFunction.SUM:
            result = np.add.reduceat(values, first)
        case BucketFunction.AVG:
            result = np.add.reduceat(values, first) / counts
        case BucketFunction.MIN:
            result = np.minimum.reduceat(values, first)
        case BucketFunction.MAX:
            result = np.maximum.reduceat(values, first)
        case BucketFunction.FIRST:
            result = values[first]
        case BucketFunction.LAST:
            result = values[ends - 1]
    return result


def downsample_points(
    points: Points, query: Query, spec: Downsample, function: BucketFunction, plan: Plan
) -> Line:
    """Downsample one series' raw points as OpenTSDB does (reference: opentsdb 1a).

    ``0all`` gives one bucket stamped at the start of the asked span, its end exclusive.
    Otherwise the first, partial bucket of the scan window is dropped.
    """
    stamps, values = points.stamps_ms, points.values
    if spec.interval_ms == 0:
        low, high = np.searchsorted(stamps, (query.window.start_ms, query.window.end_ms))
        if low == high:
            return stamps[:0], values[:0]
        total = _reduce(values[low:high], np.zeros(1, dtype=np.intp), function)
        return np.array([query.window.start_ms], dtype=np.int64), total
    first = -(-plan.scan_start_ms // spec.interval_ms) * spec.interval_ms
    low = np.searchsorted(stamps, first)
    return into_buckets(stamps[low:], values[low:], spec.interval_ms, function)


def fill_gaps(line: Line, spec: Downsample, plan: Plan) -> Line:
    """Give every bucket of the scan window a value, by the fill policy."""
    if spec.fill == "none" or spec.interval_ms == 0:
        return line
    step = spec.interval_ms
    start = plan.scan_start_ms - plan.scan_start_ms % step
    grid = np.arange(start, plan.scan_end_ms - plan.scan_end_ms % step, step, dtype=np.int64)
    filled = np.full(len(grid), 0.0 if spec.fill == "zero" else np.nan)
    stamps, values = line
    inside = np.searchsorted(stamps, start + len(grid) * step)
    filled[(stamps[:inside] - start) // step] = values[:inside]
    return grid, filled
