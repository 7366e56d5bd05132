"""Checked reading of the fields of a client's JSON: numbers, times, texts."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from reprlib import Repr
from typing import TYPE_CHECKING, Any

from bridge.doors.http import kind_of
from bridge.engine.parts import parse_downsample
from bridge.errors import BadRequestError
from bridge.model import Window
from bridge.moments import parse_moment

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import tzinfo

#: 2200-01-01, the latest moment that may be asked for; the earliest is 1970-01-01.
LATEST_MS = 7_258_118_400_000
_LONGEST_SHOWN = 60
_NESTED = Repr()
_NESTED.maxlevel = 3


def shown(value: Any) -> str:
    """Show a client's value in a message, cut to a sensible length."""
    if isinstance(value, str):
        text = repr(value[: _LONGEST_SHOWN + 1])
    elif isinstance(value, list | dict):
        text = _NESTED.repr(value)  # a whole one may be deeper than Python can write
    else:
        text = repr(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."


def positive(body: Mapping[str, Any], key: str) -> int | None:
    """Read a number above zero, rounded up; None when absent or null.

    Raises:
        BadRequestError: It is something else.
    """
    value = body.get(key)
    if value is None or value == "":
        return None
    number = _number(value)
    if number is None or number <= 0:
        raise BadRequestError(f"expected a number above 0, found {shown(value)}", field=key)
    return math.ceil(min(number, float(LATEST_MS)))


def read_window(body: Mapping[str, Any]) -> Window:
    """Read ``range``, whose ``from`` and ``to`` are ISO times or epoch milliseconds.

    Raises:
        BadRequestError: It is missing, unreadable, reversed, or outside 1970 to 2200.
    """
    span = body.get("range")
    if not isinstance(span, dict):
        found = "nothing" if span is None else kind_of(span)
        raise BadRequestError(
            f'expected {{"from": time, "to": time}}, found {found}', field="range"
        )
    start, end = _time(span, "from"), _time(span, "to")
    if start > end:
        raise BadRequestError("the range ends before it starts", field="range.to")
    return Window(start, end)


def read_span(start: str, end: str, *, now: float, zone: tzinfo) -> Window:
    """Read ``from`` and ``to``, each a time as people write them.

    Args:
        start: The text of ``from``.
        end: The text of ``to``.
        now: Epoch seconds.
        zone: Of times without an offset.

    Raises:
        BadRequestError: One is unreadable or outside 1970 to 2200, or they are reversed.
    """
    window = Window(
        _moment("from", start, now=now, zone=zone), _moment("to", end, now=now, zone=zone)
    )
    if window.start_ms > window.end_ms:
        raise BadRequestError("the range ends before it starts", field="to")
    return window


def read_interval(text: str, field: str) -> int | None:
    """Read a width in milliseconds, or with a unit (``30s``); None when empty.

    Raises:
        BadRequestError: It is neither.
    """
    text = text.strip()
    if not text:
        return None
    if text.isdecimal():
        return positive({field: text}, field)
    try:
        spec = parse_downsample(text)
    except BadRequestError as error:
        raise error.within(field) from None
    if spec.calendar or not spec.interval_ms or "-" in text:
        raise BadRequestError(
            f"expected an interval such as 5m, or milliseconds, found {shown(text)}", field=field
        )
    return spec.interval_ms


def _moment(field: str, text: str, *, now: float, zone: tzinfo) -> int:
    try:
        moment = parse_moment(text, now=now, zone=zone)
    except BadRequestError as error:
        raise error.within(field) from None
    if not 0 <= moment <= LATEST_MS:
        raise BadRequestError(
            f"expected a time from 1970 to 2200, found {shown(text)}", field=field
        )
    return moment


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _time(span: Mapping[str, Any], key: str) -> int:
    value, field = span.get(key), f"range.{key}"
    number = _number(value)
    if number is None and isinstance(value, str):
        number = _iso_ms(value)
    if number is None:
        raise BadRequestError(
            "expected an ISO time such as 2026-01-01T00:00:00.000Z or epoch milliseconds, "
            f"found {shown(value)}",
            field=field,
        )
    if not 0 <= number <= LATEST_MS:
        raise BadRequestError(
            f"expected a time from 1970 to 2200, found {shown(value)}", field=field
        )
    return int(number)


def _iso_ms(text: str) -> float | None:
    try:
        moment = datetime.fromisoformat(text.strip())
        aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return round(aware.timestamp() * 1000)
    except (ValueError, OverflowError):
        return None


def choice_texts(value: Any, field: str) -> tuple[str, ...]:
    """Read what a form field or a JSON payload holds as texts; nothing chosen is empty.

    Raises:
        BadRequestError: It is an object, or a list that holds more than plain values.
    """
    values = value if isinstance(value, list) else [value]
    texts = []
    for one in values:
        match one:
            case None:
                continue
            case bool():
                texts.append("true" if one else "false")
            case str():
                texts.append(one)
            case int() | float():
                texts.append(f"{one:.15g}" if isinstance(one, float) else str(one))
            case _:
                raise BadRequestError(f"expected a text, found {kind_of(one)}", field=field)
    return tuple(text for text in texts if text)
