"""Every request SimpleJSON and simPod JSON were recorded to make, against the whole bridge."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.contract import shapes
from tests.contract.recordings import CPU, in_this_world, names, recorded

if TYPE_CHECKING:
    import httpx

#: Recordings of how Grafana treats an answer; as requests they repeat each other.
ANSWERS = "-(answer|shape)-"
REQUESTS = [name for name in names() if name not in names(ANSWERS)]


def send(
    client: httpx.Client, url: str, name: str, body: Any, *, headers: bool = True
) -> httpx.Response:
    """Send a recorded request as Grafana's proxy did, with this body."""
    request = recorded(name)["request"]
    kept = {"accept", "content-type", "user-agent", "x-grafana-org-id", "x-grafana-referer"}
    sent = {key: text for key, text in request["headers"].items() if headers and key in kept}
    content = b"" if body is None else json.dumps(body).encode()
    return client.request(request["method"], url + request["path"], content=content, headers=sent)


@pytest.mark.parametrize("name", names())
def test_every_recorded_request_is_understood_or_refused_in_words(
    client: httpx.Client, bridge_url: str, name: str
) -> None:
    response = send(client, bridge_url, name, recorded(name)["request"]["body"])
    assert response.headers["content-type"] == "application/json"
    assert response.history == []
    assert response.status_code in {200, 400}
    path = recorded(name)["request"]["path"]
    shape = shapes.BY_PATH[path] if response.status_code == 200 else shapes.ERROR
    shapes.check(response.json(), shape)


@pytest.mark.parametrize("name", REQUESTS)
def test_with_names_that_exist_every_request_is_answered(
    client: httpx.Client, bridge_url: str, machines: tuple[str, str], name: str
) -> None:
    request = recorded(name)["request"]
    body = in_this_world(request["body"], machines, int(time.time() * 1000))
    response = send(client, bridge_url, name, body)
    assert response.status_code == 200, response.text
    shapes.check(response.json(), shapes.BY_PATH[request["path"]])


def answer(
    client: httpx.Client, url: str, machines: tuple[str, str], name: str, **changes: Any
) -> Any:
    """Return the answer to a recording in this world, some keys of its body changed."""
    body = in_this_world(recorded(name)["request"]["body"], machines, int(time.time() * 1000))
    response = send(client, url, name, {**body, **changes} if changes else body)
    assert response.status_code == 200, response.text
    return response.json()


PLAIN: dict[str, Any] = {"adhocFilters": []}


@pytest.mark.parametrize(
    ("name", "ref_ids"),
    [
        ("simplejson-query-timeserie", {"A", "B"}),
        ("simplejson-query-absolute", {"A", "B"}),
        ("simplejson-query-explore", {"A"}),
        ("simplejson-query-variables", {"A", "B"}),
        ("simplejson-query-time-shift", {"A"}),
        ("simpod-query-code-empty-payload", {"A", "B"}),
        ("simpod-query-code-payload", {"A"}),
        ("simpod-query-builder", {"A"}),
        ("simpod-query-multi-target", {"A"}),
        ("simpod-query-explore", {"A"}),
        ("simpod065-query-builder", {"A"}),
    ],
)
def test_panels_get_series_for_every_target(
    client: httpx.Client,
    bridge_url: str,
    machines: tuple[str, str],
    name: str,
    ref_ids: set[str],
) -> None:
    found = answer(client, bridge_url, machines, name, **PLAIN)
    assert {one["refId"] for one in found} == ref_ids
    titles = [one["title"] for one in found]
    assert len(set(titles)) == len(titles)
    body = recorded(name)["request"]["body"]
    assert all(0 < len(one["datapoints"]) <= body["maxDataPoints"] + 2 for one in found)
    assert {one["unit"] for one in found} == {"percent"}


@pytest.mark.parametrize(
    "name",
    ["simplejson-query-variables", "simpod-query-multi-target", "simpod-query-builder"],
)
def test_several_values_of_a_variable_are_exactly_these(
    client: httpx.Client, bridge_url: str, machines: tuple[str, str], name: str
) -> None:
    found = answer(client, bridge_url, machines, name, **PLAIN)
    assert {one["tags"]["vm"] for one in found} == set(machines)


def test_ad_hoc_filters_of_the_dashboard_narrow_the_panel(
    client: httpx.Client, bridge_url: str, machines: tuple[str, str]
) -> None:
    filters = [{"key": "vm", "operator": "=", "value": machines[0], "condition": ""}]
    for name in ("simplejson-query-adhoc-from-ui", "simpod-query-code-empty-payload"):
        for key in ("adhocFilters", "filters"):
            targets = [{"target": CPU, "refId": "A"}]
            changes = {"adhocFilters": [], key: filters, "targets": targets}
            (series,) = answer(client, bridge_url, machines, name, **changes)
            assert series["tags"]["vm"] == machines[0]


@pytest.mark.parametrize("name", names("hidden-target"))
def test_hidden_targets_are_skipped(
    client: httpx.Client, bridge_url: str, machines: tuple[str, str], name: str
) -> None:
    found = answer(client, bridge_url, machines, name, **PLAIN)
    assert {one["refId"] for one in found} == {"C"}


@pytest.mark.parametrize("name", ["simplejson-query-table", "simpod-query-table"])
def test_tables_are_long(
    client: httpx.Client, bridge_url: str, machines: tuple[str, str], name: str
) -> None:
    (table,) = answer(client, bridge_url, machines, name, **PLAIN)
    assert table["type"] == "table"
    assert table["columns"][0] == {"text": "time", "type": "time"}
    assert table["columns"][-1] == {"text": "value", "type": "number", "unit": "percent"}
    assert table["rows"]


@pytest.mark.parametrize("name", names("annotation"))
def test_annotations_are_tasks_in_milliseconds(
    client: httpx.Client, bridge_url: str, machines: tuple[str, str], name: str
) -> None:
    now_ms = int(time.time() * 1000)
    a_month = {"range": {"from": now_ms - 30 * 86_400_000, "to": now_ms}}
    found = answer(client, bridge_url, machines, name, **a_month)
    if name.startswith("simplejson"):
        starts = [one["time"] for one in found]
        echo = recorded(name)["request"]["body"]["annotation"]
        assert all({**one["annotation"], "query": echo["query"]} == echo for one in found)
    else:
        (table,) = found
        assert [column["text"] for column in table["columns"][:2]] == ["time", "timeEnd"]
        assert table["refId"] == "Anno"
        starts = [row[0] for row in table["rows"]]
    assert starts
    assert all(start <= now_ms for start in starts)


def test_variables_give_names_and_values(
    client: httpx.Client, bridge_url: str, machines: tuple[str, str]
) -> None:
    nested = answer(client, bridge_url, machines, "simpod-variable-nested")
    by_json = answer(client, bridge_url, machines, "simpod-variable-json")
    assert {one["__value"] for one in nested} == {one["__value"] for one in by_json}
    assert {one["__value"] for one in nested} == set(machines)
    assert answer(client, bridge_url, machines, "simpod-variable-string")
    assert answer(client, bridge_url, machines, "simpod-variable-legacy-string-definition") == []
    found = answer(client, bridge_url, machines, "simplejson-search-nested-variable")
    assert {one["value"] for one in found} == {one["__text"] for one in by_json}


def test_the_query_builder_keeps_what_was_saved(
    client: httpx.Client, bridge_url: str, machines: tuple[str, str]
) -> None:
    for name in names("^simpod-metrics"):
        posted = recorded(name)["request"]["body"].get("metric")
        response = send(client, bridge_url, name, recorded(name)["request"]["body"])
        listed = [one["value"] for one in response.json()]
        assert CPU in listed
        assert posted is None or posted in listed
    choices = answer(client, bridge_url, machines, "simpod-metric-payload-options")
    assert set(machines) <= {one["value"] for one in choices}


@pytest.mark.parametrize("name", ["simpod-query-builder", "simpod-query-code-payload"])
def test_fields_the_bridge_does_not_have_are_named(
    client: httpx.Client, bridge_url: str, name: str
) -> None:
    body = recorded(name)["request"]["body"]
    targets = [{**target, "target": CPU} for target in body["targets"]]
    response = send(client, bridge_url, name, {**body, "targets": targets})
    assert response.status_code == 400
    error = response.json()["error"]
    assert error["field"] == "targets[0].payload"
    assert "'flag'" in error["message"]
    assert "vm_name" in error["message"]


def test_targets_of_another_world_are_refused_with_a_position(
    client: httpx.Client, bridge_url: str
) -> None:
    name = "simplejson-query-variables"
    response = send(client, bridge_url, name, recorded(name)["request"]["body"])
    assert response.status_code == 400
    error = response.json()["error"]
    assert error["field"] == "targets[0].target"
    assert error["position"] == len(r"vm\.cpu\.usage ")


def test_nothing_depends_on_headers(
    client: httpx.Client, bridge_url: str, machines: tuple[str, str]
) -> None:
    name = "simplejson-query-timeserie"
    body = in_this_world(recorded(name)["request"]["body"], machines, int(time.time() * 1000))
    with_headers = send(client, bridge_url, name, body)
    without = send(client, bridge_url, name, body, headers=False)
    assert without.status_code == 200
    assert without.json() == with_headers.json()
