"""The routes under ``/api``, each also under ``/api/v1`` and with a slash at its end.

All of them are one route to the web framework, so that everything under ``/api`` is refused in
OpenTSDB's form (reference: opentsdb 6).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import structlog
from starlette.requests import Request
from starlette.routing import Route

from bridge.doors.http import PlacedError, clipped
from bridge.doors.opentsdb import listings
from bridge.doors.opentsdb.address import read_address
from bridge.doors.opentsdb.answers import answer, failure, refusal
from bridge.doors.opentsdb.ask import refuse_delete
from bridge.doors.opentsdb.body import read_body
from bridge.doors.opentsdb.content import read_content, read_content_if_any
from bridge.doors.opentsdb.last import last_address, last_body
from bridge.doors.opentsdb.lookup import lookup_address, lookup_body
from bridge.doors.opentsdb.notes import find_note
from bridge.doors.opentsdb.query import answer_query
from bridge.doors.opentsdb.suggest import suggest
from bridge.errors import BridgeError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from starlette.responses import Response
    from starlette.types import Receive, Scope, Send

    from bridge.doors.doorway import Doorway

    Handler = Callable[[Request], Awaitable[Response]]

_log = structlog.get_logger(__name__)

#: Ways to say another method than the request's own.
_OVERRIDE_HEADER, _OVERRIDE_WORD = "x-http-method-override", "method_override"


def routes(doorway: Doorway) -> list[Route]:
    """Return the routes of OpenTSDB's HTTP API."""
    api = _Api(doorway)
    return [Route("/api", api), Route("/api/{path:path}", api)]


class _Api:
    """Everything under ``/api``, as an ASGI application."""

    def __init__(self, doorway: Doorway) -> None:
        self._doorway = doorway
        self._handlers: Mapping[str, Mapping[str, Handler]] = {
            "query": {
                "GET": self._get_query,
                "POST": self._post_query,
                "DELETE": self._delete_query,
            },
            "query/last": {"GET": self._get_last, "POST": self._post_last},
            "suggest": {"GET": self._get_suggest, "POST": self._post_suggest},
            "search/lookup": {"GET": self._get_lookup, "POST": self._post_lookup},
            "annotation": {"GET": self._get_annotation},
            "aggregators": _constant(listings.aggregators()),
            "config/filters": _constant(listings.filters()),
            "version": _constant(listings.version()),
        }

    @property
    def endpoints(self) -> Mapping[str, frozenset[str]]:
        """The methods served, by path."""
        return {f"/api/{path}": frozenset(methods) for path, methods in self._handlers.items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        request = Request(scope, receive)
        response = await self._respond(request)
        await response(scope, receive, send)

    async def _respond(self, request: Request) -> Response:
        path = request.path_params.get("path", "").rstrip("/").removeprefix("v1/")
        handlers = self._handlers.get(path)
        if handlers is None:
            return refusal(404, "Endpoint not found")
        method = _method(request)
        try:
            handler = handlers.get(method)
            if handler is None:
                return _not_allowed(method, handlers)
            return await handler(request)
        except PlacedError as placed:
            return _failed(request, placed.error, placed.field)
        except BridgeError as error:
            return _failed(request, error, None)

    async def _post_query(self, request: Request) -> Response:
        ask = read_body(
            await self._content(request),
            now_ms=self._now_ms(),
            arrays="arrays" in request.query_params,
            alert="fromalert" in request.headers,
            max_queries=self._doorway.limits.max_targets,
        )
        return answer(await answer_query(self._doorway, ask))

    async def _get_query(self, request: Request) -> Response:
        ask = read_address(
            request.query_params,
            now_ms=self._now_ms(),
            alert="fromalert" in request.headers,
            max_queries=self._doorway.limits.max_targets,
        )
        return answer(await answer_query(self._doorway, ask))

    async def _delete_query(self, _: Request) -> Response:
        raise refuse_delete()

    async def _get_last(self, request: Request) -> Response:
        return answer(await last_address(self._doorway, request.query_params))

    async def _post_last(self, request: Request) -> Response:
        return answer(await last_body(self._doorway, await self._content(request)))

    async def _get_suggest(self, request: Request) -> Response:
        missing = "Missing parameter <code>type</code>"
        return answer(await suggest(self._doorway, request.query_params, missing=missing))

    async def _post_suggest(self, request: Request) -> Response:
        content = await self._content(request)
        return answer(await suggest(self._doorway, content, missing="Missing 'type' parameter"))

    async def _get_lookup(self, request: Request) -> Response:
        return answer(await lookup_address(self._doorway, request.query_params))

    async def _post_lookup(self, request: Request) -> Response:
        max_bytes = self._doorway.limits.max_body_bytes
        content = await read_content_if_any(request, max_bytes=max_bytes)
        if content is None:  # then OpenTSDB reads the address
            return await self._get_lookup(request)
        return answer(await lookup_body(self._doorway, content))

    async def _get_annotation(self, request: Request) -> Response:
        return answer(find_note(self._doorway, request.query_params))

    async def _content(self, request: Request) -> dict[str, Any]:
        return await read_content(request, max_bytes=self._doorway.limits.max_body_bytes)

    def _now_ms(self) -> int:
        return int(self._doorway.clock() * 1000)


def _constant(content: Any) -> Mapping[str, Handler]:
    """Answer the same whatever is asked."""

    async def handler(_: Request) -> Response:
        return answer(content)

    return {"GET": handler, "POST": handler}


def _method(request: Request) -> str:
    """Return the method a client means: a wish to write or delete must not read as a query."""
    for meant in (
        request.headers.get(_OVERRIDE_HEADER),
        request.query_params.get(_OVERRIDE_WORD),
    ):
        if meant and meant.upper() not in ("GET", "POST"):
            return meant.upper()
    return request.method


def _not_allowed(method: str, handlers: Mapping[str, Handler]) -> Response:
    return refusal(
        405,
        "Method not allowed",
        f"The HTTP method [{method[:20]}] is not permitted for this endpoint",
        {"Allow": ", ".join(name for name in handlers if name != "DELETE")},
    )


def _failed(request: Request, error: BridgeError, field: str | None) -> Response:
    log = _log.warning if error.status >= 500 else _log.info
    log(
        "request_refused",
        path=request.url.path,
        status=error.status,
        reason=clipped(error.message),
    )
    return failure(error, field)
