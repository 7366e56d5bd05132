"""Threads: who has gone is not answered, and does not keep others waiting."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import numpy as np
import pytest

from bridge.errors import BadRequestError, UnavailableError
from bridge.model import PointBatch, SeriesKey
from bridge.sources.history import History, maintenance, merging
from bridge.sources.history import history as history_module
from bridge.sources.history.workers import READERS
from tests.sources.history.batches import batch, stored
from tests.sources.history.test_maintenance import DAY, MARCH, Clock

if TYPE_CHECKING:
    from pathlib import Path

    from bridge.sources.history.database import Cursor


async def test_questions_nobody_waits_for_are_interrupted(history: History) -> None:
    await history.write(batch([("vm-1", 0, 1.0)]))

    def endless() -> None:
        with history._store.snapshot() as cursor:
            cursor.execute(
                "SELECT sum(a.range * b.range) FROM range(1e9::BIGINT) a, range(1e9::BIGINT) b"
            )

    workers = history._at_work
    asked = [asyncio.create_task(workers.read(endless)) for _ in range(3 * READERS)]
    await asyncio.sleep(0.2)
    for task in asked:
        task.cancel()
    outcomes = await asyncio.gather(*asked, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {asyncio.CancelledError}
    assert await stored(history) == {"vm-1": {0: 1.0}}


async def test_what_is_under_way_ends_before_the_store_closes(folder: Path) -> None:
    history = History(folder)
    await history.open()
    writes = [
        asyncio.create_task(history.write(batch([("vm-1", at, float(at))]))) for at in range(20)
    ]
    await asyncio.sleep(0)
    await history.close()
    outcomes = await asyncio.gather(*writes, return_exceptions=True)
    done = {at for at, outcome in enumerate(outcomes) if outcome is None}
    assert all(
        isinstance(o, (UnavailableError, asyncio.CancelledError)) or o is None for o in outcomes
    )
    async with History(folder) as again:
        assert set((await stored(again)).get("vm-1", {})) == done
    with pytest.raises(UnavailableError, match="not open"):
        await history.stats()


async def test_a_step_of_maintenance_does_not_keep_the_store_open(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The step fails as if the process had been killed, and is done another time."""
    points = [("vm-1", MARCH + at * 60_000, float(at)) for at in range(1_000)]
    begun = threading.Event()

    def endless(self: merging._Merge, cursor: Cursor, moved: int) -> None:
        del moved
        self._store.next_numbers(1)  # a connection inside a connection
        begun.set()
        cursor.execute(
            "SELECT sum(a.range * b.range) FROM range(1e9::BIGINT) a, range(1e9::BIGINT) b"
        )

    history = History(folder, clock=Clock(MARCH + 3 * DAY))
    await history.open()
    await history.write(batch(points))
    with monkeypatch.context() as patched:
        patched.setattr(merging._Merge, "_renew", endless)
        running = asyncio.create_task(history.maintain())
        await asyncio.to_thread(begun.wait)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        waiting = asyncio.create_task(history.write(batch([("vm-2", MARCH, 1.0)])))
        await asyncio.sleep(0)
        await history.interrupt_maintenance()
        await waiting
        await history.close()
    async with History(folder, clock=Clock(MARCH + 3 * DAY)) as again:
        assert (await again.maintain()).moved == len(points) + 1
        found = await stored(again)
        assert found["vm-1"] == {stamp: value for _, stamp, value in points}
        assert found["vm-2"] == {MARCH: 1.0}


async def test_many_late_points_wake_maintenance(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (history_module, maintenance):
        monkeypatch.setattr(module, "MANY_LATE", 10)
    clock = Clock(MARCH + 3 * DAY)
    async with History(folder, clock=clock) as history:
        await history.write(batch([("vm-1", MARCH, 1.0)]))
        running = asyncio.create_task(history.run_maintenance(interval_s=3600))
        while (await history.stats()).maintained_ms is None:  # noqa: ASYNC110 -- by a thread
            await asyncio.sleep(0.01)
        await history.write(batch([("vm-1", MARCH + at, 1.0) for at in range(1, 20)]))
        while (await history.stats()).late:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_names_that_are_no_text_are_refused(history: History) -> None:
    one = batch([("vm", 0, 1.0)])
    for key in (SeriesKey("m\ud800", ()), SeriesKey("m", (("vm", "\udfff"),))):
        with pytest.raises(BadRequestError, match="names must be UTF-8"):
            await history.write(PointBatch((key,), one.series, one.stamps_ms, one.values))
    odd = (SeriesKey("m é \0'\"", (("a'b", "\n"), ("ü", "日本"))),)
    await history.write(PointBatch(odd, one.series, one.stamps_ms, np.array([1.0])))
    async with asyncio.timeout(60):
        await history.maintain(everything=True)
    assert await history.lookup(odd[0].metric, ()) == (dict(odd[0].tags),)


async def test_windows_far_outside_of_what_can_be_recorded(history: History) -> None:
    await history.write(batch([("vm-1", 0, 1.0)]))
    assert await stored(history, start_ms=-(10**18), end_ms=10**18) == {"vm-1": {0: 1.0}}
    assert await stored(history, start_ms=10**17, end_ms=10**18) == {}
