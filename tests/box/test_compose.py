"""The compose file: what it names exists, nothing has more rights than it needs."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from bridge.demo.apiv6.credentials import APPLICATION_KEY, APPLICATION_SECRET, CONSUMER_KEY
from bridge.settings import load_settings
from tests.box.files import ROOT, compose, dockerfile, ignored, mounts, readable_by_others

if TYPE_CHECKING:
    from pathlib import Path

DEMO = ROOT / "docker" / "demo"
EXAMPLE = ROOT / "docker" / "account.example"
OURS = ("bridge", "past", "simulator", "bridge-a", "bridge-b", "simulator-a", "simulator-b")


def test_profile_demo_adds_the_simulator_and_what_it_would_have_recorded() -> None:
    services = compose()["services"]
    profiles = {name: one.get("profiles") for name, one in services.items()}
    own = {name: one for name, one in profiles.items() if one != ["scale"]}
    assert own == {"bridge": None, "grafana": None, "past": ["demo"], "simulator": ["demo"]}
    waits = services["bridge"]["depends_on"]["past"]
    assert waits["condition"] == "service_completed_successfully"
    assert waits["required"] is False, "without the profile there is nothing to wait for"
    told = services["past"]["command"]
    assert mounts(services["past"]) == {told[told.index("--record-past") + 1]: "history"}


@pytest.mark.parametrize("name", OURS)
def test_containers_of_ours_can_do_little(name: str) -> None:
    service = compose()["services"][name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["tmpfs"] == ["/tmp"]  # noqa: S108 -- the container's own
    assert "privileged" not in service


def test_ports_are_open_to_this_machine_only() -> None:
    for service in compose()["services"].values():
        for port in service.get("ports", ()):
            address = port if isinstance(port, str) else port["host_ip"]
            assert str(address).startswith("127.0.0.1"), port


@pytest.mark.parametrize("folder", ["", "./docker/demo"])
def test_mounted_files_and_named_volumes_exist(folder: str) -> None:
    content = compose({"VSCOPE_FOLDER": folder})
    used = set()
    for service in content["services"].values():
        for source in mounts(service).values():
            if source.startswith("."):
                assert (ROOT / source).is_dir(), source
            else:
                used.add(source)
    assert used == set(content["volumes"])
    for secret in content["secrets"].values():
        assert (ROOT / secret["file"]).is_file(), secret


def test_secrets_come_by_file() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    grafana = compose()["services"]["grafana"]
    environment = grafana["environment"]
    for name, value in environment.items():
        if any(word in name for word in ("PASSWORD", "TOKEN", "SECRET")):
            assert name.endswith("__FILE"), name
            assert value.startswith("/run/secrets/")
            assert value.removeprefix("/run/secrets/") in grafana["secrets"]
    token = (DEMO / "bridge-token").read_text().strip()
    assert token not in text


def test_demo_folder_points_the_bridge_at_the_simulator() -> None:
    settings = load_settings(DEMO / "config.toml")
    (account,) = settings.accounts
    assert account.api_url is not None
    told = compose()["services"]["simulator"]["command"]
    address = urlsplit(account.api_url)
    assert address.hostname == "127.0.0.1"
    assert str(address.port) == told[told.index("--port") + 1]
    assert settings.metrics_hosts == (address.hostname,)
    assert compose()["services"]["simulator"]["network_mode"] == "service:bridge"
    assert account.application_key == APPLICATION_KEY
    assert account.application_secret is not None
    assert account.application_secret.get_secret_value() == APPLICATION_SECRET
    assert account.consumer_key is not None
    assert account.consumer_key.get_secret_value() == CONSUMER_KEY
    (credential,) = settings.credentials
    assert credential.token is not None
    assert credential.token.get_secret_value() == (DEMO / "bridge-token").read_text().strip()


def test_users_in_the_containers_can_read_the_demo_folder() -> None:
    assert all(readable_by_others(path) for path in DEMO.iterdir())


def test_example_folder_needs_only_the_secrets_it_names(tmp_path: Path) -> None:
    text = (EXAMPLE / "config.toml").read_text()
    (tmp_path / "config.toml").write_text(text)
    content = tomllib.loads(text)
    tables = [*content["accounts"], *content["credentials"]]
    named = {value for one in tables for key, value in one.items() if key.endswith("_file")}
    for name in named:
        (tmp_path / name).write_text("a secret\n")
    settings = load_settings(tmp_path / "config.toml")
    assert settings.accounts[0].endpoint == "ovh-eu"
    assert "bridge-token" in named


def test_what_the_image_is_made_of_reaches_docker() -> None:
    for word, rest in dockerfile()[0]:
        if word == "COPY":
            for name in rest.split()[:-1]:
                assert (ROOT / name).exists(), name
                assert not ignored(ROOT / name), name
    assert not ignored(ROOT / "bridge" / "app.py")
    assert ignored(ROOT / ".git")
    assert ignored(ROOT / "docker" / "demo" / "bridge-token")
    assert ignored(ROOT / "bridge" / "__pycache__")


def test_image_runs_as_a_user_without_rights() -> None:
    final = dockerfile()[-1]
    words = [word for word, _ in final]
    assert dict(final)["USER"] == "vscope"
    assert words.index("USER") < words.index("ENTRYPOINT")
    assert not any("root" in rest for word, rest in final if word == "USER")
    assert "HEALTHCHECK" in words


def test_history_is_kept_in_the_volume() -> None:
    environment = dict(
        one.split("=", 1)
        for word, rest in dockerfile()[-1]
        if word == "ENV"
        for one in rest.split()
    )
    volume = dict(dockerfile()[-1])["VOLUME"]
    assert mounts(compose()["services"]["bridge"])[volume] == "history"
    assert environment["VSCOPE_HISTORY_DIR"] == volume
