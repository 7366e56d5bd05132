"""The simulated Erlenmeyer against stated and derived examples."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.demo.lab import READ_TOKEN, ListShelf, erlenmeyer_app, series
from tests.servers import serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

FIXTURES = Path(__file__).parents[1] / "fixtures"
VECTORS = {
    vector["id"]: vector
    for vector in json.loads((FIXTURES / "opentsdb-vectors.json").read_text())
    if vector["profile"] == "erlenmeyer"
}
CHECKED = {
    "status", "series", "keys", "tags", "query", "aggregateTags", "aggregateTags_set", "dps",
    "dps_count", "dps_first", "dps_second", "dps_last", "step", "content_type", "body",
    "body_regex", "no_header", "header", "json", "dps_is",
}  # fmt: skip


def _guide_host() -> ListShelf:
    """The host of OVHcloud's guide: one point inside each bucket of its sample."""
    (sample,) = json.loads((FIXTURES / "ovh" / "guide-sample.json").read_text())
    points = [(int(stamp) - 60, value) for stamp, value in sample["dps"].items()]
    return ListShelf([series(sample["metric"], sample["tags"], points)])


def _shelf(vector: dict[str, Any]) -> ListShelf:
    data = vector["data"]
    return ListShelf(
        series(data["metric"], one["tags"], ((ms / 1000, value) for ms, value in one["points_ms"]))
        for one in data["series"]
    )


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, str]]:
    late = float(VECTORS["E01"]["request"]["now"])
    with (
        serving(erlenmeyer_app(_guide_host(), lambda: late)) as sample,
        serving(erlenmeyer_app(_shelf(VECTORS["E02-web01"]), lambda: 1_346_900_000.0)) as other,
    ):
        yield {"sample": sample, "other": other}


def _send(client: httpx.Client, base: str, request: dict[str, Any]) -> httpx.Response:
    method = next(name for name in ("POST", "GET", "PUT") if name in request)
    auth = request.get("auth", "valid")
    token = "BADTOKEN" if auth and "BADTOKEN" in auth else READ_TOKEN
    return client.request(
        method,
        f"{base}/opentsdb{request[method]}",
        json=request.get("json"),
        auth=("read", token) if auth else None,
    )


def _check_element(expected: dict[str, Any], element: dict[str, Any]) -> None:
    for key in ("tags", "query", "aggregateTags", "dps"):
        if key in expected:
            assert element[key] == expected[key]
    if "keys" in expected:
        assert list(element) == expected["keys"]
    if "aggregateTags_set" in expected:
        assert sorted(element["aggregateTags"]) == sorted(expected["aggregateTags_set"])
    dps = list(element["dps"].items())
    assert [stamp for stamp, _ in dps] == sorted(element["dps"])
    for key, position in (("dps_first", 0), ("dps_second", 1), ("dps_last", -1)):
        if key in expected:
            assert list(dps[position]) == expected[key]
    if "dps_count" in expected:
        assert len(dps) == expected["dps_count"]
    if "step" in expected:
        stamps = [int(stamp) for stamp, _ in dps]
        assert {b - a for a, b in pairwise(stamps)} == {expected["step"]}
    if expected.get("dps_is") == "object":
        assert isinstance(element["dps"], dict)


def _check_lookup(expected: dict[str, Any], answer: dict[str, Any]) -> None:
    results = expected.pop("results_set")
    assert isinstance(answer.pop("time"), int)
    expected.pop("time")
    found = answer.pop("results")
    assert sorted(found, key=json.dumps) == sorted(
        ({**one, "tags": dict(sorted(one["tags"].items()))} for one in results), key=json.dumps
    )
    assert answer == expected


def test_all_expectations_are_understood() -> None:
    assert len(VECTORS) == 28
    data = {json.dumps(vector["data"]) for vector in VECTORS.values() if "data" in vector}
    assert len(data) == 1
    assert {key for vector in VECTORS.values() for key in vector["expect"]} <= CHECKED


@pytest.mark.parametrize("name", sorted(VECTORS))
def test_vector(client: httpx.Client, servers: dict[str, str], name: str) -> None:
    vector = VECTORS[name]
    expected = vector["expect"]

    base = servers["sample" if name == "E01" else "other"]
    answer = _send(client, base, vector["request"])

    assert answer.status_code == expected["status"]
    if "body" in expected:
        assert answer.text == expected["body"]
    if "body_regex" in expected:
        assert re.search(expected["body_regex"], answer.text)
    if "content_type" in expected:
        assert answer.headers["content-type"] == expected["content_type"]
    if "no_header" in expected:
        assert expected["no_header"] not in answer.headers
    for header, value in expected.get("header", {}).items():
        assert answer.headers[header] == value
    if "json" in expected and "results_set" in expected["json"]:
        _check_lookup(dict(expected["json"]), answer.json())
    elif "json" in expected:
        assert answer.json() == expected["json"]
    elif expected["status"] == 200 and "body" not in expected:
        elements = answer.json()
        wanted = expected.get("tags")
        if wanted is not None:
            elements = [element for element in elements if element["tags"] == wanted]
        assert len(elements) == expected.get("series", 1)
        _check_element(expected, elements[0])
