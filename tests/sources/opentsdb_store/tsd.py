"""A small OpenTSDB on a real socket, which can be told to misbehave.

It stores what it is sent as the real one does, and answers in its words (recorded from
2.4.1).
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    Point = dict[str, Any]
    PointId = tuple[str, tuple[tuple[str, str], ...], int]

_HTML = b"<!DOCTYPE html><html><head><title>Bad Request</title></head></html>"
CONFIG = {
    "tsd.http.request.enable_chunked": "true",
    "tsd.http.request.max_chunk": "1048576",
    "tsd.core.auto_create_metrics": "true",
    "tsd.storage.fix_duplicates": "true",
}


class Tsd:
    """The server.

    Attributes:
        points: What is stored.
        writes: Every point in the order in which it was taken, also twice.
        troubles: What to do with the next puts, in place of answering: ``reset`` (before
            anything is stored), ``lost`` (the connection, after all is stored), ``cut``
            (in the middle of the answer), ``hang``, ``timedout`` (for half of the points), or
            a status.
        refuses: Says why a point is not stored.
        largest: The largest body it takes.
        beyond: What becomes of a larger one: ``reset``, ``html``, or ``413``.
    """

    def __init__(self) -> None:
        self.points: dict[PointId, float] = {}
        self.writes: list[PointId] = []
        self.bodies: list[tuple[int, str]] = []
        self.config: dict[str, str] | None = dict(CONFIG)
        self.troubles: deque[str | int] = deque()
        self.refuses: Callable[[Point], str | None] = lambda _: None
        self.largest = 1 << 20
        self.beyond = "reset"
        self.gzip = True
        self.writable = True
        self.login: str | None = None
        self.asked_for_config = 0
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.close()
            for task in self._serving:
                task.cancel()
            await asyncio.gather(*self._serving, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        try:
            while await self._request(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._serving.discard(task)
            writer.close()

    async def _request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        method, path, _ = head[0].split(" ")
        headers = {name.lower(): text for name, _, text in (line.partition(": ") for line in head)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        return await self._answer(writer, method, path, headers, body)

    async def _answer(  # noqa: PLR0911 -- a table of answers
        self,
        writer: asyncio.StreamWriter,
        method: str,
        path: str,
        headers: dict[str, str],
        body: bytes,
    ) -> bool:
        if self.login is not None and headers.get("authorization") != self.login:
            return await _say(writer, 401, b"")
        if method == "GET" and path == "/api/config":
            self.asked_for_config += 1
            if self.config is None:
                return await _say(writer, 403, b"no")
            return await _say(writer, 200, json.dumps(self.config).encode())
        if path.startswith("/api/suggest"):
            return await _say(writer, 200, b"[]")
        if not path.startswith("/api/put?details&sync") or not self.writable:
            return await _say(writer, 404, _error(404, "Endpoint not found"))
        encoding = headers.get("content-encoding", "identity")
        if len(body) > self.largest:
            if self.beyond == "reset":
                return False
            if self.beyond == "html":
                return await _say(writer, 400, _HTML, "text/html")
            return await _say(writer, 413, b"<html>too large</html>", "text/html")
        if encoding == "gzip":
            if not self.gzip:
                return await _say(writer, 400, _error(400, "Unable to parse the given JSON"))
            body = gzip.decompress(body)
        points = json.loads(body)
        if not points:
            return await _say(writer, 400, _error(400, "No datapoints found in content"))
        self.bodies.append((len(body), encoding))
        return await self._put(writer, points)

    async def _put(self, writer: asyncio.StreamWriter, points: list[Point]) -> bool:
        trouble = self.troubles.popleft() if self.troubles else None
        if trouble == "reset":
            return False
        if trouble == "hang":
            await asyncio.sleep(60)
            return False
        if isinstance(trouble, int):
            return await _say(writer, trouble, _error(trouble, "something broke"))
        errors = []
        for number, point in enumerate(points):
            reason = self.refuses(point)
            if trouble == "timedout" and number % 2:
                reason = "Write timedout"
            if reason is not None:
                # As the real one: the value comes back as text.
                named = {**point, "value": str(point["value"])}
                errors.append({"datapoint": named, "error": reason})
                continue
            name = point["metric"], tuple(sorted(point["tags"].items())), point["timestamp"]
            self.points[name] = point["value"]
            self.writes.append(name)
        if trouble == "lost":
            return False
        said = {"success": len(points) - len(errors), "failed": len(errors), "errors": errors}
        answer = json.dumps(said).encode()
        if trouble == "cut":
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n" + answer[:10])
            await writer.drain()
            return False
        return await _say(writer, 400 if errors else 200, answer)


def _error(status: int, message: str) -> bytes:
    return json.dumps({"error": {"code": status, "message": message, "trace": "..."}}).encode()


async def _say(
    writer: asyncio.StreamWriter, status: int, body: bytes, kind: str = "application/json"
) -> bool:
    head = f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
    await writer.drain()
    return True


@contextlib.asynccontextmanager
async def running() -> AsyncIterator[Tsd]:
    tsd = Tsd()
    await tsd.start()
    try:
        yield tsd
    finally:
        await tsd.stop()
