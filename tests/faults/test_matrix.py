"""Every cell of the fault matrix (``table``), many at a time, in processes of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.commands import environment
from tests.faults.outcomes import COLUMNS
from tests.faults.table import TABLE

if TYPE_CHECKING:
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
    folder: Path = tmp_path_factory.mktemp("faults")
    workers = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.faults", "--stdin"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=(folder / f"errors-{number}").open("wb"),
            env=environment(HOME=str(folder)),
        )
        for number in range(PROCESSES)
    ]
    for number, worker in enumerate(workers):
        assert worker.stdin is not None
        worker.stdin.write(json.dumps(wanted[number::PROCESSES]).encode())
        worker.stdin.close()
    found: dict[tuple[str, str], str | None] = {}
    for number, worker in enumerate(workers):
        assert worker.stdout is not None
        for line in worker.stdout:
            name, column, failure, _ = json.loads(line)
            found[name, column] = failure
        worker.wait(PATIENCE_S)
        said = (folder / f"errors-{number}").read_text(encoding="utf-8", errors="replace")
        assert not said, f"told outside of any cell: {said[:3_000]}"
    return found


@pytest.mark.timeout(PATIENCE_S)
@pytest.mark.parametrize("cell", CELLS, ids=[f"{name}, {column}" for name, column in CELLS])
def test_cell(cell: tuple[str, str], outcomes: dict[tuple[str, str], str | None]) -> None:
    assert cell in outcomes, "it was not run"
    assert outcomes[cell] is None, outcomes[cell]


def test_the_table_is_as_large_as_promised() -> None:
    names = [row.id for row in TABLE]
    assert len(set(names)) == len(names) >= 40
    assert {row.part for row in TABLE} == {"api", "opentsdb", "warp10"}
