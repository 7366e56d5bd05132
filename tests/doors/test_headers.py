"""What every answer tells browsers, whatever is asked and whatever goes wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from bridge.app import create_app
from bridge.demo import demo_account
from bridge.doors.headers import HeadersMiddleware
from bridge.doors.openapi import document
from bridge.settings import Credential, given_settings
from tests.servers import serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.requests import Request

TOKEN = "token-of-this-test"
#: What the page's own files say: an address stands for one content for ever.
_KEPT = "private, max-age=31536000, immutable"
_OPERATIONS = [(path, method) for path, ops in document()["paths"].items() for method in ops]


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    """A bridge whose OVHcloud is not there, so that everything upstream fails."""
    settings = given_settings(
        accounts=(demo_account("http://127.0.0.1:1"),), credentials=(Credential(token=TOKEN),)
    )
    headers = {"Authorization": f"Bearer {TOKEN}"}
    with (
        serving(create_app(settings), lifespan="on") as url,
        httpx.Client(base_url=url, headers=headers, timeout=30) as made,
    ):
        yield made


def check(answer: httpx.Response) -> None:
    told = answer.headers
    assert told["x-content-type-options"] == "nosniff"
    assert told["referrer-policy"] == "no-referrer"
    assert told["cross-origin-resource-policy"] == "same-origin"
    assert told["x-frame-options"] == "DENY"
    assert "strict-transport-security" not in told
    policy = told["content-security-policy"]
    assert policy.startswith("default-src 'none'; ")
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert told.get_list("cache-control") in (["no-store"], [_KEPT])
    for name, text in told.items():
        assert text.isprintable(), name


@pytest.mark.parametrize(("path", "method"), _OPERATIONS)
@pytest.mark.parametrize("known", [True, False], ids=["known", "stranger"])
def test_every_route_is_safe_in_a_browser(
    client: httpx.Client, path: str, method: str, *, known: bool
) -> None:
    headers = {"Accept": "text/html"} if known else {"Authorization": "Bearer no"}
    answer = client.request(method, path, headers=headers)
    assert (answer.status_code == 401) is (not known and path != "/healthz")
    check(answer)
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/nothing", b"", 404),
        ("DELETE", "/query", b"", 405),
        ("POST", "/query", b"{", 400),
        ("POST", "/query", b" " * (5 << 20), 413),
        ("GET", "/explore?page=x&from=x&metric=vscope.vm.cpu.usage.perc", b"", 400),
        ("GET", "/live?kind=x", b"", 400),
        ("GET", "/rows?target=live:vm", b"", 503),
        ("GET", "/api/query", b"", 400),
    ],
)
def test_errors_are_safe_too(
    client: httpx.Client, method: str, path: str, body: bytes, status: int
) -> None:
    answer = client.request(method, path, content=body)
    assert answer.status_code == status
    check(answer)


def test_the_pages_files_may_be_kept(client: httpx.Client) -> None:
    page = client.get("/", headers={"Accept": "text/html"}).text
    files = [part.partition('"')[0] for part in page.split('"static/')[1:]]
    assert len(set(files)) >= 3
    for name in files:
        answer = client.get(f"/static/{name}")
        assert answer.status_code == 200
        check(answer)
        assert answer.headers["cache-control"] == _KEPT


@pytest.mark.parametrize("hsts_s", [0, 3600])
async def test_https_alone_is_asked_for_over_https_alone(hsts_s: int) -> None:
    async def answer(_: Request) -> PlainTextResponse:
        return PlainTextResponse("")

    app = HeadersMiddleware(Starlette(routes=[Route("/", answer)]), hsts_s=hsts_s)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport) as client:
        assert "strict-transport-security" not in (await client.get("http://bridge/")).headers
        told = (await client.get("https://bridge/")).headers
    wanted = f"max-age={hsts_s}" if hsts_s else None
    assert told.get("strict-transport-security") == wanted
    assert told["x-content-type-options"] == "nosniff"
