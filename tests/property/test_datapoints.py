"""Encoded points are the JSON that Python's own encoder would write of them."""

from __future__ import annotations

import json
import math
from itertools import pairwise

import numpy as np
import orjson
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from bridge.doors.datapoints import DatapointsEncoder, encode_rows, interleave

STAMPS = st.lists(st.integers(-(2**53), 2**53), max_size=30, unique=True).map(
    lambda stamps: np.array(sorted(stamps), dtype=np.int64)
)


@st.composite
def lines(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    stamps = draw(STAMPS)
    return stamps, draw(arrays.arrays(np.float64, len(stamps)))


def as_json(value: float) -> float | None:
    return value if math.isfinite(value) else None


@given(st.lists(lines(), max_size=4))
def test_points_are_pairs_of_value_and_integer_stamp(
    series: list[tuple[np.ndarray, np.ndarray]],
) -> None:
    encoder = DatapointsEncoder()
    # Neighbours that share an axis, and others between them.
    asked = [*series, *((stamps, values[::-1]) for stamps, values in series for _ in range(3))]
    encoded = list(encoder.encode(asked))
    assert len(encoded) == len(asked)
    for (stamps, values), text in zip(asked, encoded, strict=True):
        read = json.loads(bytes(text))
        expected = [
            [as_json(value), stamp]
            for value, stamp in zip(values.tolist(), stamps.tolist(), strict=True)
        ]
        assert read == expected
        assert all(type(stamp) is int for _, stamp in read)


def encoded_alone(stamps: np.ndarray, values: np.ndarray) -> bytes:
    (text,) = DatapointsEncoder().encode([(stamps, values)])
    return bytes(text)


def test_the_longest_and_the_shortest_numbers_have_room_in_any_order() -> None:
    numbers = (-2.2250738585072014e-308, 0.0, -1.7976931348623157e308, 5e-324, 1.0, math.nan)
    values = np.array([first for first in numbers for _ in numbers] + [*numbers] * 6)
    stamps = 1_700_000_000_000 + 60_000 * np.arange(len(values))
    expected = [[as_json(v), s] for v, s in zip(values.tolist(), stamps.tolist(), strict=True)]
    text = encoded_alone(stamps, values)
    assert json.loads(text) == expected
    assert b" " not in text


def test_many_points_of_one_axis_are_encoded_in_several_blocks() -> None:
    stamps = 1_700_000_000_000 + 60_000 * np.arange(1_440)
    rows = [np.random.default_rng(n).random(1_440) for n in range(30)]
    texts = list(DatapointsEncoder().encode([(stamps, row) for row in rows]))
    assert [bytes(text) for text in texts] == [encoded_alone(stamps, row) for row in rows]


@given(lines())
def test_a_view_of_every_second_point_is_encoded_as_what_it_shows(
    line: tuple[np.ndarray, np.ndarray],
) -> None:
    stamps, values = line[0][::2], line[1][::2]
    assert encoded_alone(stamps, values) == encoded_alone(stamps.copy(), values.copy())


@given(st.lists(lines(), max_size=4), st.text(max_size=5))
def test_a_long_table_is_sorted_by_time_and_keeps_the_order_of_series(
    series: list[tuple[np.ndarray, np.ndarray]], label: str
) -> None:
    cells = [f"{label}{index}" for index in range(len(series))]
    expected = [
        [stamp, cell, None, as_json(value)]
        for (stamps, values), cell in zip(series, cells, strict=True)
        for stamp, value in zip(stamps.tolist(), values.tolist(), strict=True)
    ]
    given_rows = [
        (stamps, values, [cell, None]) for (stamps, values), cell in zip(series, cells, strict=True)
    ]
    expected.sort(key=lambda row: row[0])
    assert orjson.loads(encode_rows(given_rows)) == expected


def test_a_table_of_many_rows_is_written_in_pieces() -> None:
    stamps = np.arange(3_000, dtype=np.int64)
    series = [(stamps * (n + 1), stamps * 1.5, b",") for n in range(4)]
    pieces = list(interleave(series, opening=b"[[", between=b"],[", closing=b"]]"))
    assert len(pieces) == 4
    expected = sorted(
        ([stamp * (n + 1), stamp * 1.5] for n in range(4) for stamp in range(3_000)),
        key=lambda row: row[0],
    )
    assert json.loads(b"".join(pieces)) == expected


@given(
    st.lists(st.integers(0, 60), max_size=40, unique=True).map(sorted),
    st.integers(0, 3),
)
def test_each_hole_gets_one_gap_one_step_after_its_start(buckets: list[int], slack: int) -> None:
    step = 300_000
    stamps = np.array(buckets, dtype=np.int64) * step
    values = np.ones(len(stamps))
    encoder = DatapointsEncoder(step_ms=step, tolerance_ms=slack * step)
    for _ in range(2):  # the second one comes from the shared axis
        (text,) = encoder.encode([(stamps, values)])
        drawn = orjson.loads(text)
        holes = [
            first + step
            for first, second in pairwise(stamps.tolist())
            if second - first > (1 + slack) * step
        ]
        assert [stamp for value, stamp in drawn if value is None] == holes
        assert [stamp for value, stamp in drawn if value is not None] == stamps.tolist()
        assert [stamp for _, stamp in drawn] == sorted(stamp for _, stamp in drawn)
