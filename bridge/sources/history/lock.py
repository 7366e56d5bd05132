"""One bridge a folder: a lock that dies with its process."""

from __future__ import annotations

import json
import os
import socket
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from bridge.sources.history.errors import HistoryInUseError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

if TYPE_CHECKING:
    from pathlib import Path


class FolderLock:
    """Holds ``lock`` in a folder; the file says who holds it."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "lock"
        self._handle: int | None = None

    def acquire(self) -> None:
        """Take the lock.

        Raises:
            HistoryInUseError: Another process has it, or this one has it already.
            OSError: The folder cannot be written to, or its disk knows no locks.
        """
        handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            _lock(handle)
        except (BlockingIOError, PermissionError):
            os.close(handle)
            raise HistoryInUseError(
                f"the recording in {self._path.parent} is in use by {_holder(self._path)}; "
                "ask that bridge for what you need, stop it, or use another folder"
            ) from None
        holder = {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "since": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        os.ftruncate(handle, 0)
        os.lseek(handle, 0, os.SEEK_SET)
        os.write(handle, json.dumps(holder).encode())
        self._handle = handle

    def release(self) -> None:
        """Give the lock back; harmless when it is not held."""
        if self._handle is not None:
            os.ftruncate(self._handle, 0)
            os.close(self._handle)
            self._handle = None


def _lock(handle: int) -> None:
    if sys.platform == "win32":
        # Far behind the text, which others must be able to read.
        os.lseek(handle, 1 << 20, os.SEEK_SET)
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
    else:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _holder(path: Path) -> str:
    try:
        said: Any = json.loads(path.read_text(encoding="utf-8"))
        return f"process {int(said['pid'])} on {said['host']} since {said['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
