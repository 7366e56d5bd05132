"""Which stored series a sheet holds, and where each stands."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np

from bridge.engine.filter_sets import listing
from bridge.engine.filters import match_all
from bridge.errors import UpstreamError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from bridge.engine.filter_sets import Filters
    from bridge.model import Buckets, Points

    Tags = Mapping[str, str]
    Rows = NDArray[np.intp]


class Roster:
    """Stored series in a fixed order, shared by the sheets of one need.

    Attributes:
        tags: Of each series.
        rows: Where each series stands.
    """

    __slots__ = ("_named", "rows", "tags")

    def __init__(self, tags: Iterable[Tags]) -> None:
        found = {label_key(one): one for one in tags}
        self.tags = tuple(found.values())
        self.rows = {key: row for row, key in enumerate(found)}
        #: By key and value, for the keys that were asked for.
        self._named: dict[str, dict[str, list[int]]] = {}

    def with_all(self, tags: Iterable[Tags]) -> Roster:
        """Return a roster that begins with this one and knows all of ``tags``."""
        new = [one for one in tags if label_key(one) not in self.rows]
        return Roster((*self.tags, *new)) if new else self

    def places(self, tags: Iterable[Tags]) -> Rows:
        """Return the rows of series that are all known."""
        return np.array([self.rows[label_key(one)] for one in tags], dtype=np.intp)

    def matching(self, filters: Filters) -> Rows:
        """Return the rows of the series that match.

        Args:
            filters: Normal ones.
        """
        listed = listing(filters)
        rows: Iterable[int] = range(len(self.tags))
        if listed is not None:
            key, names, filters = listed
            by_name = self._by_name(key)
            rows = sorted(row for name in names for row in by_name.get(name, ()))
        if filters:
            matches = match_all(filters)
            rows = (row for row in rows if matches(self.tags[row]))
        return np.array(list(rows), dtype=np.intp)

    def _by_name(self, key: str) -> dict[str, list[int]]:
        named = self._named.get(key)
        if named is None:
            named = defaultdict(list)
            for row, tags in enumerate(self.tags):
                if key in tags:
                    named[tags[key]].append(row)
            self._named[key] = named = dict(named)
        return named


def label_key(tags: Tags) -> tuple[tuple[str, str], ...]:
    """Return tags in a form that compares and hashes."""
    return tuple(sorted(tags.items()))


def own_rows(roster: Roster, answer: Sequence[Buckets] | Sequence[Points]) -> list[int]:
    """Return where the series of a source's answer stand; the roster knows all of them.

    Raises:
        UpstreamError: A series came twice.
    """
    rows: list[int] = roster.places(one.tags for one in answer).tolist()
    if len(set(rows)) < len(rows):
        raise UpstreamError("a source answered one series twice")
    return rows
