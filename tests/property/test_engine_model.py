"""The engine against a point-by-point model of OpenTSDB 2.4.1, with the stated differences."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.engine.functions import AGGREGATORS, DOWNSAMPLERS
from bridge.model import Downsample, Query, Rate, Window
from tests.engine import opentsdb_model
from tests.engine.memory import MemorySource, engine_over

BASE = 1_356_998_400_000  # on the hour

offsets = st.integers(-4_000, 12_000).map(lambda s: BASE + s * 1000) | st.integers(
    BASE - 2_000, BASE + 9_000
)
values = st.integers(-40, 40).map(lambda n: n / 4) | st.floats(-1e6, 1e6, width=32)
points = st.dictionaries(offsets, values, min_size=1, max_size=30).map(
    lambda found: sorted(found.items())
)
intervals = st.sampled_from(
    ["1s", "7s", "10s", "30s", "1m", "5m", "25m", "1h", "2h", "500ms", "700ms", "0all", "1d"]
)
downsamples = st.none() | st.tuples(
    intervals, st.sampled_from(sorted(DOWNSAMPLERS)), st.sampled_from(["none", "nan", "zero"])
)
rate_options = st.none() | st.fixed_dictionaries(
    {},
    optional={
        "counter": st.booleans(),
        "counterMax": st.sampled_from([20.0, 1000.0]),
        "resetValue": st.sampled_from([1.0, 50.0]),
        "dropResets": st.booleans(),
    },
)
UNIT_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


def as_downsample(text: tuple[str, str, str] | None) -> Downsample | None:
    if text is None:
        return None
    interval, function, fill = text
    if interval == "0all":
        return Downsample(0, function, fill)
    unit = interval.lstrip("0123456789")
    return Downsample(int(interval[: -len(unit)]) * UNIT_MS[unit], function, fill)


def as_rate(options: dict[str, Any] | None) -> Rate | None:
    if options is None:
        return None
    return Rate(
        options.get("counter", False),
        options.get("counterMax", 0.0),
        options.get("resetValue", 0.0),
        options.get("dropResets", False),
    )


@settings(max_examples=400, deadline=None)
@given(
    series=st.lists(points, min_size=1, max_size=4),
    aggregator=st.sampled_from(sorted(AGGREGATORS.keys() - {"none"})),
    downsample=downsamples,
    options=rate_options,
    start=st.integers(BASE - 3_000_000, BASE + 9_000_000),
    length=st.integers(1, 9_000_000),
)
def test_engine_equals_model(
    series: list[list[tuple[int, float]]],
    aggregator: str,
    downsample: tuple[str, str, str] | None,
    options: dict[str, Any] | None,
    start: int,
    length: int,
) -> None:
    tagged = [({"vm": f"vm-{n}"}, found) for n, found in enumerate(series)]
    modelled = opentsdb_model.query(
        [(tags, list(found)) for tags, found in tagged],
        start,
        start + length,
        aggregator,
        "-".join(downsample) if downsample else None,
        options is not None,
        options,
        stated=True,
    )
    query = Query(
        "m",
        Window(start, start + length),
        aggregator,
        as_downsample(downsample),
        as_rate(options),
    )
    answer = asyncio.run(engine_over(MemorySource(tagged), "m").query(query))
    got = [
        pair
        for one in answer.series
        for pair in zip(one.stamps_ms.tolist(), one.values.tolist(), strict=True)
    ]
    assert [t for t, _ in got] == [t for t, _ in modelled or []]
    biggest = max((abs(v) for found in series for _, v in found), default=0.0)
    for (stamp, mine), (_, theirs) in zip(got, modelled or [], strict=True):
        if math.isnan(theirs):
            assert math.isnan(mine), stamp
        else:
            assert mine == pytest.approx(theirs, rel=1e-9, abs=1e-9 * max(biggest, 1e-12)), stamp
