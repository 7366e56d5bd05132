"""Who may ask, and how a refusal looks."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr

from bridge.settings import Credential
from tests.doors.stand import make_app
from tests.doors.test_http import assert_union
from tests.servers import serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

CREDENTIALS = (
    Credential(name="grafana", password=SecretStr("pass:word é"), token=SecretStr("tok-1")),
    Credential(name="alerts", token=SecretStr("tok-2")),
    Credential(name="viewer", password=SecretStr("simple")),
)


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


@pytest.fixture(scope="module")
def guarded() -> Iterator[str]:
    with serving(make_app(credentials=CREDENTIALS)) as url:
        yield url


@pytest.mark.parametrize(
    "header",
    [
        basic("grafana:pass:word é"),
        basic("viewer:simple"),
        basic("viewer:simple").replace("Basic", "bAsIc"),
        "Bearer tok-1",
        "bearer   tok-2",
    ],
)
def test_each_credential_opens_every_route(client: httpx.Client, guarded: str, header: str) -> None:
    for path in ("/", "/readyz"):
        response = client.get(guarded + path, headers={"authorization": header})
        assert response.status_code == 200


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Basic",
        "Bearer",
        "Bearer tok-3",
        "Bearer tok-1 x",
        "Bearer simple",
        basic("viewer:tok-2"),
        basic("alerts:"),
        basic("alerts:tok-2"),
        basic("grafana:simple"),
        basic("viewer"),
        basic(":"),
        "Basic not-base64!",
        "Basic bearer tok-1",
        "Digest tok-1",
    ],
)
def test_everything_else_is_401_with_a_challenge(
    client: httpx.Client, guarded: str, header: str | None
) -> None:
    headers = {} if header is None else {"authorization": header}
    for path in ("/", "/readyz", "/nothing"):
        response = client.get(guarded + path, headers=headers)
        assert_union(response, 401)
        assert response.headers["www-authenticate"].startswith("Basic ")
        assert "tok-" not in response.text


def test_two_authorization_headers_are_none(client: httpx.Client, guarded: str) -> None:
    headers = [("authorization", "Bearer tok-1"), ("authorization", "Bearer tok-1")]
    assert_union(client.get(guarded + "/", headers=headers), 401)


def test_bytes_that_are_no_text_are_refused(client: httpx.Client, guarded: str) -> None:
    headers = {b"authorization": b"Bearer \xff\xfe"}
    assert_union(client.get(guarded + "/", headers=headers), 401)


def test_liveness_is_open(client: httpx.Client, guarded: str) -> None:
    assert client.get(guarded + "/healthz").status_code == 200
    assert client.get(guarded + "/healthz/").status_code == 200


def test_without_credentials_everything_is_open(client: httpx.Client, base: str) -> None:
    headers = {"authorization": "Bearer anything"}
    assert client.get(base + "/", headers=headers).status_code == 200
