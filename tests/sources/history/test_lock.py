"""One bridge a folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from bridge.errors import BridgeError
from bridge.sources.history import History, HistoryInUseError, set_database_aside
from tests.commands import Running
from tests.sources.history.batches import batch, stored

if TYPE_CHECKING:
    from pathlib import Path

HOLDER = """
import asyncio, sys, time
from pathlib import Path
from bridge.sources.history import History

async def hold():
    async with History(Path(sys.argv[1])):
        print("holding", flush=True)
        time.sleep(600)

asyncio.run(hold())
"""


async def test_a_second_process_is_refused_and_told_who_holds_it(tmp_path: Path) -> None:
    with subprocess.Popen(  # noqa: ASYNC220 -- nothing else runs meanwhile
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as process:
        holder = Running(process)
        holder.until("holding")
        with pytest.raises(
            HistoryInUseError, match=rf"in use by process {process.pid} on .*ask that bridge"
        ) as caught:
            await History(tmp_path).open()
        assert caught.value.status == 503
        with pytest.raises(HistoryInUseError):
            set_database_aside(tmp_path)
        # A lock dies with its process, however that ends.
        holder.end(signal.SIGKILL)
    async with History(tmp_path) as history:
        await history.write(batch([("vm-1", 0, 1.0)]))
        assert await stored(history) == {"vm-1": {0: 1.0}}


async def test_the_same_process_cannot_open_it_twice(history: History, folder: Path) -> None:
    with pytest.raises(HistoryInUseError, match=f"process {os.getpid()}"):
        await History(folder).open()
    await history.write(batch([("vm-1", 0, 1.0)]))


@pytest.mark.parametrize("name", ["a*b", "a?b", "a[b]"])
async def test_a_folder_that_duckdb_takes_for_a_pattern_is_refused(
    tmp_path: Path, name: str
) -> None:
    with pytest.raises(BridgeError, match=r"expected a path without \*, \? and \["):
        await History(tmp_path / name).open()


async def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BridgeError, match="folder of the recording cannot be used"):
        await History(tmp_path / "file").open()


async def test_a_folder_may_have_quotes_and_spaces(tmp_path: Path) -> None:
    folder = tmp_path / 'it\'s a "folder" {x}'
    async with History(folder) as history:
        await history.write(batch([("vm-1", 0, 1.0), ("vm-1", 7_200_000, 2.0)]))
        await history.maintain(everything=True)
        assert await stored(history) == {"vm-1": {0: 1.0, 7_200_000: 2.0}}
        assert (await history.stats()).tiers["raw"].files == 1
