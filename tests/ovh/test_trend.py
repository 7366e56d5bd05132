"""Days until a datastore is full: what disturbs the trend, and what must not."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from bridge.ovh.trend import (
    DAY_MS,
    LEAST_DAYS,
    LEAST_HOURS,
    NOT_IN_SIGHT_DAYS,
    WINDOW_DAYS,
    daily_medians,
    days_until_full,
    growth_a_day,
)

HOUR_MS = 3_600_000
lengths = st.integers(LEAST_DAYS, WINDOW_DAYS)
growths = st.floats(-50, 50)
levels = st.floats(1_000, 5_000)


def line(length: int, growth: float, level: float) -> tuple[np.ndarray, np.ndarray]:
    days = np.arange(19_000, 19_000 + length)
    return days, level + growth * np.arange(length)


@given(lengths, growths, levels)
def test_a_straight_line_is_found(length: int, growth: float, level: float) -> None:
    found = growth_a_day(*line(length, growth, level))
    assert found == pytest.approx(growth, abs=1e-6)


@given(
    lengths, growths, levels,
    st.lists(st.floats(-1, 1), min_size=WINDOW_DAYS, max_size=WINDOW_DAYS), st.floats(0, 20),
)  # fmt: skip
def test_noise_moves_the_trend_no_more_than_it_can(
    length: int, growth: float, level: float, noise: list[float], size: float
) -> None:
    days, used = line(length, growth, level)
    # No day may fall so far that it looks like a clean-up.
    assume(growth - 2 * size > -0.02 * (level - 50 * WINDOW_DAYS))
    found = growth_a_day(days, used + size * np.array(noise[:length]))
    assert found is not None
    # More than half of all pairs are at least 0.29 of the span apart.
    apart = max(1, math.floor(0.29 * length))
    assert abs(found - growth) <= 2 * size / apart + 1e-6


@given(
    st.integers(15, WINDOW_DAYS), st.floats(1, 50), levels,
    st.dictionaries(st.integers(0, WINDOW_DAYS - 1), st.floats(0, 1e6), max_size=2),
)  # fmt: skip
def test_single_odd_days_hardly_count(
    length: int, growth: float, level: float, odd: dict[int, float]
) -> None:
    days, used = line(length, growth, level)
    for day, more in odd.items():
        if day < length:
            used[day] += more
    found = growth_a_day(days, used)
    assert found == pytest.approx(growth, rel=0.05)


@given(
    lengths, st.floats(0.5, 50), st.floats(20_000, 50_000),
    st.lists(st.tuples(st.integers(1, WINDOW_DAYS - 1), st.floats(0.1, 0.3)),
             min_size=1, max_size=2, unique_by=lambda fall: fall[0]),
)  # fmt: skip
def test_one_or_two_clean_ups_do_not_hide_the_growth(
    length: int, growth: float, level: float, falls: list[tuple[int, float]]
) -> None:
    days, used = line(length, growth, level)
    for day, share in falls:
        if day < length:
            used[day:] -= share * level
    assert growth_a_day(days, used) == pytest.approx(growth, rel=1e-6)


def test_clean_ups_that_are_a_habit_belong_to_the_trend() -> None:
    days = np.arange(WINDOW_DAYS)
    sawtooth = 8_000 + 100.0 * (days % 7)
    growth = growth_a_day(days, sawtooth)
    assert growth == pytest.approx(0.0, abs=20)


def test_growth_in_jumps_is_growth() -> None:
    days = np.arange(WINDOW_DAYS)
    weekly = 5_000 + 350.0 * (days // 7)
    growth = growth_a_day(days, weekly)
    assert growth == pytest.approx(50, rel=0.1)


@given(st.integers(0, LEAST_DAYS - 1), growths)
def test_too_few_days_give_no_trend(length: int, growth: float) -> None:
    assert growth_a_day(*line(length, growth, 100.0)) is None


@given(
    lengths, st.lists(st.floats(0, 1e6), min_size=WINDOW_DAYS, max_size=WINDOW_DAYS),
    st.sampled_from([1 / 1024**2, 1 / 1024, 1024.0]), st.floats(0, 1e7),
)  # fmt: skip
def test_units_do_not_matter(length: int, values: list[float], factor: float, free: float) -> None:
    days, used = np.arange(length), np.array(values[:length])
    growth, scaled = growth_a_day(days, used), growth_a_day(days, used * factor)
    assert growth is not None
    assert scaled is not None
    assert scaled == pytest.approx(growth * factor, rel=1e-9, abs=1e-12)
    now, capacity = used[-1], used[-1] + free
    assume(capacity > 0)
    assert days_until_full(scaled, now * factor, capacity * factor) == pytest.approx(
        days_until_full(growth, now, capacity), rel=1e-6, abs=1e-6
    )


@given(st.floats(-1e9, 0), st.floats(0, 1e9), st.floats(1, 1e9))
def test_what_does_not_grow_is_never_full(growth: float, used: float, free: float) -> None:
    assert days_until_full(growth, used, used + free) == NOT_IN_SIGHT_DAYS


@given(st.floats(1e-300, 1e9), st.floats(0, 1e9), st.floats(0, 1e9))
def test_days_are_between_none_and_the_most(growth: float, used: float, free: float) -> None:
    assume(used + free > 0)
    days = days_until_full(growth, used, used + free)
    assert days is not None
    assert 0 <= days <= NOT_IN_SIGHT_DAYS


@pytest.mark.parametrize(
    ("growth", "used", "capacity", "days"),
    [
        (10.0, 900.0, 1000.0, 10.0),
        (10.0, 1000.0, 1000.0, 0.0),
        (-5.0, 1200.0, 1000.0, 0.0),
        (0.001, 500.0, 1000.0, NOT_IN_SIGHT_DAYS),
        (10.0, 0.0, 0.0, None),
    ],
)
def test_days(growth: float, used: float, capacity: float, days: float | None) -> None:
    assert days_until_full(growth, used, capacity) == days


def test_a_day_counts_with_enough_hours_and_by_its_median() -> None:
    full = [DAY_MS + hour * HOUR_MS for hour in range(24)]
    short = [3 * DAY_MS + hour * HOUR_MS for hour in range(LEAST_HOURS - 1)]
    stamps = np.array([*full, *short])
    values = np.array([*([5.0] * 20), *([900.0] * 4), *([1.0] * len(short))])
    days, medians = daily_medians(stamps, values)
    assert (days.tolist(), medians.tolist()) == ([1], [5.0])
    days, medians = daily_medians(stamps[:0], values[:0])
    assert (len(days), len(medians)) == (0, 0)


@given(st.lists(st.integers(0, 27), min_size=LEAST_DAYS, max_size=20, unique=True), growths)
def test_days_without_data_are_left_out(present: list[int], growth: float) -> None:
    days = np.array(sorted(present))
    assert growth_a_day(days, 5_000 + growth * days) == pytest.approx(growth, abs=1e-6)
