"""A real OpenTSDB 2.4.1 on HBase, started once for all tests here.

``VSCOPE_TEST_OPENTSDB_URL`` names a running one instead (nothing is deleted there; every run
writes metrics of its own). Where the parts to start one are missing, the tests are skipped
with the reason, except in CI, where that is a failure.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import httpx
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

SCRIPT = Path(__file__).parent / "opentsdb" / "live_opentsdb.sh"


def unavailable(reason: str) -> NoReturn:
    if os.environ.get("CI"):
        pytest.fail(f"the live OpenTSDB is required in CI: {reason}")
    pytest.skip(f"no live OpenTSDB: {reason}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def opentsdb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Base URL of an OpenTSDB server."""
    with contextlib.ExitStack() as stack:
        try:
            url = stack.enter_context(running_opentsdb(tmp_path_factory.mktemp("opentsdb")))
        except RuntimeError as error:
            unavailable(str(error))
        yield url


@contextlib.contextmanager
def running_opentsdb(home: Path) -> Iterator[str]:
    """Start an OpenTSDB, unless the environment names one; give its base URL.

    Raises:
        RuntimeError: It cannot be started here.
    """
    given = os.environ.get("VSCOPE_TEST_OPENTSDB_URL")
    if given:
        yield given
        return
    for program in ("bash", "java", "javac", "mvn", "curl"):
        if shutil.which(program) is None:
            raise RuntimeError(f"{program} is not installed (JDK 17, Maven and curl are needed)")
    ports = {name: str(free_port()) for name in ("TSD_PORT", "ZK_PORT", "HM_PORT", "HR_PORT")}
    environment = {**os.environ, "LIVE_DIR": str(home), **ports}
    command = ["bash", str(SCRIPT)]
    started = subprocess.run(
        [*command, "start"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    url = f"http://127.0.0.1:{ports['TSD_PORT']}"
    try:
        if started.returncode != 0 or not answers(url):
            said = f"{started.stdout[-1500:]}{started.stderr[-1500:]}"
            raise RuntimeError(f"it did not start:\n{said}")
        yield url
    finally:
        subprocess.run([*command, "stop"], env=environment, timeout=60, check=False)


def answers(url: str) -> bool:
    for _ in range(40):
        try:
            if httpx.get(f"{url}/api/version", timeout=5).status_code == 200:
                return True
        except httpx.HTTPError:
            time.sleep(0.25)
    return False
