"""The grid in time that polls are recorded on.

A poll's points are stamped at the start of the cell its start lies in, so that two bridges
that record the same service write the same stamps. Polls start well inside their cell: a few
milliseconds, or a small correction of the clock, put none into its neighbour's.
"""

from __future__ import annotations

import math


def stamp_ms(started_at: float, interval_s: float) -> int:
    """Return the stamp, epoch milliseconds, of a poll that started at ``started_at`` (s)."""
    return math.floor(started_at / interval_s) * round(interval_s * 1000)


def stretched_s(wanted_s: float, needed_s: float) -> float:
    """Return the interval for a poll that needs ``needed_s`` seconds of its rate limit.

    It is a whole multiple of the wanted one, so that every stamp of the stretched grid is
    one of the wanted grid too.
    """
    return wanted_s * max(1, math.ceil(needed_s / wanted_s))


def next_start(started_at: float, now: float, interval_s: float, phase: float) -> float:
    """Return when to start the next poll: in a later cell than the last, and not in the past.

    Args:
        started_at: Start of the last poll, epoch seconds.
        now: Epoch seconds; its end.
        interval_s: Width of a cell.
        phase: Where in its cell a poll starts, 0.25 to 0.75.

    Returns:
        Epoch seconds, at least a quarter of an interval after ``started_at``.
    """
    after_last = math.floor(started_at / interval_s) + 1
    not_past = math.ceil(now / interval_s - phase)
    return (max(after_last, not_past) + phase) * interval_s
