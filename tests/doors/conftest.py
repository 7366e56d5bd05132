"""Shared by the tests of the doors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.doors.stand import NOW, make_app
from tests.servers import serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(scope="session")
def client() -> Iterator[httpx.Client]:
    """One connection pool: making a client loads certificates, which takes its time."""
    with httpx.Client(timeout=10.0) as made:
        yield made


@pytest.fixture(scope="session")
def base() -> Iterator[str]:
    """The doors of the small company, open to everyone."""
    with serving(make_app()) as url:
        yield url


@pytest.fixture(scope="session")
def post(client: httpx.Client, base: str) -> Callable[[str, Any], httpx.Response]:
    """Post a body as JSON to a path."""
    return lambda path, body: client.post(base + path, json=body)


def panel(*targets: Any, hours: float = 6, **more: Any) -> dict[str, Any]:
    """Return a panel's request over the last hours; a text stands for a target of its own."""
    listed = [
        {"target": one, "refId": "ABCDEFGH"[index], "type": "timeserie"}
        if isinstance(one, str)
        else one
        for index, one in enumerate(targets)
    ]
    return {
        "range": {"from": (NOW - hours * 3600) * 1000, "to": NOW * 1000},
        "intervalMs": 60_000,
        "maxDataPoints": 755,
        "targets": listed,
        **more,
    }
