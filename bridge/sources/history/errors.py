"""What can go wrong with the recording, beyond the errors every source has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bridge.errors import BridgeError, UnavailableError, UpstreamError

if TYPE_CHECKING:
    from pathlib import Path


class HistoryInUseError(UnavailableError):
    """Another process has the folder open; one bridge at a time may."""


class HistoryFullError(UnavailableError):
    """There is no room left on the disk; nothing of what was to be written is stored."""


class HistoryVersionError(BridgeError):
    """The folder was written by a newer version of the bridge, or by something else."""


class HistoryDamagedError(UpstreamError):
    """A file of the recording cannot be read.

    Attributes:
        path: The file; ``set_aside`` takes it out of the way.
    """

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(
            f"the recording's file {path} cannot be read ({problem}); "
            "set it aside to go on without it, or bring it back from a backup"
        )
        self.path = path
