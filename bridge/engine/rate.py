"""Change per second, for one series at a time, before aggregation (reference: opentsdb 1a)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bridge.model import Rate

#: OpenTSDB's default for ``counterMax``: the largest signed 64-bit integer.
COUNTER_MAX = float(2**63 - 1)


@np.errstate(over="ignore", invalid="ignore")  # an overflow is refused in the answer
def rates(
    stamps: NDArray[np.int64], values: NDArray[np.float64], options: Rate
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the rates of a series; its first point only serves the second one's rate.

    A falling counter is taken to have rolled over at ``counter_max``; the rate is then 0
    where it exceeds ``reset_value``, or left out with ``drop_resets``. Beside a NaN rates
    are NaN.
    """
    seconds = np.diff(stamps) / 1000.0
    change = np.diff(values)
    if not options.counter:
        return stamps[1:], change / seconds
    fell = change < 0
    if options.drop_resets:
        kept = ~fell
        return stamps[1:][kept], change[kept] / seconds[kept]
    rolled = (options.counter_max or COUNTER_MAX) - values[:-1] + values[1:]
    result = np.where(fell, rolled, change) / seconds
    if options.reset_value > 0:
        result[fell & (result > options.reset_value)] = 0.0
    return stamps[1:], result
