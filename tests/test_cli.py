"""The command line as a person meets it: processes, output, exit codes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from bridge import __version__
from bridge.cli import run as run_here
from tests.commands import command, environment, run, running

if TYPE_CHECKING:
    from tests.commands import Running

SECRET = "s3cr3t-that-must-not-show"
ROUTES = ("/search", "/query", "/metrics", "/variable")


def account_env(simulator: str, **more: str) -> dict[str, str]:
    return {
        "VSCOPE_API_URL": f"{simulator}/1.0",
        "VSCOPE_APPLICATION_KEY": "simulatedappkey0",
        "VSCOPE_APPLICATION_SECRET": "simulated-application-secret-000",
        "VSCOPE_CONSUMER_KEY": "simulated-consumer-key-000000000",
        "VSCOPE_METRICS_HOSTS": "127.0.0.1",
        "VSCOPE_CALLS_PER_MINUTE": "6000",
        **more,
    }


def children(pid: int) -> set[int]:
    listing = subprocess.run(
        ["ps", "-A", "-o", "pid=,ppid="],  # noqa: S607 -- wherever the system has it
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    pairs = [tuple(map(int, line.split())) for line in listing.splitlines()]
    return {child for child, parent in pairs if parent == pid}


def gone(pid: int) -> bool:
    """Wait until a process is no more (or only waits to be collected)."""
    for _ in range(1000):
        try:
            stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
        except OSError:
            return True
        if stat.rpartition(")")[2].split()[0] == "Z":
            return True
        time.sleep(0.01)
    return False


def curl_lines(demo: Running) -> list[str]:
    return [line for line in demo.until("Ctrl-C") if line.startswith("curl ")]


def test_help_and_mistakes(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_here(["--version"]) == 0
    assert capsys.readouterr().out == f"vscope-bridge {__version__}\n"
    assert run_here(["sevre"]) == 2
    written = capsys.readouterr().err
    assert written.count("\n") == 1
    assert "sevre" in written
    assert run_here(["demo", "--vms", "many"]) == 2
    assert capsys.readouterr().err.startswith("vscope-bridge: Invalid value for '--vms'")
    assert run_here([]) == 2
    written = capsys.readouterr().out
    for name in ("demo", "simulate", "serve", "check", "login", "query"):
        assert f"\n  {name} " in written


def test_wrong_settings_are_one_line_each_and_exit_2(tmp_path: Path) -> None:
    env = {"VSCOPE_PORT": "x", "VSCOPE_CONSUMER_KEY": SECRET, "VSCOPE_CLIENT_SECRET": SECRET}
    done = run("serve", cwd=tmp_path, env=env)
    assert done.returncode == 2
    lines = done.stderr.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("vscope-bridge: port: 'x': expected a valid integer")
    assert lines[1].startswith("vscope-bridge: accounts[0]: has both")
    assert SECRET not in done.stderr + done.stdout


def test_taken_port_is_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run("demo", cwd=tmp_path, env={"PORT": str(port)})
    assert done.returncode == 1
    assert done.stderr == (
        f"vscope-bridge: cannot listen on 127.0.0.1 port {port}: the port is in use\n"
    )


def test_demo_ends_without_a_trace(tmp_path: Path) -> None:
    """The printed commands work in a shell; Ctrl-C ends bridge and simulator."""
    curl = shutil.which("curl")
    assert curl or not os.environ.get("CI"), "curl is needed"
    # A folder called like the package must not be run in its place.
    (tmp_path / "bridge").mkdir()
    (tmp_path / "bridge" / "__init__.py").write_text("raise SystemExit(9)\n", encoding="utf-8")
    outside = tmp_path / "outside"
    outside.mkdir()
    # Settings of a real account must not leak into the demo.
    env = {"VSCOPE_CONSUMER_KEY": SECRET, "VSCOPE_PORT": "x", "PYTHONPATH": str(Path.cwd())}
    with running("demo", "--port", "0", "--vms", "20", cwd=outside, **env) as demo:
        lines = curl_lines(demo)
        assert [path for path in ROUTES if not any(path in line for line in lines)] == []
        assert any("live:host" in line for line in lines)
        answers = []
        if curl:
            for line in lines:
                done = subprocess.run(  # noqa: S602 -- as a person pastes it
                    line, shell=True, capture_output=True, text=True, check=True, timeout=60
                )
                answers.append((line, json.loads(done.stdout)))
        for line, answer in answers:
            assert isinstance(answer, list), line
            assert answer, line
            if '"refId"' in line:
                assert answer[0].get("datapoints") or answer[0].get("rows"), line
        (simulator,) = children(demo.process.pid)
        assert demo.end(signal.SIGINT) == 130
        assert gone(simulator)
    assert SECRET not in "\n".join(demo.lines)
    assert "Traceback" not in "\n".join(demo.lines)


def test_a_killed_demo_leaves_no_simulator_behind(tmp_path: Path) -> None:
    with running("demo", "--port", "0", "--vms", "12", cwd=tmp_path) as demo:
        assert curl_lines(demo)
        (simulator,) = children(demo.process.pid)
        assert demo.end(signal.SIGKILL) == -signal.SIGKILL
        assert gone(simulator)


def test_serve_until_sigterm(tmp_path: Path, simulator: str) -> None:
    (tmp_path / "token").write_text("let-me-in\n", encoding="utf-8")
    env = account_env(simulator, VSCOPE_TOKEN_FILE="token", VSCOPE_LOG_LEVEL="debug")
    with running("serve", "--port", "0", "--log-format", "json", cwd=tmp_path, **env) as bridge:
        line = json.loads(bridge.until('"serving"')[-1])
        url = line["url"]
        assert httpx.get(f"{url}/", trust_env=False).status_code == 401
        allowed = {"Authorization": "Bearer let-me-in"}
        answer = httpx.get(f"{url}/", headers=allowed, trust_env=False)
        assert answer.status_code == 200
        assert "server" not in answer.headers
        assert bridge.end(signal.SIGTERM) == 0
        written = "\n".join(bridge.until('"stopped"'))
    for secret in (
        "let-me-in",
        env["VSCOPE_APPLICATION_SECRET"],
        env["VSCOPE_CONSUMER_KEY"],
        "$1$",
    ):
        assert secret not in written


def test_check_process(tmp_path: Path, simulator: str) -> None:
    env = account_env(simulator, VSCOPE_CONSUMER_KEY="no-such-key")
    done = run("check", cwd=tmp_path, env=env)
    assert (done.returncode, done.stderr) == (1, "")
    assert "no-such-key" not in done.stdout


def test_query_process(tmp_path: Path, simulator: str) -> None:
    env = account_env(simulator)
    done = run("query", "live:host{hidden=true}", "--format", "csv", cwd=tmp_path, env=env)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == 1 + 8
    done = run("query", "avg:vscope.vm.cpu.usge.perc", cwd=tmp_path, env=env)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert "vscope.vm.cpu.usage.perc" in done.stderr


def test_reader_that_leaves_is_no_error(tmp_path: Path, simulator: str) -> None:
    with subprocess.Popen(
        [shutil.which("sh") or "sh", "-c", '"$@" | true', "sh", *command("query", "live:vm")],
        env=environment(HOME=str(tmp_path), **account_env(simulator)),
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.communicate(timeout=60)[1] == ""


@pytest.mark.parametrize("name", ["demo", "simulate", "serve", "check", "login", "query"])
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_here([name, "--help"]) == 0
    assert "--help" in capsys.readouterr().out
