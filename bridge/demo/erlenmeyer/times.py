"""Times and durations as Erlenmeyer reads them (reference: opentsdb 2.3).

All moments are epoch **microseconds**. Milliseconds of a request are lost, as in the
original, which passes them on as nanoseconds.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

#: What a missing start means: the year 1.
YEAR_ONE_US = int(datetime(1, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000
DURATION = r"([0-9]+)(ms|s|m|h|d|w|n|y|all)"
_UNITS_US = {
    "ms": 1_000,
    "s": 1_000_000,
    "m": 60_000_000,
    "h": 3_600_000_000,
    "d": 86_400_000_000,
    "w": 7 * 86_400_000_000,
    "n": 30 * 86_400_000_000,
    "y": 365 * 86_400_000_000,
    "all": 0,
}
_AGO = re.compile(DURATION + "-ago")
_NUMBER = re.compile(r"([0-9]+)(?:\.([0-9]{3}))?")
_DATE = re.compile(r"\d{4}/\d\d/\d\d(?:[- ]\d\d:\d\d(?::\d\d)?)?")
_SECONDS_BELOW = 0xFFFFFFFF


def duration_us(count: str, unit: str) -> int:
    """Return a duration in microseconds; the unit ``all`` is 0."""
    return int(count) * _UNITS_US[unit]


def parse_time(text: str, now: float) -> int:
    """Return the moment that ``text`` means.

    Raises:
        ValueError: nothing that Erlenmeyer understands (``now`` and ISO dates are not).
    """
    ago = _AGO.fullmatch(text)
    if ago:
        return int(now * 1e6) - duration_us(*ago.groups())
    number = _NUMBER.fullmatch(text)
    if number:
        whole = int(number.group(1))
        in_seconds = number.group(2) is not None or whole < _SECONDS_BELOW
        return (whole if in_seconds else whole // 1000) * 1_000_000
    if _DATE.fullmatch(text):
        year, month, day, *rest = (int(part) for part in re.findall(r"\d+", text))
        hour, minute, second = (*rest, 0, 0, 0)[:3]
        moment = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
        return int(moment.timestamp()) * 1_000_000
    raise ValueError(f"Invalid date: '{text}'")
