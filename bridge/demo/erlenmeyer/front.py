"""The HTTP face of the simulated Erlenmeyer: routes, tokens, error texts."""

from __future__ import annotations

import base64
import gzip
import secrets
import zlib
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import parse_qs

import orjson
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from bridge.demo.erlenmeyer import listings
from bridge.demo.erlenmeyer.evaluate import downsampling_of, run
from bridge.demo.erlenmeyer.request import CrashError, RefusedError, parse_request
from bridge.demo.erlenmeyer.selectors import BackendError, InjectionError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.requests import Request

    from bridge.demo.erlenmeyer.listings import Suggest
    from bridge.demo.erlenmeyer.request import QueryRequest
    from bridge.demo.shelf import Shelf

PREFIX = "/opentsdb"
_TEXT = "text/plain; charset=utf-8"
_STATIC: Mapping[str, Any] = MappingProxyType(
    {"aggregators": listings.AGGREGATORS, "filters": listings.FILTERS}
)
_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_REFUSAL_PAGE = (
    "<html>\n<head>\n"
    '<meta http-equiv="Content-Type" content="text/html;charset=ISO-8859-1"/>\n'
    "<title>Error 500 </title>\n</head>\n<body>\n<h2>HTTP ERROR: 500</h2>\n"
    "<p>Problem accessing /api/v0. Reason:\n<pre>    Invalid token.</pre></p>\n"
    "</body>\n</html>\n\n"
)


class Tokens(Protocol):
    """Who may read."""

    def may_read(self, token: str) -> bool:
        """Tell whether Warp 10 would accept the token for reading."""

    def denied(self, token: str) -> bool:
        """Tell whether Erlenmeyer itself refuses the token."""


@dataclass(slots=True)
class Counters:
    """What tests want to know about the traffic."""

    injections: int = 0
    sub_queries: int = 0

    def clear(self) -> None:
        """Start again at zero."""
        self.injections = self.sub_queries = 0


def text(message: str, status: int, headers: Mapping[str, str] | None = None) -> Response:
    """Answer plain text with a line end, as Go's ``http.Error`` does."""
    return Response(message + "\n", status, dict(headers or {}), media_type=_TEXT)


def json_answer(value: Any) -> Response:
    """Answer JSON with a line end, as Go's encoder does."""
    return Response(orjson.dumps(value) + b"\n", media_type="application/json")


def _echo_error(message: str, status: int) -> Response:
    body = orjson.dumps({"message": message}) + b"\n"
    return Response(body, status, media_type="application/json; charset=UTF-8")


def not_found() -> Response:
    """Answer as Erlenmeyer's web framework does for a path it does not know."""
    return _echo_error("Not Found", 404)


def _ulid() -> str:
    return "".join(secrets.choice(_CROCKFORD) for _ in range(26))


def _route(path: str) -> str | None:
    """Return which call a path (behind the prefix) reaches; suffixes match too."""
    tail = path.removeprefix("/api/")
    if tail.startswith("query/last"):
        return "last"
    if tail.startswith("query") and not tail.startswith("query/"):
        return "query"
    for start, name in (
        ("suggest", "suggest"),
        ("aggregators", "aggregators"),
        ("search/lookup", "lookup"),
        ("config/filters", "filters"),
    ):
        if tail.startswith(start):
            return name
    return None


class Erlenmeyer:
    """OVHcloud's OpenTSDB front end over a shelf of series.

    Args:
        shelf: The data.
        tokens: Who may read it.
        clock: Epoch seconds.
        error_letter: The letter in ``invalid character 'i' looking for ...``; it is
            the first of Warp 10's own message and differs between its versions.
    """

    def __init__(
        self,
        shelf: Shelf,
        tokens: Tokens,
        clock: Callable[[], float],
        *,
        error_letter: str = "i",
    ) -> None:
        self._shelf = shelf
        self._tokens = tokens
        self._clock = clock
        self._backend_error = f"invalid character '{error_letter}' looking for beginning of value"
        self.counters = Counters()

    async def answer(self, request: Request) -> Response:
        """Answer any request whose path begins with the prefix."""
        response = await self._answer(request)
        response.headers["Access-Control-Allow-Origin"] = "*"
        response.headers["X-App-Txn"] = _ulid()
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response

    async def _answer(self, request: Request) -> Response:
        if request.method == "OPTIONS":
            return Response(status_code=200)
        path = request.url.path.removeprefix(PREFIX)
        route = _route(path) if path.startswith("/api/") else None
        if path.startswith("/api/") and route is None:
            return not_found()
        try:
            body = await self._body(request)
        except (OSError, EOFError, zlib.error):
            return Response(status_code=400)
        token = _token(request, body)
        if not token or self._tokens.denied(token):
            return Response(status_code=403 if token else 401)
        return await self._guarded(route, request, body, token) if route else not_found()

    async def _guarded(self, route: str, request: Request, body: bytes, token: str) -> Response:
        method = request.method
        if method == "POST":
            method = request.headers.get("x-http-method-override", method)
        try:
            return await self._call(route, method, request, body, token)
        except RefusedError as error:
            return text(error.message, error.status)
        except BackendError as error:
            self.counters.injections += isinstance(error, InjectionError)
            return text(self._backend_error, 500)
        except CrashError:
            return _echo_error("Internal Server Error", 500)

    @staticmethod
    async def _body(request: Request) -> bytes:
        body = await request.body()
        if request.headers.get("content-encoding") == "gzip":
            return gzip.decompress(body)
        return body

    async def _call(
        self, route: str, method: str, request: Request, body: bytes, token: str
    ) -> Response:
        if route in _STATIC:
            # Never checked against Warp 10: any token will do.
            return json_answer(_STATIC[route])
        if route == "query":
            return await self._query(method, body, token)
        known = self._tokens.may_read(token)
        query = parse_qs(request.url.query, keep_blank_values=True)
        if route == "suggest":
            return self._suggest(listings.suggest_request(method, query, body), known=known)
        if route == "lookup":
            lookup = listings.lookup_request(method, query, body)
            if not known:
                raise BackendError
            return json_answer(listings.lookup(self._shelf, lookup))
        series = listings.last_request(method, query, body)
        if not known:
            raise RefusedError("Failed to unmarshal Egress response", 502)
        return Response(listings.last(self._shelf, series), media_type="application/json")

    def _suggest(self, wanted: Suggest | None, *, known: bool) -> Response:
        if wanted is None:
            return Response(status_code=400)
        if not known:
            return Response(_REFUSAL_PAGE, 500, media_type=_TEXT)
        return json_answer(listings.suggest(self._shelf, wanted))

    async def _query(self, method: str, body: bytes, token: str) -> Response:
        if method == "GET":
            raise RefusedError("Please use the POST version of queries", 501)
        if method not in {"POST", "DELETE"}:
            return text(f"Method '{method}' is not allowed", 405, {"Allow": "POST, DELETE"})
        request = parse_request(body, self._clock())
        if request.delete or method == "DELETE":
            # Warp 10 refuses to delete with a read token; that is only logged.
            return json_answer([])
        return json_answer(await self._run(request, token))

    async def _run(self, request: QueryRequest, token: str) -> list[dict[str, Any]]:
        elements: list[dict[str, Any]] = []
        for index in range(len(request.queries)):
            self.counters.sub_queries += 1
            # The script is written before its token is refused.
            if not self._tokens.may_read(token):
                downsampling_of(request, index)
                raise BackendError
            elements += await run_in_threadpool(run, self._shelf, request, index)
        return elements


def _token(request: Request, body: bytes) -> str:
    """Find the token: password of any Authorization scheme, else ``p=``."""
    header = request.headers.get("authorization", "")
    if header:
        _, _, encoded = header.partition(" ")
        try:
            decoded = base64.b64decode(encoded, validate=True).decode()
        except ValueError:
            return ""
        return decoded.partition(":")[2]
    query = parse_qs(request.url.query).get("p")
    if query:
        return query[0]
    if request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        form = parse_qs(body.decode(errors="replace")).get("p")
        if form:
            return form[0]
    return ""
