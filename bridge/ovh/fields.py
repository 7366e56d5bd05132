"""The building blocks of live tables: typed columns and the rows they are read from."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Literal, TypeVar

from bridge.ovh.figures import Totals, age_s, epoch_ms

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from bridge.ovh.objects import DatacenterInventory, ServiceInventory

#: What a cell may hold; times are epoch milliseconds.
Cell = str | int | float | bool | None
ColumnType = Literal["string", "number", "boolean", "time"]
ValueT = TypeVar("ValueT")
NO_TOTALS = Totals()


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a live table.

    Attributes:
        name: Stable, in snake case; also what filters name.
        type: ``string``, ``number``, ``boolean`` or ``time`` (epoch milliseconds).
        unit: Grafana unit id for numbers that have one (``percent`` is 0 to 100,
            ``mbytes`` and ``gbytes`` are binary, ``s`` seconds, ``rotmhz`` MHz).
        description: One line for a person.
    """

    name: str
    type: ColumnType
    unit: str | None
    description: str


@dataclass(frozen=True, slots=True)
class Row(Generic[ValueT]):
    """One object with where it stands.

    Attributes:
        value: The object itself.
        service: The service it belongs to.
        datacenter: None for services, global datastores and tasks of a whole service.
        read_at: Epoch seconds of the read, None when never read.
        hidden: OVHcloud's own or deleted.
        now: Epoch seconds, for ages.
        sums: Gives the sums over what the object contains, for clusters and wider; computed
            only where somebody looks at them.
    """

    value: ValueT
    service: ServiceInventory
    datacenter: DatacenterInventory | None
    read_at: float | None
    hidden: bool
    now: float
    sums: Callable[[], Totals] = lambda: NO_TOTALS

    @property
    def totals(self) -> Totals:
        """Sums over what the object contains."""
        return self.sums()

    def age(self, moment: datetime | float | None) -> float | None:
        """Return the seconds since ``moment``."""
        return age_s(moment, self.now)


@dataclass(frozen=True, slots=True)
class Field(Generic[ValueT]):
    """A column and how its cell is read from a row."""

    column: Column
    cell: Callable[[Row[ValueT]], Cell]


def text(name: str, description: str, cell: Callable[[Row[ValueT]], str | None]) -> Field[ValueT]:
    """Make a text column; an empty text is a missing one."""
    return Field(Column(name, "string", None, description), lambda row: cell(row) or None)


def number(
    name: str, unit: str | None, description: str, cell: Callable[[Row[ValueT]], float | None]
) -> Field[ValueT]:
    """Make a number column; NaN and infinities are missing ones."""

    def read(row: Row[ValueT]) -> float | None:
        value = cell(row)
        return value if value is not None and math.isfinite(value) else None

    return Field(Column(name, "number", unit, description), read)


def flag(name: str, description: str, cell: Callable[[Row[ValueT]], bool | None]) -> Field[ValueT]:
    """Make a yes/no column."""
    return Field(Column(name, "boolean", None, description), cell)


def moment(
    name: str, description: str, cell: Callable[[Row[ValueT]], datetime | None]
) -> Field[ValueT]:
    """Make a time column, in epoch milliseconds."""
    return Field(Column(name, "time", None, description), lambda row: epoch_ms(cell(row)))


def place() -> tuple[Field[ValueT], ...]:
    """Make the columns that say where an object stands."""
    return (
        text("service", "Service name, the label 'service'", lambda row: row.service.name),
        text(
            "datacenter",
            "Stored label 'datacenter'",
            lambda row: row.datacenter.label if row.datacenter else None,
        ),
        text(
            "datacenter_name",
            "Datacenter, as people know it",
            lambda row: row.datacenter.datacenter.value.name if row.datacenter else None,
        ),
    )


def freshness() -> tuple[Field[ValueT], ...]:
    """Make the last columns of every table."""
    return (
        number("age", "s", "Time since the bridge read this row", lambda row: row.age(row.read_at)),
        flag("hidden", "OVHcloud's own object, or a deleted one", lambda row: row.hidden),
    )
