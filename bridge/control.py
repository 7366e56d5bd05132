"""The control socket: a person's commands at the bridge that has the recording open.

A Unix socket in the recording's folder, which only the bridge's own user (and root) may use:
whoever may change the files may give commands, and nobody else, over no network. Answers to
long work are JSON lines: ``{"text"}``, in the end ``{"result"}`` or ``{"error"}``.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import structlog
import uvicorn
from starlette.applications import Starlette
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from bridge.errors import BridgeError, UnavailableError
from bridge.model import FilterKind, TagFilter
from bridge.sources.history import ExportRequest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from starlette.requests import Request

    from bridge.chores import Chores, Told

SOCKET = "control.sock"

_log = structlog.get_logger(__name__)


def control_app(chores: Chores) -> Starlette:
    """Build what the socket serves. Only one piece of long work runs at a time."""
    busy = asyncio.Lock()

    def lines(work: Callable[[Any], AsyncIterator[Told]]) -> Callable[[Request], Any]:
        async def endpoint(request: Request) -> Response:
            asked = orjson.loads(await request.body() or b"{}")
            return StreamingResponse(_lines(work(asked), busy), media_type="application/x-ndjson")

        return endpoint

    async def stats(_: Request) -> Response:
        try:
            return Response(orjson.dumps(await chores.stats()), media_type="application/json")
        except BridgeError as error:
            return Response(_error(error), error.status, media_type="application/json")

    async def export(request: Request) -> Response:
        stream = chores.export(_export_request(orjson.loads(await request.body())))
        try:
            # A refusal comes before the first piece, and is answered as one.
            first = await anext(stream, b"")
        except BridgeError as error:
            return Response(_error(error), error.status, media_type="application/json")
        return StreamingResponse(_rest(first, stream), media_type="application/octet-stream")

    async def take(request: Request) -> Response:
        """Receive a file whole, then import it."""
        suffix = Path(request.query_params.get("name", "")).suffix or ".csv"
        handle, name = tempfile.mkstemp(suffix)
        path = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                async for piece in request.stream():
                    await asyncio.to_thread(file.write, piece)
        except BaseException:
            _remove(path)
            raise
        work = _lines(chores.import_file(path), busy)
        return StreamingResponse(_then_remove(work, path), media_type="application/x-ndjson")

    return Starlette(
        routes=[
            Route("/stats", stats),
            Route("/export", export, methods=["POST"]),
            Route("/import", take, methods=["POST"]),
            Route("/verify", lines(lambda _: chores.verify()), methods=["POST"]),
            Route("/compact", lines(lambda _: chores.compact()), methods=["POST"]),
            Route("/backup", lines(lambda _: chores.backup()), methods=["POST"]),
            Route(
                "/set-aside",
                lines(lambda asked: chores.set_aside(Path(asked["path"]))),
                methods=["POST"],
            ),
            Route("/backfill", lines(lambda asked: chores.backfill(**asked)), methods=["POST"]),
        ]
    )


async def serve_control(chores: Chores, folder: Path) -> None:
    """Serve the control socket in the recording's folder, until cancelled."""
    try:
        listening = _listen(folder)
    except OSError as error:
        _log.warning("control_not_opened", folder=str(folder), reason=error.strerror)
        return
    config = uvicorn.Config(
        control_app(chores),
        lifespan="off",
        log_config=None,
        access_log=False,
        ws="none",
        timeout_graceful_shutdown=1,
    )
    server = _QuietServer(config)
    serving = asyncio.ensure_future(server.serve(sockets=[listening]))
    try:
        with listening:
            try:
                await asyncio.shield(serving)
            finally:
                # Cancelled outright, it would leave its connections and its socket open.
                server.should_exit = True
                await serving
    finally:
        with contextlib.suppress(OSError):
            (folder / SOCKET).unlink()


class _QuietServer(uvicorn.Server):
    """A server inside another's event loop: signals are the other's."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _listen(folder: Path) -> socket.socket:
    """Bind the socket; the folder's lock says that no other bridge uses it."""
    path = folder / SOCKET
    path.unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        with short_path(path) as name:
            listening.bind(name)
    except OSError:
        listening.close()
        raise
    finally:
        os.umask(before)
    return listening


@contextlib.contextmanager
def short_path(path: Path) -> Iterator[str]:
    """Yield a name for a socket that is short enough; Unix allows some hundred bytes."""
    if len(os.fsencode(path)) < 100 or not Path("/proc/self/fd").is_dir():
        yield str(path)
        return
    handle = os.open(path.parent, os.O_RDONLY)
    try:
        yield f"/proc/self/fd/{handle}/{path.name}"
    finally:
        os.close(handle)


async def _lines(work: AsyncIterator[Told], busy: asyncio.Lock) -> AsyncIterator[bytes]:
    if busy.locked():
        error = UnavailableError("other work on the recording is under way; try again later")
        yield _error(error) + b"\n"
        return
    async with busy:
        try:
            async for told in work:
                line: dict[str, Any] = {"text": told.text}
                if told.result is not None:
                    line["result"] = told.result
                yield orjson.dumps(line) + b"\n"
        except BridgeError as error:
            yield _error(error) + b"\n"
        except Exception:  # noqa: BLE001 -- logged here, and told in words
            _log.exception("chore_failed")
            yield _error(BridgeError("internal error; the bridge's log has the details")) + b"\n"


def _error(error: BridgeError) -> bytes:
    return orjson.dumps({"error": {"code": error.status, "message": error.message}})


def _export_request(asked: dict[str, Any]) -> ExportRequest:
    filters = tuple(
        TagFilter(one["key"], FilterKind(one["kind"]), one["text"]) for one in asked["filters"]
    )
    return ExportRequest(**{**asked, "metrics": tuple(asked["metrics"]), "filters": filters})


async def _rest(first: bytes, stream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for piece in stream:
        yield piece


async def _then_remove(work: AsyncIterator[bytes], path: Path) -> AsyncIterator[bytes]:
    try:
        async for piece in work:
            yield piece
    finally:
        _remove(path)


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)
