"""The demo, as a person who follows the documents has it running."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx
import pytest

from bridge.app import create_app
from bridge.demo import DemoOptions, create_simulator, demo_account
from bridge.settings import Settings
from tests.servers import serving

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class Demo:
    """A bridge that has read its inventory, and the simulated OVHcloud behind it."""

    url: str
    ovh_url: str
    client: httpx.Client


@pytest.fixture(scope="session")
def demo() -> Iterator[Demo]:
    with (
        httpx.Client(timeout=30.0) as client,
        serving(create_simulator(DemoOptions())) as ovh,
    ):
        account = demo_account(ovh).model_copy(update={"calls_per_minute": 6_000})
        settings = Settings(accounts=(account,), metrics_hosts=("127.0.0.1",))
        with serving(create_app(settings), lifespan="on") as url:
            for _ in range(400):
                if client.get(f"{url}/readyz").status_code == httpx.codes.OK:
                    break
                time.sleep(0.05)
            yield Demo(url, ovh, client)
