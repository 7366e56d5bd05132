"""OpenTSDB's JSON into arrays, against the standard library's reading of the same bytes."""

from __future__ import annotations

import contextlib
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import UpstreamError
from bridge.sources.dps import read_answer

tags = st.dictionaries(st.text(min_size=1), st.text(), max_size=3)
numbers = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False), st.integers(-(2**53), 2**53), st.none()
)
stamps = st.integers(0, 4_000_000_000)
element = st.builds(
    lambda tags, dps: {
        "metric": 'a "dps":{ b',
        "tags": tags,
        "query": {"index": 0},
        "aggregateTags": [],
        "dps": {str(t): v for t, v in dps.items()},
    },
    tags,
    st.dictionaries(stamps, numbers, max_size=20),
)


def expected(elements: list[dict[str, Any]]) -> list[tuple[dict[str, str], dict[int, float]]]:
    return [
        (e["tags"], {int(t): float(v) for t, v in e["dps"].items() if v is not None})
        for e in elements
    ]


@given(st.lists(element, max_size=4), st.sampled_from([(",", ":"), (", ", ": ")]))
def test_equals_the_standard_library(
    elements: list[dict[str, Any]], separators: tuple[str, str]
) -> None:
    body = json.dumps(elements, separators=separators).encode()
    got = [
        (dict(s.tags), dict(zip(s.stamps.tolist(), s.values.tolist(), strict=True)))
        for s in read_answer(body, "x")
    ]
    assert got == expected(elements)


@given(st.lists(element, max_size=2))
def test_stamps_ascend(elements: list[dict[str, Any]]) -> None:
    for series in read_answer(json.dumps(elements, separators=(",", ":")).encode(), "x"):
        assert series.stamps.tolist() == sorted(set(series.stamps.tolist()))
        assert all(math.isfinite(v) for v in series.values)


@pytest.mark.parametrize("count", [1, 3, 500])
def test_of_two_values_for_a_stamp_the_last_counts_however_long_the_answer(count: int) -> None:
    pairs = ",".join(
        f'"{1_700_000_000 + at}":-1,"{1_700_000_000 + at}":{at}' for at in range(count)
    )
    (series,) = read_answer(f'[{{"tags":{{}},"dps":{{{pairs}}}}}]'.encode(), "x")
    assert series.stamps.tolist() == [1_700_000_000 + at for at in range(count)]
    assert series.values.tolist() == list(range(count))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"{}",
        b"null",
        b"[1]",
        b'[{"tags":{},"dps":{"1":2}}',
        b'[{"tags":{},"dps":{"1":2',
        b'[{"tags":{},"dps":{"1":"x"}}]',
        b'[{"tags":{},"dps":{"x":1}}]',
        b'[{"tags":{},"dps":{"1":[1]}}]',
        b'[{"tags":{},"dps":{"1":{"2":3}}}]',
        b'[{"tags":{},"dps":{"99999999999999999999":1}}]',
        b'[{"tags":{},"dps":[[1,2]]}]',
        b'[{"tags":[],"dps":{}}]',
        b'[{"dps":{}}]',
        b'[{"tags":{}}]',
        b'[{"tags":{},"dps":{"1":NaN}}]',
        b"\xff\xfe",
    ],
)
def test_refuses_what_is_no_answer(body: bytes) -> None:
    with pytest.raises(UpstreamError, match="history answered"):
        tuple(read_answer(body, "history"))


@given(st.binary(max_size=60))
def test_never_raises_anything_else(body: bytes) -> None:
    with contextlib.suppress(UpstreamError):
        tuple(read_answer(b'[{"tags":{},"dps":{' + body, "x"))


@pytest.mark.parametrize("odd", ['" 564409391":4.5', '"1564409391:4.5', '1564409391":4.5'])
def test_a_long_answer_is_read_as_strictly_as_a_short_one(odd: str) -> None:
    points = ",".join(f'"{1_564_400_000 + at}":4.5' for at in range(60))
    body = f'[{{"tags":{{}},"dps":{{{points},{odd}}}}}]'
    with pytest.raises(UpstreamError, match=r"not numbers|not complete JSON"):
        tuple(read_answer(body.encode(), "x"))
