"""What can go wrong in a call: each kind told apart, retried where that helps, without secrets."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import subprocess
import threading
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route
from structlog.testing import capture_logs

from bridge.errors import UnavailableError, UpstreamError, UpstreamTimeoutError
from bridge.ovh import wire
from bridge.ovh.errors import (
    OvhBrokeError,
    OvhCredentialError,
    OvhError,
    OvhExpiredError,
    OvhNotFoundError,
    OvhNotGrantedError,
    OvhRateLimitedError,
    OvhRefusedError,
    OvhSignatureError,
    OvhTimeoutError,
    OvhUnreachableError,
    pattern,
)
from tests.ovh.upstream import AS, CK, CLIENT_SECRET, FakeTime, Upstream, serve
from tests.programs import program

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.requests import Request

from tests.ovh.calling import HTML, SERVICE, failing, opened

REFUSALS = [
    (403, {"errorCode": "INVALID_CREDENTIAL", "message": "m"}, OvhCredentialError),
    (403, {"errorCode": "NOT_CREDENTIAL", "message": "m"}, OvhCredentialError),
    (403, {"errorCode": "INVALID_KEY", "message": "m"}, OvhCredentialError),
    (401, {"class": "Client::Unauthorized", "message": "You must login first"}, OvhCredentialError),
    (403, {"class": "Client::Forbidden", "message": "This application key is invalid"},
     OvhCredentialError),
    (403, {"message": "This credential is not valid"}, OvhCredentialError),
    (403, {"errorCode": "NOT_GRANTED_CALL", "message": "This call has not been granted"},
     OvhNotGrantedError),
    (403, {"class": "Client::Forbidden", "message": "This call has not been granted"},
     OvhNotGrantedError),
    (403, {"errorCode": "FORBIDDEN", "message": "m"}, OvhNotGrantedError),
    (400, {"errorCode": "INVALID_SIGNATURE", "message": "Invalid signature"}, OvhSignatureError),
    (400, {"message": "Invalid signature"}, OvhSignatureError),
    (404, {"class": "Client::NotFound", "message": "m"}, OvhNotFoundError),
    (404, HTML, OvhNotFoundError),
    (460, {"message": "m"}, OvhExpiredError),
    (409, {"message": "m"}, OvhRefusedError),
    (400, {"message": "m"}, OvhRefusedError),
    (400, [], OvhRefusedError),
    (302, b"", OvhBrokeError),
    (501, {"message": "m"}, OvhBrokeError),
    (200, HTML, OvhBrokeError),
    (200, b'{"half": ', OvhBrokeError),
]  # fmt: skip


@pytest.mark.parametrize(("status", "body", "kind"), REFUSALS)
async def test_each_refusal_has_its_kind(
    upstream: Upstream, status: int, body: Any, kind: type[OvhError]
) -> None:
    headers = {"Location": "https://elsewhere.example/"} if status == 302 else {}
    upstream.fault(f"/1.0{SERVICE}", status, body, times=9, headers=headers)
    async with opened(upstream.account()) as api:
        error = await failing(api)
    assert type(error) is kind
    assert isinstance(error, UpstreamError)
    assert error.status == 502
    assert error.path == SERVICE
    assert error.query_id == "EU.ext-1.test"
    assert "EU.ext-1.test" in error.message
    assert error.message.startswith(f"GET {SERVICE}: ")


async def test_missing_rule_is_named(upstream: Upstream) -> None:
    path = f"{SERVICE}/datacenter/8/vm/17"
    upstream.fault(f"/1.0{path}", 403, {"errorCode": "NOT_GRANTED_CALL", "message": "m"})
    async with opened(upstream.account()) as api:
        error = await failing(api, path)
    assert isinstance(error, OvhNotGrantedError)
    assert error.rule == "GET /dedicatedCloud/*/datacenter/*/vm/*"
    assert error.rule in error.message


async def test_missing_iam_action_is_named(upstream: Upstream) -> None:
    action = "pccVMware:apiovh:task/get"
    body = {
        "class": "Client::Forbidden",
        "message": "User not granted for this request",
        "details": {"unauthorizedActionsByIAM": action, "unauthorizedActionsByAuthentication": ""},
    }
    upstream.fault(f"/1.0{SERVICE}", 403, body)
    async with opened(upstream.account()) as api:
        error = await failing(api)
    assert isinstance(error, OvhNotGrantedError)
    assert error.rule == action
    assert action in error.message


def test_pattern_of_a_path() -> None:
    assert pattern("/dedicatedCloud") == "/dedicatedCloud"
    assert pattern("/dedicatedCloud/pcc-1/task") == "/dedicatedCloud/*/task"
    assert pattern("/dedicatedCloud/pcc-1/task/1,22") == "/dedicatedCloud/*/task/*"


async def test_gateway_errors_are_retried_and_then_told(upstream: Upstream) -> None:
    upstream.tree[SERVICE] = {"a": 1}
    upstream.fault(f"/1.0{SERVICE}", 504, HTML, times=2, headers={"Content-Type": "text/html"})
    clock = FakeTime()
    async with opened(upstream.account(), clock=clock, sleep=clock.sleep) as api:
        assert await api.get(SERVICE) == {"a": 1}
        assert len(clock.slept) == 2
        upstream.fault(f"/1.0{SERVICE}", 503, {"message": "down"}, times=3)
        error = await failing(api)
    assert isinstance(error, OvhBrokeError)
    assert error.http_status == 503
    assert "down" in error.message


async def test_post_is_not_repeated_unless_allowed(upstream: Upstream) -> None:
    upstream.posts["/x"] = 1
    upstream.fault("/1.0/x", 503, b"{}", method="POST", times=1)
    async with opened(upstream.account()) as api:
        with pytest.raises(OvhBrokeError):
            await api.post("/x")
        assert upstream.paths("POST") == ["/1.0/x"]
        upstream.fault("/1.0/x", 503, b"{}", method="POST", times=1)
        assert await api.post("/x", idempotent=True) == 1


async def test_retry_after_is_honoured(upstream: Upstream) -> None:
    upstream.tree[SERVICE] = 1
    upstream.fault(f"/1.0{SERVICE}", 429, b"", headers={"Retry-After": "7"})
    clock = FakeTime()
    async with opened(upstream.account(), clock=clock, sleep=clock.sleep) as api:
        started = clock.now
        assert await api.get(SERVICE) == 1
    assert 7 <= clock.now - started < 16


async def test_too_many_calls_for_too_long(upstream: Upstream) -> None:
    upstream.fault(f"/1.0{SERVICE}", 429, b"{}", headers={"Retry-After": "3600"}, times=9)
    async with opened(upstream.account()) as api:
        error = await failing(api)
    assert isinstance(error, OvhRateLimitedError)
    assert isinstance(error, UnavailableError)
    assert (error.status, error.retry_after) == (503, 3600)
    assert upstream.paths().count(f"/1.0{SERVICE}") == 1


async def test_unreachable(upstream: Upstream) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        # Bound but not listening: nobody else can take the port meanwhile.
        async with opened(upstream.account(api_url=f"http://127.0.0.1:{port}/1.0")) as api:
            error = await failing(api)
    assert isinstance(error, OvhUnreachableError)
    assert api.calls == 3
    async with opened(upstream.account(api_url="http://name.invalid/1.0")) as api:
        assert "cannot be resolved" in (await failing(api)).message


async def test_tls_failure_is_said_to_be_one(upstream: Upstream) -> None:
    url = upstream.base.replace("http://", "https://")
    async with opened(upstream.account(api_url=f"{url}/1.0")) as api:
        error = await failing(api)
    assert isinstance(error, OvhUnreachableError)
    assert "TLS" in error.message


async def test_private_certificate_authority(upstream: Upstream, tmp_path: Path) -> None:
    openssl = program("openssl")
    key, certificate = tmp_path / "key.pem", tmp_path / "ca.pem"
    subprocess.run(  # noqa: ASYNC221 -- nothing else runs yet
        [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
         "-days", "2", "-keyout", str(key), "-out", str(certificate)],
        check=True, capture_output=True,
    )  # fmt: skip
    tls = {"ssl_keyfile": str(key), "ssl_certfile": str(certificate)}

    async def hello(request: Request) -> JSONResponse:
        return JSONResponse(1_700_000_000 if request.url.path.endswith("time") else "hello")

    with serve(Starlette(routes=[Route("/{path:path}", hello)]), **tls) as base:
        account = upstream.account(api_url=f"{base}/1.0")
        async with opened(account) as api:
            error = await failing(api)
            assert isinstance(error, OvhUnreachableError)
            assert "ca_file" in error.message
        async with opened(account, ca_file=certificate) as api:
            assert await api.get("/x") == "hello"


async def test_time_out(upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "TIMEOUT_S", (0.05, 0.05))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        async with opened(upstream.account(api_url=f"http://127.0.0.1:{port}/1.0")) as api:
            error = await failing(api)
    assert isinstance(error, OvhTimeoutError)
    assert isinstance(error, UpstreamTimeoutError)
    assert error.status == 504


_OK = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    "begin",
    [
        _OK,
        _OK + b"Content-Length: 99999\r\n\r\n",
        _OK + b"Transfer-Encoding: chunked\r\n\r\nfff\r\n",
    ],
    ids=["headers", "body", "chunk"],
)
async def test_an_answer_that_drips_is_cut(
    upstream: Upstream, monkeypatch: pytest.MonkeyPatch, begin: bytes
) -> None:
    """No single read ever runs out of time, and yet the call ends and its thread is free."""
    monkeypatch.setattr(wire, "ANSWER_TIME_S", 0.5)
    over = threading.Event()

    def drip(server: socket.socket) -> None:
        while not over.is_set():
            connection, _ = server.accept()
            with connection, contextlib.suppress(OSError):
                connection.recv(65536)
                connection.sendall(begin)
                while not over.wait(0.02):
                    connection.sendall(b"x")

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=drip, args=(server,), daemon=True)
        thread.start()
        account = upstream.account(api_url=f"http://127.0.0.1:{server.getsockname()[1]}/1.0")
        async with opened(account) as api:
            for _ in range(2):
                error = await failing(api)
                assert isinstance(error, OvhTimeoutError)
        over.set()
        with socket.create_connection(server.getsockname()):
            thread.join(5)


async def test_closing_ends_a_call_that_hangs(upstream: Upstream) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        account = upstream.account(api_url=f"http://127.0.0.1:{silent.getsockname()[1]}/1.0")
        async with opened(account) as api:
            asked = asyncio.create_task(api.get("/x"))
            accepted, _ = await asyncio.to_thread(silent.accept)
            with accepted:
                assert await asyncio.to_thread(accepted.recv, 4)
                await api.close()
                with pytest.raises((OvhError, UnavailableError)):
                    await asked


async def test_body_that_breaks_off(upstream: Upstream) -> None:
    upstream.tree["/x"] = 1

    def half(server: socket.socket) -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n[1,")

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=half, args=(server,), daemon=True)
        thread.start()
        port = server.getsockname()[1]
        async with opened(upstream.account(api_url=f"http://127.0.0.1:{port}/1.0")) as api:
            error = await failing(api)
        assert isinstance(error, OvhBrokeError)
        server.shutdown(socket.SHUT_RDWR)
    thread.join(5)


async def test_answer_too_long(upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "MAX_ANSWER_BYTES", 1000)
    upstream.tree["/x"] = ["x"] * 1000
    async with opened(upstream.account()) as api:
        assert "longer than 1000 bytes" in (await failing(api, "/x")).message


async def test_closed_means_unavailable(upstream: Upstream) -> None:
    async with opened(upstream.account()) as api:
        await api.close()
        with pytest.raises(UnavailableError):
            await api.get("/x")


async def test_cancelled_caller_harms_nobody(upstream: Upstream) -> None:
    upstream.tree["/x"] = 1
    async with opened(upstream.account()) as api:
        first = asyncio.create_task(api.get("/x"))
        others = [asyncio.create_task(api.get("/x")) for _ in range(3)]
        await asyncio.sleep(0)
        first.cancel()
        assert await asyncio.gather(*others) == [1, 1, 1]
        with pytest.raises(asyncio.CancelledError):
            await first


async def test_no_secret_in_any_log_message_or_repr(
    upstream: Upstream, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    texts: list[str] = []
    upstream.tree["/x"] = 1
    with capture_logs() as events:
        for account, secrets in (
            (upstream.account(), [AS, CK]),
            (upstream.oauth2_account(), [CLIENT_SECRET, upstream.bearer]),
        ):
            echo = {"message": f"bad {' '.join(secrets)}", "errorCode": "X"}
            async with opened(account) as api:
                await api.get("/x")
                for status in (400, 401, 403, 404, 429, 500):
                    upstream.fault(f"/1.0{SERVICE}", status, echo, times=3)
                    error = await failing(api)
                    texts += [str(error), repr(error), repr(error.args), error.message]
                    upstream.faults.clear()
                texts += [repr(api), repr(api._login), repr(api._shared), repr(vars(api))]
        bad_proxy = SecretStr("http://user:PROXYPASSWORD@127.0.0.1:1")
        async with opened(upstream.account(), proxy=bad_proxy) as api:
            texts += [str(await failing(api)), repr(vars(api))]
        for key in ("CONSUMERKEY-do-not-show\n", "CONSUMERKEY-do-not-show-€"):
            async with opened(upstream.account(consumer_key=key)) as api:
                error = await failing(api)
                assert isinstance(error, OvhUnreachableError)
                texts += [str(error), repr(error.__cause__)]
    out, err = capfd.readouterr()
    everything = "\n".join([*texts, str(events), caplog.text, out, err])
    assert f"GET {SERVICE}" in everything
    assert "urllib3" in caplog.text
    assert "bad *** ***" in everything
    for secret in (AS, CK, CLIENT_SECRET, upstream.bearer, "PROXYPASSWORD"):
        assert secret not in everything, secret
