"""Routes, methods, bodies: what holds for everything under ``/api``."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr

from bridge.doors.doorway import Limits
from bridge.settings import Credential
from tests.doors.stand import CPU, NOW, SERVICE, make_app
from tests.doors.test_http import assert_union
from tests.servers import serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

BODY = {
    "start": NOW - 900,
    "end": NOW,
    "queries": [{"metric": CPU, "aggregator": "avg", "tags": {"vm": "vm-101"}}],
}
#: Every endpoint with an address that is answered 200, and the methods it has.
ENDPOINTS = {
    "query": (f"start={NOW - 900}&end={NOW}&m=avg:{CPU}", {"GET", "POST"}),
    "query/last": (f"timeseries={CPU}", {"GET", "POST"}),
    "suggest": ("type=metrics&q=cpu", {"GET", "POST"}),
    "search/lookup": (f"m={CPU}", {"GET", "POST"}),
    "aggregators": ("", {"GET", "POST"}),
    "config/filters": ("", {"GET", "POST"}),
    "version": ("", {"GET", "POST"}),
    "annotation": (f"start_time={NOW - 7200}", {"GET"}),
}
METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE")


@pytest.mark.parametrize("path", ENDPOINTS)
@pytest.mark.parametrize("form", ["/api/{}", "/api/v1/{}", "/api/{}/", "/api/v1/{}/"])
def test_each_endpoint_has_four_addresses(
    client: httpx.Client, base: str, path: str, form: str
) -> None:
    response = client.get(f"{base}{form.format(path)}?{ENDPOINTS[path][0]}")
    assert response.status_code == 200, response.text
    assert response.history == []
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "no-store"
    plain = client.get(f"{base}/api/{path}?{ENDPOINTS[path][0]}").json()
    both = [response.json(), plain]
    for one in both:
        if isinstance(one, dict):
            one.pop("time", None)
    assert both[0] == both[1]


@pytest.mark.parametrize("path", ENDPOINTS)
@pytest.mark.parametrize("method", METHODS)
def test_other_methods_are_not_allowed(
    client: httpx.Client, base: str, path: str, method: str
) -> None:
    allowed = ENDPOINTS[path][1]
    if method in allowed:
        return
    response = client.request(method, f"{base}/api/{path}?{ENDPOINTS[path][0]}")
    if path == "query" and method == "DELETE":
        error = assert_union(response, 400)
        assert error["message"] == "Deleting data is not enabled"
        return
    assert response.status_code == 405
    assert set(response.headers["allow"].split(", ")) == allowed
    if method != "HEAD":
        error = assert_union(response, 405)
        assert error["message"] == "Method not allowed"
        assert error["details"] == f"The HTTP method [{method}] is not permitted for this endpoint"


@pytest.mark.parametrize("meant", ["DELETE", "put", "Patch"])
def test_no_other_method_can_be_meant(client: httpx.Client, base: str, meant: str) -> None:
    status = 400 if meant == "DELETE" else 405
    header = {"X-HTTP-Method-Override": meant}
    for method, path in (("POST", "/api/query"), ("GET", f"/api/query?{ENDPOINTS['query'][0]}")):
        assert_union(client.request(method, base + path, json=BODY, headers=header), status)
    query = f"{base}/api/query?{ENDPOINTS['query'][0]}&method_override={meant}"
    assert_union(client.get(query), status)


@pytest.mark.parametrize("meant", ["GET", "post"])
def test_a_reading_method_changes_nothing(client: httpx.Client, base: str, meant: str) -> None:
    header = {"X-HTTP-Method-Override": meant}
    response = client.post(f"{base}/api/query", json=BODY, headers=header)
    assert response.json() == client.post(f"{base}/api/query", json=BODY).json()


@pytest.mark.parametrize(
    "path",
    [
        "/api",
        "/api/",
        "/api//",
        "/api/v1",
        "/api/v2/query",
        "/api/nosuch",
        "/api/put",
        "/api/rollup",
        "/api/query/exp",
        "/api/query/gexp",
        "/api/query//last",
        "/api/queryfoo",
        "/api/uid/assign",
        "/api/annotations",
        "/api/annotation/bulk",
        "/api/config",
        "/api/stats",
        "/api/dropcaches",
        "/api/tree",
        "/api/%00",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
def test_nothing_else_is_there(client: httpx.Client, base: str, path: str, method: str) -> None:
    error = assert_union(client.request(method, base + path, content=b"{}"), 404)
    assert error["message"] == "Endpoint not found"


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_bodies_are_json_whatever_their_type(
    client: httpx.Client, base: str, content_type: str
) -> None:
    headers = {"Content-Type": content_type}
    response = client.post(f"{base}/api/query", content=json.dumps(BODY), headers=headers)
    assert response.status_code == 200


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "Missing message content"),
        (b" \n", "Missing message content"),
        (b"{bad", "Unable to parse the given JSON: "),
        (b'{"start":NaN}', "Unable to parse the given JSON: "),
        (b"[]", "Unable to parse the given JSON: expected an object, found a list"),
        (b"null", "Unable to parse the given JSON: expected an object, found null"),
        (b"\xff", "Unable to parse the given JSON: "),
        (b"[" * 5_000, "Unable to parse the given JSON: "),
        (b"{}", "Missing start time"),
    ],
)
def test_bodies_that_are_refused(
    client: httpx.Client, base: str, content: bytes, words: str
) -> None:
    error = assert_union(client.post(f"{base}/api/query", content=content), 400)
    assert error["message"].startswith(words)


def packed(content: Any = BODY) -> bytes:
    return gzip.compress(json.dumps(content).encode())


@pytest.mark.parametrize("coding", ["gzip", "GZIP", "x-gzip"])
def test_packed_bodies(client: httpx.Client, base: str, coding: str) -> None:
    headers = {"Content-Encoding": coding}
    response = client.post(f"{base}/api/query", content=packed(), headers=headers)
    assert response.json() == client.post(f"{base}/api/query", json=BODY).json()
    padded = packed({**BODY, "padding": [number**5 for number in range(40_000)]})
    assert len(padded) > 65_536
    assert client.post(f"{base}/api/query", content=padded, headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("coding", "content", "status", "words"),
    [
        ("gzip", json.dumps(BODY).encode(), 400, "the body is not gzip, as its header says"),
        ("gzip", packed()[:-9], 400, "the gzipped body is not complete, or goes on"),
        ("gzip", packed() * 2, 400, "the gzipped body is not complete, or goes on"),
        ("gzip", packed()[:40] + b"\0" * 40, 400, "the body is not gzip"),
        ("gzip", packed("x" * 5_000_000), 413, "the body is longer than the limit"),
        ("gzip", gzip.compress(b""), 400, "Missing message content"),
        ("br", packed(), 400, "Content-Encoding: expected gzip or none, found 'br'"),
        ("gzip, gzip", packed(), 400, "Content-Encoding: expected gzip or none"),
    ],
)
def test_packed_bodies_that_are_refused(
    client: httpx.Client, base: str, coding: str, content: bytes, status: int, words: str
) -> None:
    headers = {"Content-Encoding": coding}
    response = client.post(f"{base}/api/query", content=content, headers=headers)
    error = assert_union(response, status)
    assert error["message"].startswith(words)


def test_bodies_that_are_too_long(client: httpx.Client) -> None:
    with serving(make_app(limits=Limits(max_body_bytes=1_024))) as url:
        long = json.dumps({**BODY, "x": "y" * 1_024}).encode()

        def pieces() -> Iterator[bytes]:
            yield long[:600]
            yield long[600:]

        for content in (long, pieces()):
            response = client.post(f"{url}/api/query", content=content)
            assert "max_body_bytes" in assert_union(response, 413)["message"]
        assert client.post(f"{url}/api/query", content=iter([json.dumps(BODY).encode()])).json()


def test_strangers_are_refused_with_the_same_body(client: httpx.Client) -> None:
    credential = Credential(name="grafana", password=SecretStr("secret"))
    with serving(make_app(credentials=[credential])) as url:
        for path in ("/api/aggregators", "/api/query", "/api/nosuch"):
            response = client.get(url + path)
            assert_union(response, 401)
            assert response.headers["www-authenticate"].startswith("Basic ")
        assert client.get(f"{url}/api/aggregators", auth=("grafana", "secret")).status_code == 200


def test_what_is_served_is_what_the_engine_serves(client: httpx.Client, base: str) -> None:
    aggregators = client.get(f"{base}/api/aggregators").json()
    assert sorted(aggregators) == aggregators
    for name in aggregators:
        body = {**BODY, "queries": [{"metric": CPU, "aggregator": name}]}
        assert client.post(f"{base}/api/query", json=body).status_code == 200, name
    filters = client.get(f"{base}/api/config/filters").json()
    assert len(filters) == 7
    for name, described in filters.items():
        assert described.keys() == {"examples", "description"}
        flt = {"type": name, "tagk": "vm", "filter": "*" if "wild" in name else "a"}
        body = {**BODY, "queries": [{"metric": CPU, "aggregator": "sum", "filters": [flt]}]}
        assert client.post(f"{base}/api/query", json=body).status_code == 200, name


def test_the_version_is_a_map_of_texts(client: httpx.Client, base: str) -> None:
    version = client.get(f"{base}/api/version").json()
    assert version["version"].startswith("2.4.")
    assert all(isinstance(text, str) for pair in version.items() for text in pair)


@pytest.mark.parametrize(
    ("query", "status", "words"),
    [
        ("", 400, "Missing start time"),
        ("start_time=soon", 400, "Invalid time: soon."),
        (f"start_time={NOW}", 404, "Unable to locate annotation in storage"),
        (f"start_time={NOW - 7200}&tsuid=0001", 404, "Unable to locate annotation in storage"),
    ],
)
def test_annotations_that_are_not_there(
    client: httpx.Client, base: str, query: str, status: int, words: str
) -> None:
    error = assert_union(client.get(f"{base}/api/annotation?{query}"), status)
    assert error["message"].startswith(words)


def test_a_task_is_an_annotation(client: httpx.Client, base: str) -> None:
    note = client.get(f"{base}/api/annotation?start_time={NOW - 7200}").json()
    assert note["description"] == "hostUpdate: Update of a host; done"
    assert note["notes"] == f"done, {SERVICE}, Roubaix"
    assert (note["startTime"], note["endTime"]) == (NOW - 7200, NOW - 6000)
