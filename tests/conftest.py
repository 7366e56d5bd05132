"""Fixtures shared by all tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bridge.demo.options import DemoOptions
from bridge.demo.server import create_simulator
from tests.servers import serving

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def simulator() -> Iterator[str]:
    """Base URL of a simulated OVHcloud; a test that breaks it mends it."""
    with serving(create_simulator(DemoOptions())) as url:
        yield url
