"""Suggestions, lookups, newest points and compressed requests of the simulated Erlenmeyer."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.demo.lab import LAB, READ_TOKEN, T0, ListShelf, erlenmeyer_app
from tests.servers import serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

AUTH = ("read", READ_TOKEN)


@pytest.fixture(scope="module")
def api() -> Iterator[str]:
    with serving(erlenmeyer_app(ListShelf(LAB), lambda: T0 + 5000.0)) as base:
        yield f"{base}/opentsdb/api"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("type=metrics&q=.c", ["lab.cap", "lab.counter"]),
        ("type=metrics&q=lab&max=2", ["lab.cap", "lab.counter"]),
        ("type=metrics&q=nothing", []),
        ("type=tagk&q=", ["datacenter", "host", "vm"]),
        ("type=tagv&q=vm", ["vm-1", "vm-2", "vm-3"]),
        ("type=tagv&q=m-1", []),
        ("type=tagv&max=0", ["172.17.86.51", "172.17.86.52", "172.18.86.51", "d1", "vm-1"]),
    ],
)
def test_suggestions(client: httpx.Client, api: str, query: str, expected: list[str]) -> None:
    found = client.get(f"{api}/suggest?{query}", auth=AUTH).json()

    assert found[: len(expected)] == expected
    if expected:
        assert len(found) == len(expected) or "max=0" in query
    else:
        assert found == []


def test_suggestions_by_post(client: httpx.Client, api: str) -> None:
    body = {"type": "metrics", "q": "ip", "max": 5}
    assert client.post(f"{api}/suggest", json=body, auth=AUTH).json() == ["lab.ip"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("lab.cap", 3),
        ("lab.cap{vm=vm-1}", 1),
        ("lab.cap{vm=*,datacenter=d1}", 3),
        ("lab.cap{vm=vm-1,vm=vm-2}", 2),
        ("*{host=172.17.86.51}", 1),
        ("no.such", 0),
    ],
)
def test_lookups(client: httpx.Client, api: str, text: str, expected: int) -> None:
    found = client.get(f"{api}/search/lookup", params={"m": text, "limit": 1}, auth=AUTH).json()

    assert found["totalResults"] == len(found["results"]) == expected


def test_lookups_by_post(client: httpx.Client, api: str) -> None:
    url = f"{api}/search/lookup"
    bare = client.post(url, json={"metric": "lab.cap"}, auth=AUTH).json()
    assert (bare["tags"], bare["totalResults"]) == (None, 3)
    tags = [{"key": "vm", "value": "vm-2"}]
    one = client.post(url, json={"metric": "lab.cap", "tags": tags}, auth=AUTH).json()
    assert one["results"] == [
        {"metric": "lab.cap", "tsuid": 0, "tags": {"datacenter": "d1", "vm": "vm-2"}}
    ]
    assert client.post(url, content="{", auth=AUTH).status_code == 400


NEWEST = {
    "metric": "lab.cap",
    "timestamp": T0 + 1200,
    "value": "24.0",
    "tags": {"datacenter": "d1", "vm": "vm-2"},
    "tsuid": 0,
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [("lab.cap{vm=vm-2}", [NEWEST]), ("no.such", [])],
)
def test_newest_points(
    client: httpx.Client, api: str, text: str, expected: list[dict[str, Any]]
) -> None:
    answer = client.get(f"{api}/query/last", params={"timeseries": text}, auth=AUTH)
    assert answer.json() == expected


def test_newest_points_by_post(client: httpx.Client, api: str) -> None:
    queries = [{"metric": "lab.cap", "tags": {"vm": "vm-2"}}, {"metric": "lab.ip"}]
    found = client.post(f"{api}/query/last", json={"queries": queries}, auth=AUTH).json()
    assert found[0] == NEWEST
    assert len(found) == 4
    bad = {"queries": [{"metric": "lab.cap", "tags": {"vm": "*"}}]}
    refused = client.post(f"{api}/query/last", json=bad, auth=AUTH)
    assert refused.text == "Unable to build a backend query from the request\n"


@pytest.mark.parametrize(
    "text", ["lab.cap{}", "lab.cap{vm=*}", "lab.cap{vm=a,vm=b}", "{vm=vm-1}", "lab.cap{vm=vm-1"]
)
def test_newest_points_of_ill_formed_names(client: httpx.Client, api: str, text: str) -> None:
    answer = client.get(f"{api}/query/last", params={"timeseries": text}, auth=AUTH)
    assert (answer.status_code, answer.text) == (400, "Bad request\n")


def test_requests_may_be_compressed_answers_never_are(client: httpx.Client, api: str) -> None:
    query = {"metric": "lab.cap", "aggregator": "none"}
    body = gzip.compress(json.dumps({"start": T0, "queries": [query]}).encode())
    headers = {"Content-Encoding": "gzip", "Accept-Encoding": "gzip"}

    answer = client.post(f"{api}/query", content=body, headers=headers, auth=AUTH)
    broken = client.post(f"{api}/query", content=b"not gzip", headers=headers, auth=AUTH)

    assert len(answer.json()) == 3
    assert "content-encoding" not in answer.headers
    assert (broken.status_code, broken.content) == (400, b"")


def test_sub_queries_are_answered_in_order_and_numbered(client: httpx.Client, api: str) -> None:
    names = ["lab.ip", "no.such", "lab.cap"]
    queries = [{"metric": name, "aggregator": "zimsum", "downsample": "0all-sum"} for name in names]
    url, body = f"{api}/query", {"start": T0 - 1, "queries": queries}

    found = client.post(url, json=body, auth=AUTH).json()
    assert [(e["metric"], e["query"]["index"]) for e in found] == [("lab.ip", 0), ("lab.cap", 2)]
    queries[2]["downsample"] = "1m-avg-"
    failed = client.post(url, json=body, auth=AUTH)
    assert (failed.status_code, failed.text) == (400, "Wrong downsampling value: 1m-avg-\n")
