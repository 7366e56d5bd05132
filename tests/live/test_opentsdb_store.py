"""Recording into a real OpenTSDB: exact, once, through its absence and killed recorders."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from bridge.catalog import Kind, Metric
from bridge.engine.engine import Engine
from bridge.model import Query, Window
from bridge.sources.opentsdb import OpenTsdb
from bridge.sources.opentsdb_store import stored as as_stored
from bridge.sources.upstream import Upstream
from tests.engine.memory import NoInventory
from tests.live.store_runs import (
    empty,
    expected,
    go_away,
    kill_in_turn,
    poll_of,
    read_back,
    six_hours,
    stored,
    storing,
    write,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Report = Callable[[str, object], None]

LABELS = ("datacenter", "vm")
pytestmark = pytest.mark.timeout(300)


def name(what: str) -> str:
    return f"store.{what}.{time.time_ns() // 1_000_000}"


async def test_six_hours_come_back_through_the_cache_as_they_were_written(
    opentsdb: str, tmp_path: Path, record_property: Report
) -> None:
    metric = name("hours")
    batches = six_hours(metric)
    figures = await write(opentsdb, tmp_path, batches)
    record_property("points_a_second", round(figures["points a second"]))
    # As many answers as questions, each compared with what was written.
    assert len(await read_back(opentsdb, metric, batches)) == 3


async def test_a_point_written_twice_is_one_point_the_later_one(
    opentsdb: str, tmp_path: Path
) -> None:
    metric, stamp_s = name("twice"), int(time.time()) // 60 * 60
    async with storing(opentsdb, tmp_path) as store:
        for seed in range(4):  # whole numbers and fractions take each other's place
            batch = poll_of([metric], 30, stamp_s, seed)
            batch.values[:] = batch.values[::-1] if seed % 2 else batch.values
            await store.write(batch)
        await empty(store)
    assert stored(opentsdb, metric, stamp_s - 60, stamp_s + 60) == expected([batch], metric)


async def test_an_opentsdb_that_goes_away_loses_and_doubles_nothing(
    opentsdb: str, tmp_path: Path
) -> None:
    metric = name("away")
    batches, _ = await go_away(opentsdb, tmp_path, metric, away_s=10.0, every_s=0.2, vms=50)
    first_s = int(batches[0].stamps_ms[0]) // 1000
    found = stored(opentsdb, metric, first_s - 1, first_s + 3_600)
    assert found == expected(batches, metric)


async def test_a_metric_on_its_way_is_no_unknown_one(opentsdb: str) -> None:
    metric = name("unknown")
    known = {metric: Metric(metric, Kind.VM, metric, "none", LABELS, "cpuUsed")}
    upstream = Upstream(concurrency=2, timeout_s=60)
    server = OpenTsdb(upstream, opentsdb, clock=time.monotonic)
    catalogued = {"vscope.filer.datastore.diskspace.used": known[metric], **known}
    source = as_stored(server, catalogued, lambda: None)
    engine = Engine(
        source, known, NoInventory, source_step_ms=1000, max_points=10**6, max_series=10
    )
    try:
        answer = await engine.query(Query(metric, Window(10**12, 10**12 + 3_600_000)))
        assert answer.series == ()
    finally:
        await upstream.close()


def test_two_recorders_of_which_one_is_killed_again_and_again(
    opentsdb: str, tmp_path: Path
) -> None:
    figures = kill_in_turn(tmp_path, opentsdb, times=3, every_s=1.0, poll_s=2)
    assert figures["failed"] == []
    assert figures["longest gap, polls"] <= 2
    assert figures["requests"] > 20
