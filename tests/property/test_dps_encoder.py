"""OpenTSDB's ``dps``, encoded by columns, hold what a dictionary of the points would."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bridge.doors.opentsdb.dps import DpsEncoder

STAMPS = st.lists(st.integers(0, 7_258_118_400_000), unique=True, max_size=20).map(sorted)
CLOSE = st.lists(st.integers(1_767_225_600_000, 1_767_225_604_000), unique=True, max_size=20)
VALUES = st.floats(allow_infinity=False) | st.just(math.nan) | st.integers(-3, 3).map(float)


@st.composite
def lines(draw: st.DrawFn) -> list[tuple[list[int], list[float]]]:
    """Some series, several of which share their stamps."""
    axes = draw(st.lists(STAMPS | CLOSE.map(sorted), min_size=1, max_size=3))
    chosen = draw(st.lists(st.sampled_from(axes), max_size=5))
    return [
        (axis, draw(st.lists(VALUES, min_size=len(axis), max_size=len(axis)))) for axis in chosen
    ]


def plain(
    stamps: list[int], values: list[float], *, milliseconds: bool, gaps: bool
) -> dict[int, float | None] | None:
    points: dict[int, float | None] = {}
    for stamp, value in zip(stamps, values, strict=True):
        if not math.isnan(value):
            points[stamp if milliseconds else stamp // 1000] = value
        elif gaps:
            points[stamp if milliseconds else stamp // 1000] = None
    has_value = any(not math.isnan(value) for value in values)
    return points if has_value else None


def decoded(encoded: bytes | None, *, arrays: bool) -> Any:
    if encoded is None:
        return None
    content = json.loads(encoded)
    pairs = content if arrays else [(int(stamp), value) for stamp, value in content.items()]
    assert [stamp for stamp, _ in pairs] == sorted({stamp for stamp, _ in pairs})
    return dict(map(tuple, pairs))


@given(lines(), st.booleans(), st.booleans(), st.booleans())
def test_points_survive(
    series: list[tuple[list[int], list[float]]], milliseconds: bool, arrays: bool, gaps: bool
) -> None:
    encoder = DpsEncoder(milliseconds=milliseconds, arrays=arrays, gaps=gaps)
    for stamps, values in series:
        encoded = encoder.encode(np.array(stamps, dtype=np.int64), np.array(values))
        expected = plain(stamps, values, milliseconds=milliseconds, gaps=gaps)
        assert decoded(encoded, arrays=arrays) == expected
