"""Where the files of a store are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Layout:
    """The places inside a store's folder."""

    folder: Path

    @property
    def database(self) -> Path:
        """Recent points, names, and what else there is."""
        return self.folder / "store.duckdb"

    @property
    def scratch(self) -> Path:
        """What does not fit into memory, and files being written; emptied on opening."""
        return self.folder / "tmp"

    def make(self) -> None:
        """Make the folders that are not there."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.scratch.mkdir(exist_ok=True)
