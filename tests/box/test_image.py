"""The image's content without Docker: built by its own commands, run as its entry point.

What cannot be tried without an engine: the layers themselves, the user's rights on the volume,
the read-only root, and the network between the containers.
"""

from __future__ import annotations

import functools
import json
import shutil
import signal
import socket
import subprocess
import time
from typing import TYPE_CHECKING

import httpx
import pytest

from bridge import __version__
from tests.box.files import ROOT, compose, dockerfile
from tests.commands import Running, running
from tests.dashboards.walk import FOLDER, load, values_of, walk

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.wheel, pytest.mark.timeout(600)]

DEMO = ROOT / "docker" / "demo"
PATIENCE_S = 300


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def entry(image: Path) -> list[str]:
    """Return the image's entry point, which must be on its search path."""
    (name,) = json.loads(final()["ENTRYPOINT"])
    return [str(image / "bin" / name)]


def final() -> dict[str, str]:
    """Return the instructions of the stage that is kept."""
    return dict(dockerfile()[-1])


@pytest.fixture
def demo_box(image: Path, tmp_path: Path) -> Iterator[tuple[Running, httpx.Client]]:
    """Bridge and simulator as the compose file's profile starts them: the bridge first."""
    simulator_port, port = free_port(), free_port()
    folder, history = tmp_path / "etc", tmp_path / "history"
    history.mkdir()
    volume = final()["VOLUME"]
    services = compose()["services"]

    def command(name: str) -> list[str]:
        """Return what a service of the compose file runs."""
        words: list[str] = services[name].get("command") or json.loads(final()["CMD"])
        return words

    shutil.copytree(DEMO, folder)
    config = folder / "config.toml"
    config.write_text(config.read_text().replace(":9000", f":{simulator_port}"))
    env = dict(one.split("=", 1) for one in final()["ENV"].split())
    env |= {"VSCOPE_CONFIG": str(config), "VSCOPE_PORT": str(port)}
    env |= {"VSCOPE_HISTORY_DIR": str(history), "PATH": "/usr/bin:/bin"}
    headers = {"Authorization": f"Bearer {(DEMO / 'bridge-token').read_text().strip()}"}
    start = functools.partial(running, cwd=tmp_path, program=entry(image))
    with start(*(str(history) if word == volume else word for word in command("past"))) as past:
        assert past.process.wait(PATIENCE_S) == 0
    with start(*command("bridge"), **env) as bridge:
        bridge.until("serving")
        told = (str(simulator_port) if word == "9000" else word for word in command("simulator"))
        with (
            start(*told) as simulator,
            httpx.Client(
                base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=30
            ) as client,
        ):
            yield bridge, client
            simulator.process.send_signal(signal.SIGTERM)
            assert simulator.process.wait(timeout=5) == 0


def test_command_is_installed(image: Path, tmp_path: Path) -> None:
    with running("--version", cwd=tmp_path, program=entry(image)) as told:
        assert told.until("vscope-bridge") == [f"vscope-bridge {__version__}"]


def test_image_holds_the_locked_packages_and_no_tools(image: Path) -> None:
    found = {path.name.lower() for path in image.glob("lib/python3*/site-packages/*")}
    assert "starlette" in found
    assert not {"pip", "hatchling", "pytest", "hypothesis"} & found


def test_without_settings_it_says_what_is_missing(image: Path, tmp_path: Path) -> None:
    host = {"VSCOPE_HOST": "0.0.0.0"}  # noqa: S104 -- as in the image
    with running("serve", cwd=tmp_path, program=entry(image), **host) as ended:
        assert "credentials" in ended.until("host")[-1]
        assert ended.process.wait(60) == 2


def test_demo_profile_shows_a_dashboard_and_stops_in_time(
    image: Path, demo_box: tuple[Running, httpx.Client]
) -> None:
    bridge, client = demo_box
    health = json.loads(final()["HEALTHCHECK"].partition("CMD ")[2])
    probe = [part.replace(":8080", f":{client.base_url.port}") for part in health]
    probe[0] = str(image / "bin" / probe[0])
    assert subprocess.run(probe, check=False, timeout=30).returncode == 0
    # The simulator came up after the bridge: the next reading finds it.
    for _ in range(600):
        if client.get("/readyz").status_code == 200:
            break
        time.sleep(0.1)
    assert httpx.get(f"{client.base_url}/rows").status_code == 401
    walked = walk(client, load(FOLDER / "vscope-fleet.json"))
    empty = [
        str(asked) for asked in walked.of("panel") for _, values in values_of(asked) if not values
    ]
    assert not empty
    bridge.process.send_signal(signal.SIGTERM)
    assert bridge.process.wait(timeout=5) == 0
