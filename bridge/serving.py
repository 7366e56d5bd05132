"""Runs an ASGI application on one socket until the process is told to stop."""

from __future__ import annotations

import asyncio
import errno
import signal
import socket
import ssl
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING

import uvicorn
from uvicorn.config import STARTUP_FAILURE

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence
    from pathlib import Path

    from starlette.types import ASGIApp


#: Seconds for which an idle connection stays open: longer than Grafana keeps one (90), so
#: that it never sends a question into a connection that is being closed.
KEEP_ALIVE_S = 120


class ListenError(Exception):
    """The address cannot be listened on; the text says which and why."""


class StartError(Exception):
    """The application gave up while starting; its log says why."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """PEM files of a certificate chain and its private key."""

    chain: Path
    key: Path

    def load_into(self, context: ssl.SSLContext) -> None:
        """Use it for connections from now on.

        Raises:
            ListenError: The files do not hold a certificate and its key.
        """
        try:
            context.load_cert_chain(self.chain, self.key)
        except (OSError, ssl.SSLError) as error:
            reason = getattr(error, "reason", None) or error.strerror or "unreadable"
            raise ListenError(
                f"cannot use the certificate {self.chain} with the key {self.key}: {reason}"
            ) from None


class Server(uvicorn.Server):
    """A uvicorn server that runs one more coroutine while it serves.

    Args:
        config: uvicorn's configuration.
        meanwhile: Called with the base URL when the first request can be answered; its
            coroutine is cancelled when serving ends. When it ends by itself with an
            exception, serving ends too and ``failure`` holds it.
    """

    def __init__(
        self, config: uvicorn.Config, meanwhile: Callable[[str], Coroutine[None, None, None]]
    ) -> None:
        super().__init__(config)
        self.failure: BaseException | None = None
        self._meanwhile = meanwhile
        self._task: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start listening, then the coroutine."""
        await super().startup(sockets)
        if self.started and sockets:
            scheme = "https" if self.config.is_ssl else "http"
            self._task = asyncio.create_task(self._meanwhile(base_url(sockets[0], scheme)))
            self._task.add_done_callback(self._ended)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the coroutine, then stop listening."""
        if self._task is not None:
            self._task.cancel()
        await super().shutdown(sockets)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            self.failure = task.exception()
            self.should_exit = True


def base_url(listening: socket.socket, scheme: str = "http") -> str:
    """Return the address of a listening socket as ``http://host:port``."""
    host, port = listening.getsockname()[:2]
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def listen(host: str, port: int) -> socket.socket:
    """Bind a TCP socket; port 0 takes a free one.

    Raises:
        ListenError: the address is taken, unknown or not allowed.
    """
    try:
        found = socket.getaddrinfo(
            host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except OSError as error:
        raise ListenError(f"cannot listen on {host}: {error.strerror}") from None
    family, kind, protocol, _, address = found[0]
    listening = socket.socket(family, kind, protocol)
    # A stopped server's port can be taken again at once; a running one's cannot.
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind(address)
    except OSError as error:
        listening.close()
        taken = error.errno == errno.EADDRINUSE
        reason = "the port is in use" if taken else (error.strerror or "refused")
        raise ListenError(f"cannot listen on {host} port {port}: {reason}") from None
    listening.set_inheritable(False)
    return listening


def serve(
    app: ASGIApp,
    listening: socket.socket,
    *,
    meanwhile: Callable[[str], Coroutine[None, None, None]],
    patience_s: int,
    tls: ssl.SSLContext | None = None,
    trusted_proxies: Sequence[str] = (),
) -> None:
    """Serve ``app`` until SIGTERM, the ordinary end, or Ctrl-C, which is raised afterwards.

    Args:
        app: With a lifespan.
        listening: A bound socket; it is closed in the end.
        meanwhile: See ``Server``.
        patience_s: Seconds that requests in progress get when serving ends.
        tls: Holds the certificate for HTTPS; None serves HTTP.
        trusted_proxies: Addresses and networks whose X-Forwarded headers are believed.

    Raises:
        StartError: the application's lifespan failed.
        KeyboardInterrupt: it was Ctrl-C.
        Exception: what ended ``meanwhile``.
    """
    config = uvicorn.Config(
        app,
        loop="uvloop" if find_spec("uvloop") else "asyncio",
        http="httptools" if find_spec("httptools") else "h11",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(trusted_proxies),
        forwarded_allow_ips=list(trusted_proxies),
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=patience_s,
        ssl_context_factory=None if tls is None else (lambda *_: tls),
    )
    server = Server(config, meanwhile)
    # uvicorn raises the signal that ended it once more; SIGTERM must then do nothing.
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        with listening:
            server.run(sockets=[listening])
    except SystemExit as stop:
        if stop.code == STARTUP_FAILURE:
            raise StartError("the server did not start; see the log") from None
        raise
    finally:
        signal.signal(signal.SIGTERM, before)
    if server.failure is not None:
        raise server.failure
