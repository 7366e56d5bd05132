"""Line charts as values a template turns into SVG: scales, ticks, paths.

The drawing area is a square of ``SIDE`` by ``SIDE`` that the browser stretches; text and
ticks stand outside of it, at percentages, so that nothing but lines is stretched.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bridge.doors.page.times import time_ticks
from bridge.doors.page.units import at_scale, decimals_for, scale_for

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from bridge.doors.page.times import Zone
    from bridge.model import Window

    Stamps = NDArray[np.int64]
    Values = NDArray[np.float64]

SIDE = 4_000
#: Colours times dashes that the style sheet tells apart.
COLOURS = 7
DASHES = 3
MOST_LINES = COLOURS * DASHES - 1
#: Beyond this, and below its inverse, numbers are only roughly in their place.
_LARGEST = 1e300


@dataclass(frozen=True, slots=True)
class Tick:
    """A tick or grid line.

    Attributes:
        at: Percent from the left, or from the top.
        label: What stands there.
        strong: Drawn heavier.
        spare: Left out where there is little room.
    """

    at: float
    label: str
    strong: bool = False
    spare: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """One series as drawn.

    Attributes:
        path: SVG path data; a gap begins a new subpath.
        dots: The same for points without neighbours, which no line would show.
    """

    path: str
    dots: str


@dataclass(frozen=True, slots=True)
class Chart:
    """Everything about a chart but its colours.

    Attributes:
        lines: In the order of the series.
        x_ticks: Times, from the left.
        y_ticks: Values, from the top.
        low: The value at the lower edge.
        high: The value at the upper edge.
    """

    lines: tuple[Line, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Gaps:
    """Where a line breaks.

    Attributes:
        longest_ms: Neighbours further apart are not joined; 0 joins all.
    """

    longest_ms: int = 0

    def after(self, stamps_ms: Stamps, values: Values) -> NDArray[np.bool_]:
        """Return for each point whether a hole follows; NaN is a hole itself."""
        missing = np.isnan(values)
        holes = np.zeros(len(stamps_ms), dtype=np.bool_)
        holes[:-1] = missing[1:] | missing[:-1]
        if self.longest_ms:
            holes[:-1] |= np.diff(stamps_ms) > self.longest_ms
        return holes


def draw(
    series: Sequence[tuple[Stamps, Values]],
    *,
    window: Window,
    gaps: Gaps,
    unit: str | None,
    zone: Zone,
) -> Iterator[Line | Chart]:
    """Yield the lines one after the other, and last the whole chart.

    Args:
        series: Stamps in epoch milliseconds and as many values; NaN is a gap.
        window: What the time axis spans.
        gaps: Where lines break.
        unit: Grafana unit id of the values.
        zone: Of the time axis.
    """
    tamed = [(stamps, _tame(values)) for stamps, values in series]
    low, high, step = value_range([values for _, values in tamed], unit)
    lines = []
    for stamps, values in tamed:
        lines.append(_line(stamps, values, window, gaps, low, high))
        yield lines[-1]
    yield Chart(
        tuple(lines), _x_ticks(window, zone), tuple(_y_ticks(low, high, step, unit)), low, high
    )


def _tame(values: Values) -> Values:
    """Bring numbers within what an axis can be made for; NaN stays."""
    values = np.clip(values, -_LARGEST, _LARGEST)
    return np.where(np.abs(values) < 1 / _LARGEST, values * 0, values)


def value_range(columns: Iterable[Values], unit: str | None) -> tuple[float, float, float]:
    """Return the lowest and highest value of the axis and its tick distance, all round.

    Zero is included unless that would flatten what changes; percentages always start there.
    """
    finite = [one[np.isfinite(one)] for one in columns]
    filled = [one for one in finite if len(one)]
    low = min((float(one.min()) for one in filled), default=0.0)
    high = max((float(one.max()) for one in filled), default=0.0)
    if low >= 0 and (unit == "percent" or low <= 0.8 * high):
        low = 0.0
    elif high <= 0 and high >= 0.8 * low:
        high = 0.0
    if high - low <= 1e-12 * max(abs(low), abs(high)):
        margin = abs(high) * 0.1 or 1.0
        low, high = (low, low + margin) if low == 0 else (low - margin, high + margin)
    factor = scale_for(unit, max(abs(low), abs(high))).factor
    step = _round_step((high - low) / factor / 5) * factor
    return math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step, step


def _round_step(rough: float) -> float:
    """Return the next of 1, 2, 2.5, 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next(one * power for one in (1, 2, 2.5, 5, 10) if one * power >= rough * (1 - 1e-9))


def _y_ticks(low: float, high: float, step: float, unit: str | None) -> Iterator[Tick]:
    scale = scale_for(unit, max(abs(low), abs(high)))
    decimals = decimals_for(step / scale.factor)
    # 2.5 needs one decimal more than its power of ten.
    if round(step / scale.factor * 10**decimals, 6) % 1:
        decimals += 1
    count = round((high - low) / step)
    for index in range(count, -1, -1):
        value = low + index * step
        at = 100 * (1 - index / count)
        yield Tick(round(at, 3), at_scale(value, scale, decimals), strong=abs(value) < step / 1e6)


def _x_ticks(window: Window, zone: Zone) -> tuple[Tick, ...]:
    span = window.end_ms - window.start_ms
    ticks = time_ticks(window, zone)
    # Every other label is spared on small screens, never that of a day.
    strong = [index for index, tick in enumerate(ticks) if tick.strong]
    anchor = strong[0] if strong else 0
    return tuple(
        Tick(
            round(100 * (tick.at_ms - window.start_ms) / span, 3),
            tick.label,
            strong=tick.strong,
            spare=(index - anchor) % 2 == 1,
        )
        for index, tick in enumerate(ticks)
    )


def _line(
    stamps: Stamps, values: Values, window: Window, gaps: Gaps, low: float, high: float
) -> Line:
    span = window.end_ms - window.start_ms
    height = (values - low) / (high - low)
    across = (SIDE * (stamps - window.start_ms) / span).round().astype(np.int64).tolist()
    down = np.nan_to_num(SIDE * (1 - height)).round().astype(np.int64).tolist()
    path: list[str] = []
    dots: list[str] = []
    missing = np.isnan(values)
    ends = np.flatnonzero(gaps.after(stamps, values)) + 1
    for start, end in zip([0, *ends], [*ends, len(stamps)], strict=True):
        if start == end or missing[start]:
            continue
        corners = [f"{across[index]} {down[index]}" for index in range(start, end)]
        if len(corners) == 1:
            dots.append(f"M{corners[0]}h0")
        else:
            path.append("M" + "L".join(corners))
    return Line("".join(path), "".join(dots))
