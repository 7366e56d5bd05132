"""Points in time for people: what they type, what they read, and ticks of a time axis.

Everything is shown in one time zone, which the page names: UTC unless the address says
another. What is typed without an offset is in that zone too.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from bridge.engine.calendar import zone
from bridge.errors import BadRequestError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from zoneinfo import ZoneInfo

    from bridge.model import Window

    Zone = ZoneInfo

_DAY_S = 86_400

#: Distances of ticks in seconds; above a day, whole days.
_TICKS_S = (
    *(1, 2, 5, 10, 15, 30),
    *(60 * n for n in (1, 2, 5, 10, 15, 30)),
    *(3_600 * n for n in (1, 2, 3, 6, 12)),
    *(_DAY_S * n for n in (1, 2, 4, 7, 14, 28, 56, 91, 182, 365, 730, 1_825, 3_650, 36_500)),
)

#: Ranges offered as links: what ``from`` says, and its name.
QUICK_RANGES = (
    ("now-1h", "1 hour"),
    ("now-6h", "6 hours"),
    ("now-24h", "24 hours"),
    ("now-3d", "3 days"),
    ("now-7d", "7 days"),
    ("now-30d", "30 days"),
    ("now-90d", "90 days"),
)


@dataclass(frozen=True, slots=True)
class TimeTick:
    """One tick of a time axis.

    Attributes:
        at_ms: Epoch milliseconds.
        label: What stands there.
        strong: Whether a day (on long axes a month) begins there.
    """

    at_ms: int
    label: str
    strong: bool


def read_zone(name: str) -> Zone:
    """Return a time zone.

    Raises:
        BadRequestError: This machine knows none of that name.
    """
    try:
        return zone(name)
    except BadRequestError as error:
        raise BadRequestError(error.message, field="tz") from None


def absolute(at_ms: float, zone: Zone, *, seconds: bool = False) -> str:
    """Write a moment as ``2026-01-31 12:00``, which can be typed as well."""
    form = "%Y-%m-%d %H:%M:%S" if seconds else "%Y-%m-%d %H:%M"
    return _local(at_ms, zone).strftime(form)


def ago(seconds: float) -> str:
    """Write how long something is past, in one unit: ``40 s``, ``5 min``, ``3 days``."""
    seconds = max(0.0, seconds)
    for unit_s, name in ((_DAY_S, "days"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * unit_s or (unit_s < _DAY_S and seconds >= unit_s):
            return f"{int(seconds // unit_s)} {name}"
    return f"{int(seconds)} s"


def span_text(milliseconds: int) -> str:
    """Write a step such as ``5 min``, ``1 h 30 min`` or ``2 days``."""
    parts, rest = [], milliseconds
    for unit_ms, name in ((86_400_000, "days"), (3_600_000, "h"), (60_000, "min"), (1_000, "s")):
        count, rest = divmod(rest, unit_ms)
        if count:
            parts.append(f"{count} {'day' if (count, name) == (1, 'days') else name}")
    if rest:
        parts.append(f"{rest} ms")
    return " ".join(parts) or "0 s"


def time_ticks(window: Window, zone: Zone, *, wanted: int = 9) -> tuple[TimeTick, ...]:
    """Return about ``wanted`` ticks on round local times; a day's first carries its date."""
    span_s = (window.end_ms - window.start_ms) / 1000
    step_s = next((one for one in _TICKS_S if span_s / one <= wanted), _TICKS_S[-1])
    ticks: list[TimeTick] = []
    for moment in _round_times(window, zone, step_s):
        at_ms = round(moment.timestamp() * 1000)
        if window.start_ms <= at_ms <= window.end_ms and (not ticks or at_ms > ticks[-1].at_ms):
            ticks.append(TimeTick(at_ms, *_tick_label(moment, step_s)))
    return tuple(ticks)


def _round_times(window: Window, zone: Zone, step_s: int) -> Iterator[datetime]:
    """Yield local times on the step, by the wall clock, so that midnights are midnights."""
    first, last = _local(window.start_ms, zone), _local(window.end_ms, zone)
    clock = first.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
    if step_s >= _DAY_S:
        clock -= timedelta(days=clock.toordinal() % (step_s // _DAY_S))
    else:
        passed = (first.replace(tzinfo=None) - clock).total_seconds()
        clock += timedelta(seconds=passed // step_s * step_s)
    end = last.replace(tzinfo=None)
    while clock <= end:
        aware = clock.replace(tzinfo=zone)
        # An hour that the change to summer time leaves out is no local time at all.
        if aware.astimezone(UTC).astimezone(zone).replace(tzinfo=None) == clock:
            yield aware
        clock += timedelta(seconds=step_s)


def _tick_label(moment: datetime, step_s: int) -> tuple[str, bool]:
    day = f"{moment.day} {moment:%b}"
    if step_s >= 50 * _DAY_S:
        return f"{moment:%b %Y}", False
    if step_s >= _DAY_S:
        strong = moment.day <= step_s // _DAY_S and moment.month == 1
        return (f"{day} {moment.year}" if strong else day), strong
    if moment.hour == moment.minute == moment.second == 0:
        return day, True
    return moment.strftime("%H:%M:%S" if step_s < 60 else "%H:%M"), False


def _local(at_ms: float, zone: Zone) -> datetime:
    return datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(zone)
