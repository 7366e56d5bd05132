"""simPod's query builder and variables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from bridge.catalog import catalogue
from tests.doors.conftest import panel
from tests.doors.stand import CPU, MEM
from tests.doors.test_http import assert_union

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx

    Post = Callable[[str, Any], httpx.Response]


def listed(post: Post, body: Any) -> dict[str, dict[str, Any]]:
    response = post("/metrics", body)
    assert response.status_code == 200
    metrics: list[dict[str, Any]] = response.json()
    by_value = {metric["value"]: metric for metric in metrics}
    assert len(by_value) == len(metrics)
    return by_value


def test_every_metric_and_live_table_has_a_form(post: Post) -> None:
    metrics = listed(post, {})
    assert set(metrics) >= {*catalogue(), "live:vm", "live:task"}
    for metric in metrics.values():
        assert metric["label"]
        names = [field["name"] for field in metric["payloads"]]
        assert len(set(names)) == len(names)
        assert all(isinstance(name, str) and name for name in names)
        assert {field["type"] for field in metric["payloads"]} <= {
            "input",
            "select",
            "multi-select",
            "textarea",
        }
    names = [field["name"] for field in metrics[CPU]["payloads"]]
    assert names == [
        *catalogue()[CPU].all_labels,
        "aggregator",
        "group_by",
        "downsample",
        "function",
        "fill",
        "rate",
        "legend",
        "format",
    ]


@pytest.mark.parametrize("name", ["aggregator", "group_by", "function", "fill", "rate", "format"])
def test_every_offered_choice_is_accepted_by_the_query(post: Post, name: str) -> None:
    (field,) = [one for one in listed(post, {})[CPU]["payloads"] if one["name"] == name]
    assert field["options"]
    offered = {option["value"] for option in field["options"]}
    asked = post("/metric-payload-options", {"metric": CPU, "payload": {}, "name": name})
    assert {option["value"] for option in asked.json()} == offered
    for value in offered:
        target = {"refId": "A", "target": CPU, "payload": {name: value}}
        response = post("/query", panel(target, hours=1))
        assert response.status_code == 200, response.text


@pytest.mark.parametrize(
    ("metric", "first"),
    [
        ("something of old", None),
        (f"avg:5m-avg:{CPU}{{cluster=*}}", "datacenter"),
        ("live:vm{cluster=prod}", "name"),
        ("(broken", None),
    ],
)
def test_the_posted_metric_is_always_listed(post: Post, metric: str, first: str | None) -> None:
    form = listed(post, {"metric": metric, "payload": {"flag": "x"}})[metric]["payloads"]
    assert (form[0]["name"] if form else None) == first


def test_the_posted_metric_is_not_listed_twice(post: Post) -> None:
    assert CPU in listed(post, {"metric": CPU, "payload": {}})


def options(post: Post, metric: Any, name: Any, payload: Any = None) -> list[tuple[str, str]]:
    response = post("/metric-payload-options", {"metric": metric, "payload": payload, "name": name})
    assert response.status_code == 200, response.text
    return [(one["label"], one["value"]) for one in response.json()]


def test_label_values_are_narrowed_by_the_rest_of_the_form(post: Post) -> None:
    assert options(post, CPU, "vm", {"cluster": ["prod"], "vm": ["vm-101"]}) == [
        ("web01", "vm-101"),
        ("web02", "vm-102"),
    ]
    assert options(post, CPU, "cluster", {"vm": "(vm-101|vm-103)", "aggregator": "avg"}) == [
        ("prod", "prod"),
        ("test", "test"),
    ]
    assert options(post, f"{CPU}{{cluster=test}}", "vm_name", {"flag": "x"}) == [
        ("db.main (old)", "db.main (old)"),
        ("gone", "gone"),
    ]


def test_columns_of_live_tables_have_values_too(post: Post) -> None:
    assert options(post, "live:vm", "cluster", {}) == [("prod", "prod"), ("test", "test")]
    assert options(post, "live:vm", "name", {"cluster": "prod"}) == [
        ("web01", "web01"),
        ("web02", "web02"),
    ]
    assert [value for value, _ in options(post, "live:vm", "name", {"hidden": "true"})] == [
        "db.main (old)",
        "gone",
        "web01",
        "web02",
    ]
    assert options(post, "live:vm", "hidden") == [("false", "false"), ("true", "true")]


@pytest.mark.parametrize(
    ("metric", "name"),
    [("nope", "vm"), ("(", "vm"), (None, "vm"), (CPU, None), (CPU, "nope"), ("live:vm", "nope")],
)
def test_what_is_unknown_has_no_options(post: Post, metric: Any, name: Any) -> None:
    assert options(post, metric, name) == []


def test_a_form_asks_what_text_would(post: Post) -> None:
    form = {
        "refId": "A",
        "target": CPU,
        "editorMode": "builder",
        "payload": {
            "cluster": ["(prod|test)"],
            "aggregator": "max",
            "group_by": ["cluster"],
            "downsample": "1h",
            "function": "max",
            "legend": "{{cluster}} at most",
            "vm": "",
        },
    }
    text = f"max:1h-max:{CPU}{{cluster=prod|test}} as {{{{cluster}}}} at most"
    by_form = post("/query", panel(form))
    assert by_form.status_code == 200
    assert by_form.json() == post("/query", panel(text)).json()
    assert [one["title"] for one in by_form.json()] == ["prod at most", "test at most"]


def test_a_function_without_an_interval_is_used_at_the_chosen_step(post: Post) -> None:
    form = {"refId": "A", "target": MEM, "payload": {"function": "count", "vm": "vm-101"}}
    (series,) = post("/query", panel(form)).json()
    assert series["unit"] == "short"


def test_an_unknown_field_is_refused_with_those_there_are(post: Post) -> None:
    form = {"refId": "A", "target": CPU, "payload": {"flag": "true", "vm": "vm-101"}}
    error = assert_union(post("/query", panel(CPU, form)), 400)
    assert error["field"] == "targets[1].payload"
    assert "'flag'" in error["message"]
    assert "vm_name" in error["message"]


def test_variables_can_be_asked_with_an_address(client: httpx.Client, base: str) -> None:
    found = client.get(f"{base}/variable", params={"target": "vms(Roubaix, cluster=prod)"})
    assert found.json() == [
        {"__text": "web01", "__value": "vm-101"},
        {"__text": "web02", "__value": "vm-102"},
    ]
    for wrong in ("", "?query=vms()", "?target=vms()&x=1", "?target=vms()&target=hosts()"):
        assert_union(client.get(f"{base}/variable{wrong}"), 400)


def variable(post: Post, payload: Any) -> list[str]:
    body = {"payload": payload, "range": panel()["range"]}
    response = post("/variable", body)
    assert response.status_code == 200, response.text
    found: list[dict[str, str]] = response.json()
    assert all(set(one) == {"__text", "__value"} for one in found)
    return [one["__value"] for one in found]


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ({"target": "vms(Roubaix, cluster=prod)"}, ["vm-101", "vm-102"]),
        ("vms(Roubaix, cluster=prod)", ["vm-101", "vm-102"]),
        ({"target": "vms"}, ["vm-103", "vm-101", "vm-102"]),
        ({"target": "cpu.usage"}, ["vscope.host.cpu.usage.perc", CPU]),
        ({"target": "vms of (web01|web02)"}, []),
        ({"target": ""}, []),
        ({"target": " "}, []),
        ({"target": None}, []),
        ({}, []),
        (None, []),
        ("", []),
        ({"function": "vms", "datacenter": "Roubaix", "cluster": ["prod"]}, ["vm-101", "vm-102"]),
        ({"type": "vms", "vm_name": ["web01", "db.main (old)"]}, ["vm-103", "vm-101"]),
        ({"function": "vms", "datacenter": [], "cluster": ""}, ["vm-103", "vm-101", "vm-102"]),
        ({"function": "services"}, ["pcc-192-0-2-1"]),
        (
            {"function": "tag_values", "metric": CPU, "key": "vm", "cluster": "test"},
            ["vm-103", "vm-104"],
        ),
        ({"function": "nics", "host": "172.17.86.51"}, ["vmnic0", "vmnic1"]),
    ],
)
def test_variables_in_both_forms(post: Post, payload: Any, expected: list[str]) -> None:
    assert variable(post, payload) == expected


@pytest.mark.parametrize(
    ("payload", "field"),
    [
        ({"target": 7}, "payload.target"),
        ({"target": "vms("}, "payload.target"),
        ("vms(", "payload"),
        (7, "payload"),
        ([], "payload"),
        ({"function": "vm"}, "payload.function"),
        ({"type": 7}, "payload.type"),
        ({"function": "services", "x": "y"}, "payload.x"),
        ({"function": "tag_values", "metric": CPU}, "payload.key"),
        ({"function": "vms", "cluster": {"a": 1}}, "payload.cluster"),
        ({"function": "vms", "cluster": "(a"}, "payload.cluster"),
    ],
)
def test_a_variable_that_cannot_be_read_is_named(post: Post, payload: Any, field: str) -> None:
    error = assert_union(post("/variable", {"payload": payload}), 400)
    assert error["field"] == field


def test_a_filter_that_cannot_be_compiled_is_the_clients_fault(post: Post) -> None:
    assert_union(post("/variable", {"payload": "vms(name=regexp(*))"}), 400)
    payload = {"cluster": "regexp(*)"}
    body = {"metric": CPU, "payload": payload, "name": "vm"}
    assert_union(post("/metric-payload-options", body), 400)
