"""Who may ask, and how a refusal looks."""

from __future__ import annotations

import asyncio
import base64
from typing import TYPE_CHECKING

import pytest
from argon2 import PasswordHasher
from pydantic import SecretBytes, SecretStr

from bridge.doors.auth import Admission, Presented
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


HASHER = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
HASHED = (
    Credential(name="grafana", password_hash=HASHER.hash("pass:word é")),
    Credential(name="alerts", token_hash=HASHER.hash("tok-2")),
    Credential(name="viewer", password_hash=HASHER.hash("simple"), token=SecretStr("tok-3")),
)


@pytest.fixture(scope="module")
def hashed() -> Iterator[str]:
    with serving(make_app(credentials=HASHED)) as url:
        yield url


@pytest.mark.parametrize(
    ("header", "status"),
    [
        (basic("grafana:pass:word é"), 200),
        (basic("viewer:simple"), 200),
        ("Bearer tok-2", 200),
        ("Bearer tok-3", 200),
        (basic("grafana:simple"), 401),  # somebody else's
        (basic("stranger:pass:word é"), 401),
        (basic("alerts:tok-2"), 401),
        (basic("grafana:"), 401),
        (basic("grafana"), 401),
        ("Bearer simple", 401),
        ("Bearer", 401),
        pytest.param(f"Bearer {HASHED[1].token_hash}", 401, id="a hash as a token"),
        (basic(f"grafana:{HASHED[0].password_hash}"), 401),
    ],
)
def test_a_hash_admits_its_own_secret_only(
    client: httpx.Client, hashed: str, header: str, status: int
) -> None:
    for _ in range(2):  # the second time from memory
        response = client.get(f"{hashed}/readyz", headers={"authorization": header})
        assert response.status_code == status


def test_a_replaced_credential_counts_at_once(client: httpx.Client) -> None:
    admission = Admission(HASHED)
    with serving(make_app(admission=admission)) as url:

        def status(header: str) -> int:
            return client.get(f"{url}/readyz", headers={"authorization": header}).status_code

        assert (status("Bearer tok-2"), status("Bearer tok-9")) == (200, 401)
        admission.replace([Credential(name="new", token_hash=HASHER.hash("tok-9"))])
        assert (status("Bearer tok-2"), status("Bearer tok-9")) == (401, 200)
        assert status(basic("grafana:pass:word é")) == 401


async def test_a_secret_replaced_while_its_hash_is_computed_is_not_admitted() -> None:
    slow = PasswordHasher(time_cost=4, memory_cost=65_536, parallelism=1)
    admission = Admission([Credential(token_hash=slow.hash("tok"))])
    asked = asyncio.create_task(admission.admits(Presented(None, SecretBytes(b"tok"))))
    await asyncio.sleep(0)
    admission.replace([Credential(token_hash=HASHER.hash("other"))])
    assert not await asked
    assert not await admission.admits(Presented(None, SecretBytes(b"tok")))


def test_no_secret_is_in_what_can_be_printed() -> None:
    admission = Admission([*CREDENTIALS, *HASHED])
    kept = repr(vars(admission)) + repr(admission) + repr(CREDENTIALS)
    for secret in ("pass:word", "tok-1", "tok-2", "simple"):
        assert secret not in kept
