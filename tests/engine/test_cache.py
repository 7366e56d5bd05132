"""What the cache asks for, keeps, shares and admits."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from bridge.engine.cache import SeriesCache
from bridge.engine.extents import joined, missing, whole
from bridge.engine.filter_sets import includes, normal_filters
from bridge.engine.grids import Grid
from bridge.engine.needs import Need
from bridge.engine.rosters import Roster
from bridge.engine.shelves import Rules, Shelves
from bridge.errors import (
    BadRequestError,
    NotOfferedError,
    TooMuchError,
    UnavailableError,
    UpstreamError,
)
from bridge.model import (
    BucketFunction,
    BucketRequest,
    Buckets,
    FilterKind,
    Freshness,
    PointRequest,
    TagFilter,
)
from tests.engine.cache_world import SPAN_MS, START_MS, Store, Time, World

AVG, MAX, SUM = BucketFunction.AVG, BucketFunction.MAX, BucketFunction.SUM
MINUTE = 60_000
NOW = START_MS + SPAN_MS


def vm(*names: str) -> tuple[TagFilter, ...]:
    return (TagFilter("vm", FilterKind.LITERAL_OR, "|".join(names)),)


def ask(
    start: int = START_MS,
    end: int = NOW,
    *,
    step: int = MINUTE,
    function: BucketFunction = AVG,
    filters: tuple[TagFilter, ...] = (),
    told: list[str] | None = None,
    read: list[Freshness] | None = None,
) -> BucketRequest:
    return BucketRequest(
        "m",
        filters,
        start,
        end,
        step,
        frozenset({function}),
        None if told is None else told.append,
        None if read is None else read.append,
    )


def slots(world: World) -> int:
    """Buckets asked upstream since the last call."""
    found, world.store.slots = world.store.slots, 0
    return found


async def test_the_same_again_asks_nothing_but_the_tail() -> None:
    world = World()
    first = await world.source.buckets(ask())
    assert slots(world) == SPAN_MS // MINUTE
    again = await world.source.buckets(ask())
    assert slots(world) == 0
    assert [(a.tags, a.stamps_ms.tolist()) for a in first] == [
        (b.tags, b.stamps_ms.tolist()) for b in again
    ]
    world.wait(16)
    await world.source.buckets(ask())
    assert slots(world) == 5  # five minutes are not settled
    world.wait(44)
    await world.source.buckets(ask(START_MS + MINUTE, NOW + MINUTE))
    assert slots(world) == 6


async def test_only_gaps_are_fetched_and_near_ones_together() -> None:
    world = World()
    await world.source.buckets(ask(START_MS + 60 * MINUTE, START_MS + 70 * MINUTE))
    await world.source.buckets(ask(START_MS + 120 * MINUTE, START_MS + 130 * MINUTE))
    world.store.asked = world.store.slots = 0
    await world.source.buckets(ask(START_MS + 60 * MINUTE, START_MS + 140 * MINUTE))
    assert slots(world) == 50 + 10 + 10  # one request over the second, known part
    assert world.store.asked == 1


async def test_equal_and_overlapping_needs_share_one_fetch() -> None:
    world = World()
    world.store.turns = 5
    await asyncio.gather(
        *(world.source.buckets(ask()) for _ in range(20)),
        world.source.buckets(ask(START_MS + 30 * MINUTE, NOW - 30 * MINUTE)),
    )
    assert world.store.asked == 1


async def test_what_is_part_of_a_fetch_on_its_way_waits_for_it() -> None:
    world = World()
    world.store.turns = 5
    everything, some, one = await asyncio.gather(
        world.source.buckets(ask()),
        world.source.buckets(ask(filters=vm("a", "b"))),
        world.source.buckets(ask(filters=vm("a"))),
    )
    assert world.store.asked == 1
    assert [len(everything), len(some), len(one)] == [3, 3, 1]
    assert one[0].tags["vm"] == "a"


async def test_who_leaves_takes_nobody_along() -> None:
    world = World()
    world.store.turns = 5
    leaving = asyncio.create_task(world.source.buckets(ask()))
    staying = asyncio.create_task(world.source.buckets(ask()))
    await asyncio.sleep(0)
    leaving.cancel()
    assert len(await staying) == 3
    assert world.store.asked == 1


async def test_a_failure_goes_to_all_who_wait_and_is_forgotten() -> None:
    world = World()
    world.store.failing, world.store.turns = True, 3
    outcomes = await asyncio.gather(
        *(world.source.buckets(ask()) for _ in range(5)), return_exceptions=True
    )
    assert [type(one) for one in outcomes] == [UpstreamError] * 5
    assert world.store.asked == 1
    world.store.failing = False
    assert len(await world.source.buckets(ask())) == 3


async def test_nothing_is_believed_for_a_minute_only() -> None:
    world = World()
    nobody = ask(end=NOW - 30 * MINUTE, filters=vm("nobody"))
    for seconds, asked in ((0, 1), (50, 1), (20, 2)):
        world.wait(seconds)
        assert await world.source.buckets(nobody) == ()
        assert world.store.asked == asked


async def test_absence_in_part_of_a_range_is_known() -> None:
    world = World()
    world.write(3, 1, 7)  # the fourth series begins now
    assert len(await world.source.buckets(ask())) == 4
    slots(world)
    assert len(await world.source.buckets(ask(end=NOW - 60 * MINUTE))) == 3
    assert slots(world) == 0


async def test_wider_buckets_are_made_of_known_ones_where_that_is_exact() -> None:
    world = World()
    for function, asked in ((MAX, 0), (AVG, SPAN_MS // (10 * MINUTE))):
        await world.source.buckets(ask(function=function))
        slots(world)
        made = await world.source.buckets(ask(function=function, step=10 * MINUTE))
        assert slots(world) == asked
        fresh = await world.store.buckets(ask(function=function, step=10 * MINUTE))
        slots(world)
        assert [one.columns[function].tolist() for one in made] == [
            one.columns[function].tolist() for one in fresh
        ]


async def test_series_are_taken_from_needs_that_include_them() -> None:
    world = World()
    await world.source.buckets(ask(filters=vm("a", "b")))
    slots(world)
    (only,) = await world.source.buckets(ask(filters=vm("a")))
    assert only.tags["vm"] == "a"
    assert slots(world) == 0
    await world.source.buckets(ask(filters=vm("a", "c")))
    assert slots(world) > 0


async def test_single_names_that_wait_go_as_one_list() -> None:
    world = World()
    asked: list[str] = []
    real = world.store.buckets

    async def listening(request: BucketRequest) -> tuple[Buckets, ...]:
        asked.append(request.filters[0].text)
        return await real(request)

    world.store.buckets = listening  # type: ignore[method-assign]
    answers = await asyncio.gather(
        *(world.source.buckets(ask(filters=vm(name))) for name in ("a", "b", "c"))
    )
    assert asked == ["a|b|c"]
    assert [{one.tags["vm"] for one in answer} for answer in answers] == [{"a"}, {"b"}, set()]
    # Each is known by itself now.
    await world.source.buckets(ask(filters=vm("a")))
    assert len(asked) == 1


async def test_names_wait_only_behind_others_on_their_way() -> None:
    world = World()
    world.store.turns = 50
    tasks = []
    for number in range(12):
        tasks.append(asyncio.create_task(world.source.buckets(ask(filters=vm(f"vm-{number}")))))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    await asyncio.gather(*tasks)
    assert world.store.asked == 5  # four at once, then all that had come meanwhile


async def test_one_odd_name_fails_alone() -> None:
    world = World()
    real = world.store.buckets

    async def picky(request: BucketRequest) -> tuple[Buckets, ...]:
        if "'" in request.filters[0].text:
            raise BadRequestError("odd")
        return await real(request)

    world.store.buckets = picky  # type: ignore[method-assign]
    good, odd = await asyncio.gather(
        world.source.buckets(ask(filters=vm("a"))),
        world.source.buckets(ask(filters=vm("b'"))),
        return_exceptions=True,
    )
    assert isinstance(good, tuple)
    assert isinstance(odd, BadRequestError)


async def test_old_data_stand_in_where_that_is_told() -> None:
    world = World()
    await world.source.buckets(ask())
    world.wait(60)
    world.store.failing = True
    with pytest.raises(UpstreamError, match="it is down"):
        await world.source.buckets(ask())
    told: list[str] = []
    read: list[Freshness] = []
    assert len(await world.source.buckets(ask(told=told, read=read))) == 3
    assert told == ["the store cannot be read now (it is down); this was read 60 s ago"]
    assert (read[0].stale, read[0].good_s, read[0].age_s) == (True, 0.0, 60.0)
    # What was in the future then is known to have been nothing.
    told.clear()
    later = await world.source.buckets(ask(START_MS, NOW + 5 * MINUTE, told=told))
    assert told
    assert len(later) == 3
    world.wait(600)
    with pytest.raises(UpstreamError):
        await world.source.buckets(ask(told=told))
    # What is settled is good all the same.
    told.clear()
    assert await world.source.buckets(ask(end=NOW - 30 * MINUTE, told=told))
    assert not told


async def test_not_offered_and_too_much_are_no_failures_to_hide() -> None:
    world = World()
    await world.source.buckets(ask())
    world.wait(60)
    for error in (NotOfferedError("no"), TooMuchError("much"), BadRequestError("bad")):

        async def refusing(_: BucketRequest, error: Exception = error) -> tuple[Buckets, ...]:
            raise error

        world.store.buckets = refusing  # type: ignore[method-assign]
        with pytest.raises(type(error)):
            await world.source.buckets(ask(told=[]))


async def test_a_partial_answer_is_given_and_not_kept() -> None:
    world = World()
    world.store.lost = (("dc", "d1"), ("vm", "a"))
    told: list[str] = []
    read: list[Freshness] = []
    assert len(await world.source.buckets(ask(told=told, read=read))) == 2
    assert told == ["half of it is missing"]
    assert read[0].good_s == 0
    with pytest.raises(UpstreamError, match="half of it is down"):
        await world.source.buckets(ask())
    world.store.lost = None
    assert len(await world.source.buckets(ask())) == 3


async def test_a_strict_request_never_waits_for_a_partial_one() -> None:
    world = World()
    world.store.lost, world.store.turns = (("dc", "d1"), ("vm", "a")), 5
    told: list[str] = []
    partial, strict = await asyncio.gather(
        world.source.buckets(ask(told=told)), world.source.buckets(ask()), return_exceptions=True
    )
    assert isinstance(partial, tuple)
    assert isinstance(strict, UpstreamError)


async def test_how_current_an_answer_is_told() -> None:
    world = World()
    read: list[Freshness] = []
    await world.source.buckets(ask(read=read))
    world.wait(5)
    await world.source.buckets(ask(read=read))
    await world.source.buckets(ask(end=NOW - 30 * MINUTE, read=read))
    assert [(one.age_s, one.good_s) for one in read] == [(0, 15), (5, 10), (0, 7195)]


async def test_a_clock_set_back_does_not_freeze_the_tail() -> None:
    world = World()
    world.set_clock(3600)  # wrongly ahead: the last hour looks settled
    await world.source.buckets(ask(function=MAX))
    world.set_clock(-3600)
    world.write(0, 100, 99)
    buckets = await world.source.buckets(ask(function=MAX))
    assert 99.0 in buckets[0].columns[MAX]


async def test_a_flight_from_before_an_import_is_not_kept() -> None:
    world = World()
    world.store.turns = 4
    running = asyncio.create_task(world.source.buckets(ask()))
    for _ in range(3):
        await asyncio.sleep(0)
    world.bring_in(0, [10], 77)
    before = await running
    after = await world.source.buckets(ask())
    assert world.store.asked == 2
    assert 77.0 not in before[0].columns[AVG]
    assert 77.0 in after[0].columns[AVG]


async def test_an_import_forgets_its_metric_and_span_only() -> None:
    world = World()
    await world.source.buckets(ask())
    watched: list[int] = []
    world.cache.watch(lambda: watched.append(1))
    world.cache.invalidate("other")
    slots(world)
    await world.source.buckets(ask(end=NOW - 30 * MINUTE))
    assert slots(world) == 0
    world.cache.invalidate("m", NOW, NOW + 1)
    await world.source.buckets(ask(end=START_MS + MINUTE))
    assert slots(world) in (0, 1)
    world.cache.invalidate()
    await world.source.buckets(ask(end=NOW - 30 * MINUTE))
    assert slots(world) == SPAN_MS // MINUTE - 30
    assert len(watched) == 3


async def test_room_is_bounded_and_the_longest_unused_goes_first() -> None:
    world = World(max_bytes=60_000)
    for hour in range(4):
        at = START_MS + hour * 3_600_000
        for function in (AVG, MAX, SUM):
            await world.source.buckets(ask(at, at + 3_600_000, function=function))
            assert world.cache.nbytes <= 60_000
    slots(world)
    await world.source.buckets(ask(at, at + 3_600_000 - 30 * MINUTE, function=SUM))
    assert slots(world) == 0


async def test_a_giant_passes_through_unkept() -> None:
    world = World(max_bytes=20_000)
    await world.source.buckets(ask(NOW - 60 * MINUTE, NOW - 30 * MINUTE))
    await world.source.buckets(ask(function=MAX))  # more than a quarter of the room
    slots(world)
    await world.source.buckets(ask(NOW - 60 * MINUTE, NOW - 30 * MINUTE))
    assert slots(world) == 0


async def test_raw_points_are_kept_too() -> None:
    world = World()
    whole_day = PointRequest("m", (), START_MS, NOW - 1, 10_000)
    first = await world.source.points(whole_day)
    again = await world.source.points(whole_day)
    assert world.store.asked == 1
    assert [one.values.tolist() for one in first] == [one.values.tolist() for one in again]
    inner = await world.source.points(PointRequest("m", (), START_MS + 1001, NOW - 999, 10_000))
    assert world.store.asked == 1
    assert len(inner[0].stamps_ms) == len(first[0].stamps_ms) - 1
    with pytest.raises(TooMuchError, match="max_points"):
        await world.source.points(PointRequest("m", (), START_MS, NOW - 1, 10))


async def test_lists_are_asked_once() -> None:
    world = World()
    asked = 0
    real = world.store.lookup

    async def counting(metric: str, filters: tuple[TagFilter, ...]) -> tuple[object, ...]:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0)
        return await real(metric, filters)

    world.store.lookup = counting  # type: ignore[method-assign, assignment]
    await asyncio.gather(*(world.source.lookup("m", vm("b", "a")) for _ in range(5)))
    await world.source.lookup("m", vm("a", "b"))
    assert asked == 1
    world.wait(61)
    await world.source.lookup("m", vm("a", "b"))
    assert asked == 2


async def test_closing_tells_those_who_wait() -> None:
    world = World()
    world.store.turns = 1000
    waiting = asyncio.create_task(world.source.buckets(ask()))
    for _ in range(5):
        await asyncio.sleep(0)
    await world.cache.close()
    with pytest.raises(UnavailableError, match="stopping"):
        await waiting


async def test_sources_do_not_mix() -> None:
    time = Time()
    cache = SeriesCache(Rules(), max_bytes=1 << 20, clock=lambda: time.wall)
    one, other = (cache.wrap(Store(time, name)) for name in ("one", "other"))
    await one.buckets(ask())
    await other.buckets(ask())
    assert all(source._source.asked == 1 for source in (one, other))  # type: ignore[attr-defined]


async def test_a_source_that_answers_what_was_not_asked_is_refused() -> None:
    world = World()

    async def wrong(_: BucketRequest) -> tuple[Buckets, ...]:
        stamps = np.array([START_MS + 1], dtype=np.int64)
        return (Buckets({"vm": "a"}, stamps, {AVG: np.ones(1)}),)

    world.store.buckets = wrong  # type: ignore[method-assign]
    with pytest.raises(UpstreamError, match="not asked for"):
        await world.source.buckets(ask())


@pytest.mark.parametrize(("share", "most"), [(1.0, 8.0), (0.9, 9.0), (0.2, 9.0), (0.05, 12.0)])
def test_a_kept_value_takes_eight_bytes_and_little_more(share: float, most: float) -> None:
    chance = np.random.default_rng(1)
    cells = chance.random((1, 200, 256))
    cells[chance.random(cells.shape) > share] = np.nan
    roster = Roster({"vm": f"vm-{n}"} for n in range(200))
    stored = Grid(roster, 0, MINUTE, cells).packed()
    held = stored.values.nbytes + (0 if stored.bits is None else stored.bits.nbytes)
    assert held / np.count_nonzero(~np.isnan(cells)) <= most
    assert np.array_equal(stored.unpacked().cells, cells, equal_nan=True)


def test_spans() -> None:
    assert missing((0, 10), [(2, 4), (3, 6), (9, 12)]) == [(0, 2), (6, 9)]
    assert missing((0, 10), [(-5, 20)]) == []
    assert joined([(5, 6), (0, 2), (2, 3)], slack=1) == [(0, 3), (5, 6)]
    assert whole((1, 9), 4) == (4, 8)
    assert whole((1, 3), 4) is None


def test_which_filters_include_which() -> None:
    star = normal_filters((TagFilter("vm", FilterKind.WILDCARD, "*"),))
    some = normal_filters((TagFilter("vm", FilterKind.WILDCARD, "w*"),))
    assert includes((), some)
    assert includes(star, some)
    assert includes(star, normal_filters(vm("a")))
    assert not includes(star, ())
    assert not includes(some, star)
    assert includes(normal_filters(vm("b", "a")), normal_filters(vm("a")))
    assert not includes(normal_filters(vm("a")), normal_filters(vm("b", "a")))
    assert normal_filters((*vm("b"), *vm("a"))) == normal_filters(vm("a", "b"))


def test_what_was_read_later_is_not_overwritten() -> None:
    need = Need(0, "m", (), MINUTE, (AVG,))
    shelves = Shelves(1 << 20, Rules())
    roster = Roster([{"vm": "a"}])

    def grid(value: float, width: int) -> Grid:
        return Grid(roster, 0, MINUTE, np.full((1, 1, width), value))

    for sheet, read_at in ((grid(2.0, 4), 20.0), (grid(1.0, 8), 10.0)):
        for _ in shelves.put(need, sheet, read_at, 2**60):
            pass
    parts = shelves.find(need, (0, 8 * MINUTE), 21.0)
    made = Grid.join([part.sheet() for part in parts])  # type: ignore[misc]
    assert made.cells[0, 0].tolist() == [2.0] * 4 + [1.0] * 4
