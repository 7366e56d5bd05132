"""Measures from inside a server process what cannot be seen from outside.

Wraps an ASGI application: ``GET /__meter`` answers the longest stall of the event loop
since the last such request (by the clock, and in processor time of its thread, which does not
count what other processes took), the memory in use and the processor time spent.
"""

from __future__ import annotations

import asyncio
import os
import resource
import time
from pathlib import Path
from typing import Any

import orjson

_TICK_S = 0.001


class Meter:
    """A ticker task beside an application; a late tick is a blocked loop."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._longest_s = 0.0
        self._busiest_s = 0.0
        self._ticker: asyncio.Task[None] | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if self._ticker is None:
            self._ticker = asyncio.create_task(self._tick())
        if scope["type"] != "http" or scope["path"] != "/__meter":
            await self._app(scope, receive, send)
            return
        usage = resource.getrusage(resource.RUSAGE_SELF)
        body = orjson.dumps(
            {
                "stall_ms": self._longest_s * 1000,
                "busy_ms": self._busiest_s * 1000,
                "rss_mb": _resident_bytes() / 1e6,
                "cpu_ms": (usage.ru_utime + usage.ru_stime) * 1000,
            }
        )
        self._longest_s = self._busiest_s = 0.0
        headers = [(b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _tick(self) -> None:
        while True:
            before, worked = time.perf_counter(), time.thread_time()
            await asyncio.sleep(_TICK_S)
            self._longest_s = max(self._longest_s, time.perf_counter() - before - _TICK_S)
            self._busiest_s = max(self._busiest_s, time.thread_time() - worked)


def _resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
