"""A limit on the whole time of a call, which ``requests`` has not.

Its time-outs are for single reads: a server that sends a byte now and then would keep a
worker thread for ever, and four such calls an account.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

if TYPE_CHECKING:
    from collections.abc import Iterator

_here = threading.local()


class Scissors:
    """Cuts the connections of one thread when a call takes too long.

    Attributes:
        cut: Whether the last call was cut.
    """

    def __init__(self) -> None:
        self.cut = False
        self._connections: WeakSet[HTTPConnection] = WeakSet()

    @contextlib.contextmanager
    def after(self, seconds: float) -> Iterator[None]:
        """Make one call inside; its reads fail once it has taken so long."""
        self.cut = False
        _here.scissors = self
        timer = threading.Timer(seconds, self.cut_now)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            _here.scissors = None

    def note(self, connection: HTTPConnection) -> None:
        """Take note of a connection of this thread."""
        self._connections.add(connection)

    def cut_now(self) -> None:
        """Let a call in progress fail."""
        self.cut = True
        for connection in list(self._connections):
            line = connection.sock
            if line is not None:
                with contextlib.suppress(OSError):
                    # Of the plain socket: TLS would wait for the other side's goodbye.
                    socket.socket.shutdown(line, socket.SHUT_RDWR)


def _note(connection: HTTPConnection) -> None:
    scissors: Scissors | None = getattr(_here, "scissors", None)
    if scissors is not None:
        scissors.note(connection)


class _Http(HTTPConnection):
    def connect(self) -> None:
        _note(self)
        super().connect()


class _Https(HTTPSConnection):
    def connect(self) -> None:
        _note(self)
        super().connect()


class _HttpPool(HTTPConnectionPool):
    ConnectionCls = _Http


class _HttpsPool(HTTPSConnectionPool):
    ConnectionCls = _Https


class CuttableAdapter(HTTPAdapter):
    """An adapter whose connections ``Scissors`` know."""

    def init_poolmanager(self, *how: Any, **more: Any) -> None:
        """Make the pool of direct connections."""
        super().init_poolmanager(*how, **more)
        _use_pools(self.poolmanager)

    def proxy_manager_for(self, *how: Any, **more: Any) -> Any:
        """Return the pool of connections through a proxy."""
        manager = super().proxy_manager_for(*how, **more)
        _use_pools(manager)
        return manager


def _use_pools(manager: Any) -> None:
    manager.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}
