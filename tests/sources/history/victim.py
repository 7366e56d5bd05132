"""A process that records until it is killed: ``python -m tests.sources.history.victim``.

Arguments: a folder, what to do (``write`` or ``maintain``), and the number of the step at
which the process kills itself; 0 leaves that to others. Steps are what changes files: a
commit about to begin or just done, a file made durable, moved or deleted. Each poll that is
stored is told on a line, and the number of steps at the end.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bridge.catalog import Kind
from bridge.model import LabelEra, PointBatch, SeriesKey
from bridge.sources.history import History, Retention, copies, merging, partfiles, schema
from bridge.sources.history.database import Database

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SERIES = 7
START_MS = 1_772_323_200_000  # 2026-03-01
POLL_MS = 6 * 3_600_000
RETENTION = Retention(raw_days=5, ten_minutes_days=40, hour_days=4000)
KEYS = tuple(SeriesKey("vscope.vm.net.rx", (("vm", f"vm-{n}"),)) for n in range(SERIES))
LABELS = (("cluster", "a"),)


def poll(number: int) -> PointBatch:
    return PointBatch(
        KEYS,
        np.arange(SERIES, dtype=np.int32),
        np.full(SERIES, START_MS + number * POLL_MS, dtype=np.int64),
        number + np.arange(SERIES) / 100,
    )


class Steps:
    """Counts steps, and kills this process at one of them."""

    def __init__(self, deadly: int) -> None:
        self.taken = 0
        self._deadly = deadly

    def step(self) -> None:
        self.taken += 1
        if self.taken == self._deadly:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(self, owner: Any, name: str) -> None:
        """Count a step before each call of a function."""
        plain: Callable[..., Any] = getattr(owner, name)

        def counted(*args: Any, **kwargs: Any) -> Any:
            self.step()
            return plain(*args, **kwargs)

        setattr(owner, name, counted)

    def watch(self) -> None:
        for owner, name in (
            (partfiles, "sync"),
            (copies, "sync"),
            (Path, "rename"),
            (Path, "replace"),
            (Path, "unlink"),
            (merging, "replace_files"),
        ):
            self.around(owner, name)
        plain = Database.transaction

        @contextlib.contextmanager
        def transaction(database: Database) -> Iterator[Any]:
            with plain(database) as cursor:
                yield cursor
                self.step()
            self.step()

        Database.transaction = transaction  # type: ignore[method-assign]
        schema.STEPS = tuple(self._counted(step) for step in schema.STEPS)

    def _counted(self, plain: Callable[[Any], None]) -> Callable[[Any], None]:
        def counted(cursor: Any) -> None:
            plain(cursor)
            self.step()

        return counted


async def record(folder: Path, *, maintain: bool) -> None:
    """Write a poll after the other; with ``maintain`` a day, then maintenance."""
    clock = {"ms": START_MS}
    async with History(folder, RETENTION, clock=lambda: clock["ms"] / 1000) as history:
        newest = (await history.stats()).last_ms
        number = 0 if newest is None else (newest - START_MS) // POLL_MS + 1
        for _ in range(160):
            clock["ms"] = START_MS + number * POLL_MS
            era = LabelEra(Kind.VM, "", "vm-0", LABELS, clock["ms"])
            await history.write(poll(number), [era])
            print("stored", number, flush=True)
            number += 1
            if maintain and number % 4 == 0:
                await history.maintain()


def main() -> None:
    folder, what, deadly = sys.argv[1:4]
    steps = Steps(int(deadly))
    steps.watch()
    asyncio.run(record(Path(folder), maintain=what == "maintain"))
    print("steps", steps.taken, flush=True)


if __name__ == "__main__":
    main()
