"""Damaged files are named, set aside when asked, and never deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bridge.catalog import Kind
from bridge.errors import BadRequestError, BridgeError, NotFoundError
from bridge.model import BucketFunction, LabelEra
from bridge.sources.history import (
    History,
    HistoryDamagedError,
    Retention,
    set_database_aside,
)
from tests.sources.history.batches import batch, bucketed, stored
from tests.sources.history.test_maintenance import DAY, HOUR, MARCH, Clock

if TYPE_CHECKING:
    from pathlib import Path

APRIL, MAY = MARCH + 31 * DAY, MARCH + 61 * DAY
ERA = LabelEra(Kind.VM, "pcc-1_datacenter1", "vm-1", (("cluster", "a"),), MARCH)
SUM = {BucketFunction.SUM}


@pytest.fixture
async def filled(folder: Path) -> Path:
    """Two months in files, a day in the database."""
    clock = Clock(MAY + DAY // 2)
    async with History(folder, clock=clock) as history:
        points = [
            (f"vm-{n}", MARCH + at * HOUR, at + n / 10) for n in (1, 2) for at in range(61 * 24)
        ]
        await history.write(batch(points), [ERA])
        await history.write(batch([("vm-1", MAY + HOUR, 1.0)]))
        await history.maintain()
    return folder


def only(folder: Path, pattern: str) -> Path:
    (found,) = folder.glob(pattern)
    return found


def spoil(path: Path, how: str) -> None:
    content = path.read_bytes()
    if how == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "noise":
        path.write_bytes(content[:4] + bytes(len(content) - 8) + content[-4:])
    elif how == "page":
        # Inside the first column's data, far from the footer.
        path.write_bytes(content[:60] + b"\xff" * 100 + content[160:])
    else:
        path.unlink()


@pytest.mark.parametrize("how", ["cut", "empty", "noise", "page", "gone"])
async def test_a_damaged_month_is_named_and_the_others_stay(filled: Path, how: str) -> None:
    bad = only(filled, "raw/2026-03*")
    spoil(bad, how)
    async with History(filled, clock=Clock(MAY + DAY)) as history:
        with pytest.raises(HistoryDamagedError, match=r"raw/2026-03\..* cannot be read") as caught:
            await stored(history)
        assert caught.value.path == bad
        assert len((await stored(history, start_ms=APRIL))["vm-1"]) == 30 * 24 + 1
        problems = (await history.verify()).problems
        assert any(bad.name in problem and "raw" in problem for problem in problems), problems
        await history.write(batch([("vm-1", MAY + 2 * HOUR, 2.0)]))

        place = await history.set_aside(caught.value.path)
        if how == "gone":
            assert place is None
        else:
            assert place == filled / "set-aside" / f"raw-{bad.name}"
            assert place.exists()
        assert not bad.exists()
        # The month is answered from its roll-ups, and refused where they do not suffice.
        hours = await bucketed(history, MARCH, APRIL, HOUR, SUM)
        assert hours["vm-2"][MARCH + 5 * HOUR] == {"sum": 5.2}
        with pytest.raises(BadRequestError, match="only from 2026-04-01T00:00Z"):
            await stored(history)
        assert (await history.verify()).problems == ()
        assert (await history.stats()).set_aside == (0 if how == "gone" else 1)


async def test_a_damaged_roll_up_is_made_again_from_the_points(filled: Path) -> None:
    bad = only(filled, "1h/2026-03*")
    spoil(bad, "cut")
    async with History(filled, clock=Clock(MAY + DAY)) as history:
        with pytest.raises(HistoryDamagedError, match=rf"1h/{bad.name}"):
            await bucketed(history, MARCH, APRIL, DAY, SUM)
        await history.set_aside(bad.relative_to(filled))
        days = await bucketed(history, MARCH, APRIL, DAY, SUM)
        done = await history.maintain()
        assert (done.moved, done.merged) == (0, 1)
        assert await bucketed(history, MARCH, APRIL, DAY, SUM) == days
        assert (await history.verify()).problems == ()
        assert only(filled, "1h/2026-03*").name != bad.name


async def test_points_and_roll_up_damaged_leave_the_other_roll_up(filled: Path) -> None:
    async with History(filled, clock=Clock(MAY + DAY)) as history:
        for tier in ("raw", "1h"):
            await history.set_aside(only(filled, f"{tier}/2026-03*"))
        days = await bucketed(history, MARCH, APRIL, DAY, SUM)
        assert days["vm-1"][MARCH] == {"sum": pytest.approx(sum(range(24)) + 2.4)}
        await history.maintain()  # an hour's roll-up is made of the ten minutes'
        await history.set_aside(only(filled, "10m/2026-03*"))
        assert await bucketed(history, MARCH, APRIL, DAY, SUM) == days
        await history.set_aside(only(filled, "1h/2026-03*"))
        # Nothing is known of March any more.
        assert await bucketed(history, MARCH, APRIL, DAY, SUM) == {}
        assert len((await stored(history))["vm-1"]) == 30 * 24 + 1


@pytest.mark.parametrize(
    "path",
    ["raw/2026-03.00009999.parquet", "store.duckdb", "../raw/x.parquet", "1h", "series.parquet"],
)
async def test_only_files_of_points_can_be_set_aside(filled: Path, path: str) -> None:
    async with History(filled) as history:
        with pytest.raises(NotFoundError):
            await history.set_aside(filled / path)
    assert (filled / "store.duckdb").exists()


@pytest.mark.parametrize("how", ["cut", "empty-header", "noise"])
async def test_a_damaged_database_is_named_and_made_again_from_the_files(
    filled: Path, how: str
) -> None:
    database = filled / "store.duckdb"
    content = database.read_bytes()
    if how == "cut":
        database.write_bytes(content[:5000])
    elif how == "noise":
        database.write_bytes(content[:12288] + b"\xa5" * (len(content) - 12288))
    else:
        database.write_bytes(bytes(12288) + content[12288:])
    with pytest.raises(HistoryDamagedError, match=r"store\.duckdb cannot be read"):
        await History(filled).open()
    assert set_database_aside(filled) == [filled / "set-aside" / "store.duckdb"]
    clock = Clock(MAY + DAY)
    async with History(filled, clock=clock) as history:
        found = await stored(history)
        assert found["vm-2"] == {MARCH + at * HOUR: at + 0.2 for at in range(61 * 24)}
        assert MAY + HOUR not in found["vm-1"]  # was in no file yet
        assert await history.eras() == (ERA,)
        assert (await history.verify()).problems == ()
        await history.write(batch([("vm-1", MAY + 3 * HOUR, 3.0), ("vm-3", MARCH, 3.0)]))
        await clock.run(history, 2)
        assert (await history.verify()).problems == ()
        assert (await stored(history))["vm-3"] == {MARCH: 3.0}


async def test_a_database_damaged_in_the_middle_is_named(folder: Path) -> None:
    async with History(folder) as history:
        for day in range(4):
            at = [MARCH + day * DAY + n for n in range(60_000)]
            await history.write(batch([("vm-1", stamp, stamp % 977 / 7) for stamp in at]))
    database = folder / "store.duckdb"
    content = database.read_bytes()
    middle = len(content) // 2
    database.write_bytes(content[:middle] + b"\x5a" * 5000 + content[middle + 5000 :])
    with pytest.raises(HistoryDamagedError, match=r"store\.duckdb cannot be read"):
        async with History(folder) as history:
            await stored(history)
    assert database.read_bytes()[middle : middle + 5000] == b"\x5a" * 5000


async def test_a_new_database_knows_what_had_been_deleted(folder: Path) -> None:
    clock = Clock(MARCH + DAY)
    async with History(folder, Retention(raw_days=5), clock=clock) as history:
        await history.write(batch([("vm-1", MARCH, 1.0), ("vm-1", MARCH + HOUR, 2.0)]))
        await clock.run(history, 60)
        # Points of March come late for one machine, and some for the other.
        await history.write(batch([("vm-1", MARCH, 1.0), ("vm-2", MARCH, 5.0)]))
        await history.maintain(everything=True)
        assert only(folder, "raw/2026-03*")
    set_database_aside(folder)
    async with History(folder, Retention(raw_days=5), clock=clock) as history:
        with pytest.raises(BadRequestError, match="only from 2026-04-01"):
            await stored(history)
        found = await bucketed(history, MARCH, APRIL, DAY, SUM)
        assert found == {"vm-1": {MARCH: {"sum": 3.0}}, "vm-2": {MARCH: {"sum": 5.0}}}


async def test_a_database_without_names_beside_it_cannot_be_made_again(filled: Path) -> None:
    set_database_aside(filled)
    (filled / "series.parquet").rename(filled / "elsewhere.parquet")
    with pytest.raises(HistoryDamagedError, match=r"series\.parquet .*missing"):
        await History(filled).open()
    (filled / "elsewhere.parquet").rename(filled / "series.parquet")
    async with History(filled) as history:
        assert len(await stored(history)) == 2


async def test_unreadable_files_are_set_aside_when_the_database_is_made_again(
    filled: Path,
) -> None:
    set_database_aside(filled)
    bad = only(filled, "raw/2026-03*")
    spoil(bad, "cut")
    async with History(filled, clock=Clock(MAY + DAY)) as history:
        assert (filled / "set-aside" / f"raw-{bad.name}").exists()
        assert (await history.verify()).problems == ()
        with pytest.raises(BadRequestError, match="only from 2026-04-01"):
            await stored(history)


async def test_files_of_another_store_are_left_alone_and_reported(filled: Path) -> None:
    foreign = filled / "raw" / "2026-02.00000999.parquet"
    foreign.write_bytes(only(filled, "raw/2026-03*").read_bytes())
    async with History(filled) as history:
        assert (await history.stats()).problems == (f"{foreign} is not known to this store",)
    assert foreign.exists()


async def test_a_torn_write_ahead_log_loses_the_running_poll_only(folder: Path) -> None:
    log = folder / "store.duckdb.wal"
    history = History(folder)
    await history.open()
    for at in range(5):
        await history.write(batch([("vm-1", at, float(at))]))
    whole = log.read_bytes()
    database = (folder / "store.duckdb").read_bytes()
    await history.close()
    for cut in (1, 7, 60):
        (folder / "store.duckdb").write_bytes(database)
        log.write_bytes(whole[:-cut])
        async with History(folder) as again:
            assert await stored(again) == {"vm-1": {at: float(at) for at in range(4)}}


async def test_an_error_of_the_database_is_the_bridges(history: History) -> None:
    with (
        pytest.raises(BridgeError, match=r"the recording's database: .*nothing"),
        history._store.snapshot() as cursor,
    ):
        cursor.execute("SELECT * FROM nothing")


async def test_maintenance_names_the_file_that_stops_it_and_does_the_rest(filled: Path) -> None:
    bad = only(filled, "raw/2026-03*")
    spoil(bad, "page")
    clock = Clock(MAY + DAY)
    async with History(filled, clock=clock) as history:
        await history.write(batch([("vm-1", month + 1, 1.0) for month in (MARCH, APRIL, MAY)]))
        clock.ms += DAY
        with pytest.raises(HistoryDamagedError) as caught:
            await history.maintain()
        assert caught.value.path == bad
        stats = await history.stats()
        assert (stats.late, stats.recent) == (1, 0)
        await history.set_aside(bad)
        await history.maintain()
        assert (await history.stats()).late == 0
