"""Points into files, roll-ups, retention, clocks that jump."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import duckdb
import pytest

from bridge.errors import BadRequestError
from bridge.model import BucketFunction
from bridge.sources.history import History, Retention
from tests.sources.history.batches import batch, bucketed, stored

if TYPE_CHECKING:
    from pathlib import Path

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
MARCH = 1_772_323_200_000  # 2026-03-01
APRIL, MAY, JUNE = MARCH + 31 * DAY, MARCH + 61 * DAY, MARCH + 92 * DAY


class Clock:
    def __init__(self, at_ms: int) -> None:
        self.ms = at_ms

    def __call__(self) -> float:
        return self.ms / 1000

    async def run(self, history: History, days: int) -> None:
        """Let days pass, with maintenance on each."""
        for _ in range(days):
            self.ms += DAY
            await history.maintain()


def every_minute(start_ms: int, count: int) -> list[tuple[str, int, float]]:
    return [("vm-1", start_ms + n * MINUTE, float(n)) for n in range(count)]


async def test_points_stay_for_half_a_day_then_go_into_files_sorted(folder: Path) -> None:
    clock = Clock(MARCH + DAY)
    async with History(folder, clock=clock) as history:
        points = [
            (f"vm-{n}", MARCH - 2 * HOUR + at * HOUR, at + n / 10)
            for at in range(26)
            for n in (2, 1)
        ]
        await history.write(batch(points))
        done = await history.maintain()
        assert (done.moved, done.merged, done.deleted, done.waits) == (2 * 2, 1, 0, None)
        clock.ms += 12 * HOUR
        assert (await history.maintain()).moved == 2 * 24
        assert (await history.maintain()).moved == 0
        stats = await history.stats()
        assert (stats.recent, stats.late, stats.tiers["raw"].files) == (0, 0, 2)
        assert {vm: len(own) for vm, own in (await stored(history)).items()} == {
            "vm-1": 26,
            "vm-2": 26,
        }
    files = sorted((folder / "raw").iterdir())
    assert [path.name[:8] for path in files] == ["2026-02.", "2026-03."]
    rows = duckdb.read_parquet(str(files[1])).project("series, time").fetchall()
    assert len(rows) == 48
    assert rows == sorted(rows)
    names = duckdb.read_parquet(str(folder / "series.parquet")).order("tags").fetchall()
    assert [tags for _, _, tags in names] == [
        f'{{"datacenter":"pcc-1_datacenter1","vm":"vm-{n}"}}' for n in (1, 2)
    ]


async def test_roll_ups_hold_what_their_columns_say(folder: Path) -> None:
    async with History(folder, clock=Clock(MARCH + 2 * DAY)) as history:
        await history.write(batch(every_minute(MARCH, 65)))
        await history.maintain()
    ten = (MARCH, 45.0, 10, 0.0, 9.0, 0.0, 9.0)
    hour = (MARCH, 1770.0, 60, 0.0, 59.0, 0.0, 59.0)
    rest = (MARCH + HOUR, 310.0, 5, 60.0, 64.0, 60.0, 64.0)
    for tier, expected in (("10m", [ten, rest]), ("1h", [hour, rest])):
        found = duckdb.read_parquet(f"{folder}/{tier}/*.parquet").order("time")
        rows = found.project("time, sum, count, min, max, first, last").fetchall()
        assert [rows[0], rows[-1]] == expected


async def test_only_whole_months_go_and_what_remains_is_told(folder: Path) -> None:
    clock = Clock(MARCH + 20 * DAY)
    retention = Retention(raw_days=30, ten_minutes_days=60, hour_days=100)
    async with History(folder, retention, clock=clock) as history:
        await history.write(batch([("vm-1", MARCH + n * DAY, float(n)) for n in range(20)]))
        await clock.run(history, 45)  # 5 May: March ended 34 days ago
        assert (
            sorted(path.name for path in folder.rglob("2026-03*"))
            == ["2026-03.00000001.parquet"] * 2
        )
        with pytest.raises(
            BadRequestError,
            match=r"^the recording has points of these series only from 2026-04-01T00:00Z on: "
            r"for this range ask for a step that is a multiple of 10m with avg, sum, count, min, "
            r"max, first or last, or start later$",
        ):
            await stored(history, start_ms=MARCH + 19 * DAY, end_ms=clock.ms)
        with pytest.raises(BadRequestError, match="buckets of 300 s, which need points, of these"):
            await bucketed(history, MARCH, APRIL, 5 * MINUTE)
        found = await bucketed(history, MARCH, APRIL, 20 * MINUTE, {BucketFunction.AVG})
        assert found["vm-1"] == {MARCH + n * DAY: {"avg": float(n)} for n in range(20)}
        assert await stored(history, start_ms=APRIL, end_ms=clock.ms) == {}
        stats = await history.stats()
        assert (stats.oldest_raw_ms, stats.first_ms) == (None, MARCH)

        await clock.run(history, 30)  # 4 June
        with pytest.raises(BadRequestError, match="a step that is a multiple of 1h"):
            await bucketed(history, MARCH, APRIL, 20 * MINUTE)
        found = await bucketed(history, MARCH, APRIL, 7 * DAY, {BucketFunction.COUNT})
        assert sum(one["count"] for one in found["vm-1"].values()) == 20
        assert (await history.lookup("vscope.vm.cpu.usage.perc", ()))[0]["vm"] == "vm-1"

        await clock.run(history, 40)
        # What has gone altogether is not there, and no reason to refuse.
        assert await stored(history) == {}
        assert await bucketed(history, MARCH, APRIL, 5 * MINUTE) == {}
        assert await history.lookup("vscope.vm.cpu.usage.perc", ()) == ()
        assert list(folder.rglob("2026-03*")) == []


async def test_a_series_that_is_younger_is_answered_beside_one_that_has_lost_points(
    folder: Path,
) -> None:
    clock = Clock(MARCH + 20 * DAY)
    async with History(folder, Retention(raw_days=30), clock=clock) as history:
        await history.write(batch([("vm-1", MARCH, 1.0)]))
        await clock.run(history, 60)
        await history.write(batch([("vm-2", clock.ms, 2.0)]))
        with pytest.raises(BadRequestError, match="only from 2026-04-01"):
            await stored(history)
        assert await bucketed(history, MARCH, MAY, DAY, {BucketFunction.SUM}) == {
            "vm-1": {MARCH: {"sum": 1.0}}
        }
        # A month of which points are kept may lie before one of which they are not.
        await history.write(batch([("vm-2", MARCH - DAY, 3.0)]))
        assert await stored(history, start_ms=0, end_ms=MARCH - 1) == {"vm-2": {MARCH - DAY: 3.0}}


async def test_points_that_come_for_a_month_rolled_up_long_ago(folder: Path) -> None:
    clock = Clock(MARCH + 20 * DAY)
    async with History(folder, Retention(raw_days=30), clock=clock) as history:
        await history.write(batch(every_minute(MARCH, 10)))
        await clock.run(history, 60)

        async def hour() -> float:
            found = await bucketed(history, MARCH, MARCH + HOUR, HOUR, {BucketFunction.SUM})
            return found["vm-1"][MARCH]["sum"]

        assert await hour() == 45
        # Fewer points than the roll-up was made of tell less; as many, or more, tell more.
        await history.write(batch([("vm-1", MARCH + n * MINUTE, 100.0) for n in range(9)]))
        assert await hour() == 45
        await clock.run(history, 1)
        assert await hour() == 45
        await history.write(batch([("vm-1", MARCH + 9 * MINUTE, 100.0)]))
        assert await hour() == 1000
        await clock.run(history, 3)
        assert await hour() == 1000
        assert not list((folder / "raw").glob("2026-03*"))
        with pytest.raises(BadRequestError, match="only from 2026-04-01"):
            await stored(history, end_ms=APRIL - 1)


async def test_nothing_goes_by_a_clock_that_has_jumped(folder: Path) -> None:
    clock = Clock(MARCH + 20 * DAY)
    async with History(folder, Retention(raw_days=30), clock=clock) as history:
        await history.write(batch([("vm-1", MARCH + n * DAY, float(n)) for n in range(21)]))
        await clock.run(history, 1)
        files = {path.name[:8] for path in folder.rglob("*.parquet")}
        before = clock.ms
        clock.ms += 3650 * DAY
        done = await history.maintain()
        assert done.waits is not None
        assert "nothing is moved or deleted before 2036-03-" in done.waits
        await history.maintain(everything=True)
        assert {path.name[:8] for path in folder.rglob("*.parquet")} == files
        assert len((await stored(history))["vm-1"]) == 21
        clock.ms = before + HOUR
        done = await history.maintain()
        assert "before 2026-03-23" in str(done.waits)
        # What is recorded now is not late because the clock was ahead.
        await history.write(batch([("vm-1", clock.ms, 5.0)]))
        assert (await history.stats()).late == 0
        clock.ms += DAY
        assert (await history.maintain()).waits is None


async def test_a_roll_up_that_is_asked_for_later_is_made(folder: Path) -> None:
    clock = Clock(MARCH + 2 * DAY)
    async with History(folder, Retention(60, 365, 0), clock=clock) as history:
        await history.write(batch(every_minute(MARCH, 65)))
        await history.maintain()
        assert "1h" not in {path.parent.name for path in folder.rglob("2026*")}
    async with History(folder, Retention(60, 365, 1826), clock=clock) as history:
        done = await history.maintain()
        assert (done.moved, done.merged) == (0, 1)
        assert (await history.stats()).tiers["1h"].rows == 2
        assert (await history.verify()).problems == ()
        found = await bucketed(history, MARCH, MARCH + 2 * HOUR, HOUR, {BucketFunction.SUM})
        assert found == {"vm-1": {MARCH: {"sum": 1770.0}, MARCH + HOUR: {"sum": 310.0}}}


@pytest.mark.usefixtures("small_parts")
async def test_writes_and_questions_come_in_between_the_steps(folder: Path) -> None:
    clock = Clock(MARCH + 9 * DAY)
    async with History(folder, clock=clock) as history:
        points = [
            (f"vm-{n}", MARCH + at * 12 * HOUR, at + n / 10) for at in range(16) for n in range(6)
        ]
        await history.write(batch(points))
        expected = await stored(history)
        running = asyncio.create_task(history.maintain())
        turns = 0
        while not running.done():
            turns += 1
            extra = (f"vm-{turns % 6}", MARCH + turns * MINUTE, float(turns))
            await history.write(batch([extra]))
            expected[extra[0]][extra[1]] = extra[2]
            assert await stored(history) == expected
            whole = await bucketed(history, MARCH, MARCH + 10 * DAY, DAY, {BucketFunction.COUNT})
            counts = [day["count"] for own in whole.values() for day in own.values()]
            assert sum(counts) == len(points) + turns
        assert running.result().merged >= 6
        assert turns > 3
        await history.maintain(everything=True)
        assert await stored(history) == expected
        assert (await history.verify()).problems == ()
        assert (await history.stats()).late == 0


async def test_a_file_that_is_read_outlives_its_replacement(folder: Path) -> None:
    clock = Clock(MARCH + 2 * DAY)
    async with History(folder, clock=clock) as history:
        await history.write(batch(every_minute(MARCH, 5)))
        await history.maintain()
        (before,) = (folder / "raw").iterdir()
        with history._store.pins.hold():
            await history.write(batch(every_minute(MARCH + HOUR, 5)))
            await history.maintain(everything=True)
            assert before.exists()
            assert len(list((folder / "raw").iterdir())) == 2
        assert not before.exists()


async def test_maintenance_runs_on_by_itself(folder: Path) -> None:
    clock = Clock(MARCH + 2 * DAY)
    async with History(folder, clock=clock) as history:
        await history.write(batch(every_minute(MARCH, 5)))
        running = asyncio.create_task(history.run_maintenance(interval_s=0.01))
        while (await history.stats()).maintained_ms != clock.ms:
            assert not running.done()
            await asyncio.sleep(0.01)
        assert (await history.stats()).recent == 0
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
