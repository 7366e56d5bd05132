"""SIGTERM: what is in progress is finished, nothing new is begun, and nothing holds up the end."""

from __future__ import annotations

import signal
import socket
import threading
import time
from typing import TYPE_CHECKING

import httpx

from bridge.demo.options import DemoOptions
from bridge.demo.server import create_simulator
from tests.commands import running
from tests.servers import serving
from tests.test_serving import ACCOUNT, address

if TYPE_CHECKING:
    from pathlib import Path

#: Far less than the longest time-out of a call to OVHcloud.
SOON_S = 15
KEYS = {
    "VSCOPE_APPLICATION_KEY": "simulatedappkey0",
    "VSCOPE_APPLICATION_SECRET": "simulated-application-secret-000",
    "VSCOPE_CONSUMER_KEY": "simulated-consumer-key-000000000",
    "VSCOPE_CALLS_PER_MINUTE": "6000",
    "VSCOPE_METRICS_HOSTS": "127.0.0.1",
    "VSCOPE_PORT": "0",
}
QUESTION = {
    "start": "30m-ago",
    "queries": [{"metric": "vscope.vm.cpu.usage.perc", "aggregator": "avg"}],
}


def test_an_upstream_that_hangs_does_not_hold_up_the_end(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        env = {**ACCOUNT, "VSCOPE_API_URL": f"http://127.0.0.1:{silent.getsockname()[1]}/1.0"}
        with running("serve", cwd=tmp_path, **env) as process:
            process.until("serving")
            asked, _ = silent.accept()
            with asked:
                assert asked.recv(4)
                process.process.send_signal(signal.SIGTERM)
                assert process.process.wait(SOON_S) == 0


def test_a_request_in_progress_is_answered_and_no_new_one_taken(tmp_path: Path) -> None:
    answers: list[httpx.Response] = []
    with serving(create_simulator(DemoOptions(vms=4, hosts=2, datacenters=1))) as simulator:
        env = {**KEYS, "VSCOPE_API_URL": f"{simulator}/1.0", "VSCOPE_RECORD": "false"}
        with running("serve", cwd=tmp_path, **env, VSCOPE_PROTOCOL="opentsdb") as process:
            url = address(process.until("serving")[-1])
            while httpx.get(f"{url}/readyz").status_code != 200:
                time.sleep(0.05)
            slow = {"target": "opentsdb", "mode": "slow", "seconds": 2, "path": "/api/query"}
            httpx.post(f"{simulator}/_simulator/faults", json=slow).raise_for_status()
            asking = threading.Thread(
                target=lambda: answers.append(httpx.post(f"{url}/api/query", json=QUESTION))
            )
            asking.start()
            while not asked_for_series(simulator):
                time.sleep(0.05)
            process.process.send_signal(signal.SIGTERM)
            while is_taking(url):
                time.sleep(0.02)
            assert not answers, "it was over too soon to tell"
            asking.join()
            assert process.process.wait(SOON_S) == 0
    [answer] = answers
    assert answer.status_code == 200
    assert answer.json()


def asked_for_series(simulator: str) -> bool:
    # The lookup before the slow question is counted.
    routes = httpx.get(f"{simulator}/_simulator/calls").json()["routes"]
    return any("lookup" in route for route in routes)


def is_taking(url: str) -> bool:
    host, port = url.removeprefix("http://").split(":")
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except ConnectionRefusedError:
        return False
    return True
