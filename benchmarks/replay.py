"""Records what the simulated OVHcloud answers, then answers it again from memory.

So the simulator's own time is in no figure. Only the time-series front end is replayed,
keyed by method, path and body; everything else (APIv6, which is signed) is passed on.
"""

from __future__ import annotations

import os
from typing import Any

import httpx

_REPLAYED = "/opentsdb/"
_SIMULATOR = os.environ["SIMULATOR"]


class Replay:
    """ASGI application: a recording proxy."""

    def __init__(self) -> None:
        self._client = httpx.AsyncClient(timeout=300)
        self._stored: dict[tuple[str, str, bytes], tuple[int, list[Any], bytes]] = {}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        body = b""
        more = True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        path = scope["path"] + (
            "?" + scope["query_string"].decode() if scope["query_string"] else ""
        )
        key = (scope["method"], path, body)
        answer = self._stored.get(key)
        if answer is None:
            answer = await self._ask(scope, path, body)
            if path.startswith(_REPLAYED) and answer[0] == 200:
                self._stored[key] = answer
        status, headers, content = answer
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": content})

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
