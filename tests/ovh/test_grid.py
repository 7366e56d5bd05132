"""The grid in time that polls are recorded on."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.ovh.grid import next_start, stamp_ms, stretched_s

starts = st.floats(0, 4e9)
intervals = st.integers(1, 86_400).map(float)
phases = st.floats(0.25, 0.75)


@pytest.mark.parametrize(
    ("started_at", "interval_s", "stamp"),
    [
        (1_700_000_000.0, 120.0, 1_699_999_920_000),
        (1_699_999_920.0, 120.0, 1_699_999_920_000),
        (1_699_999_919.999, 120.0, 1_699_999_800_000),
        (1_700_000_000.0, 86_400.0, 1_699_920_000_000),
    ],
)
def test_a_poll_is_stamped_at_the_start_of_its_cell(
    started_at: float, interval_s: float, stamp: int
) -> None:
    assert stamp_ms(started_at, interval_s) == stamp


@given(starts, intervals, phases, st.floats(0, 1e5))
def test_the_next_poll_is_in_a_later_cell_and_not_in_the_past(
    started_at: float, interval_s: float, phase: float, took_s: float
) -> None:
    now = started_at + took_s
    due = next_start(started_at, now, interval_s, phase)
    assert due >= now - 1e-6 * max(1.0, now * 1e-6)
    assert due <= max(now, started_at) + 2 * interval_s
    assert stamp_ms(due, interval_s) > stamp_ms(started_at, interval_s)
    # Far enough from both edges of its cell for a clock that is a little off.
    assert 0.24 < due / interval_s - math.floor(due / interval_s) < 0.76


@given(starts, intervals, st.floats(0, 1e4), st.integers(0, 2**32))
def test_two_bridges_that_poll_in_the_same_cell_write_the_same_stamp(
    started_at: float, interval_s: float, needed_s: float, seed: int
) -> None:
    width = stretched_s(interval_s, needed_s)
    cell = math.floor(started_at / width)
    other = (cell + 0.25 + 0.5 * seed / 2**32) * width
    assert stamp_ms(started_at, width) == stamp_ms(other, width)


@given(starts, intervals, st.floats(0, 1e6))
def test_a_stretched_grid_lies_on_the_wanted_one(
    started_at: float, wanted_s: float, needed_s: float
) -> None:
    width = stretched_s(wanted_s, needed_s)
    assert width >= max(wanted_s, needed_s)
    assert width < max(wanted_s, needed_s) + wanted_s
    assert stamp_ms(started_at, width) % round(wanted_s * 1000) == 0
