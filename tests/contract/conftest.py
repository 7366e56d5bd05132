"""The whole bridge in front of a simulated OVHcloud, everything over real HTTP."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import httpx
import pytest

from bridge.app import create_app
from bridge.demo import DemoOptions, create_simulator, demo_account
from bridge.settings import Settings
from tests.contract.recordings import CPU
from tests.servers import serving

if TYPE_CHECKING:
    from collections.abc import Iterator

SIMULATED = DemoOptions(vms=14, hosts=3, datacenters=1, history_days=30)


@pytest.fixture(scope="session")
def client() -> Iterator[httpx.Client]:
    """One connection pool: making a client loads certificates, which takes its time."""
    with httpx.Client(timeout=30.0) as made:
        yield made


@pytest.fixture(scope="session")
def ovh_url() -> Iterator[str]:
    """The simulated OVHcloud."""
    with serving(create_simulator(SIMULATED)) as url:
        yield url


@pytest.fixture(scope="session")
def bridge_settings(ovh_url: str) -> Settings:
    """Settings of a bridge in front of it, which remembers nothing: a failure is met at once."""
    account = demo_account(ovh_url).model_copy(update={"calls_per_minute": 6_000})
    return Settings(accounts=(account,), metrics_hosts=("127.0.0.1",), cache_mb=0, answers_mb=0)


@pytest.fixture(scope="session")
def bridge_url(client: httpx.Client, bridge_settings: Settings) -> Iterator[str]:
    """A bridge that has read its inventory."""
    with serving(create_app(bridge_settings), lifespan="on") as url:
        for _ in range(200):
            response = client.get(f"{url}/readyz")
            if response.status_code == httpx.codes.OK:
                break
            time.sleep(0.05)
        assert response.status_code == httpx.codes.OK, response.text
        yield url


@pytest.fixture(scope="session")
def machines(client: httpx.Client, bridge_url: str) -> tuple[str, str]:
    """The moRefs of two machines that exist and have history."""
    response = client.post(f"{bridge_url}/search", json={"target": f"tag_values({CPU}, vm)"})
    with_history = {option["value"] for option in response.json()}
    response = client.post(f"{bridge_url}/search", json={"target": "vms(power_state=poweredOn)"})
    chosen = [one["value"] for one in response.json() if one["value"] in with_history]
    return chosen[0], chosen[1]
