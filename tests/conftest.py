"""Fixtures shared by all tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

from bridge.demo.options import DemoOptions
from bridge.demo.server import create_simulator
from tests.servers import serving

if TYPE_CHECKING:
    from collections.abc import Iterator


# How long an example takes says more about the machine than about the code.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


#: Folders whose tests share something that takes long to start.
TOGETHER = frozenset({"box", "browser", "dashboards", "federate", "guide", "live"})


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """Keep the tests of a file together, and those of some folders, on one worker."""
    return _TogetherScheduling(config, log)


class _TogetherScheduling(LoadScopeScheduling):
    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        folder = file.removeprefix("tests/").partition("/")[0]
        return folder if folder in TOGETHER else file


def pytest_make_parametrize_id(val: object) -> str | None:
    """Name tests in the same way on every worker, whatever the order of sets or the time."""
    match val:
        case set() | frozenset():
            return str(sorted(val, key=str))
        case bytes():
            return f"{len(val)} bytes"
    return None


@pytest.fixture(scope="session")
def simulator() -> Iterator[str]:
    """Base URL of a simulated OVHcloud; a test that breaks it mends it."""
    with serving(create_simulator(DemoOptions())) as url:
        yield url
