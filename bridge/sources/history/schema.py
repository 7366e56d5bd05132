"""The tables of the store, and how an older store becomes a present one.

``STEPS[n]`` leads from version n to n + 1; version 0 is an empty file. Each step is one
transaction together with the version it reaches, so that an interrupted migration has
either happened or not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bridge.sources.history.errors import HistoryVersionError

if TYPE_CHECKING:
    from collections.abc import Callable

    from bridge.sources.history.database import Cursor, Database


def _begin(cursor: Cursor) -> None:
    cursor.execute("CREATE TABLE meta (key VARCHAR NOT NULL, value VARCHAR NOT NULL)")
    cursor.execute("INSERT INTO meta VALUES ('version', '0')")
    cursor.execute(
        "CREATE TABLE series "
        "(series BIGINT NOT NULL, metric VARCHAR NOT NULL, tags VARCHAR NOT NULL)"
    )
    cursor.execute(
        "CREATE TABLE eras (kind VARCHAR NOT NULL, datacenter VARCHAR NOT NULL, "
        "value VARCHAR NOT NULL, since_ms BIGINT NOT NULL, until_ms BIGINT, "
        "labels VARCHAR NOT NULL)"
    )
    cursor.execute(
        "CREATE TABLE points (series BIGINT NOT NULL, time BIGINT NOT NULL, value DOUBLE NOT NULL)"
    )


def _months(cursor: Cursor) -> None:
    """Older points go into monthly files; what comes late for them waits in a table."""
    cursor.execute("ALTER TABLE points RENAME TO recent")
    cursor.execute(
        "CREATE TABLE late (series BIGINT NOT NULL, time BIGINT NOT NULL, value DOUBLE NOT NULL)"
    )
    cursor.execute(
        "CREATE TABLE files (month INTEGER NOT NULL, low BIGINT NOT NULL, high BIGINT NOT NULL, "
        "tier VARCHAR NOT NULL, name VARCHAR NOT NULL, rows BIGINT NOT NULL, "
        "size BIGINT NOT NULL, first_ms BIGINT NOT NULL, last_ms BIGINT NOT NULL, "
        "changed_ms BIGINT NOT NULL)"
    )
    cursor.execute(
        "CREATE TABLE coverage "
        "(month INTEGER NOT NULL, series BIGINT NOT NULL, lost INTEGER NOT NULL)"
    )
    cursor.execute("CREATE TABLE imports (file VARCHAR NOT NULL, month INTEGER NOT NULL)")


STEPS: tuple[Callable[[Cursor], None], ...] = (_begin, _months)
VERSION = len(STEPS)


def migrate(database: Database) -> int:
    """Bring a store to the present version, and return the version it had.

    Raises:
        HistoryVersionError: A newer bridge wrote it, or no bridge did.
        BridgeError: A step failed; the store is as it was before that step.
    """
    with database.cursor() as cursor:
        found = _version(cursor, database)
    if found > VERSION:
        raise HistoryVersionError(
            f"{database.path} has version {found} of the store, written by a newer bridge; "
            f"this one knows versions up to {VERSION}: update the bridge, or use another folder"
        )
    for reached, step in enumerate(STEPS[found:], start=found + 1):
        with database.transaction() as cursor:
            step(cursor)
            cursor.execute("UPDATE meta SET value = ? WHERE key = 'version'", [str(reached)])
    return found


def _version(cursor: Cursor, database: Database) -> int:
    tables = {
        name for (name,) in cursor.execute("SELECT table_name FROM duckdb_tables()").fetchall()
    }
    if not tables:
        return 0
    if "meta" in tables:
        row = cursor.execute("SELECT value FROM meta WHERE key = 'version'").fetchone()
        if row is not None and str(row[0]).isdecimal():
            return int(row[0])
    raise HistoryVersionError(
        f"{database.path} is a DuckDB file, but no recording of this bridge: use another folder"
    )
