"""The documents against the code: links, commands, targets, log events, words of one machine."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from bridge import __version__
from bridge.cli import run
from bridge.ovh.live import LIVE_KINDS, live_columns
from bridge.settings import Settings

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
TEXTS = {path: path.read_text(encoding="utf-8") for path in DOCUMENTS}
OPERATIONS = ROOT / "docs" / "operations.md"


def slugs(text: str) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    pictures = re.findall(r'(?:src|srcset)="([^"]+)"', TEXTS[path])
    for target in [*re.findall(r"\]\(([^)]+)\)", TEXTS[path]), *pictures]:
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        place = (path.parent / name).resolve() if name else path
        assert place.exists(), target
        if anchor:
            assert anchor in slugs(place.read_text(encoding="utf-8")), target


def test_commands_and_options_exist(capsys: pytest.CaptureFixture[str]) -> None:
    names = set()
    options: dict[str, set[str]] = {}
    for text in TEXTS.values():
        code = "\n".join(code_of(text))
        for line in re.findall(r"vscope-bridge ((?:[a-z]+)\b[^`\n#]*)", code):
            name, *rest = line.split()
            names.add(name)
            options.setdefault(name, set()).update(
                word.rstrip(";,.") for word in rest if word.startswith("--")
            )
    assert {"login", "check", "serve", "query"} <= names
    for name in names:
        assert run([name, "--help"]) == 0, name
        helped = capsys.readouterr().out
        for option in options[name]:
            assert option in helped, (name, option)


def test_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, flags=re.MULTILINE))
    for path, text in TEXTS.items():
        for name in re.findall(r"\bmake ([a-z]+)\b", "\n".join(code_of(text))):
            assert name in targets, (path.name, name)
    (phony,) = re.findall(r"^\.PHONY: (.*)$", makefile, flags=re.MULTILINE)
    assert set(phony.split()) == targets


def code_of(text: str) -> list[str]:
    blocks = re.findall(r"^```.*?^```|^    .*$", text, flags=re.MULTILINE | re.DOTALL)
    return [*blocks, *re.findall(r"`([^`\n]+)`", text)]


def test_every_figure_is_documented() -> None:
    table = TEXTS[OPERATIONS].partition("## Figures")[2].partition("\n## ")[0]
    documented = {
        name.removesuffix("_total").removesuffix("_info")
        for name in re.findall(r"^\| `(\w+)` \|", table, flags=re.MULTILINE)
    }
    sources = "".join(path.read_text(encoding="utf-8") for path in ROOT.glob("bridge/**/*.py"))
    assert documented == set(re.findall(r'"(vscope_bridge(?:_\w+)?)"', sources))


def test_first_screen_has_both_commands() -> None:
    first = TEXTS[ROOT / "README.md"].splitlines()[:6]
    assert any(line.startswith("    make demo") for line in first)
    assert any(line.startswith("    make test") for line in first)


def test_settings_named_in_documents_exist() -> None:
    for text in TEXTS.values():
        for name in re.findall(r"`([a-z]+_[a-z_]+)`", text):
            if name.split("_")[0] in {"deadline", "poll", "max", "log", "calls", "metrics"}:
                known = {*Settings.model_fields, "calls_per_minute", "metrics_user"}
                columns = {one.name for kind in LIVE_KINDS for one in live_columns(kind)}
                assert name in known | columns | events(), name


def events() -> set[str]:
    found = set()
    for path in ROOT.glob("bridge/**/*.py"):
        if "demo" in path.relative_to(ROOT).parts[1:2]:
            continue
        source = path.read_text(encoding="utf-8")
        found |= set(
            re.findall(
                r"\b(?:_?log|say)(?:\.(?:debug|info|warning|error|exception))?\(\s*\"(\w+)\"",
                source,
            )
        )
    return found


def test_every_log_event_is_documented() -> None:
    table = TEXTS[OPERATIONS].partition("## Logs")[2]
    documented = set(re.findall(r"^\| `(\w+)` \|", table, flags=re.MULTILINE))
    assert documented == events()


def test_changelog_and_version() -> None:
    text = TEXTS[ROOT / "CHANGELOG.md"]
    assert "## [Unreleased]" in text
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert "version" in project["dynamic"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", __version__)


def test_no_words_of_one_machine() -> None:
    for path, text in TEXTS.items():
        assert not re.search(r"/(work|root|home/\w+)/", text), path.name


def test_makefile_and_ci_are_sound() -> None:
    done = subprocess.run(
        ["make", "--dry-run", "help"],  # noqa: S607 -- wherever the system has it
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    script = ROOT / ".ci" / "run"
    assert script.stat().st_mode & 0o111
    assert "set -euo pipefail" in script.read_text(encoding="utf-8")
