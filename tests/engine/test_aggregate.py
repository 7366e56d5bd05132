"""Aggregation where the stamps of series are known to lie on a grid."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.engine.aggregate import aggregate
from bridge.engine.functions import AGGREGATORS

lines = st.lists(
    st.dictionaries(st.integers(0, 40), st.floats(-1e6, 1e6), min_size=1), min_size=1, max_size=6
)


@given(lines, st.sampled_from(sorted(set(AGGREGATORS) - {"none"})), st.booleans(), st.data())
def test_the_grid_changes_nothing(
    lines: list[dict[int, float]], aggregator: str, of_rates: bool, data: st.DataObject
) -> None:
    step_ms = data.draw(st.sampled_from([1, 60_000]))
    given_lines = [
        (np.array(sorted(one), dtype=np.int64) * step_ms, np.array([one[at] for at in sorted(one)]))
        for one in lines
    ]
    plain = aggregate(given_lines, aggregator, of_rates=of_rates)
    on_grid = aggregate(given_lines, aggregator, of_rates=of_rates, step_ms=step_ms)
    np.testing.assert_array_equal(plain[0], on_grid[0])
    np.testing.assert_array_equal(plain[1], on_grid[1])


@pytest.mark.parametrize("step_ms", [0, 1])
def test_few_points_far_apart_need_no_room_for_what_is_between(step_ms: int) -> None:
    ends = np.array([0, 10**13]), np.array([1.0, 2.0])
    middle = np.array([5 * 10**12]), np.array([4.0])
    stamps, values = aggregate([ends, middle], "sum", step_ms=step_ms)
    assert stamps.tolist() == [0, 5 * 10**12, 10**13]
    assert values.tolist() == [1.0, 5.5, 2.0]


def test_series_with_the_same_stamps_answer_them() -> None:
    shared = np.arange(5) * 60_000
    full = shared, np.arange(5.0)
    gap = shared[[0, 2, 4]], np.array([10.0, 12.0, 14.0])
    stamps, values = aggregate([full, gap, full], "sum", step_ms=60_000)
    assert stamps is shared
    assert values.tolist() == [10.0, 13.0, 16.0, 19.0, 22.0]
