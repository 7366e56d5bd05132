"""Which fetch serves a query: per-series buckets, or raw points.

The one place where this is decided. OpenTSDB scans more than it shows: whole hours around
the asked span, so that interpolation at the edges sees its neighbours (reference:
opentsdb 1a, "Scan window").
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bridge.engine.calendar import interval_starts, zone
from bridge.engine.functions import AGGREGATORS, DOWNSAMPLERS, FILLS, require
from bridge.model import Window

if TYPE_CHECKING:
    from collections.abc import Hashable

    from bridge.model import BucketFunction, Downsample, Query

HOUR_MS = 3_600_000

#: Widths of the buckets that calendar intervals are merged from, widest first.
_MERGED_MS = (HOUR_MS, HOUR_MS // 2, HOUR_MS // 4)

#: The longest span whose days are looked at one by one: ten years.
_LONGEST_MS = 10 * 366 * 24 * HOUR_MS


@dataclass(frozen=True, slots=True)
class Plan:
    """What to fetch for one query.

    Attributes:
        scan_start_ms: Start of the scan window, inclusive, on the hour.
        scan_end_ms: End of the scan window, exclusive, on the hour.
        function: The bucket function to fetch; None means raw points. Calendar intervals
            are merged from its buckets.
        step_ms: Bucket width; 0 for raw points.
        reason: Why, in words.
    """

    scan_start_ms: int
    scan_end_ms: int
    function: BucketFunction | None
    step_ms: int
    reason: str


def scan_window(window: Window, interval_ms: int) -> tuple[int, int]:
    """Return the scan window (start inclusive, end exclusive) in milliseconds."""
    start = window.start_ms // 1000
    end = window.end_ms // 1000 + 1
    if interval_ms:
        start -= ((1000 * start) % interval_ms) // 1000
        end += (interval_ms - (1000 * end) % interval_ms) // 1000
        end += -end % 3600
    else:
        end += 3600 - end % 3600
    start -= start % 3600
    return start * 1000, end * 1000


def make_plan(query: Query) -> Plan:
    """Decide how to fetch what ``query`` needs.

    Raises:
        BadRequestError: A function, fill or interval that is not served.
    """
    require("aggregator", query.aggregator, AGGREGATORS)
    spec = query.downsample
    if spec is None:
        start, end = scan_window(query.window, 0)
        return Plan(start, end, None, 0, "raw points: no downsampling was asked for")
    require("downsampling function", spec.function, DOWNSAMPLERS)
    require("fill policy", spec.fill, FILLS)
    start, end = scan_window(query.window, spec.interval_ms)
    if spec.interval_ms == 0:
        return Plan(start, end, None, 0, "raw points: one bucket over the asked span")
    if spec.calendar:
        return _calendar_plan(spec, query.timezone, start, end)
    step = spec.interval_ms
    if step % 1000 or (HOUR_MS % step and step % HOUR_MS):
        return Plan(
            start, end, None, 0, "raw points: the interval neither divides an hour nor is hours"
        )
    function = DOWNSAMPLERS[spec.function]
    if function is None:
        return Plan(start, end, None, 0, f"raw points: buckets cannot give {spec.function}")
    return Plan(start, end, function, step, f"{function} buckets of {step // 1000} s")


def _calendar_plan(spec: Downsample, timezone: str, start: int, end: int) -> Plan:
    """Merge days and longer from buckets, where no day begins inside of one.

    Offsets are whole hours, half hours or, in a few zones, quarters; only those of long ago
    lie between.
    """
    zone(timezone)
    function = DOWNSAMPLERS[spec.function]
    if function is None:
        return Plan(start, end, None, 0, f"raw points: buckets cannot give {spec.function}")
    if spec.unit not in {"d", "w", "n", "y"}:
        return Plan(start, end, None, 0, "raw points: calendar intervals shorter than a day")
    if end - start > _LONGEST_MS:
        return Plan(start, end, None, 0, "raw points: calendar intervals of more than ten years")
    days = interval_starts(start, end, 1, "d", timezone)
    for step in _MERGED_MS:
        if not (days % step).any():
            reason = f"{function} of calendar intervals, from buckets of {step // 1000} s"
            return Plan(start, end, function, step, reason)
    return Plan(start, end, None, 0, "raw points: days that begin off the quarters of an hour")


def edition(query: Query, plan: Plan) -> Hashable:
    """Return what all queries have in common that have the same answer over the same data.

    Windows that show the same buckets and scan the same hours differ in nothing else, which
    is how the viewers of one dashboard ask.
    """
    spec = query.downsample
    if spec is None or spec.calendar or spec.interval_ms == 0:
        return query
    step = spec.interval_ms
    first, last = -(-query.window.start_ms // step), query.window.end_ms // step
    return replace(query, window=Window(first, last)), plan.scan_start_ms, plan.scan_end_ms
