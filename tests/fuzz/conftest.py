"""A bridge and a simulated OVHcloud as processes of their own."""

from __future__ import annotations

import re
import signal
import time
from typing import TYPE_CHECKING, NamedTuple

import httpx
import pytest

from bridge.demo import demo_account
from tests.commands import running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.commands import Running

TOKEN = "fuzzing-token"


class Target(NamedTuple):
    """Where the bridge is, what it may be shown, and its process."""

    url: str
    headers: dict[str, str]
    process: Running


@pytest.fixture(scope="session")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """A bridge that has read its inventory, records, and answers as fast as it can."""
    folder = tmp_path_factory.mktemp("fuzz")
    with running(
        *("simulate", "--port", "0", "--vms", "14", "--hosts", "3"),
        cwd=folder,
    ) as simulator:
        (ovh,) = re.findall(r"(http://[0-9.:]+)/1.0", simulator.until("http://")[-1])
        account = demo_account(ovh)
        config = folder / "bridge.toml"
        config.write_text(
            f"""
port = 0
poll_interval_s = 2
metrics_hosts = ["127.0.0.1"]
client_requests_per_minute = 0
history_dir = "{folder / "recording"}"
max_body_bytes = 262144

[[credentials]]
token = "{TOKEN}"

[[accounts]]
name = "demo"
api_url = "{account.api_url}"
application_key = "{account.application_key}"
application_secret = "{_plain(account.application_secret)}"
consumer_key = "{_plain(account.consumer_key)}"
calls_per_minute = 6000
"""
        )
        with running("serve", "--config", str(config), cwd=folder) as bridge:
            (url,) = re.findall(r"url=(http://[0-9.:]+)", bridge.until("serving")[-1])
            headers = {"Authorization": f"Bearer {TOKEN}"}
            for _ in range(400):
                if httpx.get(f"{url}/readyz", headers=headers).status_code == httpx.codes.OK:
                    break
                time.sleep(0.05)
            else:
                pytest.fail("the bridge was never ready")
            yield Target(url, headers, bridge)
            assert bridge.end(signal.SIGTERM) == 0


def _plain(secret: object) -> str:
    return secret.get_secret_value()  # type: ignore[attr-defined]
