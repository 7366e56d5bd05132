"""Failures on demand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest

from bridge.demo import DemoOptions, create_simulator
from tests.servers import serving

if TYPE_CHECKING:
    from collections.abc import Iterator

TIME = "/1.0/auth/time"
LIST = "/opentsdb/api/aggregators?p=x"
FIND = "/warp10/api/v0/find?selector=x%7B%7D&format=json"


@pytest.fixture(scope="module")
def served() -> Iterator[str]:
    with serving(create_simulator(DemoOptions(vms=1))) as address:
        yield address


@pytest.fixture
def base(served: str, client: httpx.Client) -> Iterator[str]:
    yield served
    assert client.delete(f"{served}/_simulator/faults").json() == []


def fail(client: httpx.Client, base: str, **fault: Any) -> None:
    answer = client.post(f"{base}/_simulator/faults", json=fault)
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    ("target", "path", "mode", "status", "kind", "text"),
    [
        ("apiv6", TIME, "down", 503, "text/plain", "Service Unavailable\n"),
        ("apiv6", TIME, "html", 504, "text/html", "<html>"),
        ("apiv6", TIME, "wrong_type", 200, "application/json", '{"unexpected":true}'),
        ("apiv6", TIME, "status", 507, "application/json", "Server::InternalServerError"),
        ("opentsdb", LIST, "down", 500, "application/json", "Internal Server Error"),
        ("opentsdb", LIST, "html", 504, "text/html", "<html>"),
        ("opentsdb", LIST, "wrong_type", 200, "application/json", "unexpected"),
        ("opentsdb", LIST, "status", 507, "text/plain", "simulated failure\n"),
        ("warp10", FIND, "down", 503, "text/plain", "Service Unavailable"),
        ("warp10", FIND, "html", 504, "text/html", "<html>"),
        ("warp10", FIND, "wrong_type", 200, "application/json", "unexpected"),
        ("warp10", FIND, "status", 507, "text/html", "simulated failure"),
        ("oauth2", "/auth/oauth2/token", "down", 503, "text/plain", "Service Unavailable\n"),
    ],
)
def test_answers_in_place_of_the_real_one(
    client: httpx.Client,
    base: str,
    target: str,
    path: str,
    mode: str,
    status: int,
    kind: str,
    text: str,
) -> None:
    fail(client, base, target=target, mode=mode, status=507)

    answer = client.post(base + path) if target == "oauth2" else client.get(base + path)

    assert answer.status_code == status
    assert answer.headers["content-type"].startswith(kind)
    assert text in answer.text


@pytest.mark.parametrize("mode", ["reset", "truncated"])
@pytest.mark.parametrize(("target", "path"), [("apiv6", TIME), ("opentsdb", LIST)])
def test_broken_connections(
    client: httpx.Client, base: str, target: str, path: str, mode: str
) -> None:
    fail(client, base, target=target, mode=mode, count=1)

    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        client.get(base + path)
    assert client.get(base + path).status_code == 200


def test_a_slow_answer_is_the_real_one(client: httpx.Client, base: str) -> None:
    fail(client, base, target="apiv6", mode="slow", seconds=0.6)

    with pytest.raises(httpx.ReadTimeout):
        client.get(base + TIME, timeout=0.2)
    assert client.get(base + TIME, timeout=5).status_code == 200


def test_faults_end_after_their_count(client: httpx.Client, base: str) -> None:
    fail(client, base, target="apiv6", mode="status", status=500, count=2)

    assert [client.get(base + TIME).status_code for _ in range(3)] == [500, 500, 200]


def test_faults_hit_one_part_only(client: httpx.Client, base: str) -> None:
    fail(client, base, target="apiv6", mode="down", path="/dedicatedCloud")

    assert client.get(base + TIME).status_code == 200
    assert client.get(f"{base}/1.0/dedicatedCloud").status_code == 503
    assert client.get(base + LIST).status_code == 200
    listed = client.get(f"{base}/_simulator/faults").json()
    assert [(fault["target"], fault["mode"]) for fault in listed] == [("apiv6", "down")]


@pytest.mark.parametrize(
    "fault",
    [
        {"target": "moon", "mode": "down"},
        {"target": "apiv6", "mode": "tired"},
        {"target": "apiv6", "mode": "status", "status": "bad"},
        [],
    ],
)
def test_wrong_faults_are_refused(client: httpx.Client, base: str, fault: Any) -> None:
    answer = client.post(f"{base}/_simulator/faults", json=fault)

    assert answer.status_code == 400
    assert answer.json()["message"]
