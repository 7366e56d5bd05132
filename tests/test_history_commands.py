"""``history`` and ``backfill`` as a person runs them: alone, and beside a running bridge."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import signal
import stat
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from bridge import cli
from bridge.demo import DemoOptions, create_simulator, demo_account
from bridge.demo.apiv6.credentials import APPLICATION_SECRET, CONSUMER_KEY
from tests.commands import running
from tests.servers import serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.commands import Running

CPU = "vscope.vm.cpu.usage.perc"


@pytest.fixture(scope="module")
def simulator() -> Iterator[str]:
    with serving(create_simulator(DemoOptions(vms=6, hosts=3, datacenters=1))) as url:
        yield url


@pytest.fixture
def config(simulator: str, tmp_path: Path) -> Path:
    account = demo_account(simulator)
    path = tmp_path / "bridge.toml"
    path.write_text(
        f"""
port = 0
poll_interval_s = 1
history_dir = "{tmp_path}/recording"
history_order = ["recording"]
metrics_hosts = ["127.0.0.1"]

[[accounts]]
name = "demo"
api_url = "{account.api_url}"
application_key = "{account.application_key}"
application_secret = "{APPLICATION_SECRET}"
consumer_key = "{CONSUMER_KEY}"
calls_per_minute = 6000
""",
        encoding="utf-8",
    )
    return path


@dataclass
class Ended:
    """A command that has ended."""

    returncode: int
    stdout: str
    stderr: str


def call(*arguments: str) -> Ended:
    """Run a command in this process: starting one takes longer than what is done here."""
    out, err = io.TextIOWrapper(io.BytesIO(), encoding="utf-8"), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = cli.run(list(arguments))
    out.seek(0)
    return Ended(code, out.read(), err.getvalue())


def history(config: Path, *arguments: str) -> Ended:
    return call("history", "--config", str(config), *arguments)


def done(config: Path, *arguments: str) -> str:
    ended = history(config, *arguments)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def stats(config: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(done(config, "--json"))
    return found


def rows(config: Path, *arguments: str) -> list[dict[str, str]]:
    text = done(config, "export", "--format", "csv", *arguments)
    return list(csv.DictReader(io.StringIO(text)))


def serve(process: Running) -> str:
    line = process.until("serving")[-1]
    return next(w for w in line.split() if w.startswith("url=")).removeprefix("url=")


def wait_for_points(config: Path, series: int = 50) -> None:
    for _ in range(100):
        ended = history(config, "--json")
        if ended.returncode == 0 and json.loads(ended.stdout)["points"] > series:
            return
        time.sleep(0.2)
    pytest.fail("nothing was recorded")


def test_where_nothing_is_recorded_that_is_said(config: Path) -> None:
    for arguments in ((), ("verify",), ("export",)):
        ended = history(config, *arguments)
        assert ended.returncode == 1
        assert ended.stderr.startswith("vscope-bridge: nothing is recorded in ")
        assert not (config.parent / "recording").exists()


def test_the_same_commands_beside_a_running_bridge_and_alone(config: Path) -> None:
    folder = config.parent / "recording"

    def try_all(place: str) -> None:
        summary = done(config)
        assert f"folder         {folder}" in summary
        exported = rows(config, "--metric", CPU)
        assert {row["metric"] for row in exported} == {CPU}
        assert {row["servicetype"] for row in exported} == {"vscope"}
        one = exported[0]["vm"]
        assert {row["vm"] for row in rows(config, "--metric", CPU, "--label", f"vm={one}")} == {one}
        assert "problems none" in done(config, "verify")
        assert done(config, "compact").startswith("compact: moved ")
        assert "backup" in done(config, "backup")
        parquet = config.parent / f"{place}.parquet"
        done(config, "export", "-o", str(parquet))
        assert parquet.read_bytes()[:4] == b"PAR1"
        before = stats(config)["series"]
        assert f"{parquet}: rows " in done(config, "import", str(parquet))
        assert stats(config)["series"] == before
        # What is refused leaves nothing behind.
        empty = history(config, "export", "--metric", "nonsense", "-o", f"{place}.csv")
        assert (empty.returncode, empty.stdout) == (1, "")
        assert not (config.parent / f"{place}.csv").exists()
        assert history(config, "set-aside", "raw/none.parquet").returncode == 1
        assert history(config, "export", "-o", str(parquet)).returncode == 1  # exists

    with running("serve", "--config", str(config), cwd=config.parent) as process:
        url = serve(process)
        wait_for_points(config)
        mode = (folder / "control.sock").stat().st_mode
        assert stat.S_ISSOCK(mode)
        assert stat.S_IMODE(mode) == 0o600
        try_all("beside")
        # The page and the doors of the network know nothing of it.
        for path in ("/stats", "/verify", "/backfill", "/import"):
            assert httpx.post(url + path).status_code == 404
        assert process.end(signal.SIGTERM) == 0
    assert not (folder / "control.sock").exists()
    try_all("alone")
    copy = folder / "backup"
    text = config.read_text(encoding="utf-8").replace(str(folder), str(copy))
    config.write_text(text, encoding="utf-8")
    assert stats(config)["points"] > 50


def test_a_second_bridge_is_refused_and_says_so(config: Path) -> None:
    with running("serve", "--config", str(config), cwd=config.parent) as first:
        serve(first)
        wait_for_points(config)
        with running("serve", "--config", str(config), cwd=config.parent) as second:
            url = serve(second)
            second.until("recording_not_opened")
            answer = httpx.get(f"{url}/readyz").json()
            assert any("is in use by process" in reason for reason in answer["reasons"])
            rule = httpx.get(f"{url}/rows", params={"metric": CPU})
            assert rule.status_code == 503
        # The first one's socket is still its own.
        assert stats(config)["points"] > 50


def backfill(config: Path, *arguments: str) -> Ended:
    return call("backfill", "--config", str(config), *arguments)


def test_backfill_copies_what_ovhcloud_still_serves(config: Path) -> None:
    (config.parent / "recording").mkdir()
    short = ("--from", "now-3d", "--metric", CPU)
    ended = backfill(config, *short)
    assert ended.returncode == 0, ended.stderr
    assert "backfill: points " in ended.stdout
    copied = rows(config, "--metric", CPU)
    assert len({row["vm"] for row in copied}) >= 4
    assert len(copied) > 3 * 288 * 3
    again = backfill(config, *short)
    assert again.returncode == 0
    # Beside a running bridge, whose own hours stay as they are, and which answers from it.
    with running("serve", "--config", str(config), cwd=config.parent) as process:
        url = serve(process)
        wait_for_points(config, len(copied))
        more = backfill(config, "--from", "now-5d", "--metric", CPU)
        assert more.returncode == 0, more.stderr
        asked = {"metric": CPU, "from": "now-4d", "to": "now-2d", "step": "1h", "vm": "vm-1254"}
        answer = httpx.get(f"{url}/rows", params=asked)
        assert answer.status_code == 200, answer.text
        assert len(answer.json()) == 48
    everything = rows(config, "--metric", CPU)
    assert len(everything) > len(copied)
    keys = [(row["time"], row["vm"]) for row in everything]
    assert len(set(keys)) == len(keys)


def test_backfill_without_an_offer_is_a_clear_no(tmp_path: Path, config: Path) -> None:
    (tmp_path / "recording").mkdir()
    options = DemoOptions(vms=2, hosts=1, datacenters=1, offer_token=False)
    with serving(create_simulator(options)) as url:
        text = config.read_text(encoding="utf-8")
        address = next(line for line in text.splitlines() if line.startswith("api_url"))
        config.write_text(text.replace(address, f'api_url = "{url}/1.0"'), encoding="utf-8")
        ended = backfill(config)
    assert ended.returncode == 1
    assert "does not offer vScope history" in ended.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("export", "--format", "xml"), "--format: expected parquet or csv, found 'xml'"),
        (("export", "--tier", "5m"), "--tier: expected raw or 10m or 1h"),
        (("export", "--from", "yesterday-ish"), "yesterday-ish"),
        (("export", "--from", "now", "--to", "now-1h"), "is not before"),
        (("export", "--label", "vm"), "expected label=value, found 'vm'"),
        (("import", "absent.csv"), "there is no such file"),
    ],
)
def test_a_wrong_option_is_named(config: Path, arguments: tuple[str, ...], words: str) -> None:
    (config.parent / "recording").mkdir()
    ended = history(config, *arguments)
    assert ended.returncode == 2
    assert words in ended.stderr
    assert "Traceback" not in ended.stderr


def test_help_names_every_subcommand() -> None:
    ended = call("history", "--help")
    for name in ("export", "import", "verify", "compact", "backup", "set-aside"):
        assert name in ended.stdout
