"""Bodies, errors, deadlines: what holds for every route."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx
import pytest
from starlette.routing import Mount
from structlog.testing import capture_logs

from bridge.doors.doorway import Limits
from bridge.errors import NotOfferedError, UnavailableError, UpstreamError, UpstreamTimeoutError
from tests.doors.conftest import panel
from tests.doors.stand import CPU, MEM, MemorySource, make_app
from tests.servers import serving

if TYPE_CHECKING:
    from collections.abc import Callable

ROUTES = [
    "/query",
    "/search",
    "/annotations",
    "/tag-keys",
    "/tag-values",
    "/metrics",
    "/metric-payload-options",
    "/variable",
]


def assert_union(response: httpx.Response, status: int) -> dict[str, Any]:
    """Check the error body every client shows, and return its error part."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    body = response.json()
    error: dict[str, Any] = body["error"]
    assert body["message"] == error["message"]
    assert body["message"]
    assert error["code"] == status
    return error


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize("content", [b"", b"  ", b"{}"])
def test_an_empty_body_is_an_empty_object(
    client: httpx.Client, base: str, path: str, content: bytes
) -> None:
    headers = {"content-type": "application/json"}
    response = client.post(base + path, content=content, headers=headers)
    if path in {"/query", "/annotations"}:
        error = assert_union(response, 400)
        assert error["field"] in {"targets", "range"}
    else:
        assert response.status_code == 200
        assert isinstance(response.json(), list)


@pytest.mark.parametrize("path", [path for path in ROUTES if not path.startswith("/tag")])
@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"[]",
        b"null",
        b'"x"',
        b"1",
        b"[1,2]",
        b'{"targets":[NaN]}',
        b'{"a":Infinity}',
        b"\xff\xfe",
        b'{"a":"\xff"}',
        b'{"a":"\\ud800"}',
        b"[" * 5000,
        b'{"a":' * 5000,
        b"<html>",
    ],
)
def test_a_body_that_is_no_object_is_refused(
    client: httpx.Client, base: str, path: str, content: bytes
) -> None:
    error = assert_union(client.post(base + path, content=content), 400)
    assert "JSON" in error["message"]


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_the_content_type_does_not_matter(client: httpx.Client, base: str, kind: str) -> None:
    content = json.dumps(panel(CPU)).encode()
    response = client.post(base + "/query", content=content, headers={"content-type": kind})
    assert response.status_code == 200
    assert len(response.json()) == 4


@pytest.mark.parametrize("path", ROUTES)
def test_a_slash_at_the_end_is_no_redirect(client: httpx.Client, base: str, path: str) -> None:
    body = panel(CPU)
    plain = client.post(base + path, json=body)
    slashed = client.post(base + path + "/", json=body)
    assert slashed.status_code == plain.status_code == 200
    assert slashed.content == plain.content
    assert plain.headers["content-type"] == "application/json"


def test_unknown_paths_and_methods_get_the_common_body(client: httpx.Client, base: str) -> None:
    assert "/nothing" in assert_union(client.get(base + "/nothing"), 404)["message"]
    response = client.get(base + "/query")
    assert "GET" in assert_union(response, 405)["message"]
    assert response.headers["allow"] == "POST"


@pytest.mark.parametrize("chunked", [True, False])
def test_a_long_body_is_refused_before_it_is_read(client: httpx.Client, *, chunked: bool) -> None:
    def chunks() -> Any:
        for _ in range(20):
            yield b" " * 1000

    with serving(make_app(limits=Limits(max_body_bytes=10_000))) as url:
        content = chunks() if chunked else b" " * 20_000
        error = assert_union(client.post(url + "/query", content=content), 413)
        assert "max_body_bytes" in error["message"]
        assert client.post(url + "/search", content=b" " * 9_000).status_code == 200


def test_a_declared_length_is_not_trusted_to_be_a_number(base: str) -> None:
    """A length of thousands of digits is the server's to refuse, never a 500."""
    parts = urlsplit(base)
    with socket.create_connection((parts.hostname, parts.port), timeout=5) as raw:
        raw.sendall(
            b"POST /search HTTP/1.1\r\nHost: x\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n"
        )
        assert b" 500 " not in raw.recv(200)


@pytest.mark.parametrize(
    ("failure", "status"),
    [
        (UpstreamError("it broke"), 502),
        (NotOfferedError("not offered"), 502),
        (UpstreamTimeoutError("too slow"), 504),
        (UnavailableError("warming up", retry_after=7), 503),
    ],
)
def test_failures_keep_their_status_and_name_the_target(
    client: httpx.Client, failure: Exception, status: int
) -> None:
    with serving(make_app(MemorySource(failure=failure))) as url:
        response = client.post(url + "/query", json=panel(CPU))
    error = assert_union(response, status)
    assert error["message"] == f"targets[0].target: {failure}"
    assert error["field"] == "targets[0].target"
    assert response.headers.get("retry-after") == ("7" if status == 503 else None)


def test_an_unknown_failure_shows_a_request_id_and_nothing_else(client: httpx.Client) -> None:
    secret = "token-123"
    with (
        capture_logs() as logs,
        serving(make_app(MemorySource(failure=RuntimeError(secret)))) as url,
    ):
        response = client.post(url + "/query", json=panel(CPU))
    error = assert_union(response, 500)
    request_id = response.headers["x-request-id"]
    assert request_id in error["message"]
    assert secret not in response.text
    logged = next(entry for entry in logs if entry["event"] == "request_failed")
    assert logged["log_level"] == "error"
    assert logged["path"] == "/query"


def test_request_ids_differ(client: httpx.Client, base: str) -> None:
    ids = {client.get(base + "/").headers["x-request-id"] for _ in range(3)}
    assert len(ids) == 3


def test_the_deadline_answers_and_stops_the_work(client: httpx.Client) -> None:
    source = MemorySource(delay_s=60)
    with serving(make_app(source, deadline_s=0.05)) as url:
        response = client.post(url + "/query", json=panel(CPU, MEM))
    error = assert_union(response, 504)
    assert "deadline_s" in error["message"]
    assert source.cancelled == 2


def test_a_timeout_that_is_not_the_deadline_is_a_failure(client: httpx.Client) -> None:
    with serving(make_app(MemorySource(failure=TimeoutError("inner")))) as url:
        assert_union(client.post(url + "/query", json=panel(CPU)), 500)


def test_an_answer_that_fails_half_way_is_cut_off_and_logged(client: httpx.Client) -> None:
    async def half(_: Any, __: Any, send: Callable[..., Any]) -> None:
        headers = [(b"content-length", b"100")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise RuntimeError("half way")

    app = make_app(extra=[Mount("/half", half)])
    with (
        capture_logs() as logs,
        serving(app) as url,
        pytest.raises(httpx.RemoteProtocolError, match="peer closed connection"),
    ):
        client.get(url + "/half/")
    assert "answer_broken_off" in [entry["event"] for entry in logs]
