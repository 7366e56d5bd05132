"""Calendar intervals against the dates on the wall."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.engine.calendar import first_whole_interval, interval_start, interval_starts
from bridge.model import Downsample

ZONES = ["UTC", "Europe/Paris", "America/Denver", "Asia/Kolkata", "Australia/Lord_Howe"]
zones = st.sampled_from(ZONES)
moments = st.integers(0, 4_000_000_000_000)


def on_the_wall(at_ms: int, zone: str) -> datetime:
    return datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(ZoneInfo(zone))


@given(moments, zones, st.sampled_from(["d", "w", "n", "y"]))
def test_long_intervals_begin_at_local_midnight(at_ms: int, zone: str, unit: str) -> None:
    start = interval_start(at_ms, 1, unit, ZoneInfo(zone))
    local, now = on_the_wall(start, zone), on_the_wall(at_ms, zone)
    assert start <= at_ms
    assert (local.hour, local.minute, local.second) == (0, 0, 0)
    if unit == "d":
        assert local.date() == now.date()
    elif unit == "w":
        assert local.isoweekday() == 7
        assert timedelta(0) <= now.date() - local.date() < timedelta(days=7)
    elif unit == "n":
        assert (local.year, local.month, local.day) == (now.year, now.month, 1)
    else:
        assert (local.year, local.month, local.day) == (now.year, 1, 1)


@given(
    moments, zones, st.sampled_from(["ms", "s", "m", "h", "d", "w", "n", "y"]), st.integers(1, 40)
)
def test_intervals_cover_time_without_overlap(at_ms: int, zone: str, unit: str, count: int) -> None:
    until = at_ms + {"ms": 500, "s": 50_000, "m": 3_000_000, "h": 90_000_000}.get(
        unit, 86_400_000 * 40
    )
    starts = interval_starts(at_ms, until, count, unit, zone)
    assert starts[0] <= at_ms < starts[1]
    assert starts[-1] > until
    assert (np.diff(starts) > 0).all()
    spec = Downsample(0, "sum", "none", calendar=True, count=count, unit=unit)
    assert first_whole_interval(int(starts[0]), spec, zone) == starts[0]
    if starts[0] != at_ms:
        assert first_whole_interval(at_ms, spec, zone) == starts[1]


@pytest.mark.parametrize(
    ("day", "hours"), [("2026-03-29", 23), ("2026-10-25", 25), ("2026-06-01", 24)]
)
def test_days_are_as_long_as_the_clock_says(day: str, hours: int) -> None:
    noon = datetime.fromisoformat(f"{day}T12:00:00").replace(tzinfo=ZoneInfo("Europe/Paris"))
    at_ms = int(noon.timestamp()) * 1000
    first, second = interval_starts(at_ms, at_ms, 1, "d", "Europe/Paris")[:2]
    assert second - first == hours * 3_600_000
