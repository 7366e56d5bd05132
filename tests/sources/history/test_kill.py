"""A process that is killed loses the running poll at most."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING

import pytest

from tests.commands import environment
from tests.sources.history.crashes import ROOT, killed, look

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("after_s", [0.0, 0.03])
def test_killed_while_writing(folder: Path, after_s: float) -> None:
    newest = -1
    for _ in range(2):
        told = killed(folder, "write", after_s=after_s)
        newest = look(folder, newest if told is None else told)


@pytest.mark.timeout(600)
def test_killed_at_steps_of_maintenance(folder: Path) -> None:
    """The steps of one day's maintenance, one after the other, and some in between."""
    newest = -1
    for step in (60, 74, 81, 88, 97, 143):
        told = killed(folder, "maintain", step=step)
        newest = look(folder, newest if told is None else told)
    assert newest > 8


@pytest.mark.parametrize("step", [1, 3, 4, 6])
def test_killed_while_migrating(folder: Path, step: int) -> None:
    with zipfile.ZipFile(ROOT / "tests" / "fixtures" / "history-v1.zip") as archive:
        archive.extractall(folder)
    command = [sys.executable, "-m", "tests.sources.history.victim", str(folder), "write"]
    first = subprocess.run([*command, str(step)], cwd=ROOT, env=environment(), check=False)
    assert first.returncode == -9
    check = [sys.executable, "-c", CHECK, str(folder)]
    assert subprocess.run(check, cwd=ROOT, env=environment(), check=False).returncode == 0


CHECK = """
import asyncio, sys
from pathlib import Path
from bridge.sources.history import History
from tests.sources.history.batches import stored
from tests.sources.history.test_migration import NEW_YEAR, expected

async def main():
    async with History(Path(sys.argv[1])) as history:
        assert await stored(history) == expected(45)
        assert len(await history.eras()) == 2
        assert (await history.verify()).problems == ()

asyncio.run(main())
"""
