"""What one fetch is about, apart from its span, in a form that compares.

Filters are brought to one form, so that the same question in other words is the same need,
and one need can tell whether it holds everything another one asks for.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from bridge.engine.filters import literals
from bridge.engine.sheets import MERGEABLE
from bridge.model import FilterKind, TagFilter

if TYPE_CHECKING:
    from bridge.model import BucketFunction

    Filters = tuple[TagFilter, ...]

#: Buckets in one stored piece at most; pieces are what is evicted.
PIECE_BUCKETS = 256
#: Raw points are cut at whole minutes, and kept in pieces of a day.
POINT_GRID_MS = 60_000
PIECE_MINUTES = 1_440


@dataclass(frozen=True, slots=True)
class Need:
    """One kind of series data.

    Attributes:
        origin: Which source answers.
        metric: Metric name.
        filters: As ``normal_filters`` gives them.
        step_ms: Bucket width; 0 for raw points.
        functions: Bucket functions, sorted; none for raw points.
    """

    origin: int
    metric: str
    filters: Filters
    step_ms: int = 0
    functions: tuple[BucketFunction, ...] = ()

    @property
    def grid_ms(self) -> int:
        """Where spans may be cut."""
        return self.step_ms or POINT_GRID_MS

    @property
    def piece_ms(self) -> int:
        """How long a stored piece may be; pieces lie on the epoch grid of this width."""
        return self.grid_ms * (PIECE_BUCKETS if self.step_ms else PIECE_MINUTES)

    @property
    def is_wide(self) -> bool:
        """Whether it may include what others need, as a list of one name does not."""
        listed = listing(self.filters)
        return listed is None or len(listed[1]) > 1

    def brings(self, other: Need) -> bool:
        """Whether it has the same buckets, or points, of all the series another needs."""
        return (
            self.metric == other.metric
            and self.step_ms == other.step_ms
            and self.functions == other.functions
            and self.origin == other.origin
            and includes(self.filters, other.filters)
        )

    def can_serve(self, step_ms: int, functions: tuple[BucketFunction, ...]) -> bool:
        """Whether its buckets give others of the same series exactly, by merging at most."""
        if not step_ms or not self.step_ms:
            return step_ms == self.step_ms
        if not set(functions) <= set(self.functions):
            return False
        return step_ms == self.step_ms or (
            step_ms % self.step_ms == 0 and MERGEABLE.issuperset(functions)
        )


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
