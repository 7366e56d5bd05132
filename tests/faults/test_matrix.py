"""Every cell of the fault matrix (``table``), many at a time, in processes of their own."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.commands import environment
from tests.faults.outcomes import COLUMNS
from tests.faults.table import TABLE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CELLS = [(row.id, column) for row in TABLE for column in COLUMNS]
#: Each keeps a processor busy.
PROCESSES = 2
#: Longest time for all cells, on a slow machine.
PATIENCE_S = 900


@pytest.fixture(scope="module")
def outcomes(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> dict[tuple[str, str], str | None]:
    """What is wrong with each cell that is to be looked at."""
    wanted = [
        item.callspec.params["cell"]
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.function is test_cell
    ]
    folder = tmp_path_factory.mktemp("faults")
    with contextlib.ExitStack() as stack:
        workers = [
            stack.enter_context(started(wanted[number::PROCESSES], folder / f"{number}"))
            for number in range(PROCESSES)
        ]
        for worker in workers:
            worker.wait(PATIENCE_S)
    found: dict[tuple[str, str], str | None] = {}
    for number in range(PROCESSES):
        for line in (folder / f"{number}.out").read_text(encoding="utf-8").splitlines():
            name, column, failure, _ = json.loads(line)
            found[name, column] = failure
        said = (folder / f"{number}.err").read_text(encoding="utf-8", errors="replace")
        assert not said, f"told outside of any cell: {said[:3_000]}"
    return found


@contextlib.contextmanager
def started(cells: list[tuple[str, str]], output: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Start a process that runs cells; end it in any case."""
    with (
        output.with_suffix(".out").open("wb") as out,
        output.with_suffix(".err").open("wb") as err,
        subprocess.Popen(
            [sys.executable, "-m", "tests.faults", "--stdin"],
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=err,
            env=environment(HOME=str(output.parent)),
        ) as worker,
    ):
        assert worker.stdin is not None
        worker.stdin.write(json.dumps(cells).encode())
        worker.stdin.close()
        try:
            yield worker
        finally:
            worker.kill()


@pytest.mark.timeout(PATIENCE_S)
@pytest.mark.parametrize("cell", CELLS, ids=[f"{name}, {column}" for name, column in CELLS])
def test_cell(cell: tuple[str, str], outcomes: dict[tuple[str, str], str | None]) -> None:
    assert cell in outcomes, "it was not run"
    assert outcomes[cell] is None, outcomes[cell]


def test_the_table_is_as_large_as_promised() -> None:
    names = [row.id for row in TABLE]
    assert len(set(names)) == len(names) >= 40
    assert {row.part for row in TABLE} == {"api", "opentsdb", "warp10"}
