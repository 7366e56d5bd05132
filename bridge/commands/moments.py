"""Reads points in time as people write them."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from bridge.commands.errors import UsageError

_RELATIVE = re.compile(r"now(?:\s*-\s*(\d+)\s*(s|m|h|d|w|y))?")
_UNITS = {
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
    "y": timedelta(days=365),
}
_FIRST_MILLISECOND = 100_000_000_000
"""Smaller epoch numbers are seconds, larger ones milliseconds (reference: grafana 7.3)."""


def parse_moment(text: str, *, now: float) -> int:
    """Return epoch milliseconds.

    Args:
        text: ``now``, ``now-6h`` (s, m, h, d, w, y), epoch seconds or milliseconds, or ISO
            8601; without an offset that is this machine's time zone.
        now: Epoch seconds.

    Raises:
        UsageError: it is none of them.
    """
    stripped = text.strip()
    if relative := _RELATIVE.fullmatch(stripped):
        amount, unit = relative.groups()
        try:
            back = _UNITS[unit] * int(amount) if unit else timedelta()
            moment = datetime.fromtimestamp(now).astimezone() - back
        except OverflowError:
            raise UsageError(f"{text!r} is too long ago") from None
        return round(moment.timestamp() * 1000)
    if re.fullmatch(r"\d{1,15}", stripped):
        number = int(stripped)
        return number if number >= _FIRST_MILLISECOND else number * 1000
    try:
        return round(datetime.fromisoformat(stripped).astimezone().timestamp() * 1000)
    except (ValueError, OverflowError):
        raise UsageError(
            f"{text!r} is no time; expected now-6h, 2026-01-31T12:00:00Z or epoch seconds"
        ) from None
