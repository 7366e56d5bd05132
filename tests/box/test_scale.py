"""Several bridges: the compose file's profile, the balancer's file, the systemd template."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from bridge.settings import Settings, load_settings, matcher
from tests.box.files import ROOT, compose, mounts
from tests.live.conftest import free_port
from tests.programs import program
from tests.servers import serving

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.requests import Request

SYSTEMD = ROOT / "systemd"
UNIT = SYSTEMD / "vscope-bridge@.service"
HAPROXY = ROOT / "docker" / "scale" / "haproxy.cfg"
BRIDGES = ("bridge-a", "bridge-b")


def scaled() -> dict[str, Any]:
    services: dict[str, Any] = compose()["services"]
    return {name: one for name, one in services.items() if one.get("profiles") == ["scale"]}


# --- the compose file -----------------------------------------------------------------------


def test_the_profile_starts_all_it_needs_and_nothing_else() -> None:
    services = scaled()
    needed, left = set(), ["grafana-scale"]
    while left:
        name = left.pop()
        needed.add(name)
        left += [one for one in services[name].get("depends_on", ()) if one not in needed]
    assert needed == set(services) >= {*BRIDGES, "opentsdb", "balancer"}


def test_settings_of_the_bridges_exist_and_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith(("VSCOPE_", "OVH_"))]:
        monkeypatch.delenv(name)
    for name in BRIDGES:
        service = scaled()[name]
        assert mounts(service)["/etc/vscope-bridge"] == "./docker/demo"
        for variable, text in service["environment"].items():
            assert variable.removeprefix("VSCOPE_").lower() in Settings.model_fields
            monkeypatch.setenv(variable, text)
        monkeypatch.setenv("VSCOPE_HISTORY_DIR", str(tmp_path))
        settings = load_settings(ROOT / "docker" / "demo" / "config.toml")
        assert settings.record_into == "opentsdb"
        assert settings.opentsdb_url == "http://opentsdb:4242"
        assert settings.history_order == ("opentsdb",)


def test_every_bridge_has_a_spool_and_a_simulator_of_its_own() -> None:
    services = scaled()
    spools = [mounts(services[name])["/var/lib/vscope-bridge"] for name in BRIDGES]
    assert len(set(spools)) == 2
    for name in BRIDGES:
        simulator = services[name.replace("bridge", "simulator")]
        assert simulator["network_mode"] == f"service:{name}"
    commands = {tuple(services[f"simulator-{one}"]["command"]) for one in "ab"}
    assert len(commands) == 1, "both must show the same world"


def test_the_balancer_knows_the_bridges_and_grafana_the_balancer() -> None:
    text = HAPROXY.read_text()
    servers = re.findall(r"^    server \w+ (\S+):(\d+)$", text, flags=re.MULTILINE)
    assert servers == [(name, "8080") for name in BRIDGES]
    [bound] = re.findall(r"^    bind :(\d+)$", text, flags=re.MULTILINE)
    services = scaled()
    assert services["grafana-scale"]["environment"]["GF_VSCOPE_URL"] == f"http://balancer:{bound}"
    assert services["balancer"]["ports"][0].endswith(f":{bound}")
    assert mounts(services["balancer"]) == {"/usr/local/etc/haproxy": "./docker/scale"}


def test_the_opentsdb_is_built_of_what_is_there() -> None:
    service = scaled()["opentsdb"]
    context = ROOT / service["build"]
    text = (context / "Dockerfile").read_text()
    [copied] = re.findall(r"^COPY (.+) \S+$", text, flags=re.MULTILINE)
    assert all((context / name).is_file() for name in copied.split())
    [volume] = re.findall(r"^VOLUME (\S+)$", text, flags=re.MULTILINE)
    assert mounts(service) == {volume: "opentsdb"}
    script = (context / "live_opentsdb.sh").read_text()
    for name in re.findall(r"(\w+)=", text.partition("ENV ")[2].partition("USER")[0]):
        assert f"${{{name}:-" in script
    # Two bridges record the same service there.
    assert "tsd.storage.fix_duplicates = true" in script
    assert "tsd.core.auto_create_metrics = true" in script


# --- the balancer ---------------------------------------------------------------------------


def bridge_that_says(word: str, status: int = 200) -> Starlette:
    async def answer(request: Request) -> PlainTextResponse:
        body = (await request.body()).decode()
        healthy = request.url.path == "/healthz"
        return PlainTextResponse(f"{word} {body}", 200 if healthy else status)

    return Starlette(routes=[Route("/healthz", answer), Route("/query", answer, methods=["POST"])])


def test_the_balancer_hides_a_bridge_that_is_gone_or_warming(tmp_path: Path) -> None:
    haproxy = program("haproxy")
    port, gone = free_port(), free_port()
    with (
        serving(bridge_that_says("good")) as good,
        serving(bridge_that_says("warming", 503)) as warming,
    ):
        for other in (f"127.0.0.1:{gone}", warming.removeprefix("http://")):
            text = HAPROXY.read_text().replace("bind :8080", f"bind 127.0.0.1:{port}")
            text = text.replace("bridge-a:8080", other)
            text = text.replace("bridge-b:8080", good.removeprefix("http://"))
            # What is gone is not found out beforehand: the retry alone must hide it.
            text = text.replace("inter 2s", "inter 1h")
            config = tmp_path / "haproxy.cfg"
            config.write_text(text)
            checked = subprocess.run(
                [haproxy, "-c", "-f", config], capture_output=True, text=True, check=False
            )
            assert checked.returncode == 0, checked.stderr
            with subprocess.Popen([haproxy, "-db", "-f", config]) as process:
                try:
                    transport = httpx.HTTPTransport(retries=5)  # until it listens
                    with httpx.Client(transport=transport) as client:
                        for number in range(20):
                            url = f"http://127.0.0.1:{port}/query"
                            reply = client.post(url, content=f"question {number}")
                            assert (reply.status_code, reply.text) == (
                                200,
                                f"good question {number}",
                            )
                finally:
                    process.terminate()


# --- systemd --------------------------------------------------------------------------------


def unit() -> list[tuple[str, str]]:
    lines = UNIT.read_text().splitlines()
    pairs = [line.partition("=") for line in lines if line[:1] not in {"#", "[", ""}]
    return [(name, text) for name, _, text in pairs]


def test_the_template_is_accepted_by_systemd(tmp_path: Path) -> None:
    analyze = program("systemd-analyze")
    # Only that the program is not installed here may be wrong.
    text = re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", UNIT.read_text(), flags=re.MULTILINE)
    (tmp_path / "vscope-bridge@.service").write_text(text)
    done = subprocess.run(
        [analyze, "verify", "--man=no", "vscope-bridge@a.service"],
        cwd=tmp_path,
        env={**os.environ, "SYSTEMD_UNIT_PATH": f"{tmp_path}:"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "vscope-bridge@a" not in done.stderr, done.stderr
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["a", "b"])
def test_example_settings_hold_with_the_units_secrets(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in [one for one in os.environ if one.startswith(("VSCOPE_", "OVH_"))]:
        monkeypatch.delenv(variable)
    loaded = dict(text.split(":", 1) for key, text in unit() if key == "LoadCredential")
    assert loaded.pop("config.toml") == "/etc/vscope-bridge/%i.toml"
    text = (SYSTEMD / "examples" / f"{name}.toml").read_text()
    content = tomllib.loads(text)
    tables = [content, *content["accounts"], *content["credentials"]]
    named = {value for one in tables for key, value in one.items() if key.endswith("_file")}
    assert named == set(loaded)
    for secret, place in loaded.items():
        assert place == f"/etc/vscope-bridge/secrets/{secret}"
        (tmp_path / secret).write_text("secret\n")
    (tmp_path / "config.toml").write_text(text)
    settings = load_settings(tmp_path / "config.toml")
    assert settings.record_into == "opentsdb"
    assert settings.opentsdb_password is not None


def test_the_examples_differ_only_where_they_must() -> None:
    one, other = (
        tomllib.loads((SYSTEMD / "examples" / f"{name}.toml").read_text()) for name in "ab"
    )
    assert {key for key in one if one[key] != other[key]} == {"port", "record_services"}
    assert not set(filter(matcher(one["record_services"]), ["pcc-198-51-100-7"]))
    assert matcher(other["record_services"])("pcc-198-51-100-7")


def test_every_bridge_keeps_its_own_state() -> None:
    pairs = dict(unit())
    assert pairs["StateDirectory"] == "vscope-bridge/%i"
    assert pairs["Environment"] == "VSCOPE_HISTORY_DIR=%S/vscope-bridge/%i"
