"""What Infinity's backend parser makes of an answer (reference: grafana 3.2, 0a).

A model of its framing, written from the behaviour of the plugin: columns are typed, sorted
by name, and a time series query is turned from long to wide, its text columns into labels.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Labels = tuple[tuple[str, str], ...]
Points = dict[int, float | None]


class NotWideError(Exception):
    """The rule's state is Error: "input data must be a wide series but got type long"."""


@dataclass(frozen=True)
class Column:
    """One declared column; the type is one of Infinity's."""

    selector: str
    type: str

    def cell(self, value: Any) -> Any:
        """Convert a value as the plugin does; what does not fit becomes null, silently."""
        match self.type:
            case "number":
                return _number(value)
            case "timestamp_epoch":
                number = _number(value)
                return None if number is None else int(number)
            case "boolean":
                return value if isinstance(value, bool) else None
            case _:
                return None if value is None else _text(value)


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or value is None:
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else f"{value:g}"


def guessed(rows: Sequence[Mapping[str, Any]]) -> list[Column]:
    """Type undeclared columns by their first value that is not null; none means text."""
    columns = []
    for name in sorted({name for row in rows for name in row}):
        first = next((row[name] for row in rows if row.get(name) is not None), "")
        kind = "boolean" if isinstance(first, bool) else "number"
        columns.append(Column(name, "string" if isinstance(first, str) else kind))
    return columns


def framed(text: str, columns: Sequence[Column] = ()) -> tuple[list[Column], list[list[Any]]]:
    """Return the columns by name and the rows; no rows have no columns at all."""
    rows = json.loads(text)
    if not rows:
        return [], []
    typed = sorted(columns or guessed(rows), key=lambda column: column.selector)
    return typed, [[column.cell(row.get(column.selector)) for column in typed] for row in rows]


def wide(text: str, columns: Sequence[Column]) -> dict[Labels, Points]:
    """Return the series of a time series query; rows alike in time and labels collapse.

    Raises:
        NotWideError: Times are missing or not ascending, or there is not one number.
    """
    typed, rows = framed(text, columns)
    if not rows:
        return {}
    kinds = [column.type for column in typed]
    if kinds.count("timestamp_epoch") != 1 or kinds.count("number") != 1:
        raise NotWideError
    at, value = kinds.index("timestamp_epoch"), kinds.index("number")
    labels = [index for index, kind in enumerate(kinds) if kind in {"string", "boolean"}]
    stamps = [row[at] for row in rows]
    if None in stamps or stamps != sorted(stamps):
        raise NotWideError
    series: dict[Labels, Points] = {}
    for row in rows:
        key = tuple((typed[index].selector, _text(row[index] or "")) for index in labels)
        series.setdefault(key, {})[row[at]] = row[value]
    # Wide means one time axis: a series without a value at a stamp has null there.
    axis = dict.fromkeys(stamps)
    return {key: {**axis, **points} for key, points in series.items()}


def numbers(text: str, columns: Sequence[Column]) -> dict[Labels, float | None]:
    """Return the instances of a table without time: one number, and texts for labels.

    Raises:
        NotWideError: There is not exactly one number, or a column that is neither.
    """
    typed, rows = framed(text, columns)
    if not rows:
        return {}
    kinds = [column.type for column in typed]
    if kinds.count("number") != 1 or set(kinds) - {"number", "string"}:
        raise NotWideError
    value = kinds.index("number")
    return {
        tuple(
            (column.selector, cell or "")
            for column, cell in zip(typed, row, strict=True)
            if column.type == "string"
        ): row[value]
        for row in rows
    }
