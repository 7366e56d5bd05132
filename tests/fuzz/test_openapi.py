"""The published document is true: no other routes, and no answers but those it states."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis import checks
from schemathesis.specs.openapi import checks as openapi_checks

from bridge.app import create_app
from bridge.doors.openapi import document
from bridge.settings import given_settings
from tests.fuzz.formats import register

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from schemathesis import Case

    from tests.fuzz.conftest import Target

register()
_CONFIG = schemathesis.Config.from_dict(
    {
        "seed": 1,
        "generation": {"deterministic": True, "max-examples": 25, "no-shrink": False},
        "phases": {"stateful": {"enabled": False}},
    }
)
_SCHEMA = schemathesis.openapi.from_dict(document(), config=_CONFIG)
_CHECKS = [
    openapi_checks.status_code_conformance,
    openapi_checks.content_type_conformance,
    openapi_checks.response_headers_conformance,
    openapi_checks.response_schema_conformance,
    openapi_checks.unsupported_method,
    openapi_checks.ignored_auth,
]


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    with requests.Session() as made:
        yield made


@pytest.mark.timeout(300)
@_SCHEMA.parametrize()
def test_every_answer_is_one_the_document_states(
    case: Case, target: Target, session: requests.Session
) -> None:
    case.call_and_validate(
        base_url=target.url, session=session, headers=target.headers, checks=_CHECKS, timeout=30
    )
