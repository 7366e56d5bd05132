"""Numbers as people read them, in the units Grafana would show (reference: grafana, catalogue).

A unit is Grafana's id for it (``kbytes``, ``KBs``, ``ms``). An unknown one is no error: the
number stands alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MISSING = "–"  # noqa: RUF001 -- the sign for "no value" in tables


@dataclass(frozen=True, slots=True)
class Scale:
    """What a number is divided by, and what stands behind it.

    Attributes:
        factor: How many of the unit make one of what is shown.
        suffix: With its space in front, where it has one.
    """

    factor: float
    suffix: str


def _steps(base: float, suffixes: Sequence[str]) -> tuple[Scale, ...]:
    return tuple(Scale(base**power, suffix) for power, suffix in enumerate(suffixes))


_BINARY = (" KiB", " MiB", " GiB", " TiB", " PiB", " EiB")
_SECONDS = (Scale(1, " s"), Scale(60, " min"), Scale(3_600, " h"), Scale(86_400, " days"))

#: The scales of each unit, ascending; the first is for small values.
_SCALES: Mapping[str, tuple[Scale, ...]] = MappingProxyType(
    {
        "percent": (Scale(1, "%"),),
        "percentunit": (Scale(0.01, "%"),),
        "bytes": _steps(1024, (" B", *_BINARY)),
        "kbytes": _steps(1024, _BINARY),
        "mbytes": _steps(1024, _BINARY[1:]),
        "gbytes": _steps(1024, _BINARY[2:]),
        "KBs": _steps(1000, (" kB/s", " MB/s", " GB/s", " TB/s")),
        "GBs": _steps(1000, (" GB/s", " TB/s")),
        "pps": _steps(1000, (" p/s", " kp/s", " Mp/s", " Gp/s")),
        "iops": _steps(1000, (" io/s", "K io/s", "M io/s", "B io/s")),
        "rotmhz": _steps(1000, (" MHz", " GHz", " THz")),
        "ms": (Scale(1, " ms"), *(Scale(1000 * one.factor, one.suffix) for one in _SECONDS)),
        "s": _SECONDS,
        "d": (Scale(1, " days"),),
        "short": _steps(1000, ("", "K", "M", "B", "T")),
    }
)
_PLAIN = (Scale(1, ""),)

#: Units by their names, for sentences.
_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "percent": "percent",
        "percentunit": "percent",
        "kbytes": "KiB",
        "mbytes": "MiB",
        "gbytes": "GiB",
        "KBs": "kB/s",
        "GBs": "GB/s",
        "pps": "packets/s",
        "iops": "operations/s",
        "rotmhz": "MHz",
        "d": "days",
        "none": "",
        "short": "",
    }
)


def unit_name(unit: str | None) -> str:
    """Return a unit's name; empty for plain numbers."""
    return _NAMES.get(unit, unit) if unit else ""


def scale_for(unit: str | None, magnitude: float) -> Scale:
    """Return the scale at which a number of about this size is read best."""
    scales = _SCALES.get(unit or "", _PLAIN)
    found = scales[0]
    for scale in scales[1:]:
        if magnitude >= scale.factor:
            found = scale
    return found


def decimals_for(step: float) -> int:
    """Return how many decimals tell numbers apart that differ by ``step``."""
    if step <= 0 or not math.isfinite(step):
        return 0
    return min(6, max(0, -math.floor(math.log10(step) + 1e-9)))


def at_scale(value: float, scale: Scale, decimals: int) -> str:
    """Write a number at a given scale, for axes, whose labels share it."""
    shown = value / scale.factor
    text = f"{shown:,.{decimals}f}" if abs(shown) < 1e15 else f"{shown:.3g}"
    return f"{text.removeprefix('-') if float(text.replace(',', '')) == 0 else text}{scale.suffix}"


def readable(value: float | None, unit: str | None = None) -> str:
    """Write one number at its own scale with about three digits that count."""
    if value is None or not math.isfinite(value):
        return MISSING
    scale = scale_for(unit, abs(value))
    shown = abs(float(value) / scale.factor)
    if shown and shown < 0.01:
        return f"{value / scale.factor:.2g}{scale.suffix}"
    decimals = 2 if shown < 10 else 1 if shown < 100 else 0
    if shown.is_integer():
        decimals = 0
    return at_scale(value, scale, decimals)
