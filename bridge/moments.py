"""Reads points in time as people and programs write them."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from bridge.errors import BadRequestError

if TYPE_CHECKING:
    from datetime import tzinfo

_RELATIVE = re.compile(r"now(?:\s*-\s*(\d+)\s*(s|m|h|d|w|y))?")
_UNITS = {
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
    "y": timedelta(days=365),
}
_EPOCH = re.compile(r"\d{1,15}(?:\.\d{0,9})?")
_FIRST_MILLISECOND = 100_000_000_000
"""Smaller epoch numbers are seconds, larger ones milliseconds (reference: grafana 7.3)."""
_LONGEST_SHOWN = 60


def parse_moment(text: str, *, now: float, zone: tzinfo | None = None) -> int:
    """Return epoch milliseconds.

    Args:
        text: ``now``, ``now-6h`` (s, m, h, d, w, y), epoch seconds or milliseconds, or ISO
            8601.
        now: Epoch seconds.
        zone: Of an ISO time without an offset; None means this machine's.

    Raises:
        BadRequestError: It is none of them.
    """
    stripped = text.strip()
    if relative := _RELATIVE.fullmatch(stripped):
        amount, unit = relative.groups()
        try:
            back = _UNITS[unit] * int(amount) if unit else timedelta()
            moment = datetime.fromtimestamp(now).astimezone() - back
        except OverflowError:
            raise BadRequestError(f"{_shown(text)} is too long ago") from None
        return round(moment.timestamp() * 1000)
    if _EPOCH.fullmatch(stripped):
        number = float(stripped)
        return round(number if number >= _FIRST_MILLISECOND else number * 1000)
    try:
        moment = datetime.fromisoformat(stripped)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=zone)
        return round(moment.timestamp() * 1000)
    except (ValueError, OverflowError):
        raise BadRequestError(
            f"{_shown(text)} is no time; expected now-6h, 2026-01-31T12:00:00Z or epoch seconds "
            "or milliseconds"
        ) from None


def _shown(text: str) -> str:
    return repr(text) if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]!r}..."
