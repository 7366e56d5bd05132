"""Parquet files of a part: written aside, made durable, put into place."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from bridge.sources.history.database import quoted
from bridge.sources.history.layout import RAW, TIERS, file_name, sync
from bridge.sources.history.parts import Part, StoredFile, scan

if TYPE_CHECKING:
    from pathlib import Path

    from bridge.sources.history.database import Cursor
    from bridge.sources.history.layout import Tier
    from bridge.sources.history.store import Store

#: Times and numbers are stored as differences, values by bytes: smaller than dictionaries.
FORMAT = (
    "FORMAT parquet, COMPRESSION zstd, PARQUET_VERSION v2, DICTIONARY_SIZE_LIMIT 1, "
    "ROW_GROUP_SIZE 30720"
)


class PartFiles:
    """New files for one part, under one number.

    Attributes:
        name: What each is called in its tier's folder.
    """

    def __init__(
        self, store: Store, cursor: Cursor, month: int, low: int, high: int, number: int
    ) -> None:
        self._store = store
        self._cursor = cursor
        self._place = (month, low, high)
        self.name = file_name(month, number)
        self._aside: dict[Tier, Path] = {}
        self._there: list[Path] = []

    @property
    def points(self) -> str | None:
        """The SQL of a table of the points written so far; None without any."""
        return scan([self._aside[RAW]]) if RAW in self._aside else None

    def write(self, tier: Tier, rows: str) -> None:
        """Write the rows of a table aside, sorted; no rows make no file."""
        month, low, high = self._place
        path = self._store.layout.scratch / f"{tier.name}-{self.name}"
        about = f"{{tier: '{tier.name}', month: '{month}', low: '{low}', high: '{high}'}}"
        written = self._cursor.execute(
            f"COPY (SELECT * FROM {rows} ORDER BY series, time) TO {quoted(str(path))} "
            f"({FORMAT}, KV_METADATA {about})"
        ).fetchone()
        if written is not None and written[0]:
            self._aside[tier] = path
        else:
            path.unlink(missing_ok=True)

    def publish(self) -> Part:
        """Put the files into place, points last: a part that has them is complete."""
        files: dict[Tier, StoredFile] = {}
        for tier in reversed(TIERS):
            path = self._aside.pop(tier, None)
            if path is None:
                continue
            sync(path)
            place = self._store.layout.file(tier, self.name)
            path.rename(place)
            self._there.append(place)
            sync(place.parent)
            files[tier] = self._described(tier, place)
        return Part(*self._place, files)

    def _described(self, tier: Tier, path: Path) -> StoredFile:
        row = self._cursor.execute(
            f"SELECT count(*), min(time), max(time) FROM {scan([path])}"
        ).fetchone()
        rows, first_ms, last_ms = row or (0, 0, 0)
        size = path.stat().st_size
        return StoredFile(tier, path.name, rows, size, first_ms, last_ms, self._store.now_ms())

    def discard(self) -> None:
        """Delete what has been written: it will not count."""
        for path in (*self._aside.values(), *self._there):
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
