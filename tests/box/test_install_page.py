"""What the page on installation tells people to type: services, commands and files that exist."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

import pytest

from bridge.cli import run
from tests.box.files import ROOT, compose, dockerfile
from tests.guide.blocks import blocks

if TYPE_CHECKING:
    from pathlib import Path

PAGE = ROOT / "docs" / "install.md"
LINES = [
    line
    for block in blocks(PAGE)
    if block.kind == "sh"
    for text in block.text.replace("\\\n", " ").splitlines()
    for line in text.split(" && ")
]


def test_every_command_is_of_a_known_form() -> None:
    known = {"docker", "cp", "echo", "printf", "openssl", "sudo", "python3"}
    for line in LINES:
        first = shlex.split(line)[0]
        assert first in known or first.startswith("/opt/vscope-bridge/bin/"), line


@pytest.mark.parametrize("line", [one for one in LINES if one.startswith("docker compose")])
def test_compose_commands_name_services_profiles_and_commands(
    line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = shlex.split(line)[2:]
    services = compose()["services"]
    if words[0] == "--profile":
        assert [words[1]] in [one.get("profiles") for one in services.values()]
        words = words[2:]
    assert words[0] in {"up", "run", "down", "logs", "exec"}
    if words[0] == "run":
        service, command = [word for word in words[1:] if not word.startswith("-")]
        assert service in services
        assert run([command, "--help"]) == 0
        assert command in capsys.readouterr().out


def test_account_folder_has_what_the_page_makes(tmp_path: Path) -> None:
    """The files the page makes are those that the example and the compose file name."""
    made = set(re.findall(r"> account/([\w-]+)", "\n".join(LINES)))
    example = (ROOT / "docker" / "account.example" / "config.toml").read_text()
    named = set(re.findall(r'_file = "([\w-]+)"', example))
    named |= {
        secret["file"].rpartition("/")[2]
        for secret in compose({"VSCOPE_FOLDER": str(tmp_path)})["secrets"].values()
    }
    assert made == named


def test_users_it_names_are_those_of_the_images() -> None:
    text = PAGE.read_text(encoding="utf-8")
    (useradd,) = (rest for word, rest in dockerfile()[-1] if word == "RUN")
    (uid,) = re.findall(r"--uid (\d+)", useradd)
    assert f"chown {uid} account/" in text
    (version,) = re.findall(r"GRAFANA_VERSION:-([\d.]+)", (ROOT / "docker-compose.yml").read_text())
    assert int(version.split(".")[0]) >= 12, "older ones install plugins by another variable"


def test_files_it_names_exist() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for name in re.findall(r"`((?:provisioning|docker|dashboards)/[\w./-]*)`", text):
        assert (ROOT / name).exists(), name
    assert "cp -r docker/account.example account" in LINES
    assert {"/.env", "/account/"} <= set((ROOT / ".gitignore").read_text().splitlines())
