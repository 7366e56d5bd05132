"""Stores of earlier versions become present ones; newer and foreign ones are refused."""

from __future__ import annotations

import zipfile
from pathlib import Path

import duckdb
import pytest

from bridge.catalog import Kind
from bridge.errors import UpstreamError
from bridge.model import LabelEra
from bridge.sources.history import History, HistoryVersionError, Retention, schema
from bridge.sources.history.schema import VERSION
from tests.sources.history.batches import batch, stored

FIXTURES = Path(__file__).parents[2] / "fixtures"
NEW_YEAR = 1_767_225_600_000  # 2026-01-01
DAY = 86_400_000


def expected(days: int) -> dict[str, dict[int, float]]:
    """What the fixtures hold: every six hours, values that say where they belong."""
    return {
        f"vm-{n}": {
            NEW_YEAR + day * DAY + hour * DAY // 4: day + hour / 10 + n / 100
            for day in range(days)
            for hour in range(4)
        }
        for n in (1, 2)
    }


@pytest.fixture(params=sorted(FIXTURES.glob("history-v*.zip")), ids=lambda path: path.stem)
def earlier(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A store written by an earlier version, whose process was killed."""
    with zipfile.ZipFile(request.param) as archive:
        archive.extractall(tmp_path)
    return tmp_path


async def test_an_earlier_store_is_migrated_with_all_it_holds(earlier: Path) -> None:
    now = (NEW_YEAR + 46 * DAY) / 1000
    async with History(earlier, clock=lambda: now) as history:
        assert await stored(history) == expected(45)
        assert await stored(history, metric="vscope.vm.net.rx") == {"vm-1": {NEW_YEAR: 5.0}}
        assert (await history.stats()).version == VERSION
        assert await history.eras() == (
            LabelEra(
                Kind.VM,
                "pcc-1_datacenter1",
                "vm-1",
                (("cluster", "a"), ("host_name", "h1")),
                NEW_YEAR,
                NEW_YEAR + 5000,
            ),
            LabelEra(
                Kind.VM,
                "pcc-1_datacenter1",
                "vm-1",
                (("cluster", "b"), ("host_name", "h2")),
                NEW_YEAR + 5000,
            ),
        )
        await history.write(batch([("vm-1", NEW_YEAR + 46 * DAY, 1.0)]))
        await history.maintain()
        assert (await history.verify()).problems == ()
        found = await stored(history)
        assert found["vm-2"] == expected(45)["vm-2"]
        assert found["vm-1"] == expected(45)["vm-1"] | {NEW_YEAR + 46 * DAY: 1.0}


async def test_a_broken_migration_leaves_the_earlier_store(
    earlier: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(cursor: duckdb.DuckDBPyConnection) -> None:
        cursor.execute("DROP TABLE series")
        cursor.execute("SELECT * FROM no_such_table")

    monkeypatch.setattr(schema, "STEPS", (*schema.STEPS, broken))
    monkeypatch.setattr(schema, "VERSION", VERSION + 1)
    with pytest.raises(UpstreamError, match="no_such_table"):
        await History(earlier).open()
    monkeypatch.undo()
    async with History(earlier, clock=lambda: NEW_YEAR / 1000) as history:
        assert await stored(history) == expected(45)


async def test_a_newer_store_is_refused_and_left_alone(tmp_path: Path) -> None:
    async with History(tmp_path) as history:
        await history.write(batch([("vm-1", NEW_YEAR, 1.0)]))
    with duckdb.connect(str(tmp_path / "store.duckdb")) as connection:
        connection.execute("UPDATE meta SET value = ? WHERE key = 'version'", [str(VERSION + 1)])
    with pytest.raises(
        HistoryVersionError, match=rf"has version {VERSION + 1}.*newer bridge.*up to {VERSION}"
    ):
        await History(tmp_path).open()
    with duckdb.connect(str(tmp_path / "store.duckdb"), read_only=True) as connection:
        assert connection.execute("SELECT count(*) FROM recent").fetchall() == [(1,)]


async def test_a_foreign_database_is_refused(tmp_path: Path) -> None:
    with duckdb.connect(str(tmp_path / "store.duckdb")) as connection:
        connection.execute("CREATE TABLE theirs (x INTEGER)")
    with pytest.raises(HistoryVersionError, match="no recording of this bridge"):
        await History(tmp_path, Retention()).open()
    with duckdb.connect(str(tmp_path / "store.duckdb"), read_only=True) as connection:
        assert connection.execute("SELECT table_name FROM duckdb_tables()").fetchall() == [
            ("theirs",)
        ]
