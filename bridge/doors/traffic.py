"""How much may be asked: requests of one client in a minute, and of all clients at once."""

from __future__ import annotations

import asyncio
import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog
from cachetools import LRUCache

from bridge.doors.auth import OPEN_PATHS
from bridge.doors.http import JsonResponse, error_body
from bridge.offload import turn

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Receive, Scope, Send

_log = structlog.get_logger(__name__)

#: Clients whose requests are counted; with more, the longest silent are forgotten.
CLIENTS = 10_000

#: Answered at any load: whether the process lives, and whether it can answer.
PROBES = OPEN_PATHS | {"/readyz", "/readyz/"}


@dataclass(slots=True)
class _Bucket:
    """What a client may still ask at once, as of a moment."""

    tokens: float
    at: float


class TrafficMiddleware:
    """Refuses what is too much before it costs anything.

    A client may ask ``per_minute`` times a minute, a sixth of it at once, then gets 429.
    Requests beyond ``running`` wait, those beyond ``waiting`` more get 503; both with
    ``Retry-After``.

    Args:
        app: What is protected.
        per_minute: Requests of one client address; 0 counts none.
        running: Requests worked on at the same time.
        waiting: Requests that wait for their turn.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        per_minute: int,
        running: int,
        waiting: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._app = app
        self._per_second = per_minute / 60.0
        self._burst = max(per_minute / 6.0, 1.0)
        self._most = running + waiting
        self._turns = asyncio.Semaphore(running)
        self._here = 0
        self._clients: LRUCache[str, _Bucket] = LRUCache(CLIENTS)
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, in its turn, or refuse it."""
        if scope["type"] != "http" or scope["path"] in PROBES:
            await self._app(scope, receive, send)
            return
        wait_s = self._take(scope["client"][0] if scope.get("client") else "")
        if wait_s:
            _log.info("client_too_fast", path=scope["path"])
            message = "too many requests from this address (setting client_requests_per_minute)"
            await _refusal(429, message, wait_s)(scope, receive, send)
            return
        if self._here >= self._most:
            _log.warning("overloaded", path=scope["path"], requests=self._here)
            message = "too many requests at once (settings max_running and max_waiting)"
            await _refusal(503, message, 1.0)(scope, receive, send)
            return
        self._here += 1
        try:
            async with self._turns:
                await turn()
                await self._app(scope, receive, send)
        finally:
            self._here -= 1

    def _take(self, client: str) -> float:
        """Count a request; return after how many seconds it would be allowed, 0 for now."""
        if not self._per_second:
            return 0.0
        now = self._clock()
        bucket = self._clients.get(client) or _Bucket(self._burst, now)
        gained = (now - bucket.at) * self._per_second
        bucket.tokens, bucket.at = min(bucket.tokens + gained, self._burst), now
        self._clients[client] = bucket
        if bucket.tokens < 1.0:
            return (1.0 - bucket.tokens) / self._per_second
        bucket.tokens -= 1.0
        return 0.0


def _refusal(status: int, message: str, wait_s: float) -> JsonResponse:
    headers = {"Retry-After": str(math.ceil(wait_s))}
    return JsonResponse(error_body(status, message), status, headers)
