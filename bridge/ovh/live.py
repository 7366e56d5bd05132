"""Live tables: the inventory as rows with typed columns.

Pure functions of a snapshot. One kind of object is one table; every table has ``name``,
the values used as metric labels, ``age`` and ``hidden``.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from bridge.engine.filters import match_all
from bridge.errors import BadRequestError
from bridge.model import TagFilter
from bridge.ovh import columns, wide_columns
from bridge.ovh.fields import Cell, Column, Field, Row
from bridge.ovh.order import natural_key
from bridge.ovh.rows import rows_of

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence

    from bridge.ovh.objects import Snapshot
    from bridge.ovh.order import NaturalKey

    _PlaceKey = tuple[NaturalKey, bool, NaturalKey]

__all__ = [
    "LIVE_KINDS",
    "Column",
    "Table",
    "live_columns",
    "live_fields",
    "live_rows",
    "live_table",
]

LIVE_KINDS = ("vm", "host", "filer", "datacenter", "cluster", "service", "task")

_FIELDS: Mapping[str, tuple[Field[Any], ...]] = MappingProxyType(
    {
        "vm": columns.VM,
        "host": columns.HOST,
        "filer": columns.FILER,
        "datacenter": wide_columns.DATACENTER,
        "cluster": wide_columns.CLUSTER,
        "service": wide_columns.SERVICE,
        "task": wide_columns.TASK,
    }
)

#: Names of metric labels under which a filter may ask for a column of another name.
_ALIASES: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {"vm": {"vm_name": "name", "host": "host_name"}}
)


@dataclass(frozen=True, slots=True)
class Table:
    """A live table.

    Attributes:
        columns: Always the same for one kind.
        rows: One cell a column; epoch milliseconds in time columns, None where unknown.
    """

    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]


def live_columns(kind: str) -> tuple[Column, ...]:
    """Return the columns of a kind's table.

    Raises:
        BadRequestError: There is no such kind.
    """
    return tuple(field.column for field in live_fields(kind))


def live_fields(kind: str) -> tuple[Field[Any], ...]:
    """Return the columns of a kind's table, each with how its cells are read from rows.

    Raises:
        BadRequestError: There is no such kind.
    """
    fields = _FIELDS.get(kind)
    if fields is None:
        raise BadRequestError(_unknown(f"there is no live table '{kind}'", kind, LIVE_KINDS))
    return fields


def live_table(
    snapshot: Snapshot,
    kind: str,
    filters: Sequence[TagFilter],
    *,
    now: float,
    show_hidden: bool = False,
) -> Table:
    """Return a kind's objects, by service, datacenter and name.

    Args:
        snapshot: The inventory.
        kind: One of ``LIVE_KINDS``.
        filters: On columns, all must match (two ``literal_or`` on one column are a union).
            Numbers are compared by their shortest text (``12``, ``0.5``), booleans as
            ``true`` and ``false``, times as ``2026-11-23T08:00:00Z``. A missing cell
            matches no filter, as a series without the tag.
        now: Epoch seconds, for ages.
        show_hidden: Whether OVHcloud's own objects and deleted machines are shown.

    Raises:
        BadRequestError: Unknown kind, unknown column, or a filter that cannot be compiled.
    """
    fields = live_fields(kind)
    by_name = {field.column.name: field for field in fields}
    rows = sorted(
        live_rows(snapshot, kind, filters, now=now, show_hidden=show_hidden),
        key=_order(by_name["name"], by_name.get("id")),
    )
    cells = [field.cell for field in fields]
    return Table(
        columns=tuple(field.column for field in fields),
        rows=tuple(tuple(cell(row) for cell in cells) for row in rows),
    )


def live_rows(
    snapshot: Snapshot,
    kind: str,
    filters: Sequence[TagFilter] = (),
    *,
    now: float = 0.0,
    show_hidden: bool = False,
    within: Container[str] | None = None,
) -> Iterator[Row[Any]]:
    """Return a kind's objects themselves; arguments and errors as ``live_table``.

    Without ``now`` every age is 0. Where ``within`` is given, objects of datacenters whose
    label is not in it are left out.
    """
    by_name = {field.column.name: field for field in live_fields(kind)}
    # Whole services and datacenters first: looking at every machine takes its time.
    service, matching = (_by_label(filters, key) for key in ("service", "datacenter"))

    def place(label: str) -> bool:
        return (within is None or label in within) and matching(label)

    found = rows_of(snapshot, kind, now, service=service, place=place)
    rows = (row for row in found if show_hidden or not row.hidden)
    return filter(_matcher(kind, by_name, filters), rows) if filters else rows


def _by_label(filters: Sequence[TagFilter], key: str) -> Callable[[str], bool]:
    """Return whether a label's value can match the filters on it."""
    own = [flt for flt in filters if flt.key == key]
    matches = match_all(own)
    return lambda text: matches({key: text})


def _unknown(problem: str, name: str, names: Iterable[str]) -> str:
    known = tuple(names)
    near = get_close_matches(name, known, n=3, cutoff=0.5)
    if near:
        return f"{problem}; did you mean {' or '.join(near)}?"
    return f"{problem}; there are {', '.join(known)}"


def _matcher(
    kind: str, by_name: Mapping[str, Field[Any]], filters: Sequence[TagFilter]
) -> Callable[[Row[Any]], bool]:
    aliases = _ALIASES.get(kind, {})
    asked: dict[str, Field[Any]] = {}
    renamed = []
    for flt in filters:
        key = aliases.get(flt.key, flt.key)
        if key not in by_name:
            problem = f"the live table '{kind}' has no column '{flt.key}'"
            raise BadRequestError(_unknown(problem, flt.key, [*by_name, *aliases]))
        asked[key] = by_name[key]
        renamed.append(TagFilter(key, flt.kind, flt.text, flt.group_by))
    matches = match_all(renamed)

    def row_matches(row: Row[Any]) -> bool:
        texts = ((key, _cell_text(field.column, field.cell(row))) for key, field in asked.items())
        return matches({key: text for key, text in texts if text is not None})

    return row_matches


def _cell_text(column: Column, cell: Cell) -> str | None:
    if cell is None or isinstance(cell, str):
        return cell
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if column.type == "time":
        return datetime.fromtimestamp(cell / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return str(int(cell)) if float(cell).is_integer() else repr(cell)


def _order(
    name: Field[Any], identity: Field[Any] | None
) -> Callable[[Row[Any]], tuple[_PlaceKey, NaturalKey, Cell]]:
    """Sort by service, its global objects first, datacenter, name, and id for twins."""
    places: dict[tuple[str, str | None], _PlaceKey] = {}

    def place_key(row: Row[Any]) -> _PlaceKey:
        label = row.datacenter.label if row.datacenter else None
        at = (row.service.name, label)
        found = places.get(at)
        if found is None:
            found = (natural_key(row.service.name), label is not None, natural_key(label or ""))
            places[at] = found
        return found

    def key(row: Row[Any]) -> tuple[_PlaceKey, NaturalKey, Cell]:
        return (
            place_key(row),
            natural_key(str(name.cell(row))),
            identity.cell(row) if identity else 0,
        )

    return key
