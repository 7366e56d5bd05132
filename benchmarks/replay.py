"""Records what the simulated OVHcloud answers, then answers it again from memory.

So the simulator's own time is in no figure. Only the time-series front end is replayed,
keyed by method, path and body; everything else (APIv6, which is signed) is passed on. A
stated delay for each sub-query, one after the other as OVHcloud's front end runs them, makes
it as slow as wanted. ``GET /__replay?delay_ms=N`` sets it, tells what was asked since, and
begins to count anew.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any

import httpx
import orjson

_REPLAYED = "/opentsdb/"
_CONTROL = "/__replay"
_SIMULATOR = os.environ["SIMULATOR"]


class Replay:
    """ASGI application: a recording proxy."""

    def __init__(self) -> None:
        self._client = httpx.AsyncClient(timeout=300)
        self._stored: dict[tuple[str, str, bytes], tuple[int, list[Any], bytes]] = {}
        self._points: dict[tuple[str, str, bytes], int] = {}
        self._delay_s = 0.0
        self._seen = {"requests": 0, "sub_queries": 0, "points": 0}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        body = b""
        more = True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        if scope["path"] == _CONTROL:
            status, headers, content = self._controlled(scope["query_string"].decode())
        else:
            status, headers, content = await self._answered(scope, body)
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    def _controlled(self, wanted: str) -> tuple[int, list[Any], bytes]:
        told = orjson.dumps(self._seen)
        self._seen = dict.fromkeys(self._seen, 0)
        self._delay_s = float(wanted.removeprefix("delay_ms=") or 0) / 1000
        return 200, [(b"content-length", str(len(told)).encode())], told

    async def _answered(self, scope: Any, body: bytes) -> tuple[int, list[Any], bytes]:
        path = scope["path"] + (
            "?" + scope["query_string"].decode() if scope["query_string"] else ""
        )
        key = (scope["method"], path, body)
        answer = self._stored.get(key)
        if answer is None:
            answer = await self._ask(scope, path, body)
            if path.startswith(_REPLAYED) and answer[0] == 200:
                self._stored[key] = answer
        if path.startswith(_REPLAYED):
            await self._count(key, answer[2])
        return answer

    async def _count(self, key: tuple[str, str, bytes], content: bytes) -> None:
        queries = 1
        if key[2] and "/api/query" in key[1]:
            queries = len(orjson.loads(key[2])["queries"])
            if key not in self._points:
                series = orjson.loads(content)
                self._points[key] = sum(len(one["dps"]) for one in series)
        self._seen["requests"] += 1
        self._seen["sub_queries"] += queries
        self._seen["points"] += self._points.get(key, 0)
        if self._delay_s:
            await asyncio.sleep(self._delay_s * queries)

    async def _ask(self, scope: Any, path: str, body: bytes) -> tuple[int, list[Any], bytes]:
        # Host stays as asked, so that the simulator names this proxy as its own address.
        headers = [(k, v) for k, v in scope["headers"] if k != b"accept-encoding"]
        reply = await self._client.request(
            scope["method"], _SIMULATOR + path, content=body, headers=headers
        )
        kept = [
            (k.lower(), v)
            for k, v in reply.headers.raw
            if k.lower() not in {b"transfer-encoding", b"content-encoding", b"content-length"}
        ]
        kept.append((b"content-length", str(len(reply.content)).encode()))
        return reply.status_code, kept, reply.content


app = Replay()
