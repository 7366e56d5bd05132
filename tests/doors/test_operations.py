"""The datasource test and the probes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.doors.stand import make_app
from tests.doors.test_http import assert_union
from tests.servers import serving

if TYPE_CHECKING:
    import httpx


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
@pytest.mark.parametrize("path", ["", "/"])
def test_the_datasource_test_is_200(
    client: httpx.Client, base: str, method: str, path: str
) -> None:
    headers = {"content-type": "application/json"}
    response = client.request(method, base + path, headers=headers)
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.json()["status"] == "ok"


def test_head_has_no_body(client: httpx.Client, base: str) -> None:
    response = client.head(base + "/")
    assert response.status_code == 200
    assert response.content == b""


def test_readiness_says_why_not(client: httpx.Client) -> None:
    reasons = ("the inventory has not been read yet", "no token for pcc-192-0-2-1")
    with serving(make_app(readiness=(False, reasons))) as url:
        response = client.get(url + "/readyz")
        error = assert_union(response, 503)
        assert client.get(url + "/healthz").json() == {"status": "ok"}
    assert response.json()["reasons"] == list(reasons)
    assert error["message"] == "; ".join(reasons)


def test_ready(client: httpx.Client, base: str) -> None:
    assert client.get(base + "/readyz").json() == {"status": "ready", "reasons": []}
