"""Calendar intervals (``1dc``): buckets that follow days, weeks and months of a time zone.

Where the intervals of OpenTSDB 2.4.1 begin (reference: opentsdb 1a, and the behaviour of a
Java calendar): each unit starts from a round time before the point (the table below), then
moves on interval by interval; days and longer keep the time on the wall, hours and shorter
are elapsed time. Weeks start on Sunday.

=====  ==============================  ======================
unit   begins at the top of the        otherwise of the
=====  ==============================  ======================
ms     second, if it divides one       minute
s      minute, if it divides one       hour
m      hour, if it divides one         day
h      day, if it divides one          month
d      month, if it is one day         year
w      week (Sunday)
n, y   year
=====  ==============================  ======================
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import numpy as np

from bridge.errors import BadRequestError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bridge.model import Downsample

#: Elapsed milliseconds of the short units, and how many make the next round time.
_ELAPSED = {"ms": (1, 1000), "s": (1_000, 60), "m": (60_000, 60), "h": (3_600_000, 24)}
_TOP = {
    "ms": ("second", "minute"),
    "s": ("minute", "hour"),
    "m": ("hour", "day"),
    "h": ("day", "month"),
    "d": ("month", "year"),
    "n": ("year", "year"),
    "y": ("year", "year"),
}
_ROUND = ("second", "minute", "hour", "day", "month", "year")  # finest first
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def zone(name: str) -> ZoneInfo:
    """Return a time zone by its IANA name.

    Raises:
        BadRequestError: There is none of that name.
    """
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise BadRequestError(
            f"no such timezone: {name!r} (accepted: IANA names such as Europe/Paris)",
            field="timezone",
        ) from None


@lru_cache(maxsize=256)
def interval_starts(
    first_ms: int, until_ms: int, count: int, unit: str, timezone: str
) -> NDArray[np.int64]:
    """Return the start of the interval that holds ``first_ms``, and all later ones.

    Args:
        first_ms: Any time, epoch milliseconds.
        until_ms: The last start is the first one after this.
        count: Units in an interval.
        unit: ms, s, m, h, d, w, n (month) or y.
        timezone: IANA name.
    """
    where = zone(timezone)
    start = interval_start(first_ms, count, unit, where)
    if unit in _ELAPSED:
        step = count * _ELAPSED[unit][0]
        starts = np.arange(start, until_ms + step + 1, step, dtype=np.int64)
    else:
        found = [start]
        while found[-1] <= until_ms:
            found.append(_later(found[-1], count, unit, where))
        starts = np.array(found, dtype=np.int64)
    starts.flags.writeable = False
    return starts


def interval_start(at_ms: int, count: int, unit: str, where: ZoneInfo) -> int:
    """Return the start of the interval that holds a time, in epoch milliseconds."""
    local = _local(at_ms, where)
    if unit == "w":
        day = local.replace(hour=0, minute=0, second=0, microsecond=0)
        return _epoch_ms(day - timedelta(days=(local.weekday() + 1) % 7), where)
    exact, coarse = _TOP[unit]
    divides = _ELAPSED[unit][1] % count == 0 if unit in _ELAPSED else count == 1
    start = _epoch_ms(_top_of(local, exact if divides else coarse), where)
    if unit in _ELAPSED:
        step = count * _ELAPSED[unit][0]
        return at_ms - (at_ms - start) % step
    following = start
    while following <= at_ms:
        start, following = following, _later(following, count, unit, where)
    return start


def first_whole_interval(at_ms: int, spec: Downsample, timezone: str) -> int:
    """Return ``at_ms`` if an interval starts there, else the start of the next one."""
    starts = interval_starts(at_ms, at_ms, spec.count, spec.unit, timezone)
    return int(starts[0] if starts[0] == at_ms else starts[1])


def _later(start_ms: int, count: int, unit: str, where: ZoneInfo) -> int:
    local = _local(start_ms, where)
    if unit in ("d", "w"):
        return _epoch_ms(local + timedelta(days=count * (7 if unit == "w" else 1)), where)
    months = local.month - 1 + count * (12 if unit == "y" else 1)
    year = local.year + months // 12
    if year > 9999:
        raise BadRequestError("the range is too far in the future", field="range")
    return _epoch_ms(local.replace(year=year, month=months % 12 + 1), where)


def _top_of(local: datetime, what: str) -> datetime:
    """Cut everything finer than ``what`` off a time on the wall."""
    at = _ROUND.index(what)
    return local.replace(
        month=1 if at > 4 else local.month,
        day=1 if at > 3 else local.day,
        hour=0 if at > 2 else local.hour,
        minute=0 if at > 1 else local.minute,
        second=0 if at > 0 else local.second,
        microsecond=0,
    )


def _local(at_ms: int, where: ZoneInfo) -> datetime:
    """The time on the wall, without its zone."""
    try:
        return (_EPOCH + timedelta(milliseconds=at_ms)).astimezone(where).replace(tzinfo=None)
    except (OverflowError, ValueError):
        raise BadRequestError("the range is too far from today", field="range") from None


def _epoch_ms(local: datetime, where: ZoneInfo) -> int:
    return (local.replace(tzinfo=where).astimezone(UTC) - _EPOCH) // timedelta(milliseconds=1)
