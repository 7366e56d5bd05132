"""Every provisioning file against Grafana's formats, and all it names against the repository."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from bridge.app import create_app
from bridge.credentials import Credential
from bridge.demo import demo_account
from bridge.settings import Settings
from tests.box.files import PROVISIONING, ROOT, compose, expanded, load, mounts
from tests.box.formats import FORMATS, JSON_DATA, Alerting, Datasource, Datasources, Providers
from tests.dashboards.grafana import panels_of
from tests.dashboards.walk import FILES as DASHBOARDS
from tests.dashboards.walk import load as load_dashboard
from tests.servers import serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FILES = sorted(PROVISIONING.glob("*/*.yaml"))
ENV = {"GF_VSCOPE_URL": "http://bridge:8080", "GF_VSCOPE_TOKEN": "a-token"}
by_file = pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")


def checked(path: Path) -> Any:
    content = load(path)
    (model,) = {FORMATS[key] for key in content if key in FORMATS}
    # Alert rules hold text for templates, which Grafana does not expand.
    content = content if model is Alerting else expanded(content, ENV)
    return model.model_validate(content)


def datasources() -> Iterator[Datasource]:
    for path in FILES:
        found = checked(path)
        if isinstance(found, Datasources):
            yield from found.datasources


@by_file
def test_file_has_grafanas_format(path: Path) -> None:
    checked(path)
    assert path.parent.name in {"datasources", "dashboards", "alerting", "examples"}


def test_everything_lies_where_grafana_looks() -> None:
    assert all(path in FILES for path in PROVISIONING.rglob("*.y*ml"))


def test_datasources_have_what_their_types_take() -> None:
    found = list(datasources())
    for one in found:
        JSON_DATA[one.type].model_validate(one.jsonData)
        assert one.secureJsonData.httpHeaderValue1 == "Bearer a-token"
    assert {one.uid for one in found} == {
        "vscope-opentsdb",
        "vscope-infinity",
        "vscope-json",
        "vscope-simplejson",
    }


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
    wanted = {
        one.type
        for path in FILES
        if path.parent.name == "datasources"
        for one in checked(path).datasources
    }
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


def test_alert_rules_name_datasources_and_panels_that_exist() -> None:
    known = {one.uid for one in datasources()} | {"__expr__"}
    boards = {path.stem: load_dashboard(path) for path in DASHBOARDS}
    for path in FILES:
        found = checked(path)
        for group in getattr(found, "groups", ()):
            for rule in group.rules:
                assert {query.datasourceUid for query in rule.data} <= known, rule.uid
                letters = [query.refId for query in rule.data]
                assert rule.condition in letters, rule.uid
                if rule.dashboardUid is not None:
                    panels = {panel["id"] for panel in panels_of(boards[rule.dashboardUid])}
                    assert rule.panelId is None or rule.panelId in panels, rule.uid


def test_policies_name_contact_points() -> None:
    for path in FILES:
        found = checked(path)
        if isinstance(found, Alerting) and found.policies:
            names = {one.name for one in found.contactPoints}
            assert {policy.receiver for policy in found.policies} <= names


def test_uids_are_given_once() -> None:
    uids = [one.uid for one in datasources()]
    for path in FILES:
        found = checked(path)
        uids += [rule.uid for group in getattr(found, "groups", ()) for rule in group.rules]
    assert len(uids) == len(set(uids))


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
            headers = {one.jsonData["httpHeaderName1"]: one.secureJsonData.httpHeaderValue1}
            answer = httpx.get(f"{url}{path}", params=params, headers=headers)
            assert answer.status_code == 200, (one.uid, answer.text)
            assert httpx.get(f"{url}{path}", params=params).status_code == 401
