"""OpenTSDB's JSON into arrays, against the standard library's reading of the same bytes."""

from __future__ import annotations

import contextlib
import json
import math
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import UpstreamError
from bridge.sources import answers
from bridge.sources.dps import read_answer

if TYPE_CHECKING:
    from collections.abc import Iterator

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


def answered(*points: str) -> bytes:
    """The answer of a server that writes the points of each series so."""
    return ("[" + ",".join(f'{{"tags":{{}},"dps":{one}}}' for one in points) + "]").encode()


def compact(points: dict[int, float | int | None]) -> str:
    return json.dumps({str(stamp): value for stamp, value in points.items()}, separators=(",", ":"))


#: What the series of an answer look like together: mostly the same stamps, some gaps, now and
#: then something else.
blocks = st.lists(
    st.dictionaries(
        st.sampled_from([1_700_000_000 + 60 * at for at in range(6)]), numbers, min_size=1
    )
    | st.dictionaries(st.integers(0, 10**15 - 1), numbers, max_size=4),
    max_size=12,
)


LIBRARIES = ["simdjson", "orjson"] if answers._HAS_SIMDJSON else ["orjson"]


@pytest.fixture(scope="module", params=LIBRARIES, autouse=True)
def library(request: pytest.FixtureRequest) -> Iterator[None]:
    """Each library that reads numbers: there is not always a wheel of the faster one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(answers, "_HAS_SIMDJSON", request.param == "simdjson")
        yield


@given(blocks)
def test_many_series_are_read_as_each_by_itself(series: list[dict[int, float | None]]) -> None:
    read = list(read_answer(answered(*map(compact, series)), "x"))
    for one, points in zip(read, series, strict=True):
        there = {stamp: float(value) for stamp, value in points.items() if value is not None}
        assert dict(zip(one.stamps.tolist(), one.values.tolist(), strict=True)) == there
        assert one.stamps.tolist() == sorted(there)


def test_series_with_the_same_stamps_share_them() -> None:
    full, gap = (
        compact({at: at / 2 for at in which}) for which in (range(10, 40), range(10, 40, 2))
    )
    first, other, last, others = read_answer(answered(full, gap, full, gap), "x")
    assert first.stamps is last.stamps
    assert other.stamps is others.stamps


@pytest.mark.parametrize(
    "odd",
    [
        '{"1700000000":"1700000060":5,"1700000120":6}',
        '{"1700000000":1,5,"1700000060":2}',
        '{"1700000000":,"1700000060":2}',
        '{"1700000000":1 2,"1700000060":3}',
        '{"1700000000":[1],"1700000060":2}',
        '{"1700000000":[],"1700000060":2}',
        '{"1700000000":true,"1700000060":2}',
        '{"170000000x":1,"1700000060":2}',
        '{"1700000000";1,"1700000060":2}',
        "{1700000000:1,1700000060:2}",
        '["1700000000":1,"1700000060":2}',
        '{"1700000000":1,,"1700000060":2}',
        '{"1700000000":1,"1700000060":2,}',
        '{,"1700000000":1,"1700000060":2}',
        '{"1700000000":0x1,"1700000060":2}',
        '{"1700000000":-,"1700000060":2}',
        '{"17000000:0":1,"1700000060":2}',
    ],
)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_one_odd_series_among_others_is_found(odd: str, place: int) -> None:
    series = ['{"1700000000":1,"1700000060":2}'] * 2
    series.insert(place, odd)
    with pytest.raises(UpstreamError):
        list(read_answer(answered(*series), "x"))


@pytest.mark.parametrize(
    ("points", "stamps", "values"),
    [
        ('{"1700000000":"NaN","1700000060":2}', [1_700_000_060], [2.0]),
        ('{"1700000000":null,"1700000060":2}', [1_700_000_060], [2.0]),
        ('{"1700000060":2,"1700000000":1}', [1_700_000_000, 1_700_000_060], [1.0, 2.0]),
        ('{"1700000000":1,"1700000000":2}', [1_700_000_000], [2.0]),
        ('{ "1700000000" : 1 }', [1_700_000_000], [1.0]),
        ('{"-5":1,"17":2}', [-5, 17], [1.0, 2.0]),
        ('{"5":1,"17":2}', [5, 17], [1.0, 2.0]),
        ('{"0000000005":1,"0000000006":-0.0}', [5, 6], [1.0, 0.0]),
        ('{"999999999999999":1e300}', [999_999_999_999_999], [1e300]),
        ('{"1700000000":123456789012345678901234567890}', [1_700_000_000], [1.2345678901234568e29]),
        ("{}", [], []),
    ],
)
def test_an_unusual_series_among_others(
    points: str, stamps: list[int], values: list[float]
) -> None:
    usual = '{"1700000000":1,"1700000060":2}'
    before, read, after = read_answer(answered(usual, points, usual), "x")
    assert (read.stamps.tolist(), read.values.tolist()) == (stamps, values)
    assert before.values.tolist() == after.values.tolist() == [1.0, 2.0]


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
