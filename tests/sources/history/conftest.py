from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bridge.sources.history import History, merging
from tests.sources.history.batches import MEMORY

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder for a store, in memory where there is such a place."""
    made = Path(tempfile.mkdtemp(prefix="history-", dir=MEMORY))
    yield made
    shutil.rmtree(made)


@pytest.fixture
async def history(folder: Path) -> AsyncIterator[History]:
    async with History(folder) as opened:
        yield opened


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut months into parts at a few points instead of millions."""
    monkeypatch.setattr(merging, "MOST_POINTS", 6)
    monkeypatch.setattr(merging, "SOME_POINTS", 3)
