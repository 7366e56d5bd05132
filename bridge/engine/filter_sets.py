"""Filters brought to one form, so that the same question in other words is the same.

And so that one set of filters can be told to select all that another one does.
"""

from __future__ import annotations

from collections import defaultdict
from functools import lru_cache

from bridge.engine.filters import literals
from bridge.model import FilterKind, TagFilter

Filters = tuple[TagFilter, ...]


@lru_cache(maxsize=4096)
def normal_filters(filters: Filters) -> Filters:
    """Return filters in one order, without repetitions; literals of one key become one."""
    unions: dict[str, frozenset[str]] = defaultdict(frozenset)
    others = set()
    for flt in filters:
        if flt.kind is FilterKind.LITERAL_OR:
            unions[flt.key] |= literals(flt)
        else:
            others.add(TagFilter(flt.key, flt.kind, flt.text))
    merged = [literal_filter(key, values) for key, values in unions.items()]
    return tuple(sorted((*others, *merged), key=lambda flt: (flt.key, flt.kind, flt.text)))


def literal_filter(key: str, values: frozenset[str]) -> TagFilter:
    """Return the filter for these values of a key."""
    return TagFilter(key, FilterKind.LITERAL_OR, "|".join(sorted(values)))


@lru_cache(maxsize=4096)
def listing(filters: Filters) -> tuple[str, frozenset[str], Filters] | None:
    """Split normal filters into one list of literals and the others.

    Where several keys have one, it is the list of the key that sorts last: an object's
    label follows ``datacenter``.

    Returns:
        The key, its values and the other filters; None without literals.
    """
    for index in range(len(filters) - 1, -1, -1):
        flt = filters[index]
        if flt.kind is FilterKind.LITERAL_OR:
            return flt.key, literals(flt), filters[:index] + filters[index + 1 :]
    return None


def includes(wide: Filters, narrow: Filters) -> bool:
    """Whether every series that ``narrow`` selects is certainly selected by ``wide``.

    Both are normal filters.
    """
    return all(_implied(flt, narrow) for flt in wide)


def _implied(flt: TagFilter, by: Filters) -> bool:
    for other in by:
        if other.key != flt.key:
            continue
        if other == flt:
            return True
        # Every filter demands that its key is there.
        if flt.kind in _WILDCARDS and not flt.text.strip("*"):
            return True
        if flt.kind is other.kind is FilterKind.LITERAL_OR and literals(other) <= literals(flt):
            return True
    return False


_WILDCARDS = (FilterKind.WILDCARD, FilterKind.IWILDCARD)
