"""Ad hoc filters: keys and values a person adds to a whole dashboard.

They come as ``adhocFilters`` (SimpleJSON, older simPod) or ``filters`` (newer ones), and
narrow every target. Values are plain text. A key that a metric or table does not have
matches nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from bridge.catalog import SERVICE_LABELS
from bridge.doors.fields import choice_texts, shown
from bridge.doors.http import kind_of
from bridge.engine.filters import literals
from bridge.engine.lexemes import exactly
from bridge.errors import BadRequestError
from bridge.model import FilterKind, TagFilter
from bridge.ovh.live import Table, live_columns, live_rows
from bridge.ovh.objects import Snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from bridge.catalog import Metric

_EXACT = {"=": False, "=|": False, "!=": True, "!=|": True}
_PATTERN = {"=~": False, "!~": True}
_COMPARE: Mapping[str, Callable[[float, float], bool]] = {
    "<": lambda cell, limit: cell < limit,
    ">": lambda cell, limit: cell > limit,
}
OPERATORS = (*_EXACT, *_PATTERN, *_COMPARE)
_FLAGS = re.compile(r"\(\?([aimsux]+)\)")


@dataclass(frozen=True, slots=True)
class AdHoc:
    """One ad hoc filter.

    Attributes:
        key: Label or column.
        operator: ``=``, ``!=``, ``=~``, ``!~``, ``=|``, ``!=|``, ``<`` or ``>``.
        values: One, or several for the one-of operators.
        field: Where it stands in the request.
    """

    key: str
    operator: str
    values: tuple[str, ...]
    field: str


def read_adhoc(body: Mapping[str, Any]) -> tuple[AdHoc, ...]:
    """Read the ad hoc filters of a request; those without a key are not finished yet.

    Raises:
        BadRequestError: Not a list of objects, or an unknown operator.
    """
    read: list[AdHoc] = []
    for name in ("adhocFilters", "filters"):
        given = body.get(name)
        if given is None:
            continue
        if not isinstance(given, list):
            raise BadRequestError(f"expected a list, found {kind_of(given)}", field=name)
        for index, one in enumerate(given):
            found = _read_one(one, f"{name}[{index}]")
            if found is not None:
                read.append(found)
    return tuple(dict.fromkeys(read))


def _read_one(one: Any, field: str) -> AdHoc | None:
    if not isinstance(one, dict):
        raise BadRequestError(f"expected an object, found {kind_of(one)}", field=field)
    key, operator = one.get("key"), one.get("operator") or "="
    if not key:
        return None
    if not isinstance(key, str):
        raise BadRequestError(f"expected a text, found {kind_of(key)}", field=f"{field}.key")
    if operator not in OPERATORS:
        raise BadRequestError(
            f"there is no operator {shown(operator)} (accepted: {' '.join(OPERATORS)})",
            field=f"{field}.operator",
        )
    several = one.get("values") if operator.endswith("|") else None
    value = one.get("value") if several is None else several
    return AdHoc(key, operator, choice_texts(value, f"{field}.value"), field)


def narrow_series(
    filters: tuple[TagFilter, ...], adhoc: Iterable[AdHoc], metric: Metric
) -> tuple[TagFilter, ...] | None:
    """Add ad hoc filters to a target's; None when nothing can match.

    Raises:
        BadRequestError: ``<`` or ``>``, which labels have no order for.
    """
    known = {*metric.all_labels, *SERVICE_LABELS}
    for one in adhoc:
        if one.operator in _COMPARE:
            raise BadRequestError(
                f"'{one.operator}' compares numbers, which only live tables have",
                field=f"{one.field}.operator",
            )
        if one.key not in known or not _satisfiable(one):
            return None
        narrowed = _and(filters, _as_filter(one))
        if narrowed is None:
            return None
        filters = narrowed
    return filters


def split_live(
    kind: str, adhoc: Iterable[AdHoc]
) -> tuple[tuple[TagFilter, ...], tuple[AdHoc, ...]] | None:
    """Split ad hoc filters into those on text and comparisons; None when nothing can match.

    The filters are patterns, which always narrow: exact values of one column, also under
    its other names, would be united with the target's own.
    """
    filters: list[TagFilter] = []
    compared: list[AdHoc] = []
    for one in adhoc:
        if one.operator in _COMPARE:
            compared.append(one)
        elif not has_column(kind, one.key) or not _satisfiable(one):
            return None
        else:
            filters.append(_narrowing(_as_filter(one), one))
    return tuple(filters), tuple(compared)


def _narrowing(flt: TagFilter, one: AdHoc) -> TagFilter:
    if flt.kind is not FilterKind.LITERAL_OR:
        return flt
    pattern = "|".join(map(re.escape, one.values))
    return TagFilter(one.key, FilterKind.REGEXP, f"^(?:{pattern})$")


def has_column(kind: str, name: str) -> bool:
    """Whether filters on a kind's live table may name this column."""
    try:
        list(live_rows(Snapshot(), kind, [TagFilter(name, FilterKind.WILDCARD, "*")]))
    except BadRequestError:
        return False
    return True


def compare_rows(kind: str, table: Table, compared: Sequence[AdHoc]) -> Table:
    """Keep the rows whose numbers satisfy the comparisons; an unknown number satisfies none.

    Raises:
        BadRequestError: The column holds no numbers, or the value is none.
    """
    rows = table.rows
    names = [column.name for column in live_columns(kind)]
    for one in compared:
        if one.key not in names:
            return Table(table.columns, ())
        index = names.index(one.key)
        if table.columns[index].type != "number":
            raise BadRequestError(
                f"'{one.operator}' compares numbers, and the column '{one.key}' holds none",
                field=f"{one.field}.operator",
            )
        limit, holds = _limit(one), _COMPARE[one.operator]
        rows = tuple(
            row
            for row in rows
            if isinstance(cell := row[index], int | float) and holds(cell, limit)
        )
    return Table(table.columns, rows)


def _limit(one: AdHoc) -> float:
    try:
        return float("".join(one.values))
    except ValueError:
        raise BadRequestError(
            f"expected a number, found {shown(''.join(one.values))}", field=f"{one.field}.value"
        ) from None


def _satisfiable(one: AdHoc) -> bool:
    """No label's value is empty, so nothing equals an empty text."""
    return bool(one.values) or one.operator not in {"=", "=|"}


def _as_filter(one: AdHoc) -> TagFilter:
    if not one.values:
        return TagFilter(one.key, FilterKind.WILDCARD, "*")
    if one.operator in _EXACT:
        return exactly(one.key, one.values, negative=_EXACT[one.operator])
    pattern = "|".join(one.values)
    if _PATTERN[one.operator]:
        flags = _FLAGS.match(pattern)
        inner = f"(?{flags[1]}:{pattern[flags.end() :]})" if flags else f"(?:{pattern})"
        pattern = f"^(?!.*{inner})"
    return TagFilter(one.key, FilterKind.REGEXP, pattern)


def _and(filters: tuple[TagFilter, ...], added: TagFilter) -> tuple[TagFilter, ...] | None:
    """Add a filter that must match as well.

    The engine reads two ``literal_or`` on one key as a union, as OpenTSDB does, so here
    their common values are taken instead; None when there are none.
    """
    same = [flt for flt in filters if flt.key == added.key and flt.kind is FilterKind.LITERAL_OR]
    if added.kind is not FilterKind.LITERAL_OR or not same:
        return (*filters, added)
    wanted = frozenset().union(*map(literals, same)) & literals(added)
    if not wanted:
        return None
    text = "|".join(sorted(wanted))
    kept = replace(same[0], text=text, group_by=any(flt.group_by for flt in same))
    return (kept, *(flt for flt in filters if flt not in same))
