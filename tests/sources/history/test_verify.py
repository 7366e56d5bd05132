"""What verification finds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import duckdb
import pytest

from bridge.sources.history import History
from tests.sources.history.batches import batch
from tests.sources.history.test_maintenance import DAY, HOUR, MARCH, MINUTE, Clock

if TYPE_CHECKING:
    from pathlib import Path

CLOCK = Clock(MARCH + 2 * DAY)


def rewritten(path: Path, sql: str) -> None:
    """Replace a file's rows, as a program that errs would."""
    with duckdb.connect() as connection:
        connection.execute(f"CREATE TABLE rows AS SELECT * FROM '{path}'")  # noqa: S608
        connection.execute(sql)
        connection.execute(f"COPY rows TO '{path}' (FORMAT parquet)")


WRONG = (
    ("raw", "INSERT INTO rows FROM rows ORDER BY time DESC LIMIT 1", "several rows for one"),
    ("raw", "INSERT INTO rows FROM rows LIMIT 1", "not in order"),
    ("raw", "DELETE FROM rows WHERE time % 7 = 0", "rows instead of 180"),
    ("raw", "INSERT INTO rows SELECT max(series) + 7, max(time), 1 FROM rows", "without a name"),
    ("raw", "UPDATE rows SET time = time + 90 * 86400000::BIGINT", "times of another month"),
    ("raw", "INSERT INTO rows SELECT max(series), max(time) + 1, 'nan' FROM rows", "not finite"),
    ("raw", "INSERT INTO rows SELECT 1::BIGINT << 62, max(time), 1 FROM rows", "another part"),
    ("raw", "UPDATE rows SET value = value + 1", "buckets differ from the points in raw/"),
    ("1h", "UPDATE rows SET count = count + 1", "3 buckets differ from the points in raw/"),
    ("10m", "UPDATE rows SET sum = sum + 0.1", "18 buckets differ from the points in raw/"),
    ("10m", "UPDATE rows SET time = time + 1", "times off the grid"),
)


@pytest.mark.parametrize(("tier", "sql", "said"), WRONG)
async def test_a_file_with_other_rows(folder: Path, tier: str, sql: str, said: str) -> None:
    async with History(folder, clock=CLOCK) as history:
        points = [("vm-1", MARCH + n * MINUTE, n / 3) for n in range(180)]
        await history.write(batch(points))
        await history.maintain()
        told: list[tuple[int, int]] = []
        verified = await history.verify(lambda *step: told.append(step))
        assert verified.problems == ()
        assert (verified.files, verified.rows) == (3, 180 + 18 + 3)
        assert told == [(0, 1), (1, 1)]
    (path,) = folder.glob(f"{tier}/*")
    rewritten(path, sql)
    async with History(folder, clock=CLOCK) as history:
        problems = (await history.verify()).problems
    # The size tells it as well.
    assert any("bytes instead of" in problem for problem in problems)
    assert any(said in problem and path.name in problem for problem in problems), problems


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("INSERT INTO recent SELECT * FROM recent", "1 times with several points of a series"),
        ("UPDATE recent SET series = 7", "1 points of series without a name (table recent)"),
    ],
)
async def test_tables_with_other_rows(folder: Path, change: str, said: str) -> None:
    async with History(folder) as history:
        await history.write(batch([("vm-1", MARCH + HOUR, 1.0)]))
        with history._store.database.transaction() as cursor:
            cursor.execute(change)
        (problem,) = (await history.verify()).problems
        assert said in problem
        assert "store.duckdb" in problem
