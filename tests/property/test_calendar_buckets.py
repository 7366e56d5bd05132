"""Calendar intervals merged from buckets are those of the points."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.engine.downsample import downsample_points, merge_buckets, needed_columns
from bridge.engine.plan import make_plan
from bridge.model import BucketRequest, Downsample, Query, Window
from tests.engine.memory import MemorySource

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
WIDTHS = {"d": 1, "w": 7, "n": 30, "y": 365}

#: Zone, and how wide the buckets may be: offsets of hours, half hours, quarters.
ZONES = [
    ("UTC", HOUR_MS),
    ("Europe/Paris", HOUR_MS),
    ("America/Sao_Paulo", HOUR_MS),
    ("Asia/Kolkata", HOUR_MS // 2),
    ("Australia/Lord_Howe", HOUR_MS // 2),
    ("Asia/Kathmandu", HOUR_MS // 4),
    ("Pacific/Chatham", HOUR_MS // 4),
]
BASE = 1_709_251_200_000  # 2024-03-01: clocks change within weeks, in both hemispheres

points = st.dictionaries(
    st.integers(0, 120 * 96).map(lambda quarter: BASE + quarter * HOUR_MS // 4)
    | st.integers(BASE, BASE + 120 * DAY_MS),
    st.integers(-100, 100).map(float),
    max_size=40,
)


@settings(max_examples=200, deadline=None)
@given(
    found=points,
    zone=st.sampled_from(ZONES),
    function=st.sampled_from(["avg", "sum", "count", "min", "max", "first", "last", "mimmin"]),
    unit=st.sampled_from(sorted(WIDTHS)),
    count=st.integers(1, 3),
    start=st.integers(-3 * DAY_MS, 100 * DAY_MS),
    length=st.integers(1, 120 * DAY_MS),
)
def test_buckets_give_what_points_give(
    found: dict[int, float],
    zone: tuple[str, int],
    function: str,
    unit: str,
    count: int,
    start: int,
    length: int,
) -> None:
    timezone, widest = zone
    spec = Downsample(count * WIDTHS[unit] * DAY_MS, function, "none", True, count, unit)
    window = Window(BASE + start, BASE + start + length)
    query = Query("m", window, "sum", spec, timezone=timezone)
    plan = make_plan(query)
    assert plan.function is not None
    assert plan.step_ms in {widest, HOUR_MS}
    source = MemorySource([({}, list(found.items()))])
    first, end = plan.scan_start_ms, plan.scan_end_ms
    columns = needed_columns(plan, spec)
    request = BucketRequest("m", (), first, end, plan.step_ms, columns)
    buckets = asyncio.run(source.buckets(request))
    raw = source._cut(first, end - 1, ())
    merged = [merge_buckets(one, query, spec, plan) for one in buckets]
    plain = [downsample_points(one, query, spec, plan) for one in raw]
    assert len(merged) == len(plain)
    for mine, theirs in zip(merged, plain, strict=True):
        np.testing.assert_array_equal(mine[0], theirs[0])
        np.testing.assert_allclose(mine[1], theirs[1], rtol=1e-12)


@pytest.mark.parametrize(
    ("timezone", "year", "reason"),
    [
        ("Asia/Kathmandu", 2024, "from buckets of 900 s"),
        ("Africa/Monrovia", 1970, "off the quarters of an hour"),
    ],
)
def test_days_off_the_quarters_of_an_hour_need_points(
    timezone: str, year: int, reason: str
) -> None:
    start = (year - 1970) * 365 * DAY_MS + 40 * DAY_MS
    spec = Downsample(DAY_MS, "avg", "none", True, 1, "d")
    plan = make_plan(Query("m", Window(start, start + DAY_MS), "sum", spec, timezone=timezone))
    assert reason in plan.reason


def test_a_span_of_centuries_is_not_walked_day_by_day() -> None:
    spec = Downsample(DAY_MS, "avg", "none", True, 1, "d")
    plan = make_plan(Query("m", Window(0, 2000 * 365 * DAY_MS), "sum", spec))
    assert plan.function is None
