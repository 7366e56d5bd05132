"""The same query by OpenTSDB's front end, by Warp 10 and from memory gives the same answer.

Memory is the engine as held against OpenTSDB 2.4.1 elsewhere; a real OpenTSDB joins in
``tests/live/test_protocols.py``.
"""

from __future__ import annotations

import asyncio
import math
import time
from random import Random
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.app import build_bridge
from bridge.catalog import Kind, Metric, catalogue
from bridge.demo.account import demo_account
from bridge.engine.engine import Engine
from bridge.engine.functions import AGGREGATORS, DOWNSAMPLERS
from bridge.engine.grammar import parse_downsample
from bridge.model import FilterKind, Query, TagFilter, Window
from bridge.settings import given_settings
from bridge.sources.ovhcloud import OvhCloud
from bridge.sources.upstream import Upstream
from tests.demo.lab import series
from tests.engine.memory import MemorySource, NoInventory
from tests.servers import Slot, serving
from tests.sources.chance import BASE, LABELS, assert_same, some_query, some_series, table
from tests.sources.lab import Lab

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bridge.app import Bridge
    from bridge.model import Source
    from bridge.sources.ovhcloud import Protocol
    from tests.sources.chance import Stored, Table

    Bridges = tuple[asyncio.Runner, dict[Protocol, Bridge]]

pytestmark = pytest.mark.timeout(400)
WAYS: tuple[Protocol, ...] = ("opentsdb", "warp10")
QUERIES = 6
THOROUGH = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def engine_over(source: Source) -> Engine:
    return Engine(
        source,
        {"m": Metric("m", Kind.VM, "m", "none", LABELS, None)},
        NoInventory,
        source_step_ms=1_000,
        max_points=10_000_000,
        max_series=1_000,
    )


class Ask:
    """Both protocols over given series, and the same series in memory."""

    def __init__(self, runner: asyncio.Runner, upstream: Upstream, slot: Slot, url: str) -> None:
        self._runner = runner
        self._upstream = upstream
        self._slot = slot
        self._url = url
        self.answered = 0

    def by(self, way: Protocol, stored: Stored, query: Query) -> Table:
        lab = Lab([series("m", tags, points.items()) for tags, points in stored])
        self._slot.app, lab.url = lab.app, self._url
        source = OvhCloud("x", self._upstream, lab, protocol=way, clock=time.monotonic)
        return self._answer(source, query)

    def from_memory(self, stored: Stored, query: Query) -> Table:
        held = [
            (tags, [(math.floor(at * 1000 + 1e-6), value) for at, value in points.items()])
            for tags, points in stored
        ]
        found = self._answer(MemorySource(held), query)
        self.answered += bool(found) and not isinstance(found, str)
        return found

    def _answer(self, source: Source, query: Query) -> Table:
        try:
            return table(self._runner.run(engine_over(source).query(query)))
        except Exception as error:  # noqa: BLE001 -- the same refusal is the same answer
            return f"{type(error).__name__}: {error}"


@pytest.fixture(scope="module")
def ask() -> Iterator[Ask]:
    slot = Slot()
    with asyncio.Runner() as runner, serving(slot) as url:
        upstream = Upstream(concurrency=8, timeout_s=30)
        yield Ask(runner, upstream, slot, url)
        runner.run(upstream.close())


@THOROUGH
@given(seed=st.integers(0, 2**32))
def test_whole_seconds_are_the_same_by_every_way(ask: Ask, seed: int) -> None:
    chance = Random(seed)
    stored = some_series(chance, whole_seconds=True)
    for _ in range(QUERIES):
        query = some_query(chance, "m")
        expected = ask.from_memory(stored, query)
        for way in WAYS:
            assert_same(ask.by(way, stored, query), expected, (way, query))


@THOROUGH
@given(seed=st.integers(0, 2**32))
def test_warp10_is_exact_within_seconds_too(ask: Ask, seed: int) -> None:
    chance = Random(seed)
    stored = some_series(chance, whole_seconds=False)
    for _ in range(QUERIES):
        query = some_query(chance, "m")
        assert_same(ask.by("warp10", stored, query), ask.from_memory(stored, query), query)


def test_a_good_part_of_what_is_asked_has_an_answer(ask: Ask) -> None:
    before = ask.answered
    for seed in range(50):
        chance = Random(seed)
        ask.from_memory(some_series(chance, whole_seconds=True), some_query(chance, "m"))
    assert ask.answered - before > 15


def test_the_front_end_cuts_times_to_the_second(ask: Ask) -> None:
    stored: Stored = [({"vm": "a"}, {BASE + 10.25: 1.0, BASE + 59.75: 2.0, BASE + 61.0: 4.0})]
    window = Window(BASE * 1000, (BASE + 300) * 1000)
    raw = {way: line(ask.by(way, stored, Query("m", window, "none"))) for way in WAYS}
    assert [stamp - BASE * 1000 for stamp in raw["warp10"]] == [10_250, 59_750, 61_000]
    assert [stamp - BASE * 1000 for stamp in raw["opentsdb"]] == [10_000, 59_000, 61_000]
    # A bucket of the front end's ends with its last whole second.
    minutes = Query("m", window, "none", parse_downsample("1m-sum"))
    sums = {way: list(line(ask.by(way, stored, minutes)).values()) for way in WAYS}
    assert sums == {"warp10": [3.0, 4.0], "opentsdb": [1.0, 6.0]}


def line(found: Table) -> dict[int, float]:
    assert isinstance(found, dict)
    (only,) = found.values()
    return only


# The simulated OVHcloud as a whole: dead machines, gaps, moves, labels of the inventory.


@pytest.fixture(scope="module")
def bridges(simulator: str) -> Iterator[Bridges]:
    account = demo_account(simulator).model_copy(update={"calls_per_minute": 6_000})

    async def started(protocol: Protocol) -> Bridge:
        bridge = build_bridge(
            given_settings(accounts=(account,), metrics_hosts=("127.0.0.1",), protocol=protocol)
        )
        await bridge.inventory.poll()
        return bridge

    with asyncio.Runner() as runner:
        made = {way: runner.run(started(way)) for way in WAYS}
        yield runner, made
        for bridge in made.values():
            runner.run(bridge.close())


#: Settled when the tests began, so that nothing new is stored between two questions.
SETTLED_MS = (int(time.time()) // 3600 - 2) * 3_600_000
FLEET_FILTERS = (
    TagFilter("vm", FilterKind.WILDCARD, "*", group_by=True),
    TagFilter("vm", FilterKind.WILDCARD, "vm-12*", group_by=True),
    TagFilter("vm", FilterKind.REGEXP, "[13]$"),
    TagFilter("cluster", FilterKind.WILDCARD, "*", group_by=True),
    TagFilter("vm_name", FilterKind.WILDCARD, "web-*"),
    TagFilter("vm_name", FilterKind.LITERAL_OR, "erp-db-02|fax-gateway", group_by=True),
    TagFilter("datacenter", FilterKind.WILDCARD, "*", group_by=True),
)
HOST_FILTERS = (
    TagFilter("host", FilterKind.WILDCARD, "172.17.*", group_by=True),
    TagFilter("cluster", FilterKind.WILDCARD, "*", group_by=True),
    TagFilter("datacenter", FilterKind.WILDCARD, "*", group_by=True),
)


def fleet_query(chance: Random) -> Query:
    stored = sorted(name for name, metric in catalogue().items() if metric.ovhcloud)
    metric = catalogue()[chance.choice(stored)]
    end = SETTLED_MS - chance.randrange(20 * 86_400_000)
    text = None
    if chance.random() < 0.8:
        interval = chance.choice(["5m", "10m", "30m", "1h", "6h", "1d", "7m", "0all"])
        text = f"{interval}-{chance.choice(sorted(DOWNSAMPLERS))}"
    choices = FLEET_FILTERS if metric.kind is Kind.VM else HOST_FILTERS
    filters = (chance.choice(choices),) if metric.kind is not Kind.DATASTORE else ()
    return Query(
        metric.name,
        Window(end - chance.choice([600, 3_600, 40_000, 86_400]) * 1000, end),
        chance.choice([*sorted(AGGREGATORS), "none"]),
        parse_downsample(text) if text else None,
        some_query(chance, "m").rate,
        filters,
    )


@settings(THOROUGH, max_examples=40)
@given(seed=st.integers(0, 2**32))
def test_the_simulated_ovhcloud_answers_the_same_by_both(bridges: Bridges, seed: int) -> None:
    runner, made = bridges
    query = fleet_query(Random(seed))
    found = {way: table(runner.run(bridge.engine.query(query))) for way, bridge in made.items()}
    assert_same(found["warp10"], found["opentsdb"], query)
    for way, bridge in made.items():
        assert {history.protocol for history in bridge.histories.values()} <= {way, None}


def test_the_machine_that_died_is_dead_by_both(bridges: Bridges) -> None:
    runner, made = bridges
    query = Query(
        "vscope.vm.cpu.usage.perc",
        Window(SETTLED_MS - 86_400_000, SETTLED_MS),
        "none",
        parse_downsample("5m-avg"),
        filters=(TagFilter("vm_name", FilterKind.LITERAL_OR, "erp-db-02|fax-gateway|web-01"),),
    )
    found = {way: runner.run(bridge.engine.query(query)) for way, bridge in made.items()}
    assert table(found["warp10"]) == table(found["opentsdb"])
    lengths = {one.tags["vm_name"]: len(one.stamps_ms) for one in found["warp10"].series}
    assert lengths["web-01"] == 289
    assert lengths["fax-gateway"] < 289
