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
            self._connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=300)
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
        headers = {
            "Content-Type": "application/json",
            "Accept": "application/json",
            "Accept-Encoding": accepts,
        }
        try:
            self._connection.request(method, path, body, headers)
            reply = self._connection.getresponse()
        except (http.client.BadStatusLine, ConnectionError):
            # HTTP/1.0 servers (werkzeug) close after each answer.
            self._connection.close()
            self._connection.request(method, path, body, headers)
            reply = self._connection.getresponse()
        answer = reply.read()
        if reply.status != 200:
            sys.exit(f"{self.name} answered {reply.status} to {method} {path}: {answer[:500]!r}")
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
