"""Tables of what exists now, from the bridge's live tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from grafana_foundation_sdk.models import common, table
from grafana_foundation_sdk.models import dashboard as model

from dashboards.source import looks
from dashboards.source.panels import HALF, panel
from dashboards.source.queries import NOTHING, Live

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from grafana_foundation_sdk.builders.dashboard import Panel

    from bridge.ovh.live import Column
    from dashboards.source.looks import States, Steps
    from dashboards.source.panels import Size

#: Digits after the point, by unit.
_DIGITS = {"percent": 1, "gbytes": 1, "ms": 1, "none": 0}


@dataclass(frozen=True, kw_only=True)
class Cell:
    """How one column is shown.

    Attributes:
        name: The live table's column.
        title: Its heading; empty hides the column, which links may need all the same.
        steps: Thresholds that colour it.
        states: Words and colours for its values.
        link: Address to open.
        bar: Shown as a bar, from 0 to 100.
        width: In pixels.
    """

    name: str
    title: str = ""
    steps: Steps = ()
    states: States | None = None
    link: str = ""
    bar: bool = False
    width: int = 0


def hidden(*names: str) -> tuple[Cell, ...]:
    """Return columns that only links need."""
    return tuple(Cell(name=name) for name in names)


def live(
    title: str,
    kind: str,
    *cells: Cell,
    where: Sequence[Mapping[str, str]] = (NOTHING,),
    by: str = "",
    ascending: bool = False,
    first: int = 0,
    simpod: bool = False,
    size: Size = HALF,
    description: str = "",
) -> Panel:
    """Return a table of live rows.

    Args:
        title: Of the panel.
        kind: The live table.
        cells: Its columns, in order.
        where: Filters; several are several queries whose rows come together.
        by: Column to sort by, largest first.
        ascending: Smallest first.
        first: Keep only so many rows.
        simpod: Through the JSON datasource.
        size: Columns (of 24) and rows.
        description: What a person should know.
    """
    names = tuple(cell.name for cell in cells)
    queries = [Live(kind=kind, columns=names, where=one, simpod=simpod) for one in where]
    made = panel("table", title, queries, size, description)
    if simpod:
        kept = {"include": {"names": list(names)}}
        made.with_transformation(model.DataTransformerConfig("filterFieldsByName", options=kept))
    if len(queries) > 1:
        made.with_transformation(model.DataTransformerConfig("merge", options={}))
    if by:
        sort = {"fields": {}, "sort": [{"field": by, "desc": not ascending}]}
        made.with_transformation(model.DataTransformerConfig("sortBy", options=sort))
    if first:
        made.with_transformation(
            model.DataTransformerConfig("limit", options={"limitField": first})
        )
    # Infinity answers columns in the order of their names.
    order = {"excludeByName": {}, "renameByName": {}, "indexByName": _numbered(names)}
    made.with_transformation(model.DataTransformerConfig("organize", options=order))
    for cell, column in zip(cells, queries[0].described(), strict=True):
        made.override_by_name(cell.name, _properties(cell, column))
    made.defaults(
        model.FieldConfig(
            thresholds=looks.thresholds(looks.PLAIN),
            custom={"align": "auto", "cellOptions": {"type": "auto"}, "inspect": False},
        )
    )
    return made.options(
        table.Options(show_header=True, cell_height=common.TableCellHeight.SM, sort_by=[])
    )


def _numbered(names: Sequence[str]) -> dict[str, int]:
    return {name: index for index, name in enumerate(names)}


def _properties(cell: Cell, column: Column) -> list[model.DynamicConfigValue]:
    if not cell.title:
        return [model.DynamicConfigValue("custom.hidden", value=True)]
    found: dict[str, object] = {"displayName": cell.title}
    if column.unit:
        found["unit"] = column.unit
        found["decimals"] = _DIGITS.get(column.unit)
    if cell.states:
        found["mappings"] = looks.mappings(cell.states)
    if cell.steps:
        found["thresholds"] = looks.thresholds(cell.steps)
        found["color"] = model.FieldColor(model.FieldColorModeId.THRESHOLDS)
    if cell.bar:
        found |= {"min": 0, "max": 100}
        found["custom.cellOptions"] = {"type": "gauge", "mode": "basic"}
    elif cell.steps or cell.states:
        found["custom.cellOptions"] = {"type": "color-text"}
    if cell.link:
        found["links"] = [{"title": "Open", "url": cell.link, "targetBlank": False}]
    if cell.width:
        found["custom.width"] = cell.width
    return [
        model.DynamicConfigValue(name, value) for name, value in found.items() if value is not None
    ]
