"""Live tables for a browser: filtered, sorted and cut into pages by the address alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from bridge.doors.page.objects import KINDS, graph_of
from bridge.doors.page.times import absolute, read_zone
from bridge.doors.page.units import MISSING, readable
from bridge.engine.filters import compile_filter
from bridge.engine.grammar import LiveTarget
from bridge.engine.lexemes import parse_choice
from bridge.errors import BadRequestError
from bridge.model import FilterKind, TagFilter
from bridge.offload import in_slices
from bridge.ovh.live import live_fields, live_rows
from bridge.ovh.objects import Snapshot
from bridge.ovh.order import natural_key

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from starlette.datastructures import QueryParams

    from bridge.doors.doorway import Doorway
    from bridge.doors.page.times import Zone
    from bridge.ovh.fields import Cell, Column, Field
    from bridge.ovh.order import NaturalKey

PAGE_ROWS = 100
#: Values offered for one field.
MOST_OFFERED = 200
_RESERVED = frozenset({"kind", "search", "sort", "page", "columns", "hidden", "tz"})
_LONGEST = 4_000
#: What objects are ordered by unless a person asks for something else.
_PLACE = ("service", "datacenter", "name")


@dataclass(frozen=True, slots=True)
class TableForm:
    """The fields of a live table's page.

    Attributes:
        kind: Which table.
        search: Part of a name.
        filters: Filter texts by column.
        sort: A column, ``-`` in front for the largest first; empty for place and name.
        page: From 1.
        all_columns: Whether all columns are shown.
        hidden: Whether hidden objects are.
        zone: Name of the time zone.
    """

    kind: str
    search: str = ""
    filters: Mapping[str, str] = field(default_factory=dict)
    sort: str = ""
    page: int = 1
    all_columns: bool = False
    hidden: bool = False
    zone: str = "UTC"

    def query(self, **changed: str) -> dict[str, str | list[str]]:
        """Return the parameters of an address that shows the same, but for ``changed``."""
        return {
            "kind": self.kind,
            "search": self.search,
            **self.filters,
            "sort": self.sort,
            "page": "" if self.page == 1 else str(self.page),
            "columns": "all" if self.all_columns else "",
            "hidden": "true" if self.hidden else "",
            "tz": "" if self.zone == "UTC" else self.zone,
            **changed,
        }


@dataclass(frozen=True, slots=True)
class Shown:
    """One cell as text, and whether it is a number."""

    text: str
    is_number: bool


@dataclass(frozen=True, slots=True)
class ShownRow:
    """One object: its cells, the first of them its name, and the graph's fields."""

    cells: tuple[Shown, ...]
    graph: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class LiveTable:
    """One page of a live table.

    Attributes:
        columns: What the cells are.
        rows: Of this page.
        total: Objects that match.
        pages: How many pages there are.
        offered: Values to choose from, by the columns one can filter by.
        target: The same table for Grafana, all of it.
    """

    columns: tuple[Column, ...]
    rows: tuple[ShownRow, ...]
    total: int
    pages: int
    offered: Mapping[str, tuple[str, ...]]
    target: LiveTarget


def read_table_form(params: QueryParams) -> TableForm:
    """Read an address.

    Raises:
        BadRequestError: No such table, a page that is no number, or too much text.
    """
    texts = {name: text.strip() for name, text in params.items() if text.strip()}
    if sum(len(name) + len(text) for name, text in texts.items()) > _LONGEST:
        raise BadRequestError(f"expected at most {_LONGEST:,} characters")
    kind = texts.get("kind", "vm")
    live_fields(kind)
    number = texts.get("page", "1")
    if not (number.isascii() and number.isdigit() and 0 < len(number) < 7 and int(number)):
        raise BadRequestError(f"expected a number from 1, found {number[:60]!r}", field="page")
    return TableForm(
        kind=kind,
        search=texts.get("search", ""),
        filters={name: text for name, text in texts.items() if name not in _RESERVED},
        sort=texts.get("sort", ""),
        page=int(number),
        all_columns=texts.get("columns") == "all",
        hidden=texts.get("hidden", "").lower() == "true",
        zone=texts.get("tz", "UTC"),
    )


async def live_page(doorway: Doorway, form: TableForm) -> LiveTable:
    """Return what a form asks for, beside other requests.

    Raises:
        BadRequestError: ``field`` names the column or parameter.
    """
    zone, kind = read_zone(form.zone), KINDS[form.kind]
    fields = {one.column.name: one for one in live_fields(form.kind)}
    filters = [*_searched(form.search), *_filters(form)]
    sort = form.sort.removeprefix("-")
    if sort and sort not in fields:
        raise BadRequestError(f"there is no column {sort[:60]!r} to sort by", field="sort")
    snapshot, now = doorway.snapshot(), doorway.clock()
    shown = tuple(fields) if form.all_columns else kind.main
    needed = dict.fromkeys((*shown, *kind.labels, *_PLACE, sort))
    read = {name: fields[name] for name in needed if name in fields}
    wide = [fields[name] for name in kind.filters]
    everything = live_rows(snapshot, form.kind, now=now, show_hidden=form.hidden)
    offered = await in_slices(_values(everything, wide), 0)
    matching = live_rows(snapshot, form.kind, filters, now=now, show_hidden=form.hidden)
    placed = await in_slices(_placed(matching, read), 0)
    placed.sort(key=itemgetter(0))
    objects = [cells for _, cells in placed]
    if sort:
        objects = _sorted(objects, sort, largest_first=form.sort.startswith("-"))
    pages = max(1, -(-len(objects) // PAGE_ROWS))
    first = (min(form.page, pages) - 1) * PAGE_ROWS
    return LiveTable(
        tuple(fields[name].column for name in shown),
        tuple(
            ShownRow(
                tuple(_shown(fields[name].column, cells[name], zone) for name in shown),
                graph_of(form.kind, cells),
            )
            for cells in objects[first : first + PAGE_ROWS]
        ),
        len(objects),
        pages,
        dict(zip(kind.filters, _distinct(offered, len(wide)), strict=True)),
        LiveTarget(form.kind, tuple(filters), form.hidden),
    )


def _searched(text: str) -> list[TagFilter]:
    """Return the filter on a part of the name, which ignores case."""
    if not text:
        return []
    return [TagFilter("name", FilterKind.IWILDCARD, f"*{text.strip('*')}*")]


def _filters(form: TableForm) -> Iterator[TagFilter]:
    for key, text in form.filters.items():
        try:
            flt = parse_choice(key, [text])
            if flt is not None:
                compile_filter(flt)
                # Refuses a column that the table lacks; no object is looked at.
                live_rows(Snapshot(), form.kind, [flt])
                yield flt
        except BadRequestError as error:
            raise BadRequestError(error.message, field=key, position=error.position) from None


def _values(rows: Iterator[Any], fields: Sequence[Field[Any]]) -> Iterator[tuple[Cell, ...]]:
    for row in rows:
        yield tuple(one.cell(row) for one in fields)


def _placed(
    rows: Iterator[Any], fields: Mapping[str, Field[Any]]
) -> Iterator[tuple[tuple[NaturalKey, ...], dict[str, Cell]]]:
    """Yield each object's cells, with what it is sorted by at first."""
    for row in rows:
        cells = {name: one.cell(row) for name, one in fields.items()}
        yield tuple(natural_key(str(cells.get(key) or "")) for key in _PLACE), cells


def _distinct(values: Sequence[tuple[Cell, ...]], width: int) -> Iterator[tuple[str, ...]]:
    for at in range(width):
        texts = {_plain(row[at]) for row in values if row[at] is not None}
        yield tuple(sorted(texts, key=natural_key)[:MOST_OFFERED])


def _plain(cell: Cell) -> str:
    return str(cell).lower() if isinstance(cell, bool) else str(cell)


def _sorted(
    objects: Sequence[dict[str, Cell]], name: str, *, largest_first: bool
) -> list[dict[str, Cell]]:
    """Sort by a column; equal ones stay in their order, unknown ones come last."""

    def key(cells: Mapping[str, Cell]) -> Any:
        cell = cells[name]
        return natural_key(cell) if isinstance(cell, str) else cell

    known = [cells for cells in objects if cells[name] is not None]
    known.sort(key=key, reverse=largest_first)
    return [*known, *(cells for cells in objects if cells[name] is None)]


def _shown(column: Column, cell: Cell, zone: Zone) -> Shown:
    is_number = column.type == "number"
    if cell is None:
        return Shown(MISSING, is_number)
    if isinstance(cell, bool):
        return Shown("yes" if cell else "no", is_number=False)
    if isinstance(cell, str):
        return Shown(cell, is_number)
    if column.type == "time":
        return Shown(absolute(cell, zone), is_number)
    if column.unit is None:
        return Shown(str(cell), is_number)
    return Shown(readable(cell, column.unit), is_number)
