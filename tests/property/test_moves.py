"""Series of machines that moved: the engine against a plain reading of the rule.

Each bucket, or raw point, belongs to where its machine was at its start; before the first
era, to where the machine is today.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.catalog import Kind, catalogue
from bridge.engine.engine import Engine
from bridge.model import Downsample, FilterKind, LabelEra, Query, Rate, TagFilter, Window
from bridge.ovh.labels import Labels
from tests.engine import opentsdb_model
from tests.engine.memory import MemorySource
from tests.ovh.snapshots import ONE, datacenter, service, snapshot, vm

if TYPE_CHECKING:
    from bridge.model import Answer

BASE = 1_356_998_400_000  # on the hour
CPU = "vscope.vm.cpu.usage.perc"
PLACE = f"{ONE}_datacenter10"
WINDOW = Window(BASE, BASE + 3_600_000)

hosts = st.sampled_from(["h1", "h2", "h3"])
seconds = st.integers(-2_000, 6_000)
points = st.dictionaries(
    seconds.map(lambda s: BASE + s * 1000), st.integers(-40, 40).map(float), min_size=1, max_size=25
)
#: Where a machine is from a moment on, by that moment.
moves = st.dictionaries(seconds.map(lambda s: BASE + s * 1000), hosts, max_size=5)
machines = st.lists(st.tuples(points, moves, hosts), min_size=1, max_size=3)
downsamples = st.none() | st.builds(
    Downsample,
    st.sampled_from([1_000, 60_000, 300_000, 420_000, 3_600_000]),
    st.sampled_from(["avg", "sum", "p95", "last"]),
    st.sampled_from(["none", "zero"]),
)


def host_at(stamp: int, moved: dict[int, str], today: str) -> str:
    """The rule, read plainly."""
    earlier = [since for since in moved if since <= stamp]
    return moved[max(earlier)] if earlier else today


def eras_of(number: int, moved: dict[int, str]) -> tuple[LabelEra, ...]:
    """As they are recorded: also one in which only the folder changed."""
    starts = sorted(moved)
    found = []
    for since, until in zip(starts, [*starts[1:], None], strict=True):
        labels = (("folder", f"f{since % 3}"), ("host_name", moved[since]))
        found.append(LabelEra(Kind.VM, PLACE, f"vm-{number}", labels, since, until))
    return tuple(found)


def engine_of(given_machines: list[tuple[dict[int, float], dict[int, str], str]]) -> Engine:
    source = MemorySource(
        [
            ({"datacenter": PLACE, "vm": f"vm-{number}"}, list(own.items()))
            for number, (own, _, _) in enumerate(given_machines)
        ]
    )
    vms = [
        vm(number, f"web{number}", host_name=today)
        for number, (_, _, today) in enumerate(given_machines)
    ]
    eras = {
        (Kind.VM, PLACE, f"vm-{number}"): eras_of(number, moved)
        for number, (_, moved, _) in enumerate(given_machines)
        if moved
    }
    labels = Labels(snapshot(service(ONE, datacenter(ONE, 10, vms=vms))), eras)
    return Engine(
        source,
        catalogue(),
        lambda: labels,
        source_step_ms=1_000,
        max_points=1_000_000,
        max_series=1_000,
    )


def ask(engine: Engine, query: Query) -> Answer:
    return asyncio.run(engine.query(query))


def host_is(text: str, *, group_by: bool = True) -> TagFilter:
    kind = FilterKind.WILDCARD if "*" in text else FilterKind.LITERAL_OR
    return TagFilter("host_name", kind, text, group_by)


@settings(max_examples=100, deadline=None)
@given(machines, downsamples, st.none() | st.just(Rate()), st.sampled_from(["*", "h1", "h2|h3"]))
def test_every_bucket_stands_where_its_machine_was(
    given_machines: list[tuple[dict[int, float], dict[int, str], str]],
    downsample: Downsample | None,
    rate: Rate | None,
    text: str,
) -> None:
    engine = engine_of(given_machines)
    whole = ask(engine, Query(CPU, WINDOW, "none", downsample, rate))
    expected: dict[tuple[str, str], list[tuple[int, float]]] = defaultdict(list)
    for series in whole.series:
        number = int(series.tags["vm"].removeprefix("vm-"))
        _, moved, today = given_machines[number]
        for stamp, value in zip(series.stamps_ms.tolist(), series.values.tolist(), strict=True):
            where = host_at(stamp, moved, today)
            if text == "*" or where in text.split("|"):
                expected[series.tags["vm"], where].append((stamp, value))
    answer = ask(engine, Query(CPU, WINDOW, "none", downsample, rate, filters=(host_is(text),)))
    got = {
        (series.tags["vm"], series.tags["host_name"]): list(
            zip(series.stamps_ms.tolist(), series.values.tolist(), strict=True)
        )
        for series in answer.series
    }
    assert len(got) == len(answer.series)
    assert got == expected
    assert all("folder" not in series.tags for series in answer.series)


@settings(max_examples=100, deadline=None)
@given(machines, st.sampled_from(["sum", "avg", "max", "count", "zimsum", "dev"]))
def test_a_part_joins_its_group_like_a_series_of_its_own(
    given_machines: list[tuple[dict[int, float], dict[int, str], str]], aggregator: str
) -> None:
    parts: dict[str, list[list[tuple[int, float]]]] = defaultdict(list)
    for own, moved, today in given_machines:
        where, before = None, 0
        for stamp, value in sorted(own.items()):
            # What is read around the window counts for interpolation at its edges.
            if not WINDOW.start_ms <= stamp < WINDOW.end_ms + 3_600_000:
                continue
            here = host_at(stamp, moved, today)
            been = {moved[since] for since in moved if before < since <= stamp}
            if been - {where} or here != where:
                parts[here].append([])
            where, before = here, stamp
            parts[here][-1].append((stamp, value))
    answer = ask(engine_of(given_machines), Query(CPU, WINDOW, aggregator, filters=(host_is("*"),)))
    got = {
        series.tags["host_name"]: list(
            zip(series.stamps_ms.tolist(), series.values.tolist(), strict=True)
        )
        for series in answer.series
    }
    for host, members in parts.items():
        modelled = opentsdb_model.query(
            [({"part": str(n)}, points) for n, points in enumerate(members)],
            WINDOW.start_ms, WINDOW.end_ms, aggregator, None, False, None, stated=True,
        )  # fmt: skip
        assert [stamp for stamp, _ in got.get(host, [])] == [stamp for stamp, _ in modelled or []]
        for (_, mine), (_, theirs) in zip(got.get(host, []), modelled or [], strict=True):
            assert mine == pytest.approx(theirs, rel=1e-9, abs=1e-9)
    assert got.keys() <= parts.keys()


@settings(max_examples=60, deadline=None)
@given(machines, downsamples)
def test_no_point_is_added_or_lost(
    given_machines: list[tuple[dict[int, float], dict[int, str], str]],
    downsample: Downsample | None,
) -> None:
    engine = engine_of(given_machines)
    whole = ask(engine, Query(CPU, WINDOW, "none", downsample))
    parts = ask(engine, Query(CPU, WINDOW, "none", downsample, filters=(host_is("*"),)))

    def all_points(answer: Answer) -> list[tuple[str, int, float]]:
        return sorted(
            (series.tags["vm"], stamp, value)
            for series in answer.series
            for stamp, value in zip(series.stamps_ms.tolist(), series.values.tolist(), strict=True)
        )

    assert all_points(parts) == all_points(whole)


def test_what_only_folders_changed_is_not_cut() -> None:
    own = {BASE + minute * 60_000: float(minute) for minute in range(60)}
    engine = engine_of([(own, {BASE: "h1", BASE + 600_000: "h1"}, "h1")])
    [one] = ask(engine, Query(CPU, WINDOW, "none", filters=(host_is("*"),))).series
    assert len(one.stamps_ms) == 60


def test_the_rate_across_a_move_belongs_to_the_new_place() -> None:
    own = {BASE + minute * 60_000: 60.0 * minute for minute in range(4)}
    engine = engine_of([(own, {BASE: "h1", BASE + 120_000: "h2"}, "h2")])
    answer = ask(engine, Query(CPU, WINDOW, "none", rate=Rate(), filters=(host_is("*"),)))
    got = {series.tags["host_name"]: series.stamps_ms.tolist() for series in answer.series}
    assert got == {"h1": [BASE + 60_000], "h2": [BASE + 120_000, BASE + 180_000]}
    assert all((series.values == 1.0).all() for series in answer.series)


def test_a_return_is_two_members_of_a_group_but_one_series_by_itself() -> None:
    own = {BASE + minute * 60_000: 10.0 for minute in range(9)}
    other = {BASE + minute * 60_000: 1.0 for minute in range(9)}
    away = {BASE: "h1", BASE + 180_000: "h2", BASE + 360_000: "h1"}
    engine = engine_of([(own, away, "h1"), (other, {}, "h1")])
    summed = ask(engine, Query(CPU, WINDOW, "sum", filters=(host_is("h1"),)))
    # While it was away nothing is interpolated for it.
    assert summed.series[0].values.tolist() == [11, 11, 11, 1, 1, 1, 11, 11, 11]
    alone = ask(engine, Query(CPU, WINDOW, "none", filters=(host_is("h1"),)))
    assert [len(series.stamps_ms) for series in alone.series] == [6, 9]
