"""The whole document, and ``GET /openapi.json``."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import orjson
from starlette.routing import Route

from bridge import __version__
from bridge.doors.http import JsonResponse
from bridge.doors.openapi import grafana, opentsdb, own, rows
from bridge.doors.openapi.parts import JSON_TYPE, TEXT, WHOLE
from bridge.doors.openapi.schemas import SCHEMAS, shared

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from starlette.requests import Request
    from starlette.responses import Response

    from bridge.doors.openapi.parts import Operation, Schema

OPERATIONS: tuple[Operation, ...] = (
    *own.OPERATIONS,
    *grafana.OPERATIONS,
    *opentsdb.OPERATIONS,
    *rows.OPERATIONS,
)
_ABOUT = """\
The bridge between Grafana and OVHcloud's vScope data.

Every path is also served with a slash at its end where it is no file or page, and every path \
under `/api` also under `/api/v1`. Bodies are read as JSON whatever their content type. \
An error 500 is a mistake of the bridge and stands nowhere here.\
"""
_HEADERS: Mapping[str, Schema] = {
    "X-Request-Id": {
        "required": True,
        "description": "stands in the log beside everything about this request",
        "schema": {"type": "string", "pattern": "^[0-9a-f]{12}$"},
    },
    "Retry-After": {
        "required": True,
        "description": "seconds after which asking again makes sense",
        "schema": {**WHOLE, "minimum": 0},
    },
    "Age": {
        "description": "seconds since the oldest of the data was read",
        "schema": {**WHOLE, "minimum": 0},
    },
    "Warning": {"description": "what the answer lacks, or why it is old", "schema": TEXT},
}
#: Any request can meet these: no credential, too fast, too much at once, too late.
_ALWAYS = (429, 503, 504)
#: Only said with these.
_WAITING = frozenset({429, 503})


def document() -> dict[str, Any]:
    """Return the OpenAPI 3.1 document."""
    paths: dict[str, Any] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method] = _entry(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "vScope bridge",
            "version": __version__,
            "description": _ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "./"}],
        "security": [{"basic": []}, {"bearer": []}],
        "tags": [{"name": door} for door in dict.fromkeys(one.door for one in OPERATIONS)],
        "paths": paths,
        "components": {
            "schemas": dict(SCHEMAS),
            "headers": dict(_HEADERS),
            "responses": {str(status): _error(status) for status in _error_statuses()},
            "securitySchemes": {
                "basic": {"type": "http", "scheme": "basic"},
                "bearer": {"type": "http", "scheme": "bearer"},
            },
        },
    }


def routes() -> list[Route]:
    """Return ``/openapi.json``."""
    content = orjson.dumps(document())

    async def openapi(_: Request) -> Response:
        """Answer the document."""
        return JsonResponse(content)

    return [Route("/openapi.json", openapi, methods=["GET"])]


def _entry(operation: Operation) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "summary": operation.about,
        "tags": [operation.door],
        "operationId": _identifier(operation),
        "responses": dict(_responses(operation)),
    }
    if operation.parameters:
        entry["parameters"] = [one.entry() for one in operation.parameters]
    if operation.body is not None:
        entry["requestBody"] = {
            "required": operation.body_needed,
            "content": {JSON_TYPE: {"schema": operation.body}},
        }
    if operation.open:
        entry["security"] = []
    return entry


def _identifier(operation: Operation) -> str:
    words = operation.path.replace("{", "").replace("}", "").replace("/", " ").split()
    return "-".join([operation.method, *words]).replace(".", "-")


def _responses(operation: Operation) -> Iterator[tuple[str, dict[str, Any]]]:
    if operation.method != "delete":
        yield "200", _response("The answer", operation.answers, operation.headers)
    # Probes answer at any load, the process' life without a credential.
    statuses = {*operation.errors, *operation.failed, *_ALWAYS}
    statuses |= set() if operation.open else {401}
    for status in sorted(statuses):
        if operation.method == "head":
            yield str(status), _response(HTTPStatus(status).phrase, {}, _headers_of(status))
        elif status in operation.failed:
            content = operation.failed[status]
            yield str(status), _response(HTTPStatus(status).phrase, content, _headers_of(status))
        else:
            yield str(status), {"$ref": f"#/components/responses/{status}"}


def _error_statuses() -> list[int]:
    return sorted({401, *_ALWAYS, *(status for one in OPERATIONS for status in one.errors)})


def _error(status: int) -> dict[str, Any]:
    content = {JSON_TYPE: shared("Error")}
    return _response(HTTPStatus(status).phrase, content, _headers_of(status))


def _headers_of(status: int) -> tuple[str, ...]:
    return ("Retry-After",) if status in _WAITING else ()


def _response(
    about: str, content: Mapping[str, Schema | None], headers: tuple[str, ...]
) -> dict[str, Any]:
    response: dict[str, Any] = {
        "description": about,
        "headers": {
            name: {"$ref": f"#/components/headers/{name}"} for name in ("X-Request-Id", *headers)
        },
    }
    if content:
        response["content"] = {
            kind: {} if schema is None else {"schema": schema} for kind, schema in content.items()
        }
    return response
