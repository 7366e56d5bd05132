"""Several services side by side: routing, isolation, what is not offered."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bridge.catalog import catalogue
from bridge.engine.engine import Engine
from bridge.errors import NotOfferedError, UnavailableError, UpstreamError
from bridge.model import Downsample, FilterKind, PointRequest, Points, Query, TagFilter, Window
from bridge.sources.services import ServiceSources
from tests.engine.memory import MemorySource, NoInventory

METRIC = "vscope.vm.cpu.usage.perc"


class Broken(MemorySource):
    """Refuses everything, the way it is told."""

    def __init__(self, error: Exception) -> None:
        super().__init__([])
        self._error = error

    async def points(self, _request: PointRequest) -> tuple[Points, ...]:
        raise self._error

    async def buckets(self, _request: object) -> tuple[()]:
        raise self._error

    async def lookup(self, _metric: str, _filters: tuple[TagFilter, ...]) -> tuple[()]:
        raise self._error


def holding(service: str) -> MemorySource:
    tags = {"datacenter": f"{service}_datacenter1", "vm": "vm-1"}
    return MemorySource([(tags, [(second * 1000, 1.0) for second in range(0, 3600, 60)])])


def engine(**services: MemorySource) -> Engine:
    names = {name.replace("_", "-"): source for name, source in services.items()}
    source = ServiceSources(lambda: list(names), names.__getitem__)
    return Engine(
        source,
        catalogue(),
        NoInventory,
        source_step_ms=60_000,
        max_points=100_000,
        max_series=100,
    )


def query(datacenters: str | None = None) -> Query:
    filters = ()
    if datacenters:
        filters = (TagFilter("datacenter", FilterKind.LITERAL_OR, datacenters, group_by=True),)
    return Query(METRIC, Window(0, 3_600_000), "none", Downsample(300_000, "avg"), filters=filters)


async def datacenters(one: Engine, asked: Query) -> list[str]:
    return [series.tags["datacenter"] for series in (await one.query(asked)).series]


async def test_all_services_are_one_history() -> None:
    one = engine(pcc_1=holding("pcc-1"), pcc_2=holding("pcc-2"))
    assert await datacenters(one, query()) == ["pcc-1_datacenter1", "pcc-2_datacenter1"]
    assert len(await one.lookup(METRIC)) == 2


async def test_a_failing_service_fails_loudly_only_where_it_is_concerned() -> None:
    one = engine(pcc_1=holding("pcc-1"), pcc_2=Broken(UpstreamError("pcc-2 is on fire")))
    with pytest.raises(UpstreamError, match="on fire"):
        await one.query(query())
    assert await datacenters(one, query("pcc-1_datacenter1")) == ["pcc-1_datacenter1"]
    with pytest.raises(UpstreamError, match="on fire"):
        await one.query(query("pcc-1_datacenter1|pcc-2_datacenter1"))


async def test_a_panel_may_lack_a_failing_service_and_says_so() -> None:
    one = engine(pcc_1=holding("pcc-1"), pcc_2=Broken(UpstreamError("pcc-2 is on fire")))
    answer = await one.query(replace(query(), partial=True))
    assert [series.tags["datacenter"] for series in answer.series] == ["pcc-1_datacenter1"]
    assert answer.missing == ("memory is missing: pcc-2 is on fire",)
    with pytest.raises(UpstreamError, match="on fire"):
        await one.query(replace(query("pcc-2_datacenter1"), partial=True))


async def test_not_offered_is_no_failure_beside_others() -> None:
    one = engine(pcc_1=holding("pcc-1"), pcc_2=Broken(NotOfferedError("no token")))
    assert await datacenters(one, query()) == ["pcc-1_datacenter1"]
    with pytest.raises(NotOfferedError, match="no token"):
        await engine(pcc_2=Broken(NotOfferedError("no token"))).query(query())


async def test_before_the_first_reading_there_is_no_answer() -> None:
    with pytest.raises(UnavailableError, match="no service"):
        await engine().query(query())
