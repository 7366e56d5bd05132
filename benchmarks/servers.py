"""Server processes and a client that measures them from outside."""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

HERE = Path(__file__).parent
DATA = HERE / "data"
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@dataclass(frozen=True)
class Timing:
    """One request, seen from outside: wall time and the server's processor time, in ms."""

    wall_ms: float
    cpu_ms: float
    body: bytes


class Connection:
    """A kept connection that costs next to nothing itself.

    ``http.client`` spends more on the headers of an answer than a server does on a small one.
    It is for answers whose length is told, as all of those measured are.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._socket: socket.socket | None = None

    def ask(self, method: str, path: str, body: bytes, accepts: str) -> tuple[int, bytes]:
        """Send one request, once more where the server has closed what was kept.

        Returns:
            The status and the body of the answer.
        """
        try:
            return self._ask(method, path, body, accepts)
        except ConnectionError:
            self.close()
            return self._ask(method, path, body, accepts)

    def close(self) -> None:
        """Close it, if it is open."""
        if self._socket is not None:
            self._socket.close()
        self._socket = None

    def _ask(self, method: str, path: str, body: bytes, accepts: str) -> tuple[int, bytes]:
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
            f"Accept: application/json\r\nAccept-Encoding: {accepts}\r\n\r\n"
        )
        if self._socket is None:
            self._socket = socket.create_connection(("127.0.0.1", self._port), timeout=300)
        self._socket.sendall(head.encode() + body)
        received = bytearray()
        while (end := received.find(b"\r\n\r\n")) < 0:
            received += _more(self._socket)
        lines = received[:end].decode("latin-1").lower().split("\r\n")
        lengths = [line.partition(":")[2] for line in lines if line.startswith("content-length:")]
        missing = int(lengths[0]) - (len(received) - end - 4)
        parts = [bytes(received[end + 4 :])]
        while missing:
            parts.append(_more(self._socket))
            missing -= len(parts[-1])
        if lines[0].startswith("http/1.0") or "connection: close" in lines:
            self.close()
        return int(lines[0].split()[1]), b"".join(parts)


def _more(connection: socket.socket) -> bytes:
    part = connection.recv(1024 * 1024)
    if not part:
        raise ConnectionError("the server closed the connection")
    return part


class Server:
    """One process that serves HTTP on one port; use as a context manager.

    Args:
        name: For messages and its log file in ``data/``.
        command: With ``{port}`` where the port goes.
        env: Added to this process's environment.
        ready: Path that answers 200 once it can be used.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        env: Mapping[str, str] | None = None,
        *,
        ready: str = "/",
    ) -> None:
        self.name = name
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._command = [part.format(port=self.port) for part in command]
        self._env = {**os.environ, **(env or {})}
        self._ready = ready
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        DATA.mkdir(exist_ok=True)
        with contextlib.ExitStack() as stack:
            log = stack.enter_context((DATA / f"{self.name}.log").open("wb"))
            self._process = subprocess.Popen(
                self._command, env=self._env, cwd=HERE.parent, stdout=log, stderr=log
            )
            stack.callback(self._stop)
            self._wait()
            self._connection = Connection(self.port)
            stack.callback(self._connection.close)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def also(self, env: Mapping[str, str]) -> None:
        """Add to the environment of the process, before it starts."""
        self._env |= env

    def get(self, path: str) -> bytes:
        return self._ask("GET", path, None)

    def post(self, path: str, body: bytes, *, accepts: str = "identity") -> Timing:
        """Send one request on a kept connection and read the whole answer, as it came."""
        cpu = self.cpu_ms()
        started = time.perf_counter()
        answer = self._ask("POST", path, body, accepts)
        wall = (time.perf_counter() - started) * 1000
        return Timing(wall, self.cpu_ms() - cpu, answer)

    def resident_mb(self) -> float:
        pages = int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    def peak_mb(self) -> float:
        """The most memory it has used so far."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return float(status.partition("VmHWM:")[2].split()[0]) / 1e3

    def _ask(self, method: str, path: str, body: bytes | None, accepts: str = "identity") -> bytes:
        status, answer = self._connection.ask(method, path, body or b"", accepts)
        if status != 200:
            sys.exit(f"{self.name} answered {status} to {method} {path}: {answer[:500]!r}")
        return answer

    def cpu_ms(self) -> float:
        """Processor time the process has used: precise, but for threads that have ended."""
        folder = Path(f"/proc/{self._process.pid}")
        stat = (folder / "stat").read_text().rpartition(")")[2].split()
        whole = 1000 * (int(stat[11]) + int(stat[12])) / _TICKS_PER_S
        tasks = folder.glob("task/*/schedstat")
        alive = sum(_run_ns(task) for task in tasks) / 1e6
        return whole if whole > alive + 50 else alive

    def _wait(self) -> None:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                break
            with contextlib.suppress(OSError, http.client.HTTPException):
                probe = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
                probe.request("GET", self._ready)
                if probe.getresponse().status == 200:
                    probe.close()
                    return
            time.sleep(0.1)
        sys.exit(f"{self.name} did not start; see {DATA / self.name}.log")

    def _stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _run_ns(task: Path) -> int:
    """Return what a thread has used, nothing if it ends just now."""
    try:
        return int(task.read_text().split()[0])
    except OSError:
        return 0


def uvicorn(app: str) -> list[str]:
    """Return the command that serves an application of this directory as production would."""
    return [
        sys.executable,
        *("-m", "uvicorn", f"benchmarks.{app}", "--host", "127.0.0.1", "--port", "{port}"),
        *("--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning"),
    ]
