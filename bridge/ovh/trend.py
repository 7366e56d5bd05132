"""How fast a datastore fills up, and when it will be full.

**Method.** The used space of each day is reduced to its median, so that nightly copies that
come and go do not count. The growth a day is Theil and Sen's: the median of the slopes
between all pairs of days, which stays right while less than about 29 % of the days are
outliers. A clean-up, a sudden large fall, would pull it down for weeks; where there are one
or two, only pairs of days on the same side of each count. Three and more are taken for a
habit of whoever runs the datastore: the falls then belong to the trend as the rises do.

**Limits.** It is a straight line through at most four weeks: growth that speeds up, follows
the month, or begins with tomorrow's project is not foreseen. A single large copy raises it
for some days. What is promised but not yet used (thin disks, see the overcommit) does not
count. Days without data are left out, not guessed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

DAY_MS = 86_400_000
#: Days looked at.
WINDOW_DAYS = 28
#: Days with data below which there is no trend.
LEAST_DAYS = 7
#: Hours with data below which a day has none.
LEAST_HOURS = 6
#: What "not in sight" is written as, and the most that is ever foretold: ten years.
NOT_IN_SIGHT_DAYS = 3650.0
#: A fall between two days is a clean-up from this share of the largest use on, ...
_CLEAN_UP_SHARE = 0.02
#: ... if it is also this many times what is usual from day to day.
_CLEAN_UP_TIMES = 6.0
#: From so many clean-ups on they are a habit.
_HABIT = 3


def daily_medians(
    stamps_ms: NDArray[np.int64], values: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Reduce hourly values to one for each day (UTC) that has enough of them.

    Args:
        stamps_ms: Ascending epoch milliseconds, one for each hour that has data.
        values: One a stamp, in any unit.

    Returns:
        Days since 1970, ascending, and the median of each, in the same unit.
    """
    days, first = np.unique(stamps_ms // DAY_MS, return_index=True)
    parts = np.split(values, first[1:]) if len(days) else []
    enough = np.array([len(part) >= LEAST_HOURS for part in parts], dtype=bool)
    medians = np.array([np.median(part) for part in parts], dtype=np.float64)
    return days[enough], medians[enough]


def growth_a_day(days: NDArray[np.int64], used: NDArray[np.float64]) -> float | None:
    """Return how much more is used each day; None with fewer than ``LEAST_DAYS`` days.

    Args:
        days: Ascending day numbers.
        used: One a day, finite, in any unit; see the module for the method and its limits.

    Returns:
        In that unit; negative where it shrinks.
    """
    if len(days) < LEAST_DAYS:
        return None
    side = np.zeros(len(days), dtype=np.int64)
    falls = _clean_ups(days, used)
    if 0 < len(falls) < _HABIT:
        side[falls] = 1
        side = np.cumsum(side)
    early, late = np.triu_indices(len(days), k=1)
    together = side[early] == side[late]
    early, late = early[together], late[together]
    if not len(early):
        return None
    return float(np.median((used[late] - used[early]) / (days[late] - days[early])))


def days_until_full(growth: float, used: float, capacity: float) -> float | None:
    """Return the days until ``used`` has grown to ``capacity``, all in one unit.

    Returns:
        At most ``NOT_IN_SIGHT_DAYS``, also where nothing grows; 0 when it is full already;
        None where the capacity is not known.
    """
    if not capacity > 0:
        return None
    free = capacity - used
    if free <= 0:
        return 0.0
    if growth * NOT_IN_SIGHT_DAYS <= free:
        return NOT_IN_SIGHT_DAYS
    return free / growth


def _clean_ups(days: NDArray[np.int64], used: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return where, in ``used``, the first day after a sudden large fall stands."""
    change, apart = np.diff(used), np.diff(days)
    usual = np.median(np.abs(change) / apart)
    least = np.maximum(_CLEAN_UP_SHARE * np.max(np.abs(used)), _CLEAN_UP_TIMES * usual * apart)
    return np.flatnonzero(change < -least) + 1
