"""Runs cells: ``python -m tests.faults [words of a row] [column]``; all of them without words.

One line of JSON a cell. With ``--stdin``, the names of cells are read from there.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

from tests.faults.cells import run_one
from tests.faults.outcomes import COLUMNS
from tests.faults.stand import STRAY, set_up_process
from tests.faults.table import TABLE

#: Cells at the same time: most of each is waiting.
AT_ONCE = 8


async def run(cells: list[tuple[str, str]]) -> int:
    rows = {row.id: row for row in TABLE}
    turns = asyncio.Semaphore(AT_ONCE)

    async def one(name: str, column: str) -> bool:
        async with turns:
            began = time.monotonic()
            failure = await asyncio.create_task(run_one(rows[name], column))
        took = round(time.monotonic() - began, 1)
        print(json.dumps([name, column, failure, took]), flush=True)
        return failure is None

    done = await asyncio.gather(*(one(*cell) for cell in cells))
    for line in STRAY:
        print(line, file=sys.stderr)
    return 0 if all(done) else 1


def chosen(words: list[str]) -> list[tuple[str, str]]:
    columns = [word for word in words if word in COLUMNS] or list(COLUMNS)
    others = [word for word in words if word not in COLUMNS]
    return [
        (row.id, column) for row in TABLE for column in columns if all(w in row.id for w in others)
    ]


if __name__ == "__main__":
    set_up_process()
    if sys.argv[1:] == ["--stdin"]:
        wanted = [(name, column) for name, column in json.load(sys.stdin)]
    else:
        wanted = chosen(sys.argv[1:])
    sys.exit(asyncio.run(run(wanted)))
