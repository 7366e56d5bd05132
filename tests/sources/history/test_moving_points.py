"""Export, import, backup: points into and out of a store."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

from bridge.catalog import Kind
from bridge.errors import BadRequestError
from bridge.model import FilterKind, LabelEra, PointBatch, SeriesKey, TagFilter
from bridge.sources.history import ExportRequest, History, Retention, importing, merging
from tests.sources.history.batches import METRIC, batch, stored
from tests.sources.history.test_maintenance import DAY, HOUR, MARCH, MINUTE, Clock

if TYPE_CHECKING:
    from pathlib import Path

APRIL = MARCH + 31 * DAY
CLOCK = Clock(APRIL + 3 * DAY)
OTHER = "vscope.vm.net.rx"


async def save(history: History, path: Path, request: ExportRequest) -> Path:
    with path.open("wb") as file:
        async for piece in history.export(request):
            file.write(piece)
    return path


async def fill(history: History) -> None:
    """Points in files of two months, recent ones, late ones."""
    points = [
        (f"vm-{n}", MARCH + at * 6 * HOUR, at + n / 7) for at in range(136) for n in (1, 2, 3)
    ]
    await history.write(batch(points))
    await history.write(batch([("vm-1", MARCH, 5.0), ("vm-1", APRIL, 6.0)], metric=OTHER))
    await history.maintain()
    await history.write(batch([("vm-2", MARCH + 1, -1.5), ("vm-2", MARCH, -2.5)]))


@pytest.mark.parametrize("form", ["csv", "parquet"])
async def test_what_is_exported_can_be_imported(folder: Path, form: Any) -> None:
    async with History(folder / "a", clock=CLOCK) as history:
        await fill(history)
        path = await save(history, folder / "all", ExportRequest(form))
        expected = await stored(history), await stored(history, OTHER)
    told: list[tuple[int, int]] = []
    async with History(folder / "b", clock=CLOCK) as history:
        done = await history.import_file(path, lambda *step: told.append(step))
        assert (done.rows, done.stored, done.series, done.new_series) == (411, 411, 4, 4)
        assert told[-1] == (411, 411)
        assert (await stored(history), await stored(history, OTHER)) == expected
        assert (await history.stats()).late == 0
        assert (await history.verify()).problems == ()
        files = {path.name for path in folder.glob("b/raw/*")}
        # The same once more changes nothing, not even a file.
        again = await history.import_file(path)
        assert (again.rows, again.new_series) == (411, 0)
        assert {path.name for path in folder.glob("b/raw/*")} == files
        assert (await stored(history), await stored(history, OTHER)) == expected


async def test_an_export_can_be_narrowed(history: History, folder: Path) -> None:
    await fill(history)
    only = TagFilter("vm", FilterKind.LITERAL_OR, "vm-1")
    request = ExportRequest("csv", ("*.usage.*",), (only,), MARCH, MARCH + 6 * HOUR)
    text = (await save(history, folder / "some.csv", request)).read_text()
    head, *lines = text.splitlines()
    assert [head, *sorted(lines)] == [
        "metric,time,value,datacenter,vm",
        f"{METRIC},{MARCH},{1 / 7},pcc-1_datacenter1,vm-1",
        f"{METRIC},{MARCH + 6 * HOUR},{1 + 1 / 7},pcc-1_datacenter1,vm-1",
    ]
    with pytest.raises(BadRequestError, match=r"no recorded series matches no\.such"):
        await save(history, folder / "none", ExportRequest("csv", ("no.such",)))


async def test_roll_ups_can_be_exported(folder: Path) -> None:
    clock = Clock(MARCH + 2 * DAY)
    async with History(folder, clock=clock) as history:
        await history.write(batch([("vm-1", MARCH + n * MINUTE, float(n)) for n in range(15)]))
        await history.maintain()
        await history.write(batch([("vm-1", MARCH + 2 * DAY, 7.0)]))
        path = await save(history, folder / "rows", ExportRequest("parquet", tier="10m"))
        found = duckdb.read_parquet(str(path)).order("time")
        rows = found.project("time, sum, count, min, max, first, last").fetchall()
        assert rows == [
            (MARCH, 45.0, 10, 0.0, 9.0, 0.0, 9.0),
            (MARCH + 10 * MINUTE, 60.0, 5, 10.0, 14.0, 10.0, 14.0),
            (MARCH + 2 * DAY, 7.0, 1, 7.0, 7.0, 7.0, 7.0),
        ]
        assert found.project("tags").fetchall()[0] == (
            {"datacenter": "pcc-1_datacenter1", "vm": "vm-1"},
        )
        await history.write(batch([("vm-1", MARCH, 1.0)]))
        with pytest.raises(BadRequestError, match="compact the recording first"):
            await save(history, folder / "rows", ExportRequest("parquet", tier="1h"))


async def test_labels_that_csv_cannot_carry_are_refused(history: History, folder: Path) -> None:
    given = batch([("x", 10**12, 1.0)])
    odd = SeriesKey("m", (('a,"b', "1\n2"), ("time", "3")))
    await history.write(PointBatch((odd,), given.series, given.stamps_ms, given.values))
    with pytest.raises(BadRequestError, match=r"label called 'time' .* export to Parquet"):
        await save(history, folder / "x", ExportRequest("csv"))
    path = await save(history, folder / "x", ExportRequest("parquet"))
    async with History(folder / "other") as other:
        await other.import_file(path)
        assert await other.lookup("m", ()) == ({'a,"b': "1\n2", "time": "3"},)


async def test_an_export_that_nobody_reads_on_ends(history: History) -> None:
    stamps = range(MARCH, MARCH + 100_000)
    await history.write(batch([("vm-1", at, at * 0.7) for at in stamps]))
    async for piece in history.export(ExportRequest("csv")):
        assert piece
        break
    assert len((await stored(history))["vm-1"]) == 100_000
    assert await asyncio.wait_for(history.verify(), 60)


def csv(path: Path, text: str) -> Path:
    path.write_text(text.replace(" ", ""), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("metric,time\na,1", "has no column 'value'; expected metric, time and value"),
        ("a,b\n1,2", "has no column 'metric'"),
        ("metric,time,value,tags,vm\na,1772323200000,1,{},x", "a column tags and others"),
        (f"metric,time,value\na,{MARCH},1\n,{MARCH},2", "1 of 2 rows are wrong.*without a metric"),
        (f"metric,time,value\na,{MARCH},x", "the value 'x' of a: expected a finite number"),
        (f"metric,time,value\na,{MARCH},inf", "the value 'inf' of a"),
        (f"metric,time,value\na,{MARCH},", "the value None of a"),
        ("metric,time,value\na,2026-03-01,1", "the time '2026-03-01' of a: expected epoch milli"),
        (f"metric,time,value\na,{MARCH // 1000},1", "it looks like seconds"),
        (f"metric,time,value\na,{MARCH}000,1", "expected epoch milliseconds"),
        (f'metric,time,value,tags\na,{MARCH},1,"[1]"', "are no map of texts"),
        (f'metric,time,value,tags\na,{MARCH},1,"{{"', "are no map of texts"),
        ("", "cannot be read|has no column"),
    ],
)
async def test_a_file_with_a_wrong_row_is_refused_whole(
    history: History, folder: Path, text: str, said: str
) -> None:
    with pytest.raises(BadRequestError, match=said):
        await history.import_file(csv(folder / "in.csv", text))
    assert await history.metric_names("", 9) == ()
    stats = await history.stats()
    assert (stats.points, stats.series) == (0, 0)


async def test_files_that_are_none(history: History, folder: Path) -> None:
    with pytest.raises(BadRequestError, match="in cannot be read: No such file"):
        await history.import_file(folder / "in")
    (folder / "in").write_bytes(b"PAR1 and no more")
    with pytest.raises(BadRequestError, match="cannot be read"):
        await history.import_file(folder / "in")
    (folder / "in").write_bytes(bytes(range(256)) * 9)
    with pytest.raises(BadRequestError):
        await history.import_file(folder / "in")


async def test_forms_of_other_tools(history: History, folder: Path) -> None:
    tags = json.dumps({"vm": "vm-1", "env": "prod", "none": ""}).replace('"', '""')
    text = f'metric,time,value,tags\na,{MARCH},1.5,"{tags}"\nb,{MARCH},2,""\n'
    await history.import_file(csv(folder / "json.csv", text))
    assert await history.lookup("a", ()) == ({"vm": "vm-1", "env": "prod"},)
    assert await history.lookup("b", ()) == ({},)
    duckdb.sql(
        "SELECT 'c' AS metric, TIMESTAMP '2026-03-01 00:00:00' AS time, 3 AS value, 7 AS vm, "
        "NULL AS env UNION ALL SELECT 'c', TIMESTAMP '2026-03-01 00:00:01', 4, 7, 'x'"
    ).write_parquet(str(folder / "typed"))
    done = await history.import_file(folder / "typed")
    assert (done.rows, done.series) == (2, 2)
    assert await history.lookup("c", ()) == ({"env": "x", "vm": "7"}, {"vm": "7"})
    later = f"metric,time,value,vm\nd,{MARCH},1,x\nd,{MARCH},2,x\n"
    await history.import_file(csv(folder / "twice.csv", later))
    only = TagFilter("vm", FilterKind.LITERAL_OR, "x")
    assert await stored(history, "d", (only,)) == {"x": {MARCH: 2.0}}


async def test_an_import_that_was_broken_off_goes_on_where_it_was(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "metric,time,value,vm\n" + "".join(
        f"m,{MARCH + at * DAY},{at},vm-{at % 3}\n" for at in range(90)
    )
    path = csv(folder / "in.csv", text)
    merges = 0

    def failing(store: Any, part: Any) -> int:
        nonlocal merges
        merges += 1
        if merges == 2:
            raise OSError("pulled out")
        return merging.merge(store, part)

    async with History(folder / "s", clock=Clock(MARCH + 100 * DAY)) as history:
        monkeypatch.setattr(importing, "merge", failing)
        with pytest.raises(OSError, match="pulled out"):
            await history.import_file(path)
        monkeypatch.undo()
        await history.write(batch([("vm-9", MARCH, 1.0)]))
    async with History(folder / "s", clock=Clock(MARCH + 100 * DAY)) as history:
        done = await history.import_file(path)
        assert (done.rows, done.stored) == (90, 59)
        found = await stored(history, "m")
        assert found == {
            f"vm-{n}": {MARCH + at * DAY: float(at) for at in range(n, 90, 3)} for n in range(3)
        }
        assert (await history.verify()).problems == ()


async def test_polls_are_stored_while_an_import_runs(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(merging, "MOST_POINTS", 40)
    monkeypatch.setattr(merging, "SOME_POINTS", 20)
    text = "metric,time,value,vm\n" + "".join(
        f"m,{MARCH + at * HOUR},{at},vm-{n}\n" for at in range(400) for n in range(3)
    )
    path = csv(folder / "in.csv", text)
    clock = Clock(MARCH + 40 * DAY)
    async with History(folder / "s", clock=clock) as history:
        running = asyncio.create_task(history.import_file(path))
        polls = 0
        while not running.done():
            polls += 1
            await history.write(batch([("vm-1", clock.ms + polls, float(polls))]))
            assert len((await stored(history))["vm-1"]) == polls
        assert running.result().stored == 1200
        assert polls > 5
        assert (await history.verify()).problems == ()


async def test_a_backup_is_a_store_and_is_brought_up_to_date(folder: Path) -> None:
    era = LabelEra(Kind.VM, "dc", "vm-1", (("cluster", "a"),), MARCH)
    copy = folder / "copy"
    clock = Clock(APRIL + 3 * DAY)
    async with History(folder / "s", Retention(raw_days=2), clock=clock) as history:
        await fill(history)
        await history.write(batch([]), [era])
        first = await history.back_up(copy)
        assert (first.files, first.copied) == (6, 6)
        expected = await stored(history)
        async with History(copy, clock=clock) as other:
            assert await stored(other) == expected
            assert await other.eras() == (era,)
            assert (await other.verify()).problems == ()
            with pytest.raises(BadRequestError, match=r"is the recording itself"):
                await history.back_up(folder / "s")
        # Points go on, months go: the copy follows.
        await clock.run(history, 3)
        await history.write(batch([("vm-1", clock.ms, 1.0)]))
        second = await history.back_up(copy)
        assert second.files == 5
        await clock.run(history, 2)
        assert (await history.back_up(copy)).copied == 3  # April's
        assert (await history.back_up(copy)).copied == 0
        assert len(list(copy.glob("*/*.parquet"))) == 5
        expected = await stored(history, start_ms=APRIL)
    async with History(copy, Retention(raw_days=2), clock=clock) as other:
        assert await stored(other, start_ms=APRIL) == expected
        assert (await other.verify()).problems == ()


async def test_a_backup_while_points_are_written_and_moved(folder: Path) -> None:
    clock = Clock(MARCH + 3 * DAY)
    async with History(folder / "s", clock=clock) as history:
        await history.write(batch([(f"vm-{n}", MARCH, float(n)) for n in range(50)]))
        stop = False
        polls = 0

        async def busy() -> None:
            nonlocal polls
            while not stop:
                polls += 1
                clock.ms += 3 * HOUR
                await history.write(batch([(f"vm-{n}", clock.ms, 1.0) for n in range(50)]))
                await history.maintain()

        running = asyncio.create_task(busy())
        for at in range(3):
            while polls < 4 * at:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            await history.back_up(folder / f"copy{at}")
        stop = True
        await running
    for at in range(3):
        async with History(folder / f"copy{at}", clock=clock) as copy:
            found = await stored(copy)
            assert len(found) == 50
            assert len({frozenset(own) for own in found.values()}) == 1  # whole polls only
            assert (await copy.verify()).problems == ()


async def test_stats(folder: Path) -> None:
    clock = Clock(APRIL + 3 * DAY)
    async with History(folder, clock=clock) as history:
        empty = await history.stats()
        assert (empty.first_ms, empty.last_ms, empty.oldest_raw_ms, empty.points) == (
            None,
            None,
            None,
            0,
        )
        assert (empty.written_ms, empty.maintained_ms) == (None, None)
        await fill(history)
        stats = await history.stats()
    assert (stats.metrics, stats.series, stats.points) == (2, 4, 412)
    assert (stats.first_ms, stats.last_ms) == (MARCH, MARCH + 135 * 6 * HOUR)
    assert stats.oldest_raw_ms == MARCH
    assert (stats.recent, stats.late) == (12, 2)
    assert stats.tiers["raw"].rows == 398
    assert {name: tier.files for name, tier in stats.tiers.items()} == {"raw": 2, "10m": 2, "1h": 2}
    assert stats.tiers["1h"].size == sum(path.stat().st_size for path in folder.glob("1h/*"))
    assert stats.size > stats.database_size > 0
    assert (stats.written_ms, stats.maintained_ms) == (clock.ms, clock.ms)
    assert stats.problems == ()
