"""Warp 10's JSON into arrays, against the standard library's reading of the same bytes."""

from __future__ import annotations

import contextlib
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import UpstreamError
from bridge.sources.gts import read_stack

labels = st.dictionaries(st.text(min_size=1), st.text(), max_size=3)
numbers = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.integers(-(2**53), 2**53),
    st.sampled_from(["NaN", "Infinity", "-Infinity"]),
)
points = st.dictionaries(st.integers(-(2**50), 2**50), numbers, max_size=25)
series = st.builds(
    lambda name, labels, points: {
        "c": name,
        "l": {**labels, ".app": "x"},
        "a": {'"v":[[1,2]]': '"v":[['},
        "la": 0,
        "v": [[stamp, points[stamp]] for stamp in sorted(points)],
    },
    st.text(),
    labels,
    points,
)
separators = st.sampled_from([(",", ":"), (", ", ": ")])

Table = list[tuple[int, dict[str, str], dict[int, float]]]


def expected(lists: list[list[dict[str, Any]]]) -> Table:
    return [
        (
            number,
            {k: v for k, v in one["l"].items() if k != ".app"},
            {t: float(v) for t, v in one["v"] if not isinstance(v, str)},
        )
        for number, members in enumerate(lists)
        for one in members
        if one["v"]
    ]


def read(value: Any, separators: tuple[str, str], lists: int | None) -> Table:
    body = json.dumps(value, separators=separators).encode()
    return [
        (number, dict(one.tags), dict(zip(one.stamps.tolist(), one.values.tolist(), strict=True)))
        for number, one in read_stack(body, "x", lists=lists)
    ]


@given(st.lists(series, max_size=4), separators)
def test_series_equal_the_standard_library(
    found: list[dict[str, Any]], separators: tuple[str, str]
) -> None:
    assert read([found], separators, None) == expected([found])


@given(st.lists(st.lists(series, max_size=3), min_size=1, max_size=3), separators)
def test_lists_of_series_equal_the_standard_library(
    found: list[list[dict[str, Any]]], separators: tuple[str, str]
) -> None:
    assert read([found], separators, len(found)) == expected(found)


@given(st.lists(st.tuples(st.integers(-50, 50), numbers), max_size=30))
def test_stamps_ascend_whatever_comes(found: list[tuple[int, Any]]) -> None:
    body = json.dumps([[{"l": {}, "v": found}]], separators=(",", ":")).encode()
    for _, one in read_stack(body, "x", lists=None):
        assert one.stamps.tolist() == sorted(set(one.stamps.tolist()))
        assert all(math.isfinite(value) for value in one.values)


def test_series_with_the_same_stamps_share_them() -> None:
    line = [[stamp, 1.0] for stamp in range(100)]
    body = json.dumps([[{"l": {"n": n}, "v": line} for n in "abc"]], separators=(",", ":"))
    first, *others = [one for _, one in read_stack(body.encode(), "x", lists=None)]
    assert all(one.stamps is first.stamps for one in others)


@pytest.mark.parametrize("lists", [None, 1, 3])
def test_nothing_found(lists: int | None) -> None:
    assert list(read_stack(b"[[]]", "x", lists=lists)) == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"{}",
        b"null",
        b"[]",
        b"[1]",
        b"[[],[]]",
        b"[[1]]",
        b"[[[]]]",
        b'[[{"l":{},"v":[[1,2]]}]',
        b'[[{"l":{},"v":[[1,2',
        b'[[{"l":{},"v":[[1,2],3]}]]',
        b'[[{"l":{},"v":[[1,2]]}],[]]',
        b'[[{"l":{},"v":[1,2]}]]',
        b'[[{"l":{},"v":{}}]]',
        b'[[{"l":{},"v":0}]]',
        b'[[{"l":{},"v":1}]]',
        b'[[{"l":{},"v":[[1]]}]]',
        b'[[{"l":{},"v":[[1,2,3]]}]]',
        b'[[{"l":{},"v":[[1,[2]]]}]]',
        b'[[{"l":{},"v":[[1,"x"]]}]]',
        b'[[{"l":{},"v":[[1,"7"]]}]]',
        b'[[{"l":{},"v":[[1,null]]}]]',
        b'[[{"l":{},"v":[[1,true]]}]]',
        b'[[{"l":{},"v":[["1",2]]}]]',
        b'[[{"l":{},"v":[[99999999999999999999,2]]}]]',
        b'[[{"l":[],"v":[[1,2]]}]]',
        b'[[{"v":[[1,2]]}]]',
        b'[[{"l":{}}]]',
        b'[[{"l":{},"v":[[1,NaN]]}]]',
        b'[[{"l":{},"v":0},{"l":{},"v":[[1,2]]}]]',
        b'[[{"l":{"v":[[1,2]]},"v":[]}]]',
        b"\xff\xfe",
    ],
)
def test_refuses_what_is_no_answer(body: bytes) -> None:
    with pytest.raises(UpstreamError, match="history answered"):
        list(read_stack(body, "history", lists=None))


@pytest.mark.parametrize("body", [b"[[[]]]", b"[[[],[],[]]]", b"[[[],1]]", b'[[{"l":{},"v":[]}]]'])
def test_refuses_another_number_of_lists(body: bytes) -> None:
    with pytest.raises(UpstreamError, match="for each function"):
        list(read_stack(body, "history", lists=2))


@given(st.binary(max_size=60), st.booleans())
def test_never_raises_anything_else(body: bytes, with_lists: bool) -> None:
    start = b'[[[{"l":{},"v":[[' if with_lists else b'[[{"l":{},"v":[['
    with contextlib.suppress(UpstreamError):
        list(read_stack(start + body, "x", lists=1 if with_lists else None))


def long_rows(last: bytes) -> bytes:
    """Enough rows that the fast way would be taken."""
    rows = b",".join(b"[1700000000%06d,1.5]" % n for n in range(50))
    return b'[[{"l":{},"v":[[' + rows[1:] + b"," + last + b"]}]]"


@pytest.mark.parametrize(
    "last",
    [b"[1]", b"[1,2,3]", b"[1,[2]]", b"[1,2.5,3,4]", b'[2,"x"]', b"[18446744073709551615,1]"],
)
def test_refuses_odd_rows_among_many(last: bytes) -> None:
    with pytest.raises(UpstreamError, match=r"not numbers|not complete"):
        list(read_stack(long_rows(last), "history", lists=None))
