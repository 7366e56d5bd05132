"""The parts in front of a metric: downsampling (``5m-max-zero``) and rate options.

Only the form is checked here; which functions are served is the engine's to say.
"""

from __future__ import annotations

import math
import re

from bridge.engine.lexemes import fail, found
from bridge.model import Downsample, Rate

#: Milliseconds in each unit; a month has 30 days and a year 365, as in OpenTSDB.
UNITS_MS = {
    "ms": 1,
    "s": 1_000,
    "m": 60_000,
    "h": 3_600_000,
    "d": 86_400_000,
    "w": 7 * 86_400_000,
    "n": 30 * 86_400_000,
    "y": 365 * 86_400_000,
}
#: Widest interval, a hundred years.
MAX_INTERVAL_MS = 100 * UNITS_MS["y"]
FILLS = ("none", "nan", "null", "zero")
#: The function where the text names none, as Grafana's OpenTSDB editor means it.
DEFAULT_FUNCTION = "avg"

_INTERVAL = re.compile(r"([0-9]{1,15})(all|[a-zA-Z]{1,2}?)(c?)(?=-|$)")
_FUNCTION = re.compile(r"[a-z][a-z0-9]*", re.IGNORECASE)
_RATE = re.compile(r"rate(?:\{([^{}]*)\})?", re.IGNORECASE)


def parse_downsample(text: str) -> Downsample:
    """Read ``<n><unit>[c]-<function>[-<fill>]`` or ``0all-<function>``.

    Empty parts at the end are passed over (``1m-avg-``), a missing function is ``avg``
    (reference: grafana 0a, "Downsample texts seen").

    Raises:
        BadRequestError: With the position inside ``text``.
    """
    interval = _INTERVAL.match(text)
    if interval is None:
        fail(f"expected an interval such as 5m, 1h or 0all, found {text!r}", 0)
    number, unit, calendar = int(interval[1]), interval[2], bool(interval[3])
    function_at = min(interval.end() + 1, len(text))
    function, _, fill = text[function_at:].partition("-")
    fill_at = min(function_at + len(function) + 1, len(text))
    function = function or DEFAULT_FUNCTION
    if not _FUNCTION.fullmatch(function):
        fail(f"expected a function such as avg, found {function!r}", function_at)
    fill = fill.rstrip("-").lower() or "none"
    if fill not in FILLS:
        fail(f"expected a fill policy ({', '.join(FILLS)}), found {fill!r}", fill_at)
    if unit == "all":
        if calendar:
            fail(f"expected 0all, found {interval[0]!r}", 0)
        return Downsample(0, function, fill)
    milliseconds = _milliseconds(number, unit, interval.start(2))
    if calendar:
        return Downsample(milliseconds, function, fill, calendar=True, count=number, unit=unit)
    return Downsample(milliseconds, function, fill)


def format_downsample(spec: Downsample) -> str:
    """Write a downsampling so that reading it gives it back."""
    if spec.calendar:
        interval = f"{spec.count}{spec.unit}c"
    elif spec.interval_ms == 0:
        interval = "0all"
    else:
        unit = next(u for u in ("d", "h", "m", "s", "ms") if spec.interval_ms % UNITS_MS[u] == 0)
        interval = f"{spec.interval_ms // UNITS_MS[unit]}{unit}"
    fill = "" if spec.fill == "none" else f"-{spec.fill}"
    return f"{interval}-{spec.function}{fill}"


def parse_rate(text: str) -> Rate:
    """Read ``rate``, ``rate{counter[,max[,reset]]}`` or ``rate{dropcounter[,max[,reset]]}``.

    Raises:
        BadRequestError: With the position inside ``text``.
    """
    match = _RATE.fullmatch(text)
    if match is None:
        fail(f"expected rate or rate{{counter,max,reset}}, found {text!r}", 0)
    options = (match[1] or "").split(",")
    word = options[0].strip().lower()
    if not word and len(options) == 1:
        return Rate()
    if word not in {"counter", "dropcounter"}:
        fail(f"expected counter or dropcounter, found {options[0]!r}", match.start(1))
    if len(options) > 3:
        fail("expected at most counter,max,reset", match.start(1))
    numbers, at = [], match.start(1) + len(options[0]) + 1
    for option in options[1:]:
        numbers.append(_number(option, at))
        at += len(option) + 1
    counter_max, reset_value = (*numbers, 0.0, 0.0)[:2]
    return Rate(
        counter=True,
        counter_max=counter_max,
        reset_value=reset_value,
        drop_resets=word == "dropcounter",
    )


def format_rate(rate: Rate) -> str:
    """Write a rate so that reading it gives it back."""
    if not rate.counter:
        return "rate"
    word = "dropcounter" if rate.drop_resets else "counter"
    numbers = [f"{number!r}" if number else "" for number in (rate.counter_max, rate.reset_value)]
    return f"rate{{{','.join([word, *numbers]).rstrip(',')}}}"


def _milliseconds(number: int, unit: str, position: int) -> int:
    if unit not in UNITS_MS:
        fail(f"expected a unit ({' '.join(UNITS_MS)}), found {unit!r}", position)
    if number == 0:
        fail("the interval is zero; one bucket for everything is 0all", 0)
    if number * UNITS_MS[unit] > MAX_INTERVAL_MS:
        fail("the interval is longer than a hundred years", 0)
    return number * UNITS_MS[unit]


def _number(text: str, position: int) -> float:
    if not text.strip():
        return 0.0
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number) or number < 0:
        fail(f"expected a number that is not negative, found {found(text, 0)}", position)
    return number
