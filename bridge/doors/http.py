"""HTTP as every door speaks it: bodies in, JSON out, one error body.

Bodies are JSON whatever their content type, and an empty body is an empty object
(reference: grafana 0, fact 9). Answers are exactly ``application/json``, since Grafana
compares that text. Errors are the body every client shows best (fact 10).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import orjson
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Route

from bridge.errors import BadRequestError, BridgeError, TooMuchError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from starlette.requests import Request

    Endpoint = Callable[[Request], Awaitable[Response]]

#: Characters of an error's message that are shown and logged.
LONGEST_MESSAGE = 1_000

_DIGITS = re.compile(r"[0-9]{1,18}")


class JsonResponse(Response):
    """An answer whose content type is exactly ``application/json``; NaN becomes null."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """Encode anything but bytes, which are taken as JSON already."""
        if isinstance(content, bytes):
            return content
        return orjson.dumps(content)


class PlacedError(Exception):
    """An error of the bridge together with the part of the request it came from.

    Attributes:
        error: What happened.
        field: For example ``targets[2].target``.
    """

    def __init__(self, error: BridgeError, field: str) -> None:
        super().__init__(error.message)
        self.error = error
        self.field = field


def both(path: str, endpoint: Endpoint, methods: Sequence[str]) -> list[Route]:
    """Route a path with and without a slash at its end, since no redirect may be answered."""
    return [Route(form, endpoint, methods=list(methods)) for form in (path, f"{path}/")]


async def read_object(request: Request, *, max_bytes: int) -> dict[str, Any]:
    """Read the body as a JSON object.

    Raises:
        BadRequestError: It is not JSON, or no object.
        TooMuchError: It is longer than ``max_bytes``.
    """
    body = await read_bytes(request, max_bytes)
    if not body.strip():
        return {}
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadRequestError(f"the body is not JSON: {error}") from None
    if not isinstance(content, dict):
        raise BadRequestError(f"expected a JSON object, found {kind_of(content)}")
    return content


async def read_bytes(request: Request, max_bytes: int) -> bytes:
    """Read the body as it comes.

    Raises:
        TooMuchError: It is longer than ``max_bytes``.
    """
    declared = request.headers.get("content-length", "")
    if _DIGITS.fullmatch(declared) and int(declared) > max_bytes:
        raise too_long(max_bytes)
    chunks, total = [], 0
    async for chunk in request.stream():
        total += len(chunk)
        if total > max_bytes:
            raise too_long(max_bytes)
        chunks.append(chunk)
    return b"".join(chunks)


def too_long(max_bytes: int) -> TooMuchError:
    """Return the refusal of a body longer than ``max_bytes``."""
    return TooMuchError(
        f"the body is longer than the limit of {max_bytes:,} bytes (setting max_body_bytes)"
    )


def kind_of(content: Any) -> str:
    """Name the JSON type of a decoded value, for messages."""
    match content:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "a text"
        case list():
            return "a list"
        case _:
            return "an object"


def error_body(
    status: int, message: str, *, field: str | None = None, position: int | None = None
) -> dict[str, Any]:
    """Return ``{"message", "error": {"code", "message"[, "field", "position"]}}``."""
    error: dict[str, Any] = {"code": status, "message": message}
    if field is not None:
        error["field"] = field
    if position is not None:
        error["position"] = position
    return {"message": message, "error": error}


def clipped(message: str) -> str:
    """Shorten a message that quotes a long text of the client, in its middle."""
    if len(message) <= LONGEST_MESSAGE:
        return message
    half = LONGEST_MESSAGE // 2
    return f"{message[:half]} ... {message[-half:]}"


def error_response(error: BridgeError, *, field: str | None = None) -> JsonResponse:
    """Answer an error; the message starts with the place, which no client shows by itself."""
    position = None
    if isinstance(error, BadRequestError):
        field = error.field if field is None else field
        position = error.position
    message = clipped(error.message)
    if field is not None:
        place = field if position is None else f"{field}, position {position}"
        message = f"{place}: {message}"
    headers = {}
    if isinstance(error, UnavailableError):
        headers["Retry-After"] = str(error.retry_after)
    body = error_body(error.status, message, field=field, position=position)
    return JsonResponse(body, error.status, headers)


async def _refuse(request: Request, error: Exception) -> Response:
    """Answer what the router refuses (404, 405) with the same body as all errors."""
    if not isinstance(error, HTTPException):
        raise error
    if error.status_code == 404:
        message = f"there is nothing at {request.url.path[:200]}"
    elif error.status_code == 405:
        message = f"{request.method[:20]} is not served at {request.url.path[:200]}"
    else:
        message = error.detail
    body = error_body(error.status_code, message)
    return JsonResponse(body, error.status_code, headers=error.headers)


EXCEPTION_HANDLERS: Mapping[Any, Callable[[Request, Exception], Awaitable[Response]]] = {
    HTTPException: _refuse
}
"""For ``Starlette(exception_handlers=...)``; all other errors are the guard's."""
