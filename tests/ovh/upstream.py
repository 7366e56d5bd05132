"""A small OVHcloud for the odd cases: real HTTP, real signatures, faults on demand."""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import uvicorn
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from bridge.settings import Account

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from starlette.requests import Request

AK, AS, CK = "app-key-1234", "APPSECRET-do-not-show", "CONSUMERKEY-do-not-show"
CLIENT, CLIENT_SECRET = "client-5678", "CLIENTSECRET-do-not-show"


@dataclass
class Fault:
    """Answers in place of the real one, as often as ``times``."""

    path: str
    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    times: int = 1
    method: str = "GET"
    batched: bool | None = None


@dataclass
class Call:
    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes


class Upstream:
    """Objects by path (``tree``), APIv6's rules around them."""

    def __init__(self) -> None:
        self.base = ""
        self.reset()

    def reset(self) -> None:
        self.tree: dict[str, Any] = {}
        self.posts: dict[str, Any] = {}
        self.faults: list[Fault] = []
        self.calls: deque[Call] = deque()
        self.skew_s = 0
        self.batches = True
        self.batch_keys: Callable[[int], Any] = int
        self.credential_valid = True
        self.bearer = "BEARER-1"
        self.bearer_life_s: float = 3599
        self.expired: set[str] = set()

    # what tests ask -----------------------------------------------------------------

    def account(self, **more: Any) -> Account:
        values = {
            "api_url": f"{self.base}/1.0",
            "application_key": AK,
            "application_secret": AS,
            "consumer_key": CK,
            "calls_per_minute": 100_000,
        }
        return Account(**{**values, **more})

    def oauth2_account(self, **more: Any) -> Account:
        values = {
            "api_url": f"{self.base}/1.0",
            "oauth2_token_url": f"{self.base}/auth/oauth2/token",
            "client_id": CLIENT,
            "client_secret": CLIENT_SECRET,
            "calls_per_minute": 100_000,
        }
        return Account(**{**values, **more})

    def paths(self, method: str = "GET") -> list[str]:
        return [call.path for call in self.calls if call.method == method]

    def fault(self, path: str, status: int = 200, body: Any = b"", **more: Any) -> None:
        if not isinstance(body, bytes):
            body = json.dumps(body).encode()
        self.faults.append(Fault(path, status, body, **more))

    # what it does -------------------------------------------------------------------

    async def answer(self, request: Request) -> Response:
        path = request.url.path
        body = await request.body()
        headers = {key.lower(): value for key, value in request.headers.items()}
        self.calls.append(Call(request.method, path, request.url.query, headers, body))
        status, payload, extra = self._decide(request, path, headers, body)
        extra = {"X-OVH-QUERYID": "EU.ext-1.test", **extra}
        content = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        return Response(content, status, {"Content-Type": "application/json", **extra})

    def _decide(  # noqa: PLR0911 -- APIv6's checks, in its order
        self, request: Request, path: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, Any, dict[str, str]]:
        batched = "x-ovh-batch" in headers
        for fault in self.faults:
            hit = re.fullmatch(fault.path, path) and fault.method == request.method
            if hit and fault.times > 0 and fault.batched in {None, batched}:
                fault.times -= 1
                return fault.status, fault.body, fault.headers
        if path == "/1.0/auth/time":
            return 200, int(time.time()) + self.skew_s, {}
        if path == "/auth/oauth2/token":
            return self._oauth2(body)
        refused = self._refused(request, headers, body)
        if refused:
            return (*refused, {})
        inner = path.removeprefix("/1.0")
        for service in self.expired:
            if inner.startswith(f"/dedicatedCloud/{service}"):
                return 460, {"class": "Client::Expired", "message": "This service is expired"}, {}
        if request.method == "POST":
            if inner in self.posts:
                return 200, self.posts[inner], {}
            return 404, _not_found(inner), {}
        if batched and self.batches:
            return self._batch(inner)
        if inner in self.tree:
            return 200, self.tree[inner], {}
        return 404, _not_found(inner), {}

    def _batch(self, inner: str) -> tuple[int, Any, dict[str, str]]:
        head, _, last = inner.rpartition("/")
        items = []
        for key in last.split(","):
            value = self.tree.get(f"{head}/{key}")
            error = None if value is not None else _not_found(f"{head}/{key}")
            items.append({"key": self.batch_keys(int(key)), "value": value, "error": error})
        return 200, items, {}

    def _oauth2(self, body: bytes) -> tuple[int, Any, dict[str, str]]:
        form = dict(parse_qsl(body.decode()))
        if form != {
            "grant_type": "client_credentials",
            "client_id": CLIENT,
            "client_secret": CLIENT_SECRET,
            "scope": "all",
        }:
            return 401, {"error": "invalid_client", "error_description": CLIENT_SECRET}, {}
        return (
            200,
            {
                "access_token": self.bearer,
                "token_type": "Bearer",
                "expires_in": self.bearer_life_s,
                "scope": "all",
            },
            {},
        )

    def _refused(  # noqa: PLR0911 -- APIv6's checks, in its order
        self, request: Request, headers: dict[str, str], body: bytes
    ) -> tuple[int, Any] | None:
        if "authorization" in headers:
            if headers["authorization"] == f"Bearer {self.bearer}":
                return None
            return 401, {"class": "Client::Unauthorized", "message": "invalid token"}
        if headers.get("x-ovh-application") != AK:
            message = "This application key is invalid"
            return 403, {"class": "Client::Forbidden", "message": message}
        if headers.get("x-ovh-consumer") != CK or not self.credential_valid:
            return 403, {
                "errorCode": "INVALID_CREDENTIAL",
                "httpCode": "403 Forbidden",
                "message": "This credential is not valid",
            }
        stamp = headers.get("x-ovh-timestamp", "0")
        if abs(int(stamp) - (int(time.time()) + self.skew_s)) > 180:
            return 400, {"errorCode": "QUERY_TIME_OUT", "message": "Query out of time"}
        raw = request.scope["raw_path"].decode()
        query = request.scope["query_string"].decode()
        url = f"http://{headers['host']}{raw}{'?' + query if query else ''}"
        text = f"{AS}+{CK}+{request.method}+{url}+{body.decode()}+{stamp}"
        expected = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
        if headers.get("x-ovh-signature") != f"$1${expected}":
            return 400, {
                "errorCode": "INVALID_SIGNATURE",
                "httpCode": "400 Bad Request",
                "message": "Invalid signature",
            }
        return None


def _not_found(path: str) -> dict[str, str]:
    return {"class": "Client::NotFound", "message": f"The requested object ({path}) does not exist"}


@contextmanager
def serve(app: Any, **tls: str) -> Iterator[str]:
    """Run an ASGI application on a free port; yields its base URL."""
    config = uvicorn.Config(app, port=0, log_level="critical", lifespan="off", ws="none", **tls)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.005)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(10)


@contextmanager
def run_upstream() -> Iterator[Upstream]:
    upstream = Upstream()
    route = Route("/{path:path}", upstream.answer, methods=["GET", "POST"])
    with serve(Starlette(routes=[route])) as base:
        upstream.base = base
        yield upstream


class FakeTime:
    """A clock that only moves when somebody sleeps."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self.now = now
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
