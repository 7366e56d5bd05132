"""Runs the command line in processes of its own."""

from __future__ import annotations

import contextlib
import os
import queue
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

PATIENCE_S = 60


def environment(**more: str) -> dict[str, str]:
    """This process' environment without settings of this machine."""
    kept = {
        name: text
        for name, text in os.environ.items()
        if not name.startswith(("VSCOPE_", "OVH_")) and name != "PORT"
    }
    return kept | more


#: How the command is run from this folder; an installed one has a name.
PROGRAM = (sys.executable, "-m", "bridge")


def command(*arguments: str) -> list[str]:
    return [*PROGRAM, *arguments]


def run(
    *arguments: str, cwd: Path, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments),
        env=environment(HOME=str(cwd), **(env or {})),
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


class Running:
    """A process whose output can be waited for."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []
        self._arriving: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._arriving.put(line.rstrip("\n"))
        self._arriving.put(None)

    def until(self, text: str) -> list[str]:
        """Collect output up to the line that holds ``text``."""
        while not (self.lines and text in self.lines[-1]):
            line = self._arriving.get(timeout=PATIENCE_S)
            assert line is not None, f"ended without {text!r}: {self.lines}"
            self.lines.append(line)
        return self.lines

    def end(self, signal_number: int) -> int:
        """Send a signal and return the exit code."""
        self.process.send_signal(signal_number)
        return self.process.wait(PATIENCE_S)


@contextlib.contextmanager
def running(
    *arguments: str, cwd: Path, program: Sequence[str] = PROGRAM, **env: str
) -> Iterator[Running]:
    """Start a command with one stream of output; kill it in the end if it still runs."""
    with subprocess.Popen(
        [*program, *arguments],
        env=environment(HOME=str(cwd), **env),
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        started = Running(process)
        try:
            yield started
        finally:
            process.kill()
