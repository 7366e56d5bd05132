"""A way to a server that can be cut: what a client sees of a machine that goes away."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class Gate:
    """Passes connections on while it is open; closed, it drops them and refuses new ones."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._lock = threading.Lock()
        self._sockets: set[socket.socket] = set()
        self._listening: socket.socket | None = None
        self.port = 0
        self.open()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def open(self) -> None:
        listening = socket.create_server(("127.0.0.1", self.port))
        self.port = listening.getsockname()[1]
        self._listening = listening
        threading.Thread(target=self._accept, args=(listening,), daemon=True).start()

    def close(self) -> None:
        listening, self._listening = self._listening, None
        if listening is not None:
            # Closing alone does not wake who accepts.
            with contextlib.suppress(OSError):
                listening.shutdown(socket.SHUT_RDWR)
            listening.close()
        with self._lock:
            for one in self._sockets:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)

    def _accept(self, listening: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = listening.accept()
                try:
                    far = socket.create_connection(("127.0.0.1", self._target))
                except OSError:
                    near.close()
                    continue
                with self._lock:
                    self._sockets |= {near, far}
                left = threading.Semaphore(0)
                for pair in ((near, far), (far, near)):
                    threading.Thread(target=self._pass, args=(*pair, left), daemon=True).start()
                threading.Thread(target=self._end, args=(near, far, left), daemon=True).start()

    @staticmethod
    def _pass(from_: socket.socket, to: socket.socket, left: threading.Semaphore) -> None:
        with contextlib.suppress(OSError):
            while data := from_.recv(65536):
                to.sendall(data)
        for one in (from_, to):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        left.release()

    def _end(self, near: socket.socket, far: socket.socket, left: threading.Semaphore) -> None:
        for one in (near, far):
            left.acquire()
            del one
        with self._lock:
            self._sockets -= {near, far}
        near.close()
        far.close()


@contextlib.contextmanager
def gate(port: int) -> Iterator[Gate]:
    made = Gate(port)
    try:
        yield made
    finally:
        made.close()
