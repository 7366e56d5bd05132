"""Fills the disk under a store: ``python -m tests.sources.history.full_disk FOLDER HOW``.

``HOW`` is ``limit``, where the kernel refuses files of this process to grow, or ``disk``,
where the folder is a small file system of its own that is filled with ballast.
"""

from __future__ import annotations

import asyncio
import contextlib
import resource
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import structlog

from bridge.sources.history import History, HistoryFullError
from bridge.sources.history import store as store_module
from tests.sources.history.batches import batch, stored

if TYPE_CHECKING:
    from collections.abc import Iterator

DAY = 86_400_000
MARCH = 1_772_323_200_000
MACHINES = 400


class Room:
    """The room that is left for files."""

    def __init__(self, folder: Path, how: str) -> None:
        self._ballast = folder / "ballast"
        self._how = how
        self._most = resource.getrlimit(resource.RLIMIT_FSIZE)[1]

    def take(self, *, left: int) -> None:
        """Leave so many bytes: of the disk, or to each file."""
        if self._how == "limit":
            resource.setrlimit(resource.RLIMIT_FSIZE, (left, self._most))
            return
        free = shutil.disk_usage(self._ballast.parent).free
        with contextlib.suppress(OSError), self._ballast.open("ab") as file:
            file.write(bytes(max(free - left, 0)))

    def give(self) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (self._most, self._most))
        self._ballast.unlink(missing_ok=True)


class Points:
    """What has been stored, and is looked for."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._stored: dict[str, dict[int, float]] = {}
        self.polls = 0

    async def write(self) -> None:
        stamp = MARCH + self.polls * 600_000
        given = [(f"vm-{n}", stamp, self.polls + n / 1000) for n in range(MACHINES)]
        await self._history.write(batch(given))
        self.polls += 1
        for vm, at, value in given:
            self._stored.setdefault(vm, {})[at] = value

    async def check(self) -> None:
        assert await stored(self._history) == self._stored


@contextlib.contextmanager
def refused() -> Iterator[None]:
    """Expect a clear refusal."""
    with pytest.raises(HistoryFullError, match="nothing has been written") as caught:
        yield
    assert caught.value.retry_after == 60


async def main(folder: Path, how: str) -> None:
    room = Room(folder, how)
    clock = {"now": MARCH / 1000}
    async with History(folder, clock=lambda: clock["now"]) as history:
        points = Points(history)
        store = history._store
        for _ in range(20):
            await points.write()

        # The write-ahead log cannot grow.
        room.take(left=store.database.log_bytes() + 100 if how == "limit" else 0)
        for _ in range(3):
            with refused():
                await points.write()
            await points.check()
        room.give()
        await points.write()
        await points.check()
        print("log: ok", flush=True)

        # The database cannot grow: the checkpoint fails, what was written stays.
        for _ in range(120):
            await points.write()
        size = (folder / "store.duckdb").stat().st_size
        room.take(left=size + 1000 if how == "limit" else 20_000)
        store.tidy_log(0)
        await points.check()
        room.give()
        await points.write()
        store.tidy_log(0)
        await points.check()
        print("checkpoint: ok", flush=True)

        # A month's files cannot be written.
        clock["now"] = (MARCH + 2 * DAY) / 1000
        room.take(left=2000)
        for _ in range(2):
            with refused():
                await history.maintain()
            await points.check()
        assert [path for _, path in store.layout.found()] == []
        room.give()
        moved = (await history.maintain()).moved
        assert moved == points.polls * MACHINES, moved
        await points.check()
        print("files: ok", flush=True)

        # A backup has no room, and does no harm.
        if how == "limit":
            room.take(left=3000)
            with pytest.raises(HistoryFullError):
                await history.back_up(folder.parent / "backup")
            room.give()
            await history.back_up(folder.parent / "backup")
        await points.write()
    async with History(folder, clock=lambda: clock["now"]) as history:
        points._history = history
        await points.check()
        assert (await history.verify()).problems == ()
    print("all: ok", flush=True)


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    store_module.SPARE_BYTES = 0  # the guard that comes before all this
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
