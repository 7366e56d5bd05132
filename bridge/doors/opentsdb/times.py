"""Points in time as OpenTSDB reads them (reference: opentsdb 1, "Times")."""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Any, NoReturn

from bridge.doors.fields import LATEST_MS, shown
from bridge.engine.calendar import zone
from bridge.engine.parts import UNITS_MS
from bridge.errors import BadRequestError
from bridge.model import Window

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

#: Digits up to which a number is seconds.
_SECONDS_DIGITS = 10

_NUMBER = re.compile(r"([0-9]{1,18})(?:\.([0-9]{1,18}))?")
_MILLISECONDS = re.compile(r"([0-9]{1,18})ms")
_AGO = re.compile(rf"([0-9]{{1,12}})({'|'.join(UNITS_MS)})-ago")
_DATE = re.compile(r"\d{4}/\d{1,2}/\d{1,2}(?:[- ]\d{1,2}:\d{2}(?::\d{2})?)?", re.ASCII)
_FORMS = "seconds or milliseconds since 1970, 1h-ago, now, or 2026/01/31-12:00:00"


def read_window(start: Any, end: Any, *, now_ms: int, timezone: str) -> Window:
    """Read a range.

    Args:
        start: A time; None is now, as Grafana means it (reference: grafana 4.2).
        end: A time; None and an empty text are now.
        now_ms: The present.
        timezone: Of dates; an IANA name.

    Raises:
        BadRequestError: A time cannot be read, or the range does not end after its start.
    """
    first = now_ms if start is None else read_time(start, "start", now_ms, timezone)
    last = now_ms if end in (None, "") else read_time(end, "end", now_ms, timezone)
    if last < first or (last == first and start is not None):
        raise BadRequestError(
            f"End time [{last}] must be greater than the start time [{first}]", field="end"
        )
    return Window(first, last)


def read_time(value: Any, field: str, now_ms: int, timezone: str) -> int:
    """Return epoch milliseconds.

    Raises:
        BadRequestError: No time, or one outside 1970 to 2200.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        _refuse(value, field)
    text = f"{value:f}" if isinstance(value, float) else str(value)
    stamp = _stamp(text.strip(), now_ms, timezone)
    if stamp is None:
        if text.lstrip().startswith("-"):
            raise BadRequestError(
                f"Invalid time: {text[:60]}. Negative timestamps are not supported.",
                field=field,
            )
        _refuse(value, field)
    if not 0 <= stamp <= LATEST_MS:
        raise BadRequestError(
            f"Invalid time: {text[:60]}. Expected a time from 1970 to 2200.", field=field
        )
    return stamp


def _stamp(text: str, now_ms: int, timezone: str) -> int | None:
    if text == "now":
        return now_ms
    if number := _NUMBER.fullmatch(text):
        whole, fraction = number[1], number[2] or ""
        if len(whole) > _SECONDS_DIGITS:
            return int(whole)
        return int(whole) * 1000 + int(fraction[:3].ljust(3, "0"))
    if ago := _AGO.fullmatch(text):
        return now_ms - int(ago[1]) * UNITS_MS[ago[2]]
    if exact := _MILLISECONDS.fullmatch(text):
        return int(exact[1])
    return _date(text, zone(timezone)) if _DATE.fullmatch(text) else None


def _date(text: str, where: ZoneInfo) -> int | None:
    year, month, day, *clock = (int(part) for part in re.findall(r"\d+", text))
    hour, minute, second = (*clock, 0, 0, 0)[:3]
    try:
        moment = datetime(year, month, day, hour, minute, second, tzinfo=where)
        return int(moment.timestamp()) * 1000
    except (ValueError, OverflowError):
        return None


def _refuse(value: Any, field: str) -> NoReturn:
    found = value[:60] if isinstance(value, str) else shown(value)
    raise BadRequestError(f"Invalid time: {found}. Expected {_FORMS}.", field=field)
