"""Every provisioning file against Grafana's formats, and all it names against the repository."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import httpx
import pytest

from bridge.app import create_app
from bridge.credentials import Credential
from bridge.demo import demo_account
from bridge.settings import Settings
from tests.box.files import PROVISIONING, ROOT, compose, expanded, mounts
from tests.box.formats import FORMATS, Notifications, Providers
from tests.dashboards.grafana import panels_of
from tests.dashboards.walk import FILES as DASHBOARDS
from tests.dashboards.walk import load as load_dashboard
from tests.guide.provisioning import Alerting, Datasources, read_yaml
from tests.servers import serving

if TYPE_CHECKING:
    from pathlib import Path

    from tests.guide.provisioning import Datasource

ENV = {"GF_VSCOPE_URL": "http://bridge:8080", "GF_VSCOPE_TOKEN": "a-token"}
RULES = sorted((PROVISIONING / "alerting").glob("*.yaml"))
FILES = [path for path in sorted(PROVISIONING.glob("*/*.yaml")) if path not in RULES]
by_file = pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")


def checked(path: Path) -> Datasources | Providers | Notifications:
    content = expanded(read_yaml(path.read_text(encoding="utf-8")), ENV)
    (model,) = {FORMATS[key] for key in content if key in FORMATS}
    return model.model_validate(content)


def datasources(*folders: str) -> list[Datasource]:
    found = [checked(path) for path in FILES if not folders or path.parent.name in folders]
    return [one for file in found if isinstance(file, Datasources) for one in file.datasources]


@by_file
def test_file_has_grafanas_format(path: Path) -> None:
    checked(path)
    assert path.parent.name in {"datasources", "dashboards", "examples"}


def test_everything_lies_where_grafana_looks() -> None:
    of_prometheus = set(PROVISIONING.glob("prometheus/**/*"))
    found = [path for path in PROVISIONING.rglob("*.y*ml") if path not in of_prometheus]
    assert sorted(found) == sorted([*FILES, *RULES])


def test_datasources_prove_who_asks() -> None:
    found = datasources()
    for one in found:
        assert one.secureJsonData is not None
        assert one.secureJsonData.httpHeaderValue1 == "Bearer a-token"
        assert one.url == ENV["GF_VSCOPE_URL"]
    assert {one.uid for one in found} == {
        "vscope-opentsdb",
        "vscope-infinity",
        "vscope-json",
        "vscope-simplejson",
    }
    assert len({one.name for one in found}) == len(found)


@by_file
def test_variables_are_set_by_the_compose_file(path: Path) -> None:
    environment = compose()["services"]["grafana"]["environment"]
    given = {name.removesuffix("__FILE") for name in environment}
    text = "\n".join(
        line for line in path.read_text().splitlines() if not line.strip().startswith("#")
    )
    if path.parent.name == "datasources" or "datasources:" in text:
        named = set(re.findall(r"\$\{?(\w+)", text))
        assert named == set(ENV)
        assert named <= given


def test_dashboards_ask_datasources_that_are_provisioned() -> None:
    known = {(one.type, one.uid) for one in datasources()} | {("grafana", "-- Grafana --")}
    for path in DASHBOARDS:
        board = load_dashboard(path)
        asked = [
            target["datasource"] for one in panels_of(board) for target in one.get("targets", ())
        ]
        asked += [one["datasource"] for one in panels_of(board) if "datasource" in one]
        asked += [one["datasource"] for one in board["annotations"]["list"]]
        asked += [one["datasource"] for one in board["templating"]["list"]]
        assert {(one["type"], one["uid"]) for one in asked} <= known, path.stem


def test_plugins_of_the_datasources_are_installed() -> None:
    environment = compose()["services"]["grafana"]["environment"]
    installed = {
        one.partition("@")[0] for one in environment["GF_PLUGINS_PREINSTALL_SYNC"].split(",")
    }
    wanted = {one.type for one in datasources("datasources")}
    assert installed == wanted - {"opentsdb"}


def test_dashboards_are_mounted_where_the_provider_looks() -> None:
    grafana = compose()["services"]["grafana"]
    (path,) = (PROVISIONING / "dashboards").iterdir()
    providers = checked(path)
    assert isinstance(providers, Providers)
    (provider,) = providers.providers
    folder = ROOT / mounts(grafana)[provider.options.path]
    assert sorted(folder.glob("*.json")) == DASHBOARDS
    home = grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert (folder / home.removeprefix(f"{provider.options.path}/")).is_file()


def test_alert_rules_ask_datasources_that_are_provisioned() -> None:
    known = {one.uid for one in datasources("datasources")} | {"__expr__"}
    assert RULES
    for path in RULES:
        rules = Alerting.model_validate(read_yaml(path.read_text(encoding="utf-8")))
        for group in rules.groups:
            asked = {query.datasourceUid for rule in group.rules for query in rule.data}
            assert asked <= known, path.name


def test_alerts_and_dashboards_share_a_folder() -> None:
    (path,) = (PROVISIONING / "dashboards").iterdir()
    providers = checked(path)
    assert isinstance(providers, Providers)
    folders = {one.folder for one in providers.providers}
    for path in RULES:
        rules = Alerting.model_validate(read_yaml(path.read_text(encoding="utf-8")))
        assert {group.folder for group in rules.groups} == folders


def test_policies_name_contact_points() -> None:
    found = [one for one in map(checked, FILES) if isinstance(one, Notifications)]
    assert found
    for one in found:
        assert {policy.receiver for policy in one.policies} <= {
            point.name for point in one.contactPoints
        }


def test_save_and_test_of_each_datasource_proves_the_token(simulator: str) -> None:
    settings = Settings(
        accounts=(demo_account(simulator),),
        credentials=(Credential(name="grafana", token="a-token"),),
        metrics_hosts=("127.0.0.1",),
    )
    with serving(create_app(settings)) as url:
        for one in datasources():
            suggest = {"type": "metrics", "q": "cpu", "max": "1000"}
            path, params = ("/api/suggest", suggest) if one.type == "opentsdb" else ("/", {})
            headers = {"Authorization": "Bearer a-token"}
            answer = httpx.get(f"{url}{path}", params=params, headers=headers)
            assert answer.status_code == 200, (one.uid, answer.text)
            assert httpx.get(f"{url}{path}", params=params).status_code == 401
