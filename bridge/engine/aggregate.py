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

_CONSTANT = {
    Interpolation.ZERO: 0.0,
    Interpolation.MAX: np.finfo(np.float64).max,
    Interpolation.MIN: np.finfo(np.float64).min,
}


@np.errstate(over="ignore", invalid="ignore")  # an overflow is refused in the answer
def aggregate(lines: Sequence[Line], aggregator: str, *, of_rates: bool = False) -> Line:
    """Aggregate series of any stamps into one.

    Args:
        lines: (stamps, values) of each series; ascending, none empty.
        aggregator: A key of ``AGGREGATORS``.
        of_rates: The values are rates: between points the last one holds, whatever the
            aggregator.
    """
    interpolation = Interpolation.PREVIOUS if of_rates else AGGREGATORS[aggregator]
    stamps = _union(lines)
    width = max(CHUNK_CELLS // len(lines), 1)
    parts = [
        _chunk(lines, stamps[at : at + width], aggregator, interpolation)
        for at in range(0, len(stamps), width)
    ]
    return stamps, parts[0] if len(parts) == 1 else np.concatenate(parts)


def _union(lines: Sequence[Line]) -> NDArray[np.int64]:
    longest = max((stamps for stamps, _ in lines), key=len)
    others = [
        stamps
        for stamps, _ in lines
        if len(stamps) != len(longest) or not np.array_equal(stamps, longest)
    ]
    return np.unique(np.concatenate([longest, *others])) if others else longest


def _chunk(
    lines: Sequence[Line],
    instants: NDArray[np.int64],
    aggregator: str,
    interpolation: Interpolation,
) -> NDArray[np.float64]:
    values = np.empty((len(lines), len(instants)))
    taking_part = np.ones(values.shape, dtype=bool)
    complete = True
    for row, (stamps, own) in enumerate(lines):
        low = np.searchsorted(stamps, instants[0])
        high = np.searchsorted(stamps, instants[-1], side="right")
        if high - low == len(instants):
            values[row] = own[low:high]
            continue
        complete = False
        if interpolation is Interpolation.LERP:
            values[row] = np.interp(instants, stamps, own)
        elif interpolation is Interpolation.PREVIOUS:
            values[row] = own[np.searchsorted(stamps, instants, side="right") - 1]
        else:
            values[row] = _CONSTANT[interpolation]
        values[row, np.searchsorted(instants, stamps[low:high])] = own[low:high]
        taking_part[row] = (instants >= stamps[0]) & (instants <= stamps[-1])
    return _combine(values, None if complete else taking_part, aggregator)


def _combine(
    values: NDArray[np.float64], taking_part: NDArray[np.bool_] | None, aggregator: str
) -> NDArray[np.float64]:
    """Reduce a matrix of (series, instants) over its series.

    Args:
        values: What each series contributes; a NaN comes from a fill policy.
        taking_part: Where a series contributes at all; None means everywhere.
        aggregator: A key of ``AGGREGATORS``.
    """
    if aggregator in ("first", "last", "mult", "diff"):
        if taking_part is None:
            taking_part = np.ones(values.shape, dtype=bool)
        return _in_order(values, taking_part, aggregator)
    numbers = ~np.isnan(values)
    if taking_part is not None:
        numbers &= taking_part
    everywhere: NDArray[np.bool_] | bool = True if numbers.all() else numbers
    present = np.full(values.shape[1], len(values)) if everywhere is True else numbers.sum(axis=0)
    divisor = np.maximum(present, 1)
    result: NDArray[np.float64]
    match aggregator:
        case "count":
            return present.astype(np.float64)
        case "min" | "mimmin":
            result = np.min(values, axis=0, where=everywhere, initial=np.inf)
        case "max" | "mimmax":
            result = np.max(values, axis=0, where=everywhere, initial=-np.inf)
        case "sum" | "zimsum" | "pfsum":
            result = np.sum(values, axis=0, where=everywhere)
        case "avg":
            result = np.sum(values, axis=0, where=everywhere) / divisor
        case "squareSum":
            result = np.sum(values * values, axis=0, where=everywhere)
        case "dev":
            apart = values - np.sum(values, axis=0, where=everywhere) / divisor
            result = np.sqrt(np.sum(apart * apart, axis=0, where=everywhere) / divisor)
        case _:
            ranked = np.sort(np.where(numbers, values, np.inf), axis=0)
            ranked[:, present == 0] = 0.0
            low, high, weight = ranks(present, aggregator)
            column = np.arange(values.shape[1])
            result = ranked[low, column]
            result = result + weight * (np.where(weight > 0, ranked[high, column], result) - result)
    return result if everywhere is True else np.where(present > 0, result, np.nan)


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
