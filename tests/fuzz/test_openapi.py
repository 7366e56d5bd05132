"""The published document is true: no other routes, and no answers but those it states."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest
import requests
import schemathesis
from schemathesis.specs.openapi import checks as openapi_checks

from bridge.app import create_app
from bridge.demo import demo_account
from bridge.doors.openapi import document
from bridge.settings import given_settings
from tests.fuzz.formats import register

if TYPE_CHECKING:
    from collections.abc import Iterator

    from schemathesis import Case
    from starlette.routing import Route

    from tests.fuzz.conftest import Target

register()
_CONFIG = schemathesis.Config.from_dict(
    {
        # The same requests each time.
        "seed": 1,
        "generation": {"deterministic": True, "max-examples": 10, "no-shrink": True},
        "phases": {
            "stateful": {"enabled": False},
            "coverage": {"unexpected-methods": ["DELETE", "PUT", "TRACE"]},
        },
    }
)
_SCHEMA = schemathesis.openapi.from_dict(document(), config=_CONFIG)
_CHECKS = [
    openapi_checks.status_code_conformance,
    openapi_checks.content_type_conformance,
    openapi_checks.response_headers_conformance,
    openapi_checks.response_schema_conformance,
    openapi_checks.unsupported_method,
]


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    with requests.Session() as made:
        yield made


@_SCHEMA.parametrize()
def test_every_answer_is_one_the_document_states(
    case: Case, target: Target, session: requests.Session
) -> None:
    case.call_and_validate(
        base_url=target.url, session=session, headers=target.headers, checks=_CHECKS, timeout=30
    )


def served(routes: list[Route]) -> set[tuple[str, str]]:
    """What the application serves, OpenTSDB's paths one by one."""
    found = set()
    for route in routes:
        endpoints = getattr(route.endpoint, "endpoints", None)
        if endpoints is not None:
            found |= {(path, one) for path, methods in endpoints.items() for one in methods}
            continue
        methods = route.methods or set()
        # Wherever there is GET there is HEAD; only the datasource test's is one of its own.
        methods = methods if route.path == "/" else methods - {"HEAD"}
        found |= {(route.path.rstrip("/") or "/", method) for method in methods}
    return found


def test_every_route_stands_in_the_document_and_nothing_else() -> None:
    app = create_app(given_settings(accounts=(demo_account("http://127.0.0.1:1"),)))
    described = {
        (path, method.upper())
        for path, operations in document()["paths"].items()
        for method in operations
    }
    assert described == served(app.routes)  # type: ignore[arg-type]


def test_the_document_is_an_openapi_document() -> None:
    _SCHEMA.validate()
    names = [op["operationId"] for path in document()["paths"].values() for op in path.values()]
    assert len(names) == len(set(names))


def test_it_is_published_to_those_who_may_ask(target: Target) -> None:
    published = httpx.get(f"{target.url}/openapi.json", headers=target.headers)
    assert published.headers["content-type"] == "application/json"
    assert published.json() == document()
    assert httpx.get(f"{target.url}/openapi.json").status_code == httpx.codes.UNAUTHORIZED


@pytest.mark.parametrize(
    ("path", "method"),
    [(path, method) for path, ops in document()["paths"].items() for method in ops],
)
@pytest.mark.parametrize(
    "authorization", [None, "Bearer wrong", "Basic OjpA", "Bearer", "Digest x"]
)
def test_nothing_but_liveness_is_told_to_strangers(
    target: Target, session: requests.Session, path: str, method: str, authorization: str | None
) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    answer = session.request(method, target.url + path, headers=headers, timeout=30)
    assert answer.status_code == (200 if path == "/healthz" else 401)
