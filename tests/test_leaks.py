"""No secret leaves the bridge: every byte it gives away is searched for marked ones.

The whole set-up runs as processes at level ``debug``, all doors are driven, everything
upstream fails in turn, and one upstream quotes whatever it is shown in its errors.
"""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from bridge.demo import demo_account
from bridge.demo.apiv6.credentials import APPLICATION_SECRET, CONSUMER_KEY
from bridge.doors.openapi import document
from tests.commands import environment, running
from tests.giving_away import Gathered, command_output, quoting_server
from tests.secrets_marked import (
    CLIENT_SECRET,
    MISTYPED,
    NEXT_PASSWORD,
    PASSWORD,
    PROXY_PASSWORD,
    SECRETS,
    TOKEN,
    TSDB_PASSWORD,
    TSDB_TOKEN,
    Marked,
    leaks,
)

if TYPE_CHECKING:
    from pathlib import Path

    from tests.commands import Running

CPU = "vscope.vm.cpu.usage.perc"


def config_text(ovh: str, quoting: str, folder: Path, *, password: str) -> str:
    account = demo_account(ovh)
    return f"""
port = 0
log_level = "debug"
poll_interval_s = 1
deadline_s = 5
metrics_hosts = ["127.0.0.1"]
history_dir = "{folder / "recording"}"
cache_mb = 0
answers_mb = 0
opentsdb_url = "{quoting}"
opentsdb_user = "reader"
opentsdb_password = '{TSDB_PASSWORD.text}'

[[credentials]]
name = "grafana"
password = '{password}'
token = "{TOKEN.text}"

[[accounts]]
name = "demo"
api_url = "{account.api_url}"
application_key = "{account.application_key}"
application_secret = "{APPLICATION_SECRET}"
consumer_key = "{CONSUMER_KEY}"
calls_per_minute = 6000

[[accounts]]
name = "quoting"
api_url = "{quoting}/1.0"
oauth2_token_url = "{quoting}/auth/oauth2/token"
client_id = "client"
client_secret = "{CLIENT_SECRET.text}"
calls_per_minute = 6000
"""


def output_of(process: Running) -> bytes:
    process._reader.join(20)
    rest = [line for line in process._arriving.queue if line is not None]
    return "\n".join([*process.lines, *rest]).encode()


def series_body(*targets: str) -> dict[str, Any]:
    return {
        "range": {"from": (time.time() - 3600) * 1000, "to": time.time() * 1000},
        "targets": [{"refId": "A", "target": target} for target in targets],
    }


def drive(client: httpx.Client, gathered: Gathered) -> None:
    """Ask every route, with what can be answered and with what cannot."""
    browser = {"Accept": "text/html"}
    ask_for_data(client, gathered)
    for path, operations in document()["paths"].items():
        for method in operations:
            gathered.answer(client.request(method, path))
            gathered.answer(client.request(method, path, headers=browser, content=b'{"x":'))


def ask_for_data(client: httpx.Client, gathered: Gathered) -> None:
    """Ask for what comes from upstream."""
    browser = {"Accept": "text/html"}
    for target in (CPU, f"avg:{CPU}{{cluster=*}}", "stored.elsewhere", "live:vm", "live:service"):
        gathered.answer(client.post("/query", json=series_body(target)))
        gathered.answer(client.get("/rows", params={"target": target}))
        gathered.answer(client.get("/explore", params={"target": target}, headers=browser))
    for kind in ("service", "task", "vm"):
        gathered.answer(client.get("/live", params={"kind": kind}, headers=browser))
    for text in ("", "vms()", f"tag_values({CPU}, vm)", "tag_values(stored.elsewhere, host)"):
        gathered.answer(client.post("/search", json={"target": text}))
    sub_query = {"metric": CPU, "aggregator": "avg"}
    gathered.answer(client.post("/api/query", json={"start": "1h-ago", "queries": [sub_query]}))


def wait_for(client: httpx.Client, status: int) -> None:
    for _ in range(300):
        if client.get("/readyz").status_code == status:
            return
        time.sleep(0.05)
    pytest.fail(f"never {status}: {client.get('/readyz').text}")


@pytest.mark.timeout(300)
def test_no_secret_leaves(tmp_path: Path) -> None:
    gathered, secrets = Gathered(), [*SECRETS]
    config = tmp_path / "operator" / "bridge.toml"
    data, home = tmp_path / "data", tmp_path / "home"
    for folder in (config.parent, data, home):
        folder.mkdir()
    with (
        running("simulate", "--port", "0", "--vms", "6", "--hosts", "2", cwd=home) as simulator,
        quoting_server() as quoting,
    ):
        (ovh,) = re.findall(r"(http://[0-9.:]+)/1.0", simulator.until("http://")[-1])
        config.write_text(config_text(ovh, quoting, data, password=PASSWORD.text))
        with running("serve", "--config", str(config), cwd=home) as bridge:
            (url,) = re.findall(r"url=(http://[0-9.:]+)", bridge.until("serving")[-1])
            with httpx.Client(base_url=url, auth=("grafana", PASSWORD.text), timeout=30) as client:
                wait_for(client, 200)
                secrets.append(Marked("vScope token", vscope_token(ovh)))
                drive(client, gathered)
                gathered.process_list()
                strangers(url, gathered)
                # A revoked token, a credential that expires, and then nobody there at all.
                httpx.post(f"{ovh}/_simulator/token", json={}).raise_for_status()
                ask_for_data(client, gathered)
                secrets.append(Marked("second vScope token", vscope_token(ovh)))
                expired = {"state": "expired"}
                httpx.post(f"{ovh}/_simulator/credential", json=expired).raise_for_status()
                wait_for(client, 503)
                ask_for_data(client, gathered)
                new = config_text(ovh, quoting, data, password=NEXT_PASSWORD.text)
                broken = new.replace('user = "reader"', 'user = "reader" =')
                for text, event in ((broken, "reload_failed"), (new, "reloaded")):
                    config.write_text(text)
                    bridge.process.send_signal(signal.SIGHUP)
                    bridge.until(event)
                client.auth = httpx.BasicAuth("grafana", NEXT_PASSWORD.text)
                assert client.get("/").status_code == 200
                simulator.process.kill()
                drive(client, gathered)
                use_the_recording(config, home, data, gathered)
                gathered.files(data)
                assert bridge.end(signal.SIGTERM) == 0
            gathered["log"] = output_of(bridge)
            gathered.files(data)
            gathered.tables(data / "recording" / "store.duckdb")
    assert b"[debug" in gathered["log"]
    for event in (b"service_state", b"unauthorized", b"reloaded", b"vscope_token_obtained"):
        assert event in gathered["log"], event
    assert any(name.startswith("rows of") for name in gathered)
    assert any(name.startswith("table") for name in gathered)
    assert any("backup" in name for name in gathered)
    assert leaks(gathered, secrets) == []
    # The quoting upstream did quote: without the bridge's care this test would fail.
    assert b"***" in b"".join(gathered.values())


def use_the_recording(config: Path, home: Path, data: Path, gathered: Gathered) -> None:
    for name in ("verify", "compact", "backup"):
        told = command_output("history", name, cwd=home, VSCOPE_CONFIG=str(config))
        gathered[f"history {name}"] = told
        assert told.startswith(b"0\n"), told
    for form in ("csv", "parquet"):
        exported = data / f"exported.{form}"
        export = ("history", "export", "--format", form, "--output", str(exported))
        told = command_output(*export, cwd=home, VSCOPE_CONFIG=str(config))
        gathered[f"history export {form}"] = told
        assert exported.stat().st_size > 1000


def strangers(url: str, gathered: Gathered) -> None:
    """Show the bridge what others could mistype; nothing of it may be remembered or said."""
    for auth in (("grafana", MISTYPED.text), (MISTYPED.text, "x")):
        assert gathered.answer(httpx.get(f"{url}/readyz", auth=auth)).status_code == 401
    bearer = {"Authorization": f"Bearer {MISTYPED.text}"}
    assert gathered.answer(httpx.get(f"{url}/readyz", headers=bearer)).status_code == 401
    right = {"Authorization": f"Bearer {TOKEN.text}"}
    assert gathered.answer(httpx.get(f"{url}/readyz", headers=right)).status_code == 200


def vscope_token(ovh: str) -> str:
    """Ask the simulator for the token as the bridge does, in a process of its own."""
    script = (
        "import ovh, sys; c = ovh.Client('ovh-eu', *sys.stdin.read().split()); "
        "c._endpoint = sys.argv[1]; s = c.get('/dedicatedCloud')[0]; "
        "u = [u for u in c.get(f'/dedicatedCloud/{s}/user') "
        "if c.get(f'/dedicatedCloud/{s}/user/{u}')['name'] == 'admin'][0]; "
        "print(c.post(f'/dedicatedCloud/{s}/user/{u}/metricsToken')['token'])"
    )
    account = demo_account(ovh)
    keys = f"{account.application_key} {APPLICATION_SECRET} {CONSUMER_KEY}"
    done = subprocess.run(
        [sys.executable, "-c", script, f"{ovh}/1.0"],
        input=keys,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    return done.stdout.strip()


@pytest.mark.timeout(300)
def test_no_secret_leaves_a_command_that_fails(tmp_path: Path) -> None:
    with quoting_server() as quoting:
        config = tmp_path / "bridge.toml"
        text = config_text("http://127.0.0.1:1", quoting, tmp_path, password=PASSWORD.text)
        config.write_text(text)
        gathered = failing_commands(config, tmp_path, quoting)
    assert leaks(gathered, SECRETS) == []
    assert b"the proxy does not work" in gathered["check"]


def failing_commands(config: Path, home: Path, quoting: str) -> dict[str, bytes]:
    """Run the commands that ask OVHcloud, where nothing answers or the proxy wants more."""
    proxy = f"http://user:{PROXY_PASSWORD.text}@127.0.0.1:1"
    env = {"VSCOPE_PROXY": proxy, "VSCOPE_CONFIG": str(config)}
    found = {
        name: command_output(*name.split(), "--log-level", "debug", cwd=home, **env)
        for name in ("check", f"query {CPU}")
    }
    one = {
        "VSCOPE_API_URL": f"{quoting}/1.0",
        "VSCOPE_APPLICATION_KEY": "ak",
        "VSCOPE_APPLICATION_SECRET": APPLICATION_SECRET,
        "VSCOPE_CONSUMER_KEY": CONSUMER_KEY,
        "VSCOPE_OPENTSDB_URL": quoting,
        "VSCOPE_OPENTSDB_TOKEN": TSDB_TOKEN.text,
    }
    found["wrong settings"] = command_output(
        "serve", cwd=home, **one, VSCOPE_PORT="x", VSCOPE_PASSWORD=PASSWORD.text, VSCOPE_TOKEN=" "
    )
    found["query by a token"] = command_output("query", "stored.elsewhere", cwd=home, **one)
    for told in found.values():
        assert not told.startswith(b"0\n"), told
    return found
