"""A bridge in front of the demo's company."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx

from bridge.app import create_app
from bridge.demo import DemoOptions, create_simulator, demo_account
from bridge.settings import given_settings
from tests.servers import serving

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def demo_bridge() -> Iterator[str]:
    """Yield the address of a bridge that has read its inventory."""
    with serving(create_simulator(DemoOptions())) as ovh:
        account = demo_account(ovh).model_copy(update={"calls_per_minute": 6_000})
        settings = given_settings(accounts=(account,), metrics_hosts=("127.0.0.1",))
        with serving(create_app(settings), lifespan="on") as url:
            deadline = time.monotonic() + 60
            while httpx.get(f"{url}/readyz").status_code != httpx.codes.OK:
                assert time.monotonic() < deadline, "the demo was never ready"
                time.sleep(0.05)
            yield url
