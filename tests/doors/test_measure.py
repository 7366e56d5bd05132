"""``GET /metrics``: what is counted, by whom it is read, and simPod beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as read_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families
from starlette.middleware import Middleware

from bridge.doors import measure
from bridge.doors.measure import MeasureMiddleware
from tests.doors.conftest import panel
from tests.doors.stand import CPU, make_app
from tests.servers import serving

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import httpx


@pytest.fixture
def measured() -> Iterator[str]:
    registry = CollectorRegistry()
    app = make_app(extra=measure.routes(registry))
    app.user_middleware.insert(0, Middleware(MeasureMiddleware, registry=registry))
    with serving(app) as url:
        yield url


def samples(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def counted(found: Mapping[tuple[str, frozenset[tuple[str, str]]], float], **labels: str) -> float:
    key = ("vscope_bridge_http_requests_total", frozenset(labels.items()))
    return found.get(key, 0.0)


def test_requests_are_counted_by_door_and_status(client: httpx.Client, measured: str) -> None:
    client.post(f"{measured}/query", json=panel(CPU))
    client.post(f"{measured}/query", json=panel("nonsense"))
    client.post(f"{measured}/query", content=b"{")
    for path in ("/nowhere", "/query-of-an-attacker-00001", "/%00"):
        client.get(measured + path)
    client.get(measured)
    found = samples(client.get(f"{measured}/metrics").text)
    assert counted(found, door="query", code="200") == 1
    assert counted(found, door="query", code="400") == 2
    # However many paths are tried, they are one door.
    assert counted(found, door="other", code="404") == 3
    assert counted(found, door="root", code="200") == 1
    took = ("vscope_bridge_http_request_seconds_count", frozenset({("door", "query")}))
    assert found[took] == 3
    assert found["vscope_bridge_http_requests_in_progress", frozenset()] == 1


def test_the_method_tells_prometheus_from_simpod(client: httpx.Client, measured: str) -> None:
    scraped = client.get(f"{measured}/metrics")
    assert scraped.headers["content-type"].startswith("text/plain; version=")
    assert scraped.headers["cache-control"] == "no-store"
    listed = client.post(f"{measured}/metrics", json={})
    assert listed.headers["content-type"] == "application/json"
    assert any(one["value"] == CPU for one in listed.json())


def test_openmetrics_by_accept(client: httpx.Client, measured: str) -> None:
    accept = {"Accept": "application/openmetrics-text; version=1.0.0"}
    answer = client.get(f"{measured}/metrics", headers=accept)
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert {family.name for family in read_openmetrics(answer.text)} >= {
        "vscope_bridge_http_requests",
        "vscope_bridge_http_requests_in_progress",
    }
