"""``demo``: the bridge in front of a simulated OVHcloud, and commands to try it with."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import typer

import bridge
from bridge.app import create_app
from bridge.commands.errors import CommandError
from bridge.commands.past import RECORDED_DAYS, make_past
from bridge.commands.pipes import closed
from bridge.commands.progress import progress
from bridge.demo import demo_account
from bridge.logs import configure_logs
from bridge.serving import listen, serve
from bridge.settings import given_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bridge.demo import DemoOptions

HOST = "127.0.0.1"
POLL_INTERVAL_S = 30
SHOWN_S = 6 * 3600
STOP_S = 5.0
METRIC = "vscope.vm.cpu.usage.perc"


def run_demo(options: DemoOptions, port: int, *, recorded_days: int = RECORDED_DAYS) -> None:
    """Serve simulator and bridge until told to stop, and end both.

    Args:
        options: What is simulated.
        port: Of the bridge.
        recorded_days: How long the bridge is made to have been recording already.

    Raises:
        ListenError: the port cannot be listened on.
        CommandError: the simulator did not start, or ended by itself.
    """
    configure_logs("warning")
    listening = listen(HOST, port)
    with (
        listening,
        tempfile.TemporaryDirectory(prefix="vscope-demo-") as folder,
        _simulator(options) as (simulator, simulator_url),
    ):
        if recorded_days:
            asyncio.run(make_past(options, Path(folder), recorded_days))
        # The simulator counts no calls, so the first reading need not be spread out.
        account = demo_account(simulator_url).model_copy(update={"calls_per_minute": 6_000})
        settings = given_settings(
            port=port,
            accounts=(account,),
            metrics_hosts=(HOST,),
            poll_interval_s=POLL_INTERVAL_S,
            history_dir=Path(folder),
            log_level="warning",
        )

        async def announce(url: str) -> None:
            async with progress("Waiting for the bridge to read the inventory"):
                await _ready(url)
            typer.echo(_text(options, url, simulator_url))
            if simulator.stdout is not None:
                await closed(simulator.stdout)
            raise CommandError("the simulated OVHcloud ended")

        serve(create_app(settings), listening, meanwhile=announce, patience_s=2)


@contextlib.contextmanager
def _simulator(options: DemoOptions) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Run the simulator in a process of its own; yield it and its base URL.

    It stops when its standard input closes, so it cannot outlive this process.
    """
    command = [
        # -P: a folder called "bridge" where the person stands is none of ours.
        *(sys.executable, "-P", "-m", "bridge", "simulate", "--supervised", "--port", "0"),
        *("--vms", str(options.vms), "--hosts", str(options.hosts), "--seed", str(options.seed)),
        *("--services", str(options.services)),
        "--token" if options.offer_token else "--no-token",
    ]
    package = str(Path(bridge.__file__).parents[1])
    search = os.pathsep.join(filter(None, (package, os.environ.get("PYTHONPATH"))))
    with subprocess.Popen(  # noqa: S603 -- our own command
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": search},
        # Ctrl-C reaches this process only, which then ends the other one in order.
        start_new_session=True,
    ) as process:
        try:
            url = process.stdout.readline().decode().strip() if process.stdout else ""
            if not url:
                raise CommandError("the simulated OVHcloud did not start")
            yield process, url
        finally:
            process.terminate()
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()


async def _ready(url: str) -> None:
    async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
        while (await client.get("/readyz")).status_code != httpx.codes.OK:  # noqa: ASYNC110 -- asked over HTTP, as any prober
            await asyncio.sleep(0.1)


def _text(options: DemoOptions, url: str, simulator_url: str) -> str:
    lines = [
        f"Simulated OVHcloud  {simulator_url}/1.0  ({options.vms} VMs on {options.hosts} hosts)",
        f"vScope bridge       {url}",
        "",
        f"Grafana: add an OpenTSDB, Infinity, JSON (simPod) or SimpleJSON datasource, URL {url}",
        "Here: open that address in a browser, or copy any of these lines into another terminal.",
    ]
    for title, path, body in _examples():
        data = json.dumps(body, separators=(",", ":"))
        lines += [
            "",
            f"# {title}",
            f"curl -sS {url}{path} -H 'Content-Type: application/json' -d '{data}'",
        ]
    return "\n".join([*lines, "", "Ctrl-C ends both."])


def _examples() -> Iterator[tuple[str, str, dict[str, Any]]]:
    now = time.time()
    span = {
        "range": {"from": _iso(now - SHOWN_S), "to": _iso(now)},
        "intervalMs": 300_000,
        "maxDataPoints": 100,
    }
    grouped = f"avg:{METRIC}{{cluster=*}}"
    yield "SimpleJSON: find metrics", "/search", {"target": "vm.cpu"}
    target = {"refId": "A", "target": grouped, "type": "timeserie"}
    yield "SimpleJSON: processor use of each cluster", "/query", {**span, "targets": [target]}
    yield "simPod JSON: metrics to choose from", "/metrics", {"metric": "", "payload": {}}
    variable = {"payload": {"target": "clusters()"}, "range": span["range"]}
    yield "simPod JSON: values of a template variable", "/variable", variable
    simpod = {"refId": "A", "target": f"max:{METRIC}", "payload": {}}
    body = {**span, "targets": [simpod]}
    yield "simPod JSON: the busiest virtual machine at any time", "/query", body
    ready = {"metric": "vscope.vm.cpu.ready", "vm_name": "batch*"}
    yield "Rows for Infinity, scripts and spreadsheets", "/rows", ready
    table = {"refId": "A", "target": "live:host", "type": "table"}
    yield "Live table: the hosts as they are now", "/query", {**span, "targets": [table]}


def _iso(seconds: float) -> str:
    moment = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
    return moment.replace("+00:00", "Z")
