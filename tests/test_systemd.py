"""The systemd unit: a user without rights, secrets as credentials, and nothing more than needed."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import defaultdict
from pathlib import Path

import pytest

from bridge.credentials import secret_fields
from bridge.settings import Settings
from bridge.settings_sources import flat_names
from tests.programs import program

ROOT = Path(__file__).parents[1]
UNIT = ROOT / "systemd" / "vscope-bridge.service"
#: systemd's own scale of exposure, from 0 (none) to 100, and what it calls "OK" ends at 50.
MOST_EXPOSED = 20


def service() -> dict[str, list[str]]:
    """The values of the section [Service], by name."""
    text = UNIT.read_text(encoding="utf-8")
    section = text.partition("[Service]\n")[2].partition("\n[")[0]
    values = defaultdict(list)
    for line in section.splitlines():
        if line and not line.startswith("#"):
            name, equals, value = line.partition("=")
            assert equals, line
            values[name].append(value)
    return values


def test_secrets_come_as_credentials_and_under_names_the_bridge_reads() -> None:
    unit = service()
    loaded = dict(one.split(":", 1) for one in unit["LoadCredential"])
    variables = dict(one.split("=", 1) for one in unit["Environment"])
    known = {*flat_names(), *(f"VSCOPE_{name.upper()}" for name in Settings.model_fields)}
    own = {name for name in variables if name.startswith("VSCOPE_")}
    assert own <= known
    used = {value for name, value in variables.items() if name.endswith("_FILE")}
    assert used == {f"%d/{name}" for name in loaded}
    assert all(path.startswith("/etc/vscope-bridge/") for path in loaded.values())
    # A secret itself stands nowhere, and on the command line nothing but the command.
    assert not [name for name in own if name.removeprefix("VSCOPE_").lower() in secret_names()]
    assert unit["ExecStart"] == ["/opt/vscope-bridge/bin/vscope-bridge serve"]


def secret_names() -> set[str]:
    flat = {field for _, field in flat_names().values() if not field.endswith("_file")}
    return {*secret_fields(Settings), *(flat - {"name", "endpoint", "services"})} - {
        *("api_url", "oauth2_token_url", "application_key", "client_id"),
        *("calls_per_minute", "metrics_user"),
    }


def test_it_has_no_rights_and_one_folder() -> None:
    unit = service()
    assert unit["DynamicUser"] == ["yes"]
    assert unit["StateDirectory"] == ["vscope-bridge"]
    assert unit["ProtectSystem"] == ["strict"]
    assert unit["CapabilityBoundingSet"] == [""]
    assert unit["NoNewPrivileges"] == ["yes"]
    variables = dict(one.split("=", 1) for one in unit["Environment"])
    assert variables["VSCOPE_HISTORY_DIR"] == "%S/vscope-bridge"


def test_it_is_given_time_to_end_and_told_to_reload() -> None:
    unit = service()
    assert int(unit["TimeoutStopSec"][0]) > Settings.model_fields["deadline_s"].default + 10
    assert unit["ExecReload"] == ["/bin/kill -HUP $MAINPID"]
    assert unit["RestartPreventExitStatus"] == ["2"]


@pytest.fixture
def unit_here(tmp_path: Path) -> Path:
    """The unit with a program that is there, since its own is not installed here."""
    text = UNIT.read_text(encoding="utf-8").replace(
        "/opt/vscope-bridge/bin/vscope-bridge", shutil.which("true") or "/bin/true"
    )
    path = tmp_path / UNIT.name
    path.write_text(text, encoding="utf-8")
    return path


def analyzed(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [program("systemd-analyze"), *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_systemd_finds_nothing_wrong_with_it(unit_here: Path) -> None:
    done = analyzed("verify", "--man=no", "--recursive-errors=no", str(unit_here))
    assert done.returncode == 0, done.stderr
    assert UNIT.name not in done.stderr


def test_systemd_finds_it_well_confined(unit_here: Path) -> None:
    done = analyzed(
        *("security", "--offline=true", f"--threshold={MOST_EXPOSED}", "--no-pager"),
        str(unit_here),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"Overall exposure level for .*: \d\.\d OK", done.stdout), done.stdout[-300:]
