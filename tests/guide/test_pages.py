"""Every command, request and file in the pages for clients, run against the demo."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from bridge.doors.parameters import FORMATS, PARAMETERS, TIME_FORMATS
from tests.contract import shapes
from tests.guide.blocks import ADDRESS, ALL, KINDS, PAGES, ROOT, Block, of
from tests.guide.provisioning import Datasources, Rule, Template, read_yaml

if TYPE_CHECKING:
    from pathlib import Path

    from tests.guide.conftest import Demo

PATIENCE_S = 60
PLUGINS = {
    "grafana-simple-json-datasource",
    "simpod-json-datasource",
    "yesoreyeram-infinity-datasource",
}
VARIABLES = {
    "GF_SECURITY_ANGULAR_SUPPORT_ENABLED=true",
    "GF_PLUGINS_PREINSTALL_SYNC",
    "GF_INSTALL_PLUGINS",
    "GF_UNIFIED_ALERTING_EVALUATION_TIMEOUT",
    "GF_DATAPROXY_TIMEOUT",
}


def runs(block: Block, demo: Demo, folder: Path, *command: str) -> str:
    """Run a block and return what it writes."""
    done = subprocess.run(
        command,
        input=block.at(demo.url),
        cwd=folder,
        env={**os.environ, "VSCOPE_TOKEN": "some-token", "no_proxy": "*"},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, f"{block}: {done.stderr}"
    assert not done.stderr, f"{block}: {done.stderr}"
    return done.stdout


def by_bash(block: Block, demo: Demo, folder: Path) -> str:
    tools = {name: shutil.which(name) for name in ("bash", "curl")}
    missing = [name for name, path in tools.items() if path is None]
    if missing and "CI" not in os.environ:
        pytest.skip(f"{', '.join(missing)} is not installed")
    assert not missing, f"{', '.join(missing)} is needed to run the documents"
    return runs(block, demo, folder, "bash", "-euo", "pipefail", "-s")


def is_error(text: str) -> bool:
    try:
        content = json.loads(text)
        shapes.check(content, shapes.ERROR)
    except Exception:  # noqa: BLE001 -- whatever it is, it is no error of ours
        return False
    return True


@pytest.mark.parametrize("block", ALL, ids=str)
def test_every_block_is_of_a_kind_that_is_checked(block: Block) -> None:
    assert block.kind in KINDS
    if block.kind == "text":
        assert not re.search(r"curl|https?://|\$ ", block.text), block


RUN = [block for block in of("sh") if not block.words]


@pytest.mark.parametrize("block", RUN, ids=str)
def test_commands_are_answered(block: Block, demo: Demo, tmp_path: Path) -> None:
    written = by_bash(block, demo, tmp_path)
    files = [path.read_text() for path in tmp_path.iterdir()]
    assert written.strip() or any(files), block
    assert ADDRESS in block.text or files
    assert not is_error(written), written
    assert written.strip() not in {"[]", "{}"}, block
    after = ALL[ALL.index(block) + 1 :][:1]
    if after and after[0].kind == "csv" and after[0].page == block.page:
        first = "".join(files or [written]).splitlines()[0]
        assert first == after[0].text.splitlines()[0]


@pytest.mark.parametrize("block", of("sh", "refused"), ids=str)
def test_commands_that_are_refused_are_refused_in_words(
    block: Block, demo: Demo, tmp_path: Path
) -> None:
    written = by_bash(block, demo, tmp_path)
    assert is_error(written), written


@pytest.mark.parametrize("block", of("sh", "grafana"), ids=str)
def test_commands_for_grafana_name_what_exists(block: Block) -> None:
    for line in block.text.splitlines():
        words = shlex.split(line, comments=True)
        if not words:
            continue
        if words[:3] == ["grafana-cli", "plugins", "install"]:
            assert words[3] in PLUGINS
        elif words[0] == "export":
            assert all(word in VARIABLES or word.split("=")[0] in VARIABLES for word in words[1:])
            for plugin in re.findall(r"[a-z]+-[a-z-]*datasource", line):
                assert plugin in PLUGINS
        else:
            assert words[0] in {"cp", "systemctl"}, line
            for word in words:
                if word.startswith("provisioning/"):
                    assert (ROOT / word).exists(), word


@pytest.mark.parametrize("block", of("python"), ids=str)
def test_programs_run(block: Block, demo: Demo, tmp_path: Path) -> None:
    assert runs(block, demo, tmp_path, sys.executable, "-").strip(), block


def with_range_of_today(body: Any) -> Any:
    """Put the range of a request where the demo has history: it ends now."""
    span = body.get("range") if isinstance(body, dict) else None
    if span is not None:
        start, end = (datetime.fromisoformat(span[key]) for key in ("from", "to"))
        now = datetime.fromtimestamp(time.time(), UTC)
        moved = {"from": (now - (end - start)).isoformat(), "to": now.isoformat()}
        return {**body, "range": {**span, **moved}}
    return body


@pytest.mark.parametrize("block", of("json"), ids=str)
def test_request_bodies_are_answered(block: Block, demo: Demo) -> None:
    method, path = block.words
    body = with_range_of_today(json.loads(block.text))
    response = demo.client.request(method, demo.url + path, json=body)
    assert response.status_code == 200, response.text
    assert response.json(), block
    if path in shapes.BY_PATH:
        shapes.check(response.json(), shapes.BY_PATH[path])


@pytest.mark.parametrize("block", of("yaml", "datasources"), ids=str)
def test_datasources_can_be_provisioned(block: Block) -> None:
    file = Datasources.model_validate(read_yaml(block.text))
    for datasource in file.datasources:
        assert datasource.url == ADDRESS
        secrets = datasource.secureJsonData
        for text in secrets.model_dump(exclude_none=True).values() if secrets else ():
            assert re.fullmatch(r"(Bearer )?\$VSCOPE_[A-Z_]+", text), (
                "secrets do not stand in files"
            )


@pytest.mark.parametrize("block", of("yaml", "messages"), ids=str)
def test_messages_are_templates(block: Block) -> None:
    from pydantic import TypeAdapter  # noqa: PLC0415 -- only here

    messages = TypeAdapter(dict[str, Template]).validate_python(read_yaml(block.text))
    assert {"summary"} <= set(messages)
    assert Rule.model_fields


def asked(demo: Demo, path: str, **body: Any) -> Any:
    response = demo.client.post(demo.url + path, json=body)
    assert response.status_code == 200, response.text
    return response.json()


TARGETS = [(block, line) for block in of("target") for line in block.text.splitlines()]


@pytest.mark.parametrize(("block", "line"), TARGETS, ids=lambda one: str(one)[:60])
def test_targets_show_something(block: Block, line: str, demo: Demo) -> None:
    now = datetime.fromtimestamp(time.time(), UTC)
    span = {"from": now.replace(year=now.year - 0).isoformat(), "to": now.isoformat()}
    span["from"] = datetime.fromtimestamp(time.time() - 6 * 3600, UTC).isoformat()
    target = {"target": line, "refId": "A"}
    assert asked(demo, "/query", range=span, targets=[target], maxDataPoints=100), block


LINES = [(block, line) for block in of("variable") for line in block.text.splitlines()]


@pytest.mark.parametrize(("block", "line"), LINES, ids=lambda one: str(one)[:60])
def test_variables_list_something(block: Block, line: str, demo: Demo) -> None:
    assert asked(demo, "/search", target=line), block
    assert asked(demo, "/variable", payload={"target": line}), block
    assert demo.client.get(f"{demo.url}/variable", params={"target": line}).json(), block


def test_every_parameter_of_rows_has_its_line() -> None:
    text = (ROOT / "docs" / "rows.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"`(\w+)`", "\n".join(re.findall(r"^\| (.+?) \|", text, re.MULTILINE))))
    assert set(PARAMETERS) <= listed
    for word in (*FORMATS, *TIME_FORMATS):
        assert f"`{word}`" in text


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_each_page_of_a_client_has_its_parts(page: Path) -> None:
    if page.parent.name != "clients":
        return
    titles = re.findall(r"^## (.+)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    for part in ("Set-up", "What does not work", "Trouble"):
        assert part in titles, part
