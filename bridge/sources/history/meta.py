"""Single numbers the store remembers."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bridge.sources.history.database import Cursor


def meta(cursor: Cursor, key: str, otherwise: int) -> int:
    """Return what is remembered under a key."""
    row = cursor.execute("SELECT value FROM meta WHERE key = ?", [key]).fetchone()
    return otherwise if row is None else int(row[0])


def set_meta(cursor: Cursor, key: str, value: int) -> None:
    """Remember a number under a key."""
    changed = cursor.execute(
        "UPDATE meta SET value = ? WHERE key = ? RETURNING key", [str(value), key]
    ).fetchall()
    if not changed:
        cursor.execute("INSERT INTO meta VALUES (?, ?)", [key, str(value)])


def one(cursor: Cursor, sql: str) -> int:
    """Return the only number a query answers."""
    row = cursor.execute(sql).fetchone()
    return 0 if row is None or row[0] is None else int(row[0])
