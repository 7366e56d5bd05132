"""The spool: polls on their way to the cluster, in one SQLite file.

What ``put`` has returned from survives a killed process and a power cut (write-ahead log,
synchronous). The file is locked for as long as it is open, so one bridge uses it; the lock
ends with the process, however that ends.

::

    polls   id (ascending), stamp_ms, points, body (``packing``)    oldest first
    eras    kind, datacenter, value, since_ms, until_ms, labels (JSON)
    last    service, body    the newest points of some metrics, sent or not
"""

from __future__ import annotations

import contextlib
import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import orjson

from bridge.catalog import Kind
from bridge.errors import BridgeError
from bridge.model import LabelEra, PointBatch
from bridge.sources.opentsdb_store.packing import pack, unpack

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from pathlib import Path

#: The file's name in the recording's folder.
SPOOL = "spool.sqlite"

_VERSION = 1
#: Seconds to wait for another process that is just ending.
_LOCK_S = 2.0
_SCHEMA = """
CREATE TABLE polls (
    id INTEGER PRIMARY KEY AUTOINCREMENT, stamp_ms INTEGER NOT NULL, points INTEGER NOT NULL,
    body BLOB NOT NULL
);
CREATE TABLE eras (
    kind TEXT, datacenter TEXT, value TEXT, since_ms INTEGER, until_ms INTEGER, labels TEXT,
    PRIMARY KEY (kind, datacenter, value, since_ms)
) WITHOUT ROWID;
CREATE TABLE last (service TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;
"""
#: Free pages from which an empty spool gives its room back.
_MANY_FREE = 32


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits in the spool: polls, their points, the bytes they take, the oldest stamp."""

    polls: int = 0
    points: int = 0
    size: int = 0
    oldest_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Spooled:
    """One poll."""

    number: int
    batch: PointBatch


class Spool:
    """The file. All calls block, and come from one thread.

    Args:
        path: Where it is; its folder is made when there is none.
        most_bytes: What it may hold; of more, the oldest polls are given up.
        remembered: Metrics of which the newest points are kept when they have been sent.
    """

    def __init__(self, path: Path, most_bytes: int, remembered: Collection[str] = ()) -> None:
        self._path = path
        self._most = most_bytes
        self._remembered = frozenset(remembered)
        self._database: sqlite3.Connection | None = None

    def open(self) -> None:
        """Open the file, making it when there is none.

        Raises:
            BridgeError: Another bridge has it, a newer one wrote it, or it cannot be used.
        """
        with self._failing():
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise BridgeError(f"the spool {self._path}: {error.strerror}") from None
            database = sqlite3.connect(
                self._path, timeout=_LOCK_S, isolation_level=None, check_same_thread=False
            )
            try:
                database.execute("PRAGMA locking_mode=EXCLUSIVE")
                database.execute("PRAGMA auto_vacuum=INCREMENTAL")
                database.execute("PRAGMA journal_mode=WAL")
                database.execute("PRAGMA synchronous=FULL")
                database.execute("PRAGMA journal_size_limit=8388608")
                self._bring_up(database)
            except BaseException:
                database.close()
                raise
        self._database = database

    def close(self) -> None:
        """Close the file; what waits stays in it."""
        database, self._database = self._database, None
        if database is not None:
            database.close()

    def put(self, batch: PointBatch, eras: Sequence[LabelEra] = ()) -> tuple[int, int]:
        """Keep a poll and its eras, in one transaction.

        Returns:
            How many polls, and how many points, were given up to make room.

        Raises:
            BridgeError: Nothing of it has been kept.
        """
        polls = points = 0
        with self._failing(), self._changing() as database:
            database.executemany(
                "INSERT OR REPLACE INTO eras VALUES (?, ?, ?, ?, ?, ?)",
                (
                    (one.kind, one.datacenter, one.value, one.since_ms, one.until_ms,
                     orjson.dumps(one.labels).decode())
                    for one in eras
                ),
            )  # fmt: skip
            if not len(batch.values):
                return 0, 0
            database.execute(
                "INSERT INTO polls (stamp_ms, points, body) VALUES (?, ?, ?)",
                (int(batch.stamps_ms.min()), len(batch.values), pack(batch)),
            )
            self._remember(database, batch)
            while self._used(database) > self._most:
                oldest = database.execute(
                    "SELECT id, points FROM polls WHERE id < (SELECT max(id) FROM polls)"
                    " ORDER BY id LIMIT 1"
                ).fetchone()
                if oldest is None:  # the newest stays, however large it is
                    break
                database.execute("DELETE FROM polls WHERE id = ?", oldest[:1])
                polls += 1
                points += oldest[1]
        return polls, points

    def oldest(self, points: int = 0) -> tuple[Spooled, ...]:
        """Return the polls to send next, oldest first.

        Args:
            points: Polls beyond the first are left for later when there are more points.

        Raises:
            BridgeError: The file failed.
        """
        found: list[Spooled] = []
        with self._failing():
            rows = self._open.execute("SELECT id, points, body FROM polls ORDER BY id")
            for number, count, body in rows:
                points -= count
                if found and points < 0:
                    break
                found.append(Spooled(number, unpack(body)))
            rows.close()
        return tuple(found)

    def first(self) -> int:
        """Return the number of the oldest poll, 0 where there is none."""
        with self._failing():
            return int(self._open.execute("SELECT coalesce(min(id), 0) FROM polls").fetchone()[0])

    def remove(self, number: int) -> None:
        """Forget the polls up to this one, which have been sent."""
        with self._failing():
            with self._changing() as database:
                database.execute("DELETE FROM polls WHERE id <= ?", (number,))
            free = self._pragma(self._open, "freelist_count")
            if free > _MANY_FREE and not self.waiting().polls:
                self._open.executescript("PRAGMA incremental_vacuum")  # all its steps

    def waiting(self) -> Waiting:
        """Count what waits."""
        with self._failing():
            polls, points, oldest = self._open.execute(
                "SELECT count(*), coalesce(sum(points), 0), min(stamp_ms) FROM polls"
            ).fetchone()
            return Waiting(polls, points, self._used(self._open), oldest)

    def eras(self) -> tuple[LabelEra, ...]:
        """Return every era, by object and time."""
        with self._failing():
            rows = self._open.execute(
                "SELECT kind, datacenter, value, labels, since_ms, until_ms FROM eras"
                " ORDER BY kind, datacenter, value, since_ms"
            ).fetchall()
        return tuple(
            LabelEra(
                Kind(kind),
                datacenter,
                value,
                tuple((key, text) for key, text in orjson.loads(labels)),
                since,
                until,
            )
            for kind, datacenter, value, labels, since, until in rows
        )

    def last(self) -> tuple[PointBatch, ...]:
        """Return the newest points of the metrics that are remembered, by service."""
        with self._failing():
            rows = self._open.execute("SELECT body FROM last ORDER BY service").fetchall()
            return tuple(unpack(body) for (body,) in rows)

    @property
    def _open(self) -> sqlite3.Connection:
        if self._database is None:
            raise BridgeError("the spool is not open")
        return self._database

    def _remember(self, database: sqlite3.Connection, batch: PointBatch) -> None:
        wanted = [key.metric in self._remembered for key in batch.keys]
        kept = np.array(wanted, dtype=bool)[batch.series]
        if not kept.any():
            return
        part = PointBatch(batch.keys, batch.series[kept], batch.stamps_ms[kept], batch.values[kept])
        services = {dict(batch.keys[at].tags).get("servicename", "") for at in part.series}
        for service in services:  # one, as polls are made
            database.execute("INSERT OR REPLACE INTO last VALUES (?, ?)", (service, pack(part)))

    def _bring_up(self, database: sqlite3.Connection) -> None:
        # The first write takes the lock.
        database.execute("BEGIN IMMEDIATE")
        version = self._pragma(database, "user_version")
        if version > _VERSION:
            raise BridgeError(f"the spool {self._path} was written by a newer bridge")
        if version == 0:
            for statement in filter(str.strip, _SCHEMA.split(";")):
                database.execute(statement)
            database.execute(f"PRAGMA user_version={_VERSION}")
        database.execute("COMMIT")

    def _used(self, database: sqlite3.Connection) -> int:
        pages = self._pragma(database, "page_count") - self._pragma(database, "freelist_count")
        return pages * self._pragma(database, "page_size")

    @staticmethod
    def _pragma(database: sqlite3.Connection, name: str) -> int:
        return int(database.execute(f"PRAGMA {name}").fetchone()[0])

    @contextlib.contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        database = self._open
        database.execute("BEGIN IMMEDIATE")
        try:
            yield database
            database.execute("COMMIT")
        except BaseException:
            if database.in_transaction:
                database.execute("ROLLBACK")
            raise

    @contextlib.contextmanager
    def _failing(self) -> Iterator[None]:
        """Turn the file's failures into words."""
        try:
            yield
        except sqlite3.Error as error:
            raise BridgeError(f"the spool {self._path}: {_in_words(error)}") from None
        except ValueError as error:
            raise BridgeError(f"the spool {self._path} is damaged: {error}") from None


def _in_words(error: sqlite3.Error) -> str:
    code = getattr(error, "sqlite_errorname", "") or ""
    for start, words in _WORDS:
        if code.startswith(start):
            return words
    return str(error)


_WORDS: tuple[tuple[str, str], ...] = (
    ("SQLITE_BUSY", "another bridge uses it; each needs a history_dir of its own"),
    ("SQLITE_LOCKED", "another bridge uses it; each needs a history_dir of its own"),
    ("SQLITE_FULL", "the disk is full"),
    ("SQLITE_NOTADB", "it is damaged; move it away to go on without what waits in it"),
    ("SQLITE_CORRUPT", "it is damaged; move it away to go on without what waits in it"),
    (
        "SQLITE_CANTOPEN",
        "it cannot be opened; may the bridge write to its folder?",
    ),
    ("SQLITE_READONLY", "the bridge may not write to it"),
)
