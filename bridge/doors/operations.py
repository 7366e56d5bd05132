"""The routes that ask about the bridge itself: datasource tests and probes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.routing import Route

from bridge import __version__
from bridge.doors.http import JsonResponse, both, error_body
from bridge.doors.page.html import wants_html

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request
    from starlette.responses import Response

    from bridge.doors.http import Endpoint

#: Whether questions can be answered, and if not, why, in words.
Readiness = tuple[bool, tuple[str, ...]]


def routes(readiness: Callable[[], Readiness], home: Endpoint | None = None) -> list[Route]:
    """Return ``/``, ``/healthz`` and ``/readyz``.

    Args:
        readiness: Asked at every ``/readyz``; must not block.
        home: Answers ``/`` for a browser.
    """

    async def root(request: Request) -> Response:
        """Answer a browser with a page, a datasource's test without any upstream call."""
        accept = request.headers.get("accept", "")
        if home is not None and request.method in {"GET", "HEAD"} and wants_html(accept):
            return await home(request)
        return JsonResponse(
            {"status": "ok", "name": "vscope-bridge", "version": __version__},
            200,
            {"Vary": "Accept"},
        )

    async def healthz(_: Request) -> Response:
        """Say that the process is alive."""
        return JsonResponse({"status": "ok"})

    async def readyz(_: Request) -> Response:
        """Say whether questions can be answered."""
        ready, reasons = readiness()
        if ready:
            return JsonResponse({"status": "ready", "reasons": reasons})
        message = "; ".join(reasons) or "not ready"
        body = {"status": "not ready", "reasons": reasons, **error_body(503, message)}
        return JsonResponse(body, 503, {"Retry-After": "5"})

    return [
        Route("/", root, methods=["GET", "HEAD", "POST", "OPTIONS"]),
        *both("/healthz", healthz, ["GET"]),
        *both("/readyz", readyz, ["GET"]),
    ]
