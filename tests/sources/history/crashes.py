"""Kills recording processes, and looks at what they leave behind."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from bridge.model import BucketFunction, BucketRequest, PointRequest
from bridge.sources.history import History
from tests.commands import environment
from tests.sources.history.batches import stored
from tests.sources.history.test_migration import expected
from tests.sources.history.victim import KEYS, POLL_MS, RETENTION, START_MS

if TYPE_CHECKING:
    from bridge.sources.history import Verified

ROOT = Path(__file__).parents[3]
HOUR = 3_600_000


def killed(folder: Path, what: str, *, step: int = 0, after_s: float | None = None) -> int | None:
    """Record until the process is killed, or is at its end.

    Args:
        folder: Where.
        what: ``write`` or ``maintain``.
        step: At which step it kills itself; 0 for none.
        after_s: Seconds after its first poll at which it is killed.

    Returns:
        The number of the last poll it said was stored; None if it stored none.
    """
    command = [sys.executable, "-m", "tests.sources.history.victim", str(folder), what, str(step)]
    last = None
    with subprocess.Popen(
        command, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        deadline = None
        for line in process.stdout:
            word, number = line.split()[:2] if line[:6] in {"stored", "steps "} else ("", "")
            if word == "stored":
                last = int(number)
            if after_s is not None and deadline is None:
                deadline = time.monotonic() + after_s
            if deadline is not None and time.monotonic() >= deadline:
                process.kill()
        code = process.wait()
    assert code in {0, -9}, code
    return last


def look(folder: Path, last: int) -> int:
    """Check that a store has every poll up to one, whole, and at most one more.

    Returns:
        The number of the newest poll in it.
    """
    return asyncio.run(_look(folder, last))


def look_migrated(folder: Path) -> None:
    """Check that what the fixture of version 1 holds is all there, and at most one poll more."""
    asyncio.run(_look_migrated(folder))


async def _look_migrated(folder: Path) -> None:
    async with History(folder) as history:
        assert await stored(history) == expected(45)
        assert len(await history.eras()) in {2, 3}
        assert (await history.verify()).problems == ()


async def _look(folder: Path, last: int) -> int:
    now = (START_MS + (last + 1) * POLL_MS) / 1000
    async with History(folder, RETENTION, clock=lambda: now) as history:
        stats = await history.stats()
        assert stats.problems == ()
        newest = -1 if stats.last_ms is None else (stats.last_ms - START_MS) // POLL_MS
        assert newest in {last, last + 1}, f"{newest} is stored, {last} was told"
        verified: Verified = await history.verify()
        assert verified.problems == ()
        if newest < 0:
            return newest
        end = START_MS + (newest + 1) * POLL_MS
        sums = await history.buckets(
            BucketRequest(KEYS[0].metric, (), START_MS, end, HOUR, frozenset({BucketFunction.SUM}))
        )
        assert len(sums) == len(KEYS)
        for place, series in enumerate(sums):
            assert series.tags == dict(KEYS[place].tags)
            found = dict(
                zip(
                    series.stamps_ms.tolist(),
                    series.columns[BucketFunction.SUM].tolist(),
                    strict=True,
                )
            )
            assert found == {START_MS + n * POLL_MS: n + place / 100 for n in range(newest + 1)}
        recent = await history.points(
            PointRequest(KEYS[0].metric, (), end - 8 * POLL_MS, end, 1_000_000)
        )
        assert {len(series.stamps_ms) for series in recent} == {min(newest + 1, 8)}
        eras = [era.since_ms for era in await history.eras()]
        assert eras == [START_MS + n * POLL_MS for n in range(newest + 1)]
        return newest
