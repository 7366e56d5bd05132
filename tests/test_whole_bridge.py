"""Bridge and simulated OVHcloud as two processes, started, asked, killed and started again."""

from __future__ import annotations

import signal
import socket
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from bridge.demo import demo_account
from bridge.demo.apiv6.credentials import APPLICATION_SECRET, CONSUMER_KEY
from tests.commands import Running, running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

GUIDE_HOST = "172.17.86.51"
GUIDE_DATACENTER = "pcc-37-187-228-180_datacenter869"
PASSWORD, TOKEN = "grafana-password-marked", "grafana-token-marked"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Stand:
    """The two processes, and a client that Grafana's proxy would be."""

    bridge: Running
    simulator: Running
    client: httpx.Client
    simulator_url: str
    start_simulator: Callable[[], Running]

    def series(self, hours: float, *targets: str, **more: Any) -> httpx.Response:
        now = time.time()
        body = {
            "range": {"from": iso(now - hours * 3600), "to": iso(now)},
            "intervalMs": 60_000,
            "maxDataPoints": 1_000,
            "targets": [
                {"refId": chr(65 + at), "target": text, "type": "timeserie"}
                for at, text in enumerate(targets)
            ],
            **more,
        }
        return self.client.post("/query", json=body)

    def wait_until_ready(self) -> None:
        for _ in range(400):
            if self.client.get("/readyz").status_code == 200:
                return
            time.sleep(0.05)
        pytest.fail(f"never ready: {self.client.get('/readyz').text}")


def iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


@pytest.fixture
def protocol() -> str:
    return "auto"


@pytest.fixture
def more_settings() -> str:
    return ""


@pytest.fixture
def stand(tmp_path: Path, protocol: str, more_settings: str) -> Iterator[Stand]:
    simulator_port, bridge_port = free_port(), free_port()
    simulator_url = f"http://127.0.0.1:{simulator_port}"
    account = demo_account(simulator_url)
    config = tmp_path / "bridge.toml"
    config.write_text(
        f"""
port = {bridge_port}
log_level = "debug"
poll_interval_s = 1
deadline_s = 5
metrics_hosts = ["127.0.0.1"]
record = false
protocol = "{protocol}"
{more_settings}

[[credentials]]
name = "grafana"
password = "{PASSWORD}"
token = "{TOKEN}"

[[accounts]]
name = "demo"
api_url = "{account.api_url}"
application_key = "{account.application_key}"
application_secret = "{APPLICATION_SECRET}"
consumer_key = "{CONSUMER_KEY}"
calls_per_minute = 6000
"""
    )
    processes = []

    def start_simulator() -> Running:
        context = running("simulate", "--port", str(simulator_port), cwd=tmp_path)
        processes.append(context)
        started = context.__enter__()
        started.until(str(simulator_port))
        return started

    simulator = start_simulator()
    auth = httpx.BasicAuth("grafana", PASSWORD)
    with (
        running("serve", "--config", str(config), cwd=tmp_path) as bridge,
        httpx.Client(base_url=f"http://127.0.0.1:{bridge_port}", auth=auth, timeout=30) as client,
    ):
        bridge.until(str(bridge_port))
        made = Stand(bridge, simulator, client, simulator_url, start_simulator)
        made.wait_until_ready()
        yield made
    for context in processes:
        context.__exit__(None, None, None)


def raw_front_end(stand: Stand, metric: str, vm: str) -> dict[int, float]:
    """What the front end answers to someone who asks it directly, as Grafana would."""
    token = vscope_token(stand)
    now = int(time.time())
    question = {
        "start": now - 6 * 3600,
        "end": now,
        "queries": [
            {"metric": metric, "aggregator": "avg", "downsample": "5m-avg", "tags": {"vm": vm}}
        ],
    }
    answer = httpx.post(
        f"{stand.simulator_url}/opentsdb/api/query", json=question, auth=("read", token)
    )
    (series,) = answer.json()
    return {int(stamp): value for stamp, value in series["dps"].items()}


def vscope_token(stand: Stand) -> str:
    import ovh  # noqa: PLC0415 -- the real client, only here

    account = demo_account(stand.simulator_url)
    client = ovh.Client(
        endpoint="ovh-eu",
        application_key=account.application_key,
        application_secret=APPLICATION_SECRET,
        consumer_key=CONSUMER_KEY,
    )
    client._endpoint = account.api_url
    (service,) = client.get("/dedicatedCloud")
    for user in client.get(f"/dedicatedCloud/{service}/user"):
        if client.get(f"/dedicatedCloud/{service}/user/{user}")["name"] == "admin":
            return str(client.post(f"/dedicatedCloud/{service}/user/{user}/metricsToken")["token"])
    pytest.fail("the simulator has no user admin")


def test_the_guides_example(stand: Stand) -> None:
    where = f"{{datacenter={GUIDE_DATACENTER},host={GUIDE_HOST}}}"
    metrics = ["vscope.host.mem.usage.perc", "vscope.host.cpu.usage.perc", "vscope.host.net.rx"]
    answer = stand.series(24, *(f"sum:20m-max-zero:{metric}{where}" for metric in metrics))
    assert answer.status_code == 200
    series = answer.json()
    assert [one["tags"]["metric"] for one in series] == metrics
    for one in series:
        assert one["tags"]["host"] == GUIDE_HOST
        stamps = [stamp for _, stamp in one["datapoints"]]
        assert len(stamps) in (72, 73)
        assert all(stamp % 1_200_000 == 0 for stamp in stamps)
        assert all(value >= 0 for value, _ in one["datapoints"])


def test_a_dead_machine_ends_although_the_front_end_draws_it_on(stand: Stand) -> None:
    metric = "vscope.vm.cpu.usage.perc"
    everyone = stand.series(6, metric).json()
    newest = max(one["datapoints"][-1][1] for one in everyone)
    last = {
        one["tags"]["vm"]: max(stamp for value, stamp in one["datapoints"] if value is not None)
        for one in everyone
    }
    dead = [vm for vm, stamp in last.items() if stamp < newest - 2 * 3_600_000]
    assert dead
    drawn = raw_front_end(stand, metric, dead[0])
    assert max(drawn) * 1000 > newest - 900_000
    assert max(drawn) * 1000 > last[dead[0]] + 2 * 3_600_000


QUERY = "avg:5m-avg:vscope.vm.cpu.usage.perc{cluster=*}"


def evaluate(stand: Stand) -> httpx.Response:
    """Ask as an alert rule on the OpenTSDB datasource does."""
    query = {"metric": "vscope.vm.cpu.usage.perc", "aggregator": "avg", "tags": {"vm": "*"}}
    body = {"start": "15m-ago", "queries": [{**query, "downsample": "1m-avg"}]}
    return stand.client.post("/api/query", json=body, headers={"FromAlert": "true"})


@pytest.mark.parametrize("protocol", ["opentsdb", "warp10"])
def test_stalled_history_is_504_within_the_deadline(stand: Stand, protocol: str) -> None:
    assert stand.series(1, QUERY).status_code == 200
    faults = f"{stand.simulator_url}/_simulator/faults"
    stalled = {"target": protocol, "mode": "slow", "seconds": 20}
    httpx.post(faults, json=stalled).raise_for_status()
    assert stand.series(1, QUERY).status_code == 200  # known
    slow = stand.series(30, QUERY)
    assert slow.status_code == 504, slow.text
    assert slow.json()["error"]["code"] == 504
    assert "did not answer within" in slow.json()["message"]
    alert = evaluate(stand)
    assert alert.status_code == 504, alert.text
    assert "did not answer within" in alert.json()["error"]["message"]
    httpx.delete(faults).raise_for_status()
    assert stand.series(30, QUERY).status_code == 200


@pytest.mark.parametrize("more_settings", ["cache_mb = 0\nanswers_mb = 0"])
def test_a_stalled_warp10_is_left_alone_while_opentsdb_answers(stand: Stand) -> None:
    healthy = stand.series(1, QUERY).json()
    faults = f"{stand.simulator_url}/_simulator/faults"
    stalled = {"target": "warp10", "mode": "slow", "seconds": 20}
    httpx.post(faults, json=stalled).raise_for_status()
    stand.series(1, QUERY)  # waits for Warp 10 almost until the deadline
    httpx.delete(f"{stand.simulator_url}/_simulator/calls").raise_for_status()
    assert [one["datapoints"][:5] for one in stand.series(1, QUERY).json()] == [
        one["datapoints"][:5] for one in healthy
    ]
    calls = httpx.get(f"{stand.simulator_url}/_simulator/calls").json()["routes"]
    assert any(route.endswith("/opentsdb/api/query") for route in calls)
    assert not any("/warp10/" in route for route in calls)


@pytest.mark.parametrize("more_settings", ["cache_mb = 0\nanswers_mb = 0"])
def test_killing_ovhcloud_gives_clear_errors_and_recovery(stand: Stand) -> None:
    assert stand.series(1, QUERY).status_code == 200
    stand.simulator.process.kill()
    stand.simulator.process.wait(10)
    refused = stand.series(30, QUERY)
    assert refused.status_code == 502
    assert "127.0.0.1 refused the connection" in refused.json()["message"]
    alert = evaluate(stand)
    assert alert.status_code == 502
    assert "127.0.0.1 refused the connection" in alert.json()["error"]["message"]
    for _ in range(400):
        unready = stand.client.get("/readyz")
        if unready.status_code == 503:
            break
        time.sleep(0.05)
    assert unready.status_code == 503
    assert "pcc-37-187-228-180" in unready.json()["message"]
    # The inventory as last read stays there for people, and not for alert rules.
    rows = stand.client.get("/rows", params={"target": "live:vm"})
    assert rows.status_code == 503
    assert "is failed" in rows.json()["message"]
    assert stand.client.get("/rows", params={"target": QUERY}).status_code == 502
    assert stand.client.post("/search", json={"target": "clusters()"}).json()
    stand.start_simulator()
    stand.wait_until_ready()
    for _ in range(400):
        if stand.series(30, QUERY).status_code == evaluate(stand).status_code == 200:
            break
        time.sleep(0.05)
    assert stand.series(30, QUERY).json()


@pytest.mark.parametrize("more_settings", ["cache_tail_s = 0.05"])
def test_a_panel_outlives_a_failure_and_says_so(stand: Stand) -> None:
    known = stand.series(1, QUERY)
    assert "Warning" not in known.headers
    stand.simulator.process.kill()
    stand.simulator.process.wait(10)
    time.sleep(0.1)
    stale = stand.series(1, QUERY)
    assert stale.status_code == 200
    assert "cannot be read now (127.0.0.1 refused the connection" in stale.headers["Warning"]
    assert int(stale.headers["Age"]) < 60
    notices = [n["text"] for one in stale.json() for n in one.get("meta", {}).get("notices", ())]
    assert any("cannot be read now" in text for text in notices)
    assert [one["target"] for one in stale.json()] == [one["target"] for one in known.json()]


@pytest.mark.parametrize("more_settings", ["cache_mb = 0\nanswers_mb = 0"])
def test_the_bridges_own_figures_follow_what_happens(stand: Stand) -> None:
    stand.wait_until_ready()
    assert stand.series(1, "avg:vscope.vm.cpu.usage.perc").status_code == 200

    def figures() -> dict[str, float]:
        found = {}
        for family in text_string_to_metric_families(stand.client.get("/metrics").text):
            for sample in family.samples:
                labels = ",".join(f"{key}={text}" for key, text in sorted(sample.labels.items()))
                found[f"{sample.name}{{{labels}}}"] = sample.value
        return found

    service = "service=pcc-37-187-228-180"
    for _ in range(100):
        first = figures()
        if first["vscope_bridge_event_loop_lag_seconds_count{}"] > 0:
            break
        time.sleep(0.1)
    assert first[f"vscope_bridge_service_state{{{service},state=ok}}"] == 1
    assert first[f"vscope_bridge_token_state{{{service},state=offered}}"] == 1
    assert first[f"vscope_bridge_objects{{kind=vm,{service}}}"] >= 60
    polled = first[f"vscope_bridge_service_polled_timestamp_seconds{{{service}}}"]
    assert time.time() - 60 < polled <= time.time() + 1
    assert first["vscope_bridge_ovh_calls_total{account=demo}"] > 0
    assert first["vscope_bridge_upstream_left_alone{host=127.0.0.1}"] == 0
    assert first["vscope_bridge_event_loop_lag_seconds_count{}"] > 0
    stand.simulator.end(signal.SIGKILL)
    for _ in range(100):
        if figures()[f"vscope_bridge_service_state{{{service},state=failed}}"] == 1:
            break
        time.sleep(0.1)
    else:
        pytest.fail("the figures never said that the service failed")
    for _ in range(6):
        stand.series(1, "avg:vscope.vm.cpu.usage.perc")
    assert figures()["vscope_bridge_upstream_left_alone{host=127.0.0.1}"] == 1
