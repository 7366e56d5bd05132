"""The bridge's own figures: what was asked, how long it took, and ``GET /metrics``.

``POST /metrics`` is simPod's; the method tells the two apart. Names follow Prometheus'
conventions: base units, ``_total`` for what only grows.
"""

from __future__ import annotations

import time
from functools import cache
from typing import TYPE_CHECKING

from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.exposition import choose_encoder
from starlette.responses import Response

from bridge.doors.http import both

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from starlette.requests import Request
    from starlette.routing import Route
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

#: Seconds at which requests are told apart: a cached panel, a cold one, a slow upstream.
BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0)

#: First parts of a path that are counted by themselves; all others are one.
DOORS = frozenset(
    {
        "annotations",
        "api",
        "federate",
        "healthz",
        "history",
        "metric-payload-options",
        "metrics",
        "openapi.json",
        "query",
        "readyz",
        "rows",
        "search",
        "tag-keys",
        "tag-values",
        "variable",
    }
)


def routes(registry: CollectorRegistry) -> list[Route]:
    """Return ``GET /metrics``."""

    async def metrics(request: Request) -> Response:
        """Show all figures, as text or OpenMetrics."""
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        headers = {"Content-Type": content_type, "Cache-Control": "no-store"}
        return Response(encode(registry), headers=headers)

    return both("/metrics", metrics, ["GET"])


class MeasureMiddleware:
    """Counts and times every request, whatever answers it.

    Args:
        app: What is measured.
        registry: Where the figures are kept; one registry measures one application.
    """

    def __init__(self, app: ASGIApp, *, registry: CollectorRegistry) -> None:
        self._app = app
        self._requests = Counter(
            "vscope_bridge_http_requests",
            "Requests answered, by the first part of their path and the status.",
            ["door", "code"],
            registry=registry,
        )
        self._seconds = Histogram(
            "vscope_bridge_http_request_seconds",
            "From a request's head to the last byte of its answer.",
            ["door"],
            buckets=BUCKETS_S,
            registry=registry,
        )
        self._running = Gauge(
            "vscope_bridge_http_requests_in_progress",
            "Requests that wait or are worked on.",
            registry=registry,
        )
        # There are few pairs, and each look-up would take a lock.
        self._count, self._time = cache(self._requests.labels), cache(self._seconds.labels)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        code = "none"

        async def noting(message: Message) -> None:
            nonlocal code
            if message["type"] == "http.response.start":
                code = str(message["status"])
            await send(message)

        door = _door(scope["path"])
        started = time.perf_counter()
        self._running.inc()
        try:
            await self._app(scope, receive, noting)
        finally:
            self._running.dec()
            self._count(door, code).inc()
            self._time(door).observe(time.perf_counter() - started)


def _door(path: str) -> str:
    first = path.strip("/").partition("/")[0]
    if not first:
        return "root"
    return first if first in DOORS else "other"
