"""Files of points written elsewhere: what their columns are, and which rows are wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import duckdb
import orjson

from bridge.errors import BadRequestError
from bridge.model import SeriesKey
from bridge.sources.history.database import one_line, quoted
from bridge.sources.history.layout import LAST_MS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bridge.sources.history.database import Cursor

#: Earlier times are taken for seconds: as milliseconds they would lie in early 1973.
_EARLIEST_MS = 100_000_000_000

#: The most series one file may name.
MOST_SERIES = 1_000_000

_POINT = ("metric", "time", "value")


@dataclass(frozen=True, slots=True)
class Foreign:
    """A file that can be read.

    Attributes:
        path: The file.
        rows: SQL of a table with ``metric``, ``time`` and ``value``, NULL where they are no
            numbers, the texts ``label_0``, ``label_1``, ..., and as they were ``given_time``
            and ``given_value``.
        labels: What the texts are called; ``tags`` alone is a JSON object.
    """

    path: Path
    rows: str
    labels: tuple[str, ...]

    @property
    def naming(self) -> tuple[str, ...]:
        """The columns that say which series a row is of."""
        return ("metric", *(f"label_{at}" for at in range(len(self.labels))))

    def key(self, texts: Sequence[str | None]) -> SeriesKey:
        """Return the series of the texts in the naming columns.

        Raises:
            BadRequestError: They name none.
        """
        metric, *given = texts
        if not metric:
            raise BadRequestError(f"{self.path}: a row has no metric")
        if self.labels != ("tags",):
            found: dict[str, Any] = dict(zip(self.labels, given, strict=True))
        else:
            try:
                decoded: Any = orjson.loads(given[0] or "{}")
            except orjson.JSONDecodeError:
                decoded = None
            if not isinstance(decoded, dict) or not all(
                key and isinstance(value, str) for key, value in decoded.items()
            ):
                raise BadRequestError(
                    f"{self.path}: the tags {given[0]!r} of {metric} are no map of texts"
                )
            found = decoded
        return SeriesKey(metric, tuple(sorted((key, text) for key, text in found.items() if text)))


def look_at(cursor: Cursor, path: Path) -> Foreign:
    """Find out what the columns of a file are.

    Raises:
        BadRequestError: It cannot be read, or a column is missing.
    """
    try:
        source = _source(path)
        described = cursor.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()
    except (duckdb.Error, OSError) as error:
        raise BadRequestError(f"{path} cannot be read: {one_line(error)}") from None
    types = {str(row[0]): str(row[1]) for row in described}
    missing = [name for name in _POINT if name not in types]
    if missing:
        raise BadRequestError(
            f"{path} has no column {missing[0]!r}; expected metric, time and value, and a "
            "column for each label, or one called tags"
        )
    labels = tuple(name for name in types if name not in _POINT)
    if "tags" in labels and len(labels) > 1:
        raise BadRequestError(
            f"{path} has a column tags and others ({', '.join(labels)}): expected either"
        )
    # Joined to nothing, so that a text that is no number does not stop the reader of CSV.
    time, value = (
        f"concat(\"{name}\", '')" if types[name] == "VARCHAR" else f'"{name}"'
        for name in ("time", "value")
    )
    if types["time"].startswith("TIMESTAMP"):
        time = f"epoch_ms({time})"
    select = [
        "metric::VARCHAR AS metric",
        f"TRY_CAST({time} AS BIGINT) AS time",
        f"TRY_CAST({value} AS DOUBLE) AS value",
        '"time"::VARCHAR AS given_time',
        '"value"::VARCHAR AS given_value',
    ]
    for at, name in enumerate(labels):
        column = '"' + name.replace('"', '""') + '"'
        text = f"to_json({column})" if types[name].startswith(("MAP", "STRUCT")) else column
        select.append(f"{text}::VARCHAR AS label_{at}")
    return Foreign(path, f"(SELECT {', '.join(select)} FROM {source})", labels)


def check(cursor: Cursor, foreign: Foreign) -> int:
    """Read a whole file, and return how many rows it has.

    Raises:
        BadRequestError: It breaks off, or a row has no time or value that can be stored.
    """
    wrong = (
        f"time IS NULL OR time < {_EARLIEST_MS} OR time >= {LAST_MS} "
        "OR value IS NULL OR NOT isfinite(value) OR coalesce(metric, '') = ''"
    )
    try:
        row = cursor.execute(
            f"SELECT count(*), count(*) FILTER ({wrong}) FROM {foreign.rows}"
        ).fetchone()
        rows, bad = row or (0, 0)
        if bad:
            first = cursor.execute(
                "SELECT metric, time, value, given_time, given_value "
                f"FROM {foreign.rows} WHERE {wrong} LIMIT 1"
            ).fetchone()
            raise BadRequestError(
                f"{foreign.path}: {bad:,} of {rows:,} rows are wrong, {_why(first)}"
            )
    except duckdb.Error as error:
        raise BadRequestError(f"{foreign.path} cannot be read: {one_line(error)}") from None
    return int(rows)


def _why(row: Sequence[Any] | None) -> str:
    metric, time, value, given_time, given_value = row or (None,) * 5
    if not metric:
        return f"for example one without a metric (time {given_time})"
    if time is None or time >= LAST_MS or time < 0:
        return f"for example the time {given_time!r} of {metric}: expected epoch milliseconds"
    if time < _EARLIEST_MS:
        return (
            f"for example the time {given_time} of {metric}: it looks like seconds; "
            "expected epoch milliseconds"
        )
    del value
    return f"for example the value {given_value!r} of {metric}: expected a finite number"


def series_of(cursor: Cursor, foreign: Foreign) -> list[tuple[tuple[str | None, ...], SeriesKey]]:
    """List the series a file names, with the texts that name them; a series may come twice.

    Raises:
        BadRequestError: There are too many, or one cannot be read.
    """
    names = ", ".join(foreign.naming)
    found = cursor.execute(
        f"SELECT DISTINCT {names} FROM {foreign.rows} LIMIT {MOST_SERIES + 1}"
    ).fetchall()
    if len(found) > MOST_SERIES:
        raise BadRequestError(f"{foreign.path} names more than {MOST_SERIES:,} series")
    return [(tuple(row), foreign.key(row)) for row in found]


def _source(path: Path) -> str:
    """Return the SQL of a file's rows: Parquet by its first bytes, else CSV."""
    with path.open("rb") as file:
        start = file.read(4)
    if start == b"PAR1":
        return f"read_parquet({quoted(str(path))})"
    return f"read_csv({quoted(str(path))}, header = true, all_varchar = true)"
