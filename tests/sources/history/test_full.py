"""A full disk refuses what is written, clearly, and nothing else."""

from __future__ import annotations

import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from bridge.sources.history import HistoryFullError, store
from tests.commands import environment
from tests.sources.history.batches import batch, stored
from tests.sources.history.crashes import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from bridge.sources.history import History


def test_files_that_cannot_grow(folder: Path) -> None:
    command = [sys.executable, "-m", "tests.sources.history.full_disk"]
    done = subprocess.run(
        [*command, str(folder / "store"), "limit"],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "all: ok"


async def test_a_disk_that_is_nearly_full_is_left_some_room(
    history: History, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await history.write(batch([("vm-1", 0, 1.0)]))
    usage = shutil.disk_usage(folder)
    monkeypatch.setattr(store, "SPARE_BYTES", usage.free + 1_000_000_000)
    with pytest.raises(HistoryFullError, match=f"{folder} is nearly full"):
        await history.write(batch([("vm-1", 1, 2.0)]))
    assert await stored(history) == {"vm-1": {0: 1.0}}
    monkeypatch.undo()
    await history.write(batch([("vm-1", 1, 2.0)]))
    assert await stored(history) == {"vm-1": {0: 1.0, 1: 2.0}}
