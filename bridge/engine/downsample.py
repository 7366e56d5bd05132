"""Points into buckets, and gaps into fill values, for one series at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bridge.engine.calendar import first_whole_interval, interval_start, interval_starts, zone
from bridge.engine.functions import PERCENTILES
from bridge.model import BucketFunction

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bridge.engine.plan import Plan
    from bridge.model import Buckets, Downsample, Points, Query

    Line = tuple[NDArray[np.int64], NDArray[np.float64]]


def into_buckets(
    stamps: NDArray[np.int64], values: NDArray[np.float64], step_ms: int, function: str
) -> Line:
    """Reduce ascending points to epoch-aligned buckets.

    Args:
        stamps: Ascending epoch milliseconds.
        values: One per stamp.
        step_ms: Bucket width; each bucket covers [stamp, stamp + width).
        function: A key of ``DOWNSAMPLERS``: how a bucket's points become one value.
    """
    if not len(stamps):
        return stamps, values
    starts = stamps - stamps % step_ms
    first = np.flatnonzero(np.diff(starts, prepend=starts[0] - 1))
    return starts[first], reduce_runs(values, first, function)


@np.errstate(over="ignore", invalid="ignore")  # an overflow is refused in the answer
def reduce_runs(
    values: NDArray[np.float64], first: NDArray[np.intp], function: str
) -> NDArray[np.float64]:
    """Reduce consecutive runs of values, each beginning at an index of ``first``."""
    last = np.append(first[1:], len(values)) - 1
    counts = last - first + 1
    result: NDArray[np.float64]
    match function:
        case "count":
            result = counts.astype(np.float64)
        case "sum" | "zimsum" | "pfsum":
            result = np.add.reduceat(values, first)
        case "avg":
            result = np.add.reduceat(values, first) / counts
        case "min" | "mimmin":
            result = np.minimum.reduceat(values, first)
        case "max" | "mimmax":
            result = np.maximum.reduceat(values, first)
        case "first":
            result = values[first]
        case "last":
            result = values[last]
        case "diff":
            result = values[last] - values[first]
        case "mult":
            result = np.multiply.reduceat(values, first)
        case "squareSum":
            result = np.add.reduceat(values * values, first)
        case "dev":
            means = np.add.reduceat(values, first) / counts
            apart = values - np.repeat(means, counts)
            result = np.sqrt(np.add.reduceat(apart * apart, first) / counts)
        case _:
            run = np.repeat(np.arange(len(first)), counts)
            ranked = values[np.lexsort((values, run))]
            low, high, weight = ranks(counts, function)
            result = ranked[first + low]
            result = result + weight * (ranked[first + high] - result)
    return result


def ranks(
    counts: NDArray[np.intp], function: str
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]:
    """Return where a median or percentile lies among sorted values.

    The median is the upper middle value; percentiles sit at p * (n + 1) and are
    interpolated, numpy's "weibull" (reference: opentsdb 1a).

    Args:
        counts: How many values there are; zero is treated as one.
        function: ``median`` or a key of ``PERCENTILES``.

    Returns:
        Lower rank, upper rank (both zero-based) and the upper one's weight.
    """
    counts = np.maximum(counts, 1)
    if function == "median":
        middle = counts // 2
        return middle, middle, np.zeros(len(counts))
    position = np.clip(PERCENTILES[function] * (counts + 1) / 100.0, 1, counts)
    low = np.floor(position).astype(np.intp)
    return low - 1, np.minimum(low, counts - 1), position - low


def downsample_points(points: Points, query: Query, spec: Downsample, plan: Plan) -> Line:
    """Downsample one series' raw points as OpenTSDB does (reference: opentsdb 1a).

    ``0all`` gives one bucket stamped at the start of the asked span, its end exclusive.
    Otherwise the first, partial bucket of the scan window is dropped.
    """
    stamps, values = points.stamps_ms, points.values
    if spec.interval_ms == 0:
        low, high = np.searchsorted(stamps, (query.window.start_ms, query.window.end_ms))
        if low == high:
            return stamps[:0], values[:0]
        total = reduce_runs(values[low:high], np.zeros(1, dtype=np.intp), spec.function)
        return np.array([query.window.start_ms], dtype=np.int64), total
    if spec.calendar:
        return _into_calendar_buckets(points, query, spec, plan)
    first = -(-plan.scan_start_ms // spec.interval_ms) * spec.interval_ms
    low = np.searchsorted(stamps, first)
    return into_buckets(stamps[low:], values[low:], spec.interval_ms, spec.function)


def _into_calendar_buckets(points: Points, query: Query, spec: Downsample, plan: Plan) -> Line:
    low, starts, first = _calendar_runs(points.stamps_ms, query, spec, plan)
    if not len(starts):
        return points.stamps_ms[:0], points.values[:0]
    return starts, reduce_runs(points.values[low:], first, spec.function)


def needed_columns(plan: Plan, spec: Downsample | None) -> frozenset[BucketFunction]:
    """Return what must be fetched of each bucket: means are merged from sums and counts."""
    if plan.function is None:
        return frozenset()
    if spec is not None and spec.calendar and plan.function is BucketFunction.AVG:
        return frozenset({BucketFunction.SUM, BucketFunction.COUNT})
    return frozenset({plan.function})


def merge_buckets(buckets: Buckets, query: Query, spec: Downsample, plan: Plan) -> Line:
    """Merge one series' buckets into calendar intervals, none of which begins inside one."""
    low, starts, first = _calendar_runs(buckets.stamps_ms, query, spec, plan)
    columns = {name: column[low:] for name, column in buckets.columns.items()}
    if not len(starts) or plan.function is None:
        return starts, np.empty(0)
    if plan.function is BucketFunction.AVG:
        sums = reduce_runs(columns[BucketFunction.SUM], first, "sum")
        return starts, sums / reduce_runs(columns[BucketFunction.COUNT], first, "sum")
    how = "sum" if plan.function is BucketFunction.COUNT else plan.function.value
    return starts, reduce_runs(columns[plan.function], first, how)


def _calendar_runs(
    stamps: NDArray[np.int64], query: Query, spec: Downsample, plan: Plan
) -> tuple[int, NDArray[np.int64], NDArray[np.intp]]:
    """Cut ascending stamps into calendar intervals.

    Returns:
        How many stamps lie in the first, partial interval and do not count; the starts of
        the intervals that hold any; where, among those that count, each begins.
    """
    whole = first_whole_interval(plan.scan_start_ms, spec, query.timezone)
    low = int(np.searchsorted(stamps, whole))
    stamps = stamps[low:]
    if not len(stamps):
        return low, stamps, np.empty(0, dtype=np.intp)
    edges = interval_starts(int(stamps[0]), int(stamps[-1]), spec.count, spec.unit, query.timezone)
    starts = edges[np.searchsorted(edges, stamps, side="right") - 1]
    first = np.flatnonzero(np.diff(starts, prepend=starts[0] - 1))
    return low, starts[first], first


def fill_gaps(line: Line, spec: Downsample, plan: Plan, timezone: str) -> Line:
    """Give every bucket of the scan window a value, by the fill policy."""
    if spec.fill == "none" or spec.interval_ms == 0:
        return line
    grid = _grid(spec, plan, timezone)
    filled = np.full(len(grid), 0.0 if spec.fill == "zero" else np.nan)
    stamps, values = line
    known = np.isin(stamps, grid, assume_unique=True)
    filled[np.searchsorted(grid, stamps[known])] = values[known]
    return grid, filled


def _grid(spec: Downsample, plan: Plan, timezone: str) -> NDArray[np.int64]:
    """Every bucket of the scan window, the last, partial one left out."""
    start, end = plan.scan_start_ms, plan.scan_end_ms
    if not spec.calendar:
        step = spec.interval_ms
        return np.arange(start - start % step, end - end % step, step, dtype=np.int64)
    starts = interval_starts(start, end, spec.count, spec.unit, timezone)
    last = interval_start(end, spec.count, spec.unit, zone(timezone))
    return starts[: max(int(np.searchsorted(starts, last)), 1)]
