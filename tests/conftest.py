"""Fixtures shared by all tests."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

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


@pytest.hookimpl(tryfirst=True)  # before xdist reads the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests of a file together, and those of some folders, on one worker."""
    here = Path(__file__).parent
    for item in items:
        place = item.path.relative_to(here)
        group = place.parts[0] if place.parts[0] in TOGETHER else str(place)
        item.add_marker(pytest.mark.xdist_group(group))


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
