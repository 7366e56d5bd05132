"""Units, times, and lines: what stands on axes and in tables."""

from __future__ import annotations

import itertools
import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.catalog import catalogue
from bridge.doors.fields import read_span
from bridge.doors.page.chart import SIDE, Chart, Gaps, draw
from bridge.doors.page.times import absolute, ago, read_zone, span_text, time_ticks
from bridge.doors.page.units import MISSING, readable, unit_name
from bridge.errors import BadRequestError
from bridge.model import Window
from bridge.ovh.live import LIVE_KINDS, live_columns

UTC = read_zone("UTC")
DAY_MS = 86_400_000
START = 1_767_225_600_000  # 2026-01-01T00:00:00Z


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (12.345, "percent", "12.3%"),
        (0, "percent", "0%"),
        (100.0, "percent", "100%"),
        (0.004, "percent", "0.004%"),
        (1.5e9, "kbytes", "1.40 TiB"),
        (1536, "gbytes", "1.50 TiB"),
        (1024, "mbytes", "1 GiB"),
        (999.4, "KBs", "999 kB/s"),
        (1_234_567, "KBs", "1.23 GB/s"),
        (90_000, "ms", "1.50 min"),
        (250, "ms", "250 ms"),
        (86_400 * 3, "s", "3 days"),
        (1_234, "iops", "1.23K io/s"),
        (12, "iops", "12 io/s"),
        (2_400, "rotmhz", "2.40 GHz"),
        (1_234_567.2, "none", "1,234,567"),
        (1_234_567, "short", "1.23M"),
        (-3.26, "percent", "-3.26%"),
        (-0.0, "percent", "0%"),
        (5, "a unit nobody knows", "5"),
        (7, None, "7"),
        (None, "ms", MISSING),
        (float("nan"), "ms", MISSING),
        (float("inf"), "ms", MISSING),
    ],
)
def test_numbers_are_readable(value: float | None, unit: str | None, text: str) -> None:
    assert readable(value, unit) == text


def test_every_unit_in_use_has_a_scale() -> None:
    units = {metric.unit for metric in catalogue().values()}
    units |= {column.unit for kind in LIVE_KINDS for column in live_columns(kind) if column.unit}
    plain = {unit for unit in units if readable(1.0, unit) == "1"}
    assert plain <= {"none", "short", "bool", "dateTimeFromNow"}, plain
    assert unit_name("kbytes") == "KiB"
    assert unit_name("none") == unit_name(None) == ""


@given(
    st.floats(allow_nan=True, allow_infinity=True), st.sampled_from(["ms", "kbytes", "percent", ""])
)
def test_no_number_is_too_odd(value: float, unit: str) -> None:
    assert readable(value, unit)


def test_spans_and_ages() -> None:
    assert [span_text(ms) for ms in (300_000, 5_400_000, DAY_MS, 2 * DAY_MS, 1_500, 0)] == [
        "5 min",
        "1 h 30 min",
        "1 day",
        "2 days",
        "1 s 500 ms",
        "0 s",
    ]
    assert [ago(s) for s in (-5, 30, 70, 7_300, 130_000, 400_000)] == [
        "0 s",
        "30 s",
        "1 min",
        "2 h",
        "36 h",
        "4 days",
    ]


@pytest.mark.parametrize("zone", ["UTC", "Europe/Paris", "Asia/Kolkata", "Pacific/Apia"])
def test_what_is_written_can_be_typed(zone: str) -> None:
    there = read_zone(zone)
    text = absolute(START + 5 * 3_600_000, there)
    window = read_span(text, absolute(START + 9 * 3_600_000, there), now=0, zone=there)
    assert window == Window(START + 5 * 3_600_000, START + 9 * 3_600_000)


def test_an_unknown_zone_is_named() -> None:
    for name in ("Mars/Olympus", "../etc/passwd", "\x00", "Europe"):
        with pytest.raises(BadRequestError) as caught:
            read_zone(name)
        assert caught.value.field == "tz"


def labels(days: float, zone: str = "UTC", start: int = START) -> list[str]:
    return [
        tick.label
        for tick in time_ticks(Window(start, start + round(days * DAY_MS)), read_zone(zone))
    ]


def test_ticks_stand_on_round_local_times() -> None:
    assert labels(0.25)[:3] == ["1 Jan", "01:00", "02:00"]
    assert labels(0.25, "Europe/Paris")[:2] == ["01:00", "02:00"]
    assert labels(7) == [f"{day} Jan" if day > 1 else "1 Jan 2026" for day in range(1, 9)]
    assert labels(1 / 1440)[:2] == ["1 Jan", "00:00:10"]
    assert labels(3_650)[0] == "Aug 2027"


def test_the_change_to_summer_time_leaves_no_false_hour() -> None:
    # 2026-03-29 in Paris: 02:00 does not exist.
    start = 1_774_738_800_000 - 3_600_000  # 2026-03-28 23:00 UTC, midnight in Paris less an hour
    found = labels(0.4, "Europe/Paris", start)
    assert "02:00" not in found
    ticks = time_ticks(Window(start, start + DAY_MS * 2), read_zone("Europe/Paris"))
    assert all(b.at_ms > a.at_ms for a, b in itertools.pairwise(ticks))


@given(
    st.integers(0, 4_000_000_000_000),
    st.integers(1, 400_000_000_000_0),
    st.sampled_from(["UTC", "Europe/Paris", "America/St_Johns", "Pacific/Apia"]),
)
def test_ticks_are_few_ordered_and_inside(start: int, span: int, zone: str) -> None:
    ticks = time_ticks(Window(start, start + span), read_zone(zone))
    stamps = [tick.at_ms for tick in ticks]
    assert len(stamps) <= 11
    assert stamps == sorted(set(stamps))
    assert all(start <= stamp <= start + span for stamp in stamps)
    assert all(tick.label for tick in ticks)


def chart(*lines: tuple[list[int], list[float]], unit: str = "none", longest_ms: int = 0) -> Chart:
    arrays = [(np.array(s, dtype=np.int64), np.array(v, dtype=np.float64)) for s, v in lines]
    window = Window(START, START + 100_000)
    made = list(draw(arrays, window=window, gaps=Gaps(longest_ms), unit=unit, zone=UTC))
    assert isinstance(made[-1], Chart)
    return made[-1]


def at(*seconds: int) -> list[int]:
    return [START + 1000 * second for second in seconds]


def test_points_stand_where_they_belong() -> None:
    (line,) = chart((at(0, 50, 100), [0.0, 50.0, 100.0]), unit="percent").lines
    assert line.path == "M0 4000L2000 2000L4000 0"
    assert line.dots == ""


def test_gaps_break_lines_and_lonely_points_are_dots() -> None:
    nan = float("nan")
    stamps, values = at(0, 10, 20, 60, 90, 100), [1.0, 1.0, nan, 1.0, 1.0, 1.0]
    (line,) = chart((stamps, values), longest_ms=10_000).lines
    assert line.path.count("M") == 2
    assert line.dots.count("M") == 1
    assert line.dots.startswith("M2400 ")
    (joined,) = chart((at(0, 100), [1.0, 2.0])).lines
    assert joined.path.count("M") == 1
    (alone,) = chart((at(50), [5.0])).lines
    assert (alone.path, alone.dots.count("M")) == ("", 1)
    (nothing,) = chart((at(10, 20), [nan, nan])).lines
    assert (nothing.path, nothing.dots) == ("", "")


@pytest.mark.parametrize(
    ("values", "unit", "ticks"),
    [
        ([3, 97], "percent", ["100%", "80%", "60%", "40%", "20%", "0%"]),
        ([80e9, 82e9], "kbytes", ["76.5 TiB", "76.0 TiB", "75.5 TiB", "75.0 TiB", "74.5 TiB"]),
        ([-3, 8], "none", ["10.0", "7.5", "5.0", "2.5", "0.0", "-2.5", "-5.0"]),
        ([0, 0], "percent", ["1.0%", "0.8%", "0.6%", "0.4%", "0.2%", "0.0%"]),
        ([40, 90_000], "ms", ["1.5 min", "1.0 min", "0.5 min", "0.0 min"]),
    ],
)  # fmt: skip
def test_axes_are_round_in_the_unit_that_is_shown(
    values: list[float], unit: str, ticks: list[str]
) -> None:
    assert [tick.label for tick in chart((at(0, 100), values), unit=unit).y_ticks] == ticks


NUMBERS = st.floats(allow_nan=True, allow_infinity=False)
LINES = st.lists(st.dictionaries(st.integers(0, 100), NUMBERS, max_size=30), max_size=4)


@given(LINES, st.sampled_from(["none", "percent", "kbytes", "ms"]), st.integers(0, 50_000))
def test_whatever_the_numbers_all_is_inside(
    lines: list[dict[int, float]], unit: str, longest_ms: int
) -> None:
    sides = [(at(*sorted(line)), [line[second] for second in sorted(line)]) for line in lines]
    made = chart(*sides, unit=unit, longest_ms=longest_ms)
    assert made.low < made.high
    assert 2 <= len(made.y_ticks) <= 12
    for line, given_points in zip(made.lines, lines, strict=True):
        corners = re.findall(r"[ML](-?\d+) (-?\d+)", line.path + line.dots)
        assert len(corners) == sum(not math.isnan(value) for value in given_points.values())
        assert all(0 <= int(x) <= SIDE and 0 <= int(y) <= SIDE for x, y in corners)
