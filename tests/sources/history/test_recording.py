"""What is written is what is read: points, buckets, names, eras."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
import pytest

from bridge.catalog import Kind
from bridge.errors import BadRequestError, TooMuchError, UnavailableError
from bridge.model import FilterKind, LabelEra, PointBatch, SeriesKey, TagFilter
from bridge.sources.history import History
from tests.sources.history.batches import METRIC, batch, bucketed, key, stored

if TYPE_CHECKING:
    from pathlib import Path

NOON = 1_772_366_400_000  # 2026-03-01T12:00Z
HOUR = 3_600_000
NOTHING = (np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0))


async def test_points_come_back_by_series_and_in_order(history: History) -> None:
    await history.write(batch([("vm-2", NOON + 5, 2.0), ("vm-1", NOON, 1.0), ("vm-2", NOON, 0.1)]))
    assert await stored(history) == {"vm-1": {NOON: 1.0}, "vm-2": {NOON: 0.1, NOON + 5: 2.0}}
    assert await stored(history, start_ms=NOON + 1) == {"vm-2": {NOON + 5: 2.0}}
    assert await stored(history, end_ms=NOON - 1) == {}
    assert await stored(history, metric="vscope.vm.net.rx") == {}


async def test_writing_again_changes_nothing_and_a_newer_value_replaces(history: History) -> None:
    first = batch([("vm-1", NOON, 1.0), ("vm-1", NOON + 60_000, 2.0)])
    await history.write(first)
    await history.write(first)
    assert await stored(history) == {"vm-1": {NOON: 1.0, NOON + 60_000: 2.0}}
    await history.write(batch([("vm-1", NOON, 7.0)]))
    assert await stored(history) == {"vm-1": {NOON: 7.0, NOON + 60_000: 2.0}}
    await history.write(batch([("vm-1", NOON, 8.0), ("vm-1", NOON, 9.0)]))
    assert await stored(history) == {"vm-1": {NOON: 9.0, NOON + 60_000: 2.0}}


async def test_buckets_give_every_function_and_keep_gaps(history: History) -> None:
    await history.write(
        batch([("vm-1", NOON + 1, 4.0), ("vm-1", NOON + 2, 1.0), ("vm-1", NOON + 2 * HOUR, 7.0)])
    )
    assert await bucketed(history, NOON, NOON + 3 * HOUR, HOUR) == {
        "vm-1": {
            NOON: {
                "avg": 2.5, "sum": 5.0, "count": 2.0, "min": 1.0, "max": 4.0,
                "first": 4.0, "last": 1.0,
            },
            NOON + 2 * HOUR: {
                "avg": 7.0, "sum": 7.0, "count": 1.0, "min": 7.0, "max": 7.0,
                "first": 7.0, "last": 7.0,
            },
        }
    }  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        (FilterKind.LITERAL_OR, "vm-1|vm-9", {"vm-1"}),
        (FilterKind.ILITERAL_OR, "VM-1", {"vm-1"}),
        (FilterKind.NOT_LITERAL_OR, "vm-1", {f"vm-{n}" for n in range(250) if n != 1}),
        (FilterKind.WILDCARD, "vm-24*", {"vm-24", *(f"vm-24{n}" for n in range(10))}),
        (FilterKind.REGEXP, "^vm-[12]$", {"vm-1", "vm-2"}),
    ],
)
async def test_filters(history: History, kind: FilterKind, text: str, expected: set[str]) -> None:
    await history.write(batch([(f"vm-{n}", NOON, float(n)) for n in range(250) if n != 9]))
    await history.write(batch([("vm-9", NOON, 9.0)], metric="another"))
    if kind is FilterKind.NOT_LITERAL_OR:
        expected = expected - {"vm-9"}
    flt = TagFilter("vm", kind, text)
    assert (await stored(history, filters=(flt,))).keys() == expected
    assert {tags["vm"] for tags in await history.lookup(METRIC, (flt,))} == expected


async def test_metric_names(history: History) -> None:
    for name in ("b.two", "a.one", "b.one"):
        await history.write(batch([("vm-1", NOON, 1.0)], metric=name))
    assert await history.metric_names("", 10) == ("a.one", "b.one", "b.two")
    assert await history.metric_names("b.", 1) == ("b.one",)


async def test_too_many_points_are_refused(history: History) -> None:
    await history.write(batch([("vm-1", NOON + n, 1.0) for n in range(10)]))
    assert len((await stored(history, limit=10))["vm-1"]) == 10
    with pytest.raises(TooMuchError, match=r"more than the limit of 9 points.*max_points"):
        await stored(history, limit=9)


async def test_eras_are_kept_and_replaced_by_object_and_start(history: History) -> None:
    first = LabelEra(Kind.VM, "dc", "vm-1", (("cluster", "a"), ("folder", "x")), NOON)
    ended = LabelEra(Kind.VM, "dc", "vm-1", first.labels, NOON, NOON + HOUR)
    second = LabelEra(Kind.VM, "dc", "vm-1", (("cluster", "b"),), NOON + HOUR)
    store = LabelEra(Kind.DATASTORE, "", "ds-1", (), NOON)
    empty = PointBatch((), *NOTHING)
    await history.write(empty, [first])
    assert await history.eras() == (first,)
    await history.write(empty, [store, second, ended])
    await history.write(empty, [store, second, ended])
    assert await history.eras() == (store, ended, second)


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (batch([("vm-1", NOON, float("nan"))]), "nan cannot be recorded; expected finite"),
        (batch([("vm-1", NOON, float("inf"))]), "inf cannot be recorded; expected finite"),
        (batch([("vm-1", -1, 1.0)]), "-1 is no time that can be recorded"),
        (batch([("vm-1", NOON * 1000, 1.0)]), "expected epoch milliseconds"),
        (
            PointBatch(
                (key("a"),), np.array([1], np.int32), np.array([NOON]), np.array([1.0])
            ),
            "names a series that it does not list",
        ),
        (PointBatch((key("a"), key("a")), *NOTHING), "named twice"),
        (PointBatch((SeriesKey("", ()),), *NOTHING), "without a metric"),
        (
            PointBatch((key("a"),), np.array([0], np.int32), np.array([NOON]), np.empty(0)),
            "a series, a time and a value for each",
        ),
    ],
)  # fmt: skip
async def test_broken_batches_are_refused_and_store_nothing(
    history: History, broken: PointBatch, said: str
) -> None:
    with pytest.raises(BadRequestError, match=said):
        await history.write(broken)
    assert await history.metric_names("", 10) == ()


async def test_everything_is_there_after_opening_again(folder: Path) -> None:
    era = LabelEra(Kind.HOST, "dc", "host-1", (("cluster", "a"),), NOON, NOON + 1)
    async with History(folder) as history:
        await history.write(batch([("vm-1", NOON, 1.0)]), [era])
    async with History(folder) as history:
        await history.write(batch([("vm-2", NOON, 2.0), ("vm-1", NOON + 1, 3.0)]))
        assert await stored(history) == {"vm-1": {NOON: 1.0, NOON + 1: 3.0}, "vm-2": {NOON: 2.0}}
        assert await history.eras() == (era,)


async def test_a_store_that_is_not_open_says_so(tmp_path: Path) -> None:
    history = History(tmp_path)
    with pytest.raises(UnavailableError, match="not open"):
        await history.write(batch([("vm-1", NOON, 1.0)]))
    assert os.listdir(tmp_path) == []  # noqa: PTH208 -- short
