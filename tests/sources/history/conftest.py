from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bridge.sources.history import History

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture
async def history(tmp_path: Path) -> AsyncIterator[History]:
    async with History(tmp_path / "history") as opened:
        yield opened
