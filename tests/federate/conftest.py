"""The demo's bridge, recording, and what it shows to Prometheus; and Prometheus' own checks."""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from bridge.app import create_app
from bridge.demo import DemoOptions, create_simulator, demo_account
from bridge.settings import given_settings
from tests.programs import program
from tests.servers import serving

if TYPE_CHECKING:
    from collections.abc import Iterator

PROMCHECK = Path(__file__).parent / "promcheck"


@dataclass(frozen=True)
class Shown:
    """What the demo's bridge shows: live data in both formats, and its own figures."""

    live: str
    live_openmetrics: str
    figures: str


@pytest.fixture(scope="session")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    openmetrics = {"Accept": "application/openmetrics-text; version=1.0.0"}
    simulator = create_simulator(DemoOptions())
    with httpx.Client(timeout=30.0) as client, serving(simulator) as ovh:
        account = demo_account(ovh).model_copy(update={"calls_per_minute": 6_000})
        # A key that ends in 30 days.
        client.post(f"{ovh}/_simulator/credential", json={"expiration": time.time() + 30 * 86400})
        settings = given_settings(
            accounts=(account,),
            metrics_hosts=("127.0.0.1",),
            history_dir=tmp_path_factory.mktemp("history"),
        )
        with serving(create_app(settings), lifespan="on") as url:
            for _ in range(600):
                figures = client.get(f"{url}/metrics").text
                if "vscope_bridge_recording_written_timestamp_seconds " in figures:
                    break
                assert client.get(f"{url}/readyz").status_code in {200, 503}
                time.sleep(0.05)
            # The token and the state of its host are known once history has been asked for.
            now = int(time.time())
            history = {"target": "avg:vscope.host.net.tx", "from": f"{now - 7200}", "to": f"{now}"}
            client.get(f"{url}/rows", params=history).raise_for_status()
            yield Shown(
                client.get(f"{url}/federate").text,
                client.get(f"{url}/federate", headers=openmetrics).text,
                client.get(f"{url}/metrics").text,
            )


@pytest.fixture(scope="session")
def promcheck(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prometheus' own checks of expositions and rules, built from its source."""
    go = program("go")
    built = tmp_path_factory.mktemp("promcheck") / "promcheck"
    done = subprocess.run(
        # Unoptimised, which takes a third less time to build.
        [go, "build", "-gcflags=all=-N -l", "-ldflags=-s -w", "-o", str(built), "."],
        cwd=PROMCHECK,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return built
