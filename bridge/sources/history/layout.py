"""Where the files of a store are, what they are called, and which month a time is in."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DAY_MS = 86_400_000

#: The times that can be recorded, in epoch milliseconds: 1970 up to 2100, end exclusive.
FIRST_MS, LAST_MS = 0, 4_102_444_800_000


@dataclass(frozen=True, slots=True)
class Tier:
    """One resolution in which points are kept.

    Attributes:
        name: The folder, and the word for people.
        width_ms: Width of a roll-up's buckets on the epoch grid; 0 for the points themselves.
        bit: Marks this tier in a set of tiers.
    """

    name: str
    width_ms: int
    bit: int


RAW = Tier("raw", 0, 1)
TEN_MINUTES = Tier("10m", 600_000, 2)
HOUR = Tier("1h", 3_600_000, 4)

ROLLUPS = (TEN_MINUTES, HOUR)
TIERS = (RAW, *ROLLUPS)  # finest first
TIER = {tier.name: tier for tier in TIERS}

_FILE = re.compile(r"(\d{4})-(\d{2})\.(\d{8})\.parquet")
_GLOB = frozenset("*?[")


@dataclass(frozen=True, slots=True)
class Layout:
    """The places inside a store's folder."""

    folder: Path

    @property
    def database(self) -> Path:
        """Recent points, names, and which Parquet files count."""
        return self.folder / "store.duckdb"

    @property
    def log(self) -> Path:
        """The database's write-ahead log."""
        return self.folder / "store.duckdb.wal"

    @property
    def scratch(self) -> Path:
        """What does not fit into memory, and files being written; emptied on opening."""
        return self.folder / "tmp"

    @property
    def aside(self) -> Path:
        """Damaged files that somebody asked to take out of the way."""
        return self.folder / "set-aside"

    @property
    def series(self) -> Path:
        """A copy of the series' names, for the case that the database is lost."""
        return self.folder / "series.parquet"

    @property
    def eras(self) -> Path:
        """A copy of the label eras, for the same case."""
        return self.folder / "eras.parquet"

    def file(self, tier: Tier, name: str) -> Path:
        """Return the place of a Parquet file."""
        return self.folder / tier.name / name

    def make(self) -> None:
        """Make the folders that are not there.

        Raises:
            OSError: They cannot be made.
            ValueError: The folder's name holds ``*``, ``?`` or ``[``, which DuckDB would
                take for a pattern.
        """
        if _GLOB & set(str(self.folder)):
            raise ValueError(f"{self.folder}: expected a path without *, ? and [")
        for folder in (self.scratch, *(self.folder / tier.name for tier in TIERS)):
            folder.mkdir(parents=True, exist_ok=True)

    def found(self) -> Iterator[tuple[Tier, Path]]:
        """List the Parquet files of points that are there."""
        for tier in TIERS:
            for path in sorted((self.folder / tier.name).glob("*.parquet")):
                if _FILE.fullmatch(path.name):
                    yield tier, path


def file_name(month: int, number: int) -> str:
    """Return the name of a Parquet file."""
    return f"{month_text(month)}.{number:08d}.parquet"


def file_number(name: str) -> int:
    """Return the number in a Parquet file's name."""
    found = _FILE.fullmatch(name)
    if found is None:
        raise ValueError(f"{name!r} is no file of points")
    return int(found[3])


def file_month(name: str) -> int:
    """Return the month in a Parquet file's name."""
    found = _FILE.fullmatch(name)
    if found is None:
        raise ValueError(f"{name!r} is no file of points")
    return (int(found[1]) - 1970) * 12 + int(found[2]) - 1


def month_of(at_ms: int) -> int:
    """Return the month of a time, counted from January 1970 in UTC.

    Times that cannot be recorded count as the nearest that can.
    """
    at = datetime.fromtimestamp(min(max(at_ms, FIRST_MS), LAST_MS - 1) // 1000, UTC)
    return (at.year - 1970) * 12 + at.month - 1


def month_start(month: int) -> int:
    """Return the first millisecond of a month."""
    return int(datetime(1970 + month // 12, month % 12 + 1, 1, tzinfo=UTC).timestamp()) * 1000


def month_text(month: int) -> str:
    """Return a month as text: ``2026-03``."""
    return f"{1970 + month // 12:04d}-{month % 12 + 1:02d}"


def moment_text(at_ms: int) -> str:
    """Return a time as people read it: ``2026-03-01T00:00Z``."""
    return datetime.fromtimestamp(at_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%MZ")


def sync(path: Path) -> None:
    """Make sure that a file, or a folder's list of files, survives a loss of power."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except PermissionError:
        if path.is_dir():
            return  # Windows: a folder cannot be opened, and need not
        raise
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
