"""Several histories of the same series as one: who wins an hour, and what a failure does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.engine.downsample import into_buckets
from bridge.errors import (
    BadRequestError,
    BridgeError,
    NotOfferedError,
    TooMuchError,
    UpstreamError,
)
from bridge.model import BucketFunction, BucketRequest, FilterKind, PointRequest, TagFilter
from bridge.sources.merged import HOUR_MS, MergedSources
from tests.engine.memory import MemorySource

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

METRIC = "vscope.vm.cpu.usage.perc"
DAY_MS = 24 * HOUR_MS
DC = "pcc-1_datacenter1"

Line = dict[int, float]


class Failing(MemorySource):
    """Lists its series, and fails when they are fetched."""

    name = "the broken one"

    def __init__(self, error: BridgeError, vms: Sequence[str] = ("vm-1",)) -> None:
        super().__init__([(vm(name), [(0, 0.0)]) for name in vms])
        self.error = error

    async def points(self, _request: object) -> tuple[()]:
        raise self.error

    async def buckets(self, _request: object) -> tuple[()]:
        raise self.error


class NotOffered(Failing):
    def __init__(self) -> None:
        super().__init__(NotOfferedError("no token"))

    async def lookup(self, _metric: str, _filters: tuple[TagFilter, ...]) -> tuple[()]:
        raise self.error


def vm(name: str, **more: str) -> dict[str, str]:
    return {"datacenter": DC, "vm": name, **more}


def merged(*sources: MemorySource) -> MergedSources:
    return MergedSources(sources, lambda _metric: ("datacenter", "vm"))


def holding(line: Line, **more: str) -> MemorySource:
    return MemorySource([(vm("vm-1", **more), list(line.items()))] if line else [])


def bucket_request(
    step_ms: int, *functions: BucketFunction, days: int = 2, filters: tuple[TagFilter, ...] = ()
) -> BucketRequest:
    wanted = frozenset(functions or {BucketFunction.AVG})
    return BucketRequest(METRIC, filters, 0, days * DAY_MS, step_ms, wanted)


def point_request(limit: int = 10_000) -> PointRequest:
    return PointRequest(METRIC, (), 0, 2 * DAY_MS - 1, limit)


def winners(lines: Sequence[Line]) -> Line:
    """The rule in plain words: an hour belongs to the first line that has a point in it."""
    owner: dict[int, int] = {}
    for rank, line in enumerate(lines):
        for stamp in line:
            owner.setdefault(stamp // HOUR_MS, rank)
    return {
        stamp: value
        for rank, line in enumerate(lines)
        for stamp, value in line.items()
        if owner[stamp // HOUR_MS] == rank
    }


line = st.dictionaries(
    st.integers(0, 2 * DAY_MS // 60_000 - 1).map(lambda minute: minute * 60_000),
    st.integers(-1000, 1000).map(float),
    max_size=40,
)


@given(st.lists(line, min_size=1, max_size=3))
async def test_raw_points_are_the_winners_of_each_hour(lines: list[Line]) -> None:
    answer = await merged(*map(holding, lines)).points(point_request())
    found = {
        stamp: value
        for one in answer
        for stamp, value in zip(one.stamps_ms.tolist(), one.values.tolist(), strict=True)
    }
    assert found == winners(lines)
    for one in answer:
        assert (np.diff(one.stamps_ms) > 0).all()


@given(
    st.lists(line, min_size=1, max_size=3),
    st.sampled_from([300_000, HOUR_MS, 3 * HOUR_MS, DAY_MS]),
    st.sets(st.sampled_from(BucketFunction), min_size=1),
)
async def test_buckets_are_those_of_the_merged_points(
    lines: list[Line], step_ms: int, functions: set[BucketFunction]
) -> None:
    answer = await merged(*map(holding, lines)).buckets(bucket_request(step_ms, *functions))
    expected = sorted(winners(lines).items())
    stamps = np.array([stamp for stamp, _ in expected], dtype=np.int64)
    values = np.array([value for _, value in expected])
    if not expected:
        assert sum(len(one.stamps_ms) for one in answer) == 0
        return
    (one,) = answer
    assert set(one.columns) == functions
    for function in functions:
        starts, wanted = into_buckets(stamps, values, step_ms, function)
        assert one.stamps_ms.tolist() == starts.tolist()
        assert one.columns[function] == pytest.approx(wanted)


async def test_labels_of_all_sources_are_joined_and_the_strongest_wins() -> None:
    one = merged(
        holding({0: 1.0}, servicename="pcc-1", env="a"),
        holding({HOUR_MS: 2.0}, env="b", servicetype="vscope"),
    )
    expected = vm("vm-1", servicename="pcc-1", env="a", servicetype="vscope")
    assert [dict(each.tags) for each in await one.points(point_request())] == [expected]
    assert [dict(tags) for tags in await one.lookup(METRIC, ())] == [expected]


async def test_without_identifying_labels_all_of_them_count() -> None:
    one = MergedSources(
        [holding({0: 1.0}, disk="a"), holding({0: 2.0}, disk="b")], lambda _metric: ()
    )
    assert len(await one.points(point_request())) == 2


async def test_a_single_holder_is_asked_as_it_is() -> None:
    full, empty = holding({0: 1.0}), holding({})
    await merged(empty, full).buckets(bucket_request(DAY_MS))
    assert (full.fetches, empty.fetches) == (["buckets"], [])


async def test_filters_reach_every_source() -> None:
    one = merged(
        MemorySource([(vm("vm-1"), [(0, 1.0)]), (vm("vm-2"), [(0, 2.0)])]),
        MemorySource([(vm("vm-2"), [(HOUR_MS, 3.0)])]),
    )
    wanted = (TagFilter("vm", FilterKind.LITERAL_OR, "vm-2"),)
    (found,) = await one.buckets(bucket_request(HOUR_MS, filters=wanted))
    assert found.stamps_ms.tolist() == [0, HOUR_MS]


@pytest.mark.parametrize("broken_first", [True, False])
async def test_a_failure_is_everybodys_unless_the_answer_may_lack_it(*, broken_first: bool) -> None:
    sources = [Failing(UpstreamError("on fire")), holding({0: 1.0})]
    one = merged(*(sources if broken_first else reversed(sources)))
    with pytest.raises(UpstreamError, match="on fire"):
        await one.points(point_request())
    said: list[str] = []
    request = PointRequest(METRIC, (), 0, DAY_MS, 100, said.append)
    assert len(await one.points(request)) == 1
    assert said == ["the broken one is missing: on fire"]


async def test_what_the_client_did_wrong_is_never_left_out() -> None:
    said: list[str] = []
    for error in (BadRequestError("no such step"), TooMuchError("too much")):
        one = merged(Failing(error), holding({0: 1.0}))
        with pytest.raises(type(error)):
            await one.points(PointRequest(METRIC, (), 0, DAY_MS, 100, said.append))
    assert not said


async def test_where_all_fail_the_first_failure_is_raised() -> None:
    one = merged(Failing(UpstreamError("first")), Failing(UpstreamError("second")))
    with pytest.raises(UpstreamError, match="first"):
        await one.points(PointRequest(METRIC, (), 0, DAY_MS, 100, lambda _text: None))


async def test_not_offered_is_no_failure_beside_others() -> None:
    said: list[str] = []
    one = merged(NotOffered(), holding({0: 1.0}))
    request = PointRequest(METRIC, (), 0, DAY_MS, 100, said.append)
    assert len(await one.points(request)) == 1
    assert len(await one.lookup(METRIC, ())) == 1
    assert not said
    with pytest.raises(NotOfferedError):
        await merged(NotOffered(), NotOffered()).points(point_request())


async def test_the_limit_counts_all_sources_together() -> None:
    one = merged(
        holding(dict.fromkeys(range(0, HOUR_MS, 60_000), 1.0)),
        holding(dict.fromkeys(range(HOUR_MS, 2 * HOUR_MS, 60_000), 1.0)),
    )
    assert len(await one.points(point_request(limit=120))) == 1
    with pytest.raises(TooMuchError, match="120 points"):
        await one.points(point_request(limit=119))


async def test_metric_names_are_joined() -> None:
    assert await merged(holding({}), holding({})).metric_names("memory", 5) == (
        "memory.a",
        "memory.b",
    )


async def test_a_list_lacks_what_a_broken_source_knows() -> None:
    class Mute(MemorySource):
        async def lookup(
            self, _metric: str, _filters: tuple[TagFilter, ...]
        ) -> tuple[Mapping[str, str], ...]:
            raise UpstreamError("no list")

    one = merged(Mute([]), holding({0: 1.0}))
    assert len(await one.lookup(METRIC, ())) == 1
    # Asked all the same: what it holds is not known.
    assert len(await one.points(point_request())) == 1
