"""Shared by the tests of the simulator."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def client() -> Iterator[httpx.Client]:
    """One connection pool: making a client loads certificates, which takes its time."""
    with httpx.Client(timeout=10.0) as made:
        yield made
