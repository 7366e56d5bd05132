"""Many series into one, with OpenTSDB's interpolation rules (reference: opentsdb 1a).

A value comes out at every instant where at least one series has a point. There, a series
without a point contributes what the aggregator's interpolation says, if the instant lies
between its first and its last point, and nothing otherwise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

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


def aggregate(lines: Sequence[Line], aggregator: str) -> Line:
    """Aggregate series of any stamps into one.

    Args:
        lines: (stamps, values) of each series; ascending, none empty.
        aggregator: A key of ``AGGREGATORS``.
    """
    stamps = _union(lines)
    width = max(CHUNK_CELLS // len(lines), 1)
    parts = [
        _chunk(lines, stamps[at : at + width], aggregator) for at in range(0, len(stamps), width)
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
    lines: Sequence[Line], instants: NDArray[np.int64], aggregator: str
) -> NDArray[np.float64]:
    values = np.empty((len(lines), len(instants)))
    taking_part = np.ones(values.shape, dtype=bool)
    interpolation = AGGREGATORS[aggregator]
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
        else:
            values[row] = _CONSTANT[interpolation]
        values[row, np.searchsorted(instants, stamps[low:high])] = own[low:high]
        taking_part[row] = (instants >= stamps[0]) & (instants <= stamps[-1])
    return _combine(values, None if complete else taking_part, aggregator)


def _combine(
    values: NDArray[np.float64], taking_part: NDArray[np.bool_] | None, aggregator: str
) -> NDArray[np.float64]:
    numbers = ~np.isnan(values)
    if taking_part is not None:
        numbers &= taking_part
    if numbers.all():
        present: NDArray[np.float64] | float = float(len(values))
    else:
        present = numbers.sum(axis=0).astype(np.float64)
    match aggregator:
        case "count":
            return np.broadcast_to(present, values.shape[1:]).copy()
        case "min" | "mimmin":
            result = np.min(values, axis=0, where=numbers, initial=np.inf)
        case "max" | "mimmax":
            result = np.max(values, axis=0, where=numbers, initial=-np.inf)
        case _:
            result = np.sum(values, axis=0, where=numbers)
            if aggregator == "avg":
                result = result / np.maximum(present, 1.0)
    return np.where(np.asarray(present) > 0, result, np.nan)
