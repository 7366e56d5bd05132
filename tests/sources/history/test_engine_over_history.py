"""The engine over a store answers as the engine over the same points in memory."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.catalog import Kind, Metric
from bridge.engine.engine import Engine
from bridge.engine.functions import AGGREGATORS, DOWNSAMPLERS, FILLS
from bridge.model import (
    Answer,
    Downsample,
    FilterKind,
    PointBatch,
    Query,
    Rate,
    SeriesKey,
    TagFilter,
    Window,
)
from bridge.sources.history import History
from tests.engine.memory import MemorySource, NoInventory, engine_over
from tests.sources.history.batches import MEMORY

BASE = 1_772_323_200_000  # 2026-03-01
MINUTE = 60_000
UNITS = {"m": MINUTE, "h": 60 * MINUTE, "d": 1440 * MINUTE, "w": 7 * 1440 * MINUTE}

stamps = st.integers(-3000, 3000).map(lambda minute: BASE + minute * MINUTE)
values = st.integers(-400, 400).map(lambda n: n / 4)
machines = st.lists(
    st.dictionaries(stamps, values, min_size=1, max_size=30), min_size=1, max_size=4
)
specs = st.none() | st.builds(
    lambda shape, function, fill: Downsample(
        shape[0] * UNITS.get(shape[1], 0), function, fill, shape[2], shape[0], shape[1]
    ),
    st.sampled_from(
        [
            (1, "m", False),
            (7, "m", False),
            (10, "m", False),
            (1, "h", False),
            (6, "h", False),
            (1, "d", False),
            (0, "", False),
            (1, "d", True),
            (1, "w", True),
        ]
    ),
    st.sampled_from(sorted(DOWNSAMPLERS)),
    st.sampled_from(FILLS),
)
queries = st.builds(
    lambda start, length, aggregator, spec, rate, zone, grouped: Query(
        "m",
        Window(start, start + length * MINUTE),
        aggregator,
        spec,
        rate,
        (TagFilter("vm", FilterKind.WILDCARD, "vm-*", group_by=True),) if grouped else (),
        timezone=zone,
    ),
    stamps,
    st.integers(1, 6000),
    st.sampled_from(sorted(AGGREGATORS)),
    specs,
    st.none() | st.just(Rate()),
    st.sampled_from(["UTC", "Asia/Kolkata", "Asia/Kathmandu"]),
    st.booleans(),
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(found=machines, asked=st.lists(queries, min_size=4, max_size=10), moved=st.integers(0, 3))
def test_answers_are_the_same(
    found: list[dict[int, float]], asked: list[Query], moved: int
) -> None:
    series = [({"datacenter": "d", "vm": f"vm-{n}"}, own) for n, own in enumerate(found)]
    memory = engine_over(
        MemorySource([(tags, list(own.items())) for tags, own in series]),
        "m",
        max_points=100_000_000,
    )
    folder = Path(tempfile.mkdtemp(prefix="history-", dir=MEMORY))

    async def compare() -> None:
        # Of each machine some points are in files, some came late for them, some are recent.
        async with History(folder, clock=lambda: (BASE + 1000 * MINUTE) / 1000) as history:
            for turn in range(3):
                await history.write(batch(series, turn))
                if turn < moved:
                    await history.maintain(everything=True)
            mine = Engine(
                history,
                {"m": Metric("m", Kind.VM, "m", "none", ("datacenter", "vm"), None)},
                NoInventory,
                source_step_ms=1_000,
                max_points=100_000_000,
                max_series=1_000,
            )
            for query in asked:
                same(await mine.query(query), await memory.query(query))

    try:
        asyncio.run(compare())
    finally:
        shutil.rmtree(folder)


def batch(series: list[tuple[dict[str, str], dict[int, float]]], turn: int) -> PointBatch:
    """A third of the points."""
    chosen = [
        (place, stamp, value)
        for place, (_, own) in enumerate(series)
        for at, (stamp, value) in enumerate(own.items())
        if at % 3 == turn
    ]
    return PointBatch(
        tuple(SeriesKey("m", tuple(sorted(tags.items()))) for tags, _ in series),
        np.array([place for place, _, _ in chosen], dtype=np.int32),
        np.array([stamp for _, stamp, _ in chosen], dtype=np.int64),
        np.array([value for _, _, value in chosen], dtype=np.float64),
    )


def same(mine: Answer, theirs: Answer) -> None:
    assert [dict(one.tags) for one in mine.series] == [dict(one.tags) for one in theirs.series]
    for one, other in zip(mine.series, theirs.series, strict=True):
        np.testing.assert_array_equal(one.stamps_ms, other.stamps_ms)
        np.testing.assert_allclose(one.values, other.values, rtol=1e-9, atol=1e-9)
