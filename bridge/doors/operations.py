"""The routes that ask about the bridge itself: datasource tests and probes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.routing import Route

from bridge import __version__
from bridge.doors.http import JsonResponse, both, error_body

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request
    from starlette.responses import Response

#: Whether questions can be answered, and if not, why, in words.
Readiness = tuple[bool, tuple[str, ...]]


def routes(readiness: Callable[[], Readiness]) -> list[Route]:
    """Return ``/``, ``/healthz`` and ``/readyz``.

    Args:
        readiness: Asked at every ``/readyz``; must not block.
    """

    async def root(_: Request) -> Response:
        """Answer a datasource's test, without any upstream call."""
        return JsonResponse({"status": "ok", "name": "vscope-bridge", "version": __version__})

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
