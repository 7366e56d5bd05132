"""Answers as gzip, for clients at the far end of a slow line.

In a local network compressing while a client waits takes longer than it saves
(docs/performance.md), so that is off unless a setting turns it on. ISA-L needs a tenth of
zlib's time for almost the same size (reference: performance 1); where it has no wheel, zlib's
fastest level serves.
"""

from __future__ import annotations

import asyncio
import zlib
from importlib.util import find_spec
from typing import TYPE_CHECKING, Protocol

from starlette.datastructures import Headers, MutableHeaders

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_HAS_ISAL = find_spec("isal") is not None
if _HAS_ISAL:
    from isal import igzip, isal_zlib

#: What is worth compressing.
_TEXTS = ("application/json", "text/")

#: Bytes from which a worker thread compresses.
_THREAD_BYTES = 256 * 1024


class Packer(Protocol):
    """Compresses part by part."""

    def compress(self, data: bytes, /) -> bytes:
        """Take a part; return what is ready so far."""

    def flush(self) -> bytes:
        """Return the rest."""


class CompressionMiddleware:
    """Compresses whole answers for clients that accept gzip.

    Args:
        app: What answers.
        min_bytes: Shorter answers go out as they are.
    """

    def __init__(self, app: ASGIApp, *, min_bytes: int) -> None:
        self._app = app
        self._min_bytes = min_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or not accepts_gzip(Headers(scope=scope)):
            await self._app(scope, receive, send)
            return
        started: Message | None = None

        async def compressed(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = message
                return
            if started is None:
                await send(message)
                return
            start, started = started, None
            body = message.get("body", b"")
            headers = MutableHeaders(raw=start.setdefault("headers", []))
            headers.add_vary_header("Accept-Encoding")
            if (
                not message.get("more_body", False)
                and len(body) >= self._min_bytes
                and "content-encoding" not in headers
                and headers.get("content-type", "").startswith(_TEXTS)
            ):
                work = asyncio.to_thread(gzipped, body) if len(body) > _THREAD_BYTES else None
                message = {**message, "body": await work if work else gzipped(body)}
                headers["Content-Encoding"] = "gzip"
                headers["Content-Length"] = str(len(message["body"]))
            await send(start)
            await send(message)

        await self._app(scope, receive, compressed)


def gzipped(body: bytes) -> bytes:
    """Return a gzip member of a body."""
    if _HAS_ISAL:
        packed: bytes = igzip.compress(body, 1, mtime=0)
        return packed
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    return packer.compress(body) + packer.flush()


def packer() -> Packer:
    """Return what makes one gzip member of many parts."""
    made: Packer = (isal_zlib if _HAS_ISAL else zlib).compressobj(1, zlib.DEFLATED, 31)
    return made


def accepts_gzip(headers: Headers) -> bool:
    """Whether a client names gzip among the encodings it reads, and does not refuse it."""
    for part in headers.get("accept-encoding", "").lower().split(","):
        name, _, weight = part.partition(";")
        if name.strip() in {"gzip", "x-gzip"}:
            return weight.replace(" ", "").rstrip("0.") != "q="
    return False
