"""The same query by OVHcloud's two protocols and by a real OpenTSDB gives the same answer."""

from __future__ import annotations

import time
from random import Random
from typing import TYPE_CHECKING

import httpx
import pytest

from bridge.catalog import Kind, Metric
from bridge.engine.engine import Engine
from bridge.sources.opentsdb import OpenTsdb
from bridge.sources.ovhcloud import OvhCloud
from bridge.sources.upstream import Upstream
from tests.demo.lab import series
from tests.engine.memory import NoInventory
from tests.live.test_opentsdb_queries import wait_for
from tests.servers import serving
from tests.sources.chance import LABELS, assert_same, some_query, some_series, table
from tests.sources.lab import Lab

if TYPE_CHECKING:
    from bridge.model import Source
    from tests.sources.chance import Stored

WORLDS = 8
QUERIES = 200
pytestmark = pytest.mark.timeout(600)


def put(opentsdb: str, worlds: dict[str, Stored]) -> None:
    with httpx.Client(base_url=opentsdb, timeout=60) as client:
        for metric, stored in worlds.items():
            points = [
                {"metric": metric, "timestamp": int(at), "value": value, "tags": tags}
                for tags, line in stored
                for at, value in line.items()
            ]
            for start in range(0, len(points), 400):
                client.post("/api/put?sync", json=points[start : start + 400]).raise_for_status()
            wait_for(client, metric)


async def test_whole_seconds_are_the_same_by_every_way(opentsdb: str) -> None:
    chance = Random(20251128)
    run = f"ways{time.time_ns() // 1_000_000}"
    worlds = {f"{run}.{n}": some_series(chance, whole_seconds=True) for n in range(WORLDS)}
    put(opentsdb, worlds)
    lab = Lab(
        [
            series(metric, tags, points.items())
            for metric, stored in worlds.items()
            for tags, points in stored
        ]
    )
    upstream = Upstream(concurrency=8, timeout_s=60)
    known = {metric: Metric(metric, Kind.VM, metric, "none", LABELS, None) for metric in worlds}

    def over(source: Source) -> Engine:
        return Engine(
            source,
            known,
            NoInventory,
            source_step_ms=1_000,
            max_points=10_000_000,
            max_series=1_000,
        )

    answered = 0
    try:
        with serving(lab.app) as lab.url:
            engines = {
                way: over(OvhCloud("x", upstream, lab, protocol=way, clock=time.monotonic))
                for way in ("opentsdb", "warp10")
            }
            plain = over(OpenTsdb(upstream, opentsdb, clock=time.monotonic))
            for number in range(QUERIES):
                query = some_query(chance, list(worlds)[number % WORLDS])
                if query.aggregator in {"first", "last", "diff"}:
                    continue  # which series comes first in OpenTSDB depends on its history
                expected = table(await plain.query(query))
                answered += bool(expected)
                for way, engine in engines.items():
                    assert_same(table(await engine.query(query)), expected, (way, query))
    finally:
        await upstream.close()
    assert answered > QUERIES / 3
