"""Which Parquet files count: the parts of each month.

A part is a range of series in one month, with one file for each tier kept of it. The parts
of a month never overlap and together cover every series. Files are never changed: a part
that grows gets new ones, which take the place of the old in one transaction.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bridge.sources.history.database import quoted
from bridge.sources.history.layout import TIER, month_of, month_start

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from bridge.sources.history.database import Cursor
    from bridge.sources.history.layout import Layout, Tier

#: The range of every series.
LOWEST, HIGHEST = 0, 1 << 62


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A Parquet file that counts.

    Attributes:
        tier: What its rows are.
        name: In the tier's folder.
        rows: How many.
        size: In bytes.
        first_ms: The earliest time in it.
        last_ms: The latest one.
        changed_ms: When it was written.
    """

    tier: Tier
    name: str
    rows: int
    size: int
    first_ms: int
    last_ms: int
    changed_ms: int


@dataclass(frozen=True, slots=True)
class Part:
    """The files of a range of series in a month.

    Attributes:
        month: Counted from January 1970.
        low: Lowest series' number, inclusive.
        high: Highest one, exclusive.
        files: By tier; a tier that is not kept is not in it.
    """

    month: int
    low: int
    high: int
    files: Mapping[Tier, StoredFile] = field(default_factory=dict)

    @property
    def start_ms(self) -> int:
        """The month's first millisecond."""
        return month_start(self.month)

    @property
    def end_ms(self) -> int:
        """The first millisecond of the next month."""
        return month_start(self.month + 1)

    @property
    def region(self) -> str:
        """The SQL condition that a row of a table belongs here."""
        return (
            f"(series >= {self.low} AND series < {self.high} "
            f"AND time >= {self.start_ms} AND time < {self.end_ms})"
        )


def read_parts(
    cursor: Cursor,
    *,
    start_ms: int | None = None,
    end_ms: int | None = None,
    low: int = LOWEST,
    high: int = HIGHEST,
) -> list[Part]:
    """Return the parts with something between two times (inclusive) and series, in order."""
    where = [f"high > {low}", f"low < {high}"]
    if start_ms is not None:
        where.append(f"month >= {month_of(start_ms)}")
    if end_ms is not None:
        where.append(f"month <= {month_of(end_ms)}")
    found: dict[tuple[int, int, int], dict[Tier, StoredFile]] = {}
    rows = cursor.execute(
        "SELECT month, low, high, tier, name, rows, size, first_ms, last_ms, changed_ms "
        f"FROM files WHERE {' AND '.join(where)} ORDER BY month, low"
    ).fetchall()
    for month, part_low, part_high, tier, *rest in rows:
        files = found.setdefault((month, part_low, part_high), {})
        files[TIER[tier]] = StoredFile(TIER[tier], *rest)
    return [Part(*place, files) for place, files in found.items()]


def replace_files(cursor: Cursor, old: Part | None, new: Iterable[Part]) -> None:
    """Let the files of some parts count instead of one part's."""
    if old is not None:
        cursor.execute(
            "DELETE FROM files WHERE month = ? AND low = ? AND high = ?",
            [old.month, old.low, old.high],
        )
    for part in new:
        for file in part.files.values():
            cursor.execute(
                "INSERT INTO files VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    part.month,
                    part.low,
                    part.high,
                    file.tier.name,
                    file.name,
                    file.rows,
                    file.size,
                    file.first_ms,
                    file.last_ms,
                    file.changed_ms,
                ],
            )


def scan(paths: Iterable[Path]) -> str:
    """Return the SQL of a table of the rows in Parquet files."""
    return f"read_parquet([{', '.join(quoted(str(path)) for path in paths)}])"


def scan_tier(layout: Layout, parts: Iterable[Part], tier: Tier) -> str:
    """Return the SQL of a table of one tier's rows in some parts."""
    return scan(layout.file(tier, part.files[tier].name) for part in parts)
