"""Fixtures shared by all tests."""

from __future__ import annotations

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


@pytest.fixture(scope="session")
def simulator() -> Iterator[str]:
    """Base URL of a simulated OVHcloud; a test that breaks it mends it."""
    with serving(create_simulator(DemoOptions())) as url:
        yield url
