"""The demo as a person starts it, in processes of its own."""

from __future__ import annotations

import functools
import time
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.commands import running
from tests.dashboards.walk import load, walk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.dashboards.walk import Walk


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of the running demo, bridge and simulated OVHcloud."""
    with running("demo", "--port", "0", cwd=tmp_path_factory.mktemp("demo")) as process:
        line = process.until("vScope bridge")[-1]
        with httpx.Client(base_url=line.split()[-1], timeout=30) as client:
            process.until("Ctrl-C")
            for _ in range(100):
                if client.get("/readyz").status_code == 200:
                    break
                time.sleep(0.1)
            yield client


@pytest.fixture(scope="session")
def opened(demo: httpx.Client) -> Callable[[Path], Walk]:
    """Open a dashboard in the demo, once for all tests."""
    return functools.cache(lambda path: walk(demo, load(path)))
