"""Flat tables: one row a point, or one an object, as JSON objects or as CSV (RFC 4180).

Infinity takes a column's type from its first value, so no column mixes types (reference:
grafana 3.2): a missing text is empty, any other missing cell is null. A series has no such
cells; a gap is no row at all.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from bridge.doors.datapoints import column, interleave

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bridge.doors.datapoints import Stamps, Values
    from bridge.ovh.fields import Cell
    from bridge.ovh.live import Table

JSON_TYPE = "application/json"
CSV_TYPE = "text/csv; charset=utf-8; header=present"

#: What a spreadsheet may take for a formula when a text begins with it, the full-width
#: forms included.
_FORMULA = tuple("=+-@\t\r\n＝＋－＠")  # noqa: RUF001 -- the full-width forms themselves


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """One series as rows.

    Attributes:
        stamps_ms: Ascending epoch milliseconds.
        values: As many, finite.
        cells: One text for each label column.
    """

    stamps_ms: Stamps
    values: Values
    cells: Sequence[str]


def series_table(
    labels: Sequence[str], lines: Sequence[Line], *, as_csv: bool, time_format: str
) -> Iterator[bytes]:
    """Write rows of time, labels and value, sorted by time over all series, in pieces.

    Args:
        labels: Names of the label columns.
        lines: The series.
        as_csv: CSV rather than JSON.
        time_format: ``ms``, ``s`` or ``iso``.
    """
    if as_csv:
        yield _csv_line(["time", *labels, "value"])
        made = [(one.stamps_ms, one.values, _csv_middle(one.cells)) for one in lines]
        yield from interleave(
            made,
            opening=b"",
            between=b"\r\n",
            closing=b"\r\n",
            stamps_as=lambda stamps: _stamps(stamps, time_format, quote=b""),
        )
        return
    made = [(one.stamps_ms, one.values, _json_middle(labels, one.cells)) for one in lines]
    empty = True
    for piece in interleave(
        made,
        opening=b'[{"time":',
        between=b'},{"time":',
        closing=b"}]",
        stamps_as=lambda stamps: _stamps(stamps, time_format, quote=b'"'),
    ):
        empty = False
        yield piece
    if empty:
        yield b"[]"


def live_table_rows(table: Table, *, as_csv: bool, time_format: str) -> bytes:
    """Write one row an object; its columns are always the same for one kind."""
    times = {index for index, one in enumerate(table.columns) if one.type == "time"}
    texts = {index for index, one in enumerate(table.columns) if one.type == "string"}
    names = [one.name for one in table.columns]

    def written(index: int, cell: Cell) -> Any:
        if cell is None:
            return "" if index in texts else None
        if index in times and isinstance(cell, int | float):
            (text,) = _stamps(np.array([cell], dtype=np.int64), time_format, quote=b"")
            return text.decode() if time_format == "iso" else orjson.loads(text)
        return cell

    rows = [[written(index, cell) for index, cell in enumerate(row)] for row in table.rows]
    if as_csv:
        return b"".join([_csv_line(names), *(_csv_line(row) for row in rows)])
    return orjson.dumps([dict(zip(names, row, strict=True)) for row in rows])


def _stamps(stamps_ms: Stamps, time_format: str, *, quote: bytes) -> list[bytes]:
    """Write stamps: integers where they can be, ISO times in UTC without needless digits."""
    whole = not (stamps_ms % 1000).any()
    if time_format == "iso":
        moments = stamps_ms.astype("datetime64[ms]")
        texts = np.datetime_as_string(moments, unit="s" if whole else "ms", timezone="UTC")
        return [quote + text.encode() + quote for text in texts.tolist()]
    if time_format == "s":
        return column(stamps_ms // 1000 if whole else stamps_ms / 1000).split(b",")
    return column(stamps_ms).split(b",")


def _json_middle(labels: Sequence[str], cells: Sequence[str]) -> bytes:
    pairs = dict(zip(labels, cells, strict=True))
    return b"," + orjson.dumps(pairs)[1:-1] + b',"value":' if pairs else b',"value":'


def _csv_middle(cells: Sequence[str]) -> bytes:
    return b"," + _csv_line(cells).removesuffix(b"\r\n") + b"," if cells else b","


def _csv_line(cells: Sequence[Any]) -> bytes:
    """Write one line; a text that would be taken for a formula gets an apostrophe in front."""
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\r\n").writerow([_csv_cell(cell) for cell in cells])
    return buffer.getvalue().encode(errors="replace")


def _csv_cell(cell: Any) -> Any:
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, str) and cell.startswith(_FORMULA):
        return f"'{cell}"
    return cell
