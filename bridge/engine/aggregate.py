"""Many series into one, with OpenTSDB's interpolation rules (reference: opentsdb 1a).

A value comes out at every instant where at least one series has a point. There, a series
without a point contributes what the aggregator's interpolation says, if the instant lies
between its first and its last point, and nothing otherwise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bridge.engine.downsample import ranks
from bridge.engine.functions import AGGREGATORS, Interpolation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Line = tuple[NDArray[np.int64], NDArray[np.float64]]

#: Cells (series x instants) worked on at once: bounds memory when stamps do not coincide.
CHUNK_CELLS = 2_000_000

#: Aggregators of one series that are not that series; those of an alert rule mostly are.
_NOT_ITSELF = frozenset({"count", "dev", "diff", "squareSum"})

#: How many steps there may be for each point, so that looking at each is cheaper than sorting.
_SPARSE = 16

_CONSTANT = {
    Interpolation.ZERO: 0.0,
    Interpolation.MAX: np.finfo(np.float64).max,
    Interpolation.MIN: np.finfo(np.float64).min,
}


@np.errstate(over="ignore", invalid="ignore")  # an overflow is refused in the answer
def aggregate(
    lines: Sequence[Line], aggregator: str, *, of_rates: bool = False, step_ms: int = 0
) -> Line:
    """Aggregate series of any stamps into one.

    Args:
        lines: (stamps, values) of each series; ascending, none empty.
        aggregator: A key of ``AGGREGATORS``.
        of_rates: The values are rates: between points the last one holds, whatever the
            aggregator.
        step_ms: All stamps are multiples of this; 0 where that is not known.
    """
    if len(lines) == 1 and aggregator not in _NOT_ITSELF:
        return lines[0]
    interpolation = Interpolation.PREVIOUS if of_rates else AGGREGATORS[aggregator]
    stamps = _union(lines, step_ms)
    width = max(CHUNK_CELLS // len(lines), 1)
    if len(stamps) <= width:
        return stamps, _chunk(lines, stamps, aggregator, interpolation)
    parts = [
        _chunk(lines, stamps[at : at + width], aggregator, interpolation)
        for at in range(0, len(stamps), width)
    ]
    return stamps, np.concatenate(parts)


def _union(lines: Sequence[Line], step_ms: int) -> NDArray[np.int64]:
    longest = max((stamps for stamps, _ in lines), key=len)
    others = [
        stamps
        for stamps, _ in lines
        if stamps is not longest and not np.array_equal(stamps, longest)
    ]
    if not others:
        return longest
    first = min(int(stamps[0]) for stamps, _ in lines)
    last = max(int(stamps[-1]) for stamps, _ in lines)
    points = sum(len(stamps) for stamps, _ in lines)
    if step_ms and (last - first) // step_ms <= _SPARSE * points:
        present = np.zeros((last - first) // step_ms + 1, dtype=bool)
        for stamps in (longest, *others):
            present[(stamps - first) // step_ms] = True
        union = np.flatnonzero(present) * step_ms + first
    else:
        union = np.unique(np.concatenate([longest, *others]))
    # Where it is the same, it is the very array that most of the series share.
    return longest if len(union) == len(longest) else union


def _chunk(
    lines: Sequence[Line],
    instants: NDArray[np.int64],
    aggregator: str,
    interpolation: Interpolation,
) -> NDArray[np.float64]:
    values = np.empty((len(lines), len(instants)))
    ends = np.array([(stamps[0], stamps[-1] + 1) for stamps, _ in lines])
    spans = instants.searchsorted(ends)
    exact = instants.astype(np.float64)
    edges = np.array([instants[0], instants[-1] + 1])
    for row, (stamps, own) in enumerate(lines):
        if stamps is instants:
            values[row] = own
            continue
        low, high = stamps.searchsorted(edges).tolist()
        if high - low == len(instants):
            values[row] = own[low:high]
        elif interpolation is Interpolation.LERP:
            values[row] = np.interp(exact, stamps, own)
        elif interpolation is Interpolation.PREVIOUS:
            values[row] = own[stamps.searchsorted(instants, side="right") - 1]
        else:
            values[row] = _CONSTANT[interpolation]
            values[row, instants.searchsorted(stamps[low:high])] = own[low:high]
    return _combine(values, spans, aggregator)


def _combine(
    values: NDArray[np.float64], spans: NDArray[np.intp], aggregator: str
) -> NDArray[np.float64]:
    """Reduce a matrix of (series, instants) over its series.

    Args:
        values: What each series contributes; a NaN comes from a fill policy.
        spans: From which instant, and up to which, each series contributes at all.
        aggregator: A key of ``AGGREGATORS``.
    """
    if aggregator in _PLAIN and not np.isnan(values.sum()):
        return _plain(values, spans, aggregator)
    column = np.arange(values.shape[1])
    taking_part = (column >= spans[:, :1]) & (column < spans[:, 1:])
    if aggregator in ("first", "last", "mult", "diff"):
        return _in_order(values, taking_part, aggregator)
    numbers = taking_part & ~np.isnan(values)
    present = numbers.sum(axis=0)
    divisor = np.maximum(present, 1)
    result: NDArray[np.float64]
    match aggregator:
        case "count":
            return np.asarray(present, dtype=np.float64)
        case "min" | "mimmin":
            result = np.min(values, axis=0, where=numbers, initial=np.inf)
        case "max" | "mimmax":
            result = np.max(values, axis=0, where=numbers, initial=-np.inf)
        case "sum" | "zimsum" | "pfsum":
            result = np.sum(values, axis=0, where=numbers)
        case "avg":
            result = np.sum(values, axis=0, where=numbers) / divisor
        case "squareSum":
            result = np.sum(values * values, axis=0, where=numbers)
        case "dev":
            apart = values - np.sum(values, axis=0, where=numbers) / divisor
            result = np.sqrt(np.sum(apart * apart, axis=0, where=numbers) / divisor)
        case _:
            ranked = np.sort(np.where(numbers, values, np.inf), axis=0)
            ranked[:, present == 0] = 0.0
            low, high, weight = ranks(present, aggregator)
            result = ranked[low, column]
            result = result + weight * (np.where(weight > 0, ranked[high, column], result) - result)
    return np.asarray(np.where(present > 0, result, np.nan))


#: Functions for which a value of no effect can stand where a series takes no part.
_PLAIN = {
    "avg": 0.0,
    "count": 0.0,
    "max": -np.inf,
    "mimmax": -np.inf,
    "mimmin": np.inf,
    "min": np.inf,
    "pfsum": 0.0,
    "sum": 0.0,
    "zimsum": 0.0,
}


def _plain(
    values: NDArray[np.float64], spans: NDArray[np.intp], aggregator: str
) -> NDArray[np.float64]:
    """Reduce a matrix of numbers without masks, which cost numpy a multiple."""
    width = values.shape[1]
    for row in np.flatnonzero((spans[:, 0] > 0) | (spans[:, 1] < width)).tolist():
        values[row, : spans[row, 0]] = _PLAIN[aggregator]
        values[row, spans[row, 1] :] = _PLAIN[aggregator]
    if aggregator in ("min", "mimmin"):
        return np.asarray(values.min(axis=0))
    if aggregator in ("max", "mimmax"):
        return np.asarray(values.max(axis=0))
    if aggregator in ("sum", "zimsum", "pfsum"):
        return np.asarray(values.sum(axis=0))
    begun = np.bincount(spans[:, 0], minlength=width + 1) - np.bincount(
        spans[:, 1], minlength=width + 1
    )
    present = np.cumsum(begun)[:width].astype(np.float64)
    return present if aggregator == "count" else np.asarray(values.sum(axis=0) / present)


def _in_order(
    values: NDArray[np.float64], taking_part: NDArray[np.bool_], aggregator: str
) -> NDArray[np.float64]:
    """The functions that depend on the order of series, or let a NaN through."""
    if aggregator == "mult":
        return np.asarray(np.prod(values, axis=0, where=taking_part), dtype=np.float64)
    column = np.arange(values.shape[1])
    last = len(values) - 1 - np.argmax(taking_part[::-1], axis=0)
    result: NDArray[np.float64] = values[last, column]
    if aggregator == "last":
        return result
    if aggregator == "first":
        return np.asarray(values[np.argmax(taking_part, axis=0), column])
    numbers = taking_part & ~np.isnan(values)
    first_number = np.argmax(numbers, axis=0)
    difference = values[last, column] - values[first_number, column]
    difference[first_number == last] = 0.0
    return np.where(numbers.any(axis=0), difference, np.nan)
