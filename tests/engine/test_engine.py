"""What the engine adds to a source: labels, limits, refusals, notices."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bridge.catalog import catalogue
from bridge.engine.engine import Engine
from bridge.engine.filters import match_all
from bridge.engine.steps import LADDER, choose_step
from bridge.errors import BadRequestError, TooMuchError, UnavailableError
from bridge.model import Downsample, FilterKind, Query, TagFilter, Window
from tests.engine.memory import MemorySource, engine_over

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from bridge.catalog import Kind

T0 = 1_700_000_100_000 // 3_600_000 * 3_600_000
CPU = "vscope.vm.cpu.usage.perc"
HOUR = Window(T0, T0 + 3_600_000)


class Known:
    """An inventory of three virtual machines."""

    unread: tuple[str, ...] = ()
    labels: Mapping[str, Mapping[str, str]] = {
        "vm-1": {"vm_name": "web-1", "cluster": "prod", "folder": "front"},
        "vm-2": {"vm_name": "web-2", "cluster": "prod"},
        "vm-3": {"vm_name": "db-1", "cluster": "test"},
    }

    def enrich(self, _kind: Kind, tags: Mapping[str, str]) -> Mapping[str, str]:
        return {**self.labels.get(tags["vm"], {}), **tags}

    def history(
        self, kind: Kind, tags: Mapping[str, str], _keys: Collection[str]
    ) -> list[tuple[int, Mapping[str, str]]]:
        return [(0, self.enrich(kind, tags))]

    def stored_candidates(
        self, _kind: Kind, filters: Sequence[TagFilter], _window: Window | None = None
    ) -> frozenset[str] | None:
        if not filters:
            return None
        matches = match_all(filters)
        return frozenset(vm for vm, labels in self.labels.items() if matches(labels))


class Warming(Known):
    unread = ("pcc-1",)


def points(base: float) -> list[tuple[int, float]]:
    return [(T0 + minute * 60_000 + 17_000, base + minute) for minute in range(60)]


def engine(inventory: type[Known] = Known, **limits: int) -> tuple[Engine, MemorySource]:
    source = MemorySource(
        [({"datacenter": "d1", "vm": f"vm-{n}"}, points(10.0 * n)) for n in (1, 2, 3, 4)]
    )
    given = {"max_points": 10_000, "max_series": 10, **limits}
    return Engine(source, catalogue(), inventory, source_step_ms=60_000, **given), source


def by(key: str, text: str = "*", kind: FilterKind = FilterKind.WILDCARD) -> TagFilter:
    return TagFilter(key, kind, text, group_by=True)


FIVE = Downsample(300_000, "avg")


async def test_groups_by_a_label_of_the_inventory() -> None:
    answer = await engine()[0].query(Query(CPU, HOUR, "sum", FIVE, filters=(by("cluster"),)))
    assert [(s.tags, s.aggregate_tags) for s in answer.series] == [
        ({"cluster": "prod", "datacenter": "d1"}, ("vm", "vm_name")),
        ({"cluster": "test", "datacenter": "d1", "vm": "vm-3", "vm_name": "db-1"}, ()),
    ]
    assert answer.series[0].values[0] == pytest.approx(12.0 + 22.0)


async def test_changing_labels_show_only_when_asked_for() -> None:
    answer = await engine()[0].query(Query(CPU, HOUR, "none", FIVE))
    assert [s.tags for s in answer.series] == [
        {"datacenter": "d1", "vm": "vm-1", "vm_name": "web-1"},
        {"datacenter": "d1", "vm": "vm-2", "vm_name": "web-2"},
        {"datacenter": "d1", "vm": "vm-3", "vm_name": "db-1"},
        {"datacenter": "d1", "vm": "vm-4"},
    ]


async def test_a_name_nobody_has_is_no_data_and_no_fetch() -> None:
    one, source = engine()
    answer = await one.query(Query(CPU, HOUR, "avg", FIVE, filters=(by("vm_name", "nope*"),)))
    assert answer.series == ()
    assert source.fetches == []


async def test_a_key_nobody_has_is_explained() -> None:
    answer = await engine()[0].query(Query(CPU, HOUR, "avg", FIVE, filters=(by("vmm"),)))
    assert answer.series == ()
    assert "no label 'vmm'" in answer.notices[0]
    assert "vm_name" in answer.notices[0]


async def test_labels_not_read_yet_are_no_empty_answer() -> None:
    one, _ = engine(Warming)
    with pytest.raises(UnavailableError, match="not been read yet for pcc-1"):
        await one.query(Query(CPU, HOUR, "avg", FIVE, filters=(by("cluster"),)))
    assert (await one.query(Query(CPU, HOUR, "avg", FIVE))).series


@pytest.mark.parametrize(
    ("query", "words"),
    [
        (
            Query("vscope.vm.cpu.usage", HOUR),
            "No such name for 'metrics'.*vscope.vm.cpu.usage.perc",
        ),
        (Query(CPU, HOUR, "average"), "no such aggregator: 'average'.*accepted: avg"),
        (Query(CPU, HOUR, "avg", Downsample(60_000, "meen")), "downsampling function.*'meen'"),
        (Query(CPU, HOUR, "avg", Downsample(60_000, "none")), "downsampling function: 'none'"),
        (Query(CPU, HOUR, "avg", Downsample(60_000, "avg", "scalar")), "fill policy: 'scalar'"),
        (Query(CPU, Window(5, 4)), "ends before it starts"),
        (Query(CPU, HOUR, filters=(by("vm", "("),)), r"has no '\*'"),
        (
            Query(
                CPU,
                HOUR,
                "avg",
                Downsample(86_400_000, "avg", "none", True, 1, "d"),
                timezone="Mars/Base",
            ),
            "no such timezone: 'Mars/Base'",
        ),
    ],
)
async def test_refusals_name_the_part(query: Query, words: str) -> None:
    one, source = engine()
    with pytest.raises(BadRequestError, match=words):
        await one.query(query)
    assert source.fetches == []


async def test_an_overflow_is_refused() -> None:
    source = MemorySource([({"vm": "vm-1"}, [(T0, 1e200), (T0 + 1000, 1e200)])])
    one = engine_over(source, CPU)
    with pytest.raises(BadRequestError, match="too large for a number"):
        await one.query(Query(CPU, HOUR, "avg", Downsample(60_000, "mult")))


async def test_too_much_is_refused_before_it_is_read() -> None:
    one, source = engine(max_points=100)
    with pytest.raises(TooMuchError, match="max_points"):
        await one.query(Query(CPU, HOUR, "avg"))
    with pytest.raises(TooMuchError, match="max_points"):
        await one.query(Query(CPU, Window(0, T0), "avg", FIVE))
    assert source.fetches == []
    one, _ = engine(max_series=3)
    with pytest.raises(TooMuchError, match="max_series"):
        await one.query(Query(CPU, HOUR, "none", FIVE))


async def test_a_fine_step_reads_no_more_than_there_is_but_filled_it_does() -> None:
    one, source = engine(max_points=1_000)
    fine = Downsample(1_000, "avg")
    answer = await one.query(Query(CPU, HOUR, "none", fine))
    assert [len(series.values) for series in answer.series] == [60, 60, 60, 60]
    source.fetches.clear()
    for interval_ms in (1, 1_000):
        with pytest.raises(TooMuchError, match="max_points"):
            await one.query(Query(CPU, HOUR, "none", Downsample(interval_ms, "avg", "zero")))
    assert source.fetches == []


async def test_more_buckets_than_expected_are_refused() -> None:
    dense = [(T0 + second * 1_000, 1.0) for second in range(3_000)]
    source = MemorySource([({"vm": "vm-1"}, dense)])
    one = Engine(source, catalogue(), Known, source_step_ms=60_000, max_points=2_000, max_series=10)
    with pytest.raises(TooMuchError, match="3,000 points"):
        await one.query(Query(CPU, HOUR, "none", Downsample(1_000, "avg")))


@pytest.mark.parametrize(
    ("spec", "fetch"),
    [
        (None, "points"),
        (Downsample(300_000, "avg"), "buckets"),
        (Downsample(7_200_000, "sum"), "buckets"),
        (Downsample(420_000, "avg"), "points"),
        (Downsample(500, "avg"), "points"),
        (Downsample(300_000, "p95"), "points"),
        (Downsample(0, "max"), "points"),
        (Downsample(86_400_000, "max", "none", True, 1, "d"), "buckets"),
        (Downsample(86_400_000, "p95", "none", True, 1, "d"), "points"),
        (Downsample(3_600_000, "max", "none", True, 1, "h"), "points"),
    ],
)
async def test_which_fetch_serves(spec: Downsample | None, fetch: str) -> None:
    one, source = engine(max_points=1_000_000)
    window = Window(T0 - 86_400_000, HOUR.end_ms)
    assert (await one.query(Query(CPU, window, "max", spec))).series
    assert source.fetches == [fetch]


async def test_lookup_filters_stored_and_enriched() -> None:
    one, _ = engine()
    assert [t["vm"] for t in await one.lookup(CPU, (by("vm_name", "web*"),))] == ["vm-1", "vm-2"]
    assert len(await one.lookup(CPU)) == 4


def test_every_name_of_the_catalogue_is_close_to_itself() -> None:
    one = engine_over(MemorySource([]), *catalogue())
    for name in catalogue():
        with pytest.raises(BadRequestError, match=name):
            one.require_metric(name + "x")


@pytest.mark.parametrize(
    ("hours", "interval_ms", "points", "source", "expected"),
    [
        (6, 60_000, 465, 300, 300_000),
        (24, 20_000, 1000, 60, 120_000),
        (24 * 30, None, 1000, 300, 3_600_000),
        (24 * 365 * 40, None, 100, 300, 150 * 86_400_000),
        (1, 1_000, None, 1, 5_000),
    ],
)
def test_steps(
    hours: int, interval_ms: int | None, points: int | None, source: int, expected: int
) -> None:
    window = Window(T0, T0 + hours * 3_600_000)
    step = choose_step(
        window, interval_ms=interval_ms, max_points=points, source_step_ms=source * 1000
    )
    assert step == expected
    assert step in LADDER or step % LADDER[-1] == 0
