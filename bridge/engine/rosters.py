"""Which stored series a sheet holds, and where each stands."""

from __future__ import annotations

from collections import defaultdict
from functools import lru_cache, partial
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from bridge.engine.filter_sets import listing
from bridge.engine.filters import match_all
from bridge.errors import UpstreamError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from bridge.engine.filter_sets import Filters
    from bridge.model import Buckets, Points

    Tags = Mapping[str, str]
    Rows = NDArray[np.intp]


class Roster:
    """Stored series in a fixed order, shared by the sheets of one need.

    Args:
        tags: Of each series; all different, but for ``of``.
    """

    __slots__ = ("_named", "_rows", "tags")

    def __init__(self, tags: Iterable[Tags]) -> None:
        self.tags = tuple(tags)
        #: Where each series stands; made when it is asked for.
        self._rows: dict[LabelKey, int] | None = None
        #: By key and value, for the keys that were asked for.
        self._named: dict[str, dict[str, list[int]]] = {}

    @classmethod
    def of(cls, tags: Iterable[Tags]) -> Self:
        """Return a roster of series, of which some may come twice."""
        return cls({label_key(one): one for one in tags}.values())

    def with_all(self, tags: Iterable[Tags]) -> Roster:
        """Return a roster that begins with this one and knows all of ``tags``."""
        rows = self._known()
        new = {key: one for one in tags if (key := label_key(one)) not in rows}
        return Roster((*self.tags, *new.values())) if new else self

    def places(self, tags: Iterable[Tags]) -> Rows:
        """Return the rows of series that are all known."""
        rows = self._known()
        return np.array([rows[label_key(one)] for one in tags], dtype=np.intp)

    def _known(self) -> dict[LabelKey, int]:
        if self._rows is None:
            self._rows = {label_key(one): row for row, one in enumerate(self.tags)}
        return self._rows

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


#: The names of labels, sorted, and their values in the same order.
LabelKey = tuple[tuple[str, ...], Any]


def label_key(tags: Tags) -> LabelKey:
    """Return tags in a form that compares and hashes."""
    names, values_of = _by_name(tuple(tags))
    return names, values_of(tags)


def label_order(series: Sequence[Tags], last: Collection[str] = ()) -> list[int]:
    """Return where each series stands, in the order of their labels.

    Args:
        series: Their tags.
        last: Labels that are looked at only where all others are the same.
    """
    shapes = {_by_name(keys)[0] for keys in {tuple(tags) for tags in series}}
    if len(shapes) == 1:
        (names,) = shapes
        key_of = _values(sorted(names, key=lambda name: (name in last, name)))
    else:
        key_of = partial(_all_labels, last)
    keys = list(map(key_of, series))
    return sorted(range(len(keys)), key=keys.__getitem__)


def _all_labels(last: Collection[str], tags: Tags) -> Any:
    labels = sorted(tags.items())
    return [pair for pair in labels if pair[0] not in last], labels


@lru_cache(maxsize=1_024)
def _by_name(keys: tuple[str, ...]) -> tuple[tuple[str, ...], Callable[[Tags], Any]]:
    """Return keys in their order, and what takes their values: series mostly share theirs."""
    names = tuple(sorted(keys))
    return names, _values(names)


def _values(names: Sequence[str]) -> Callable[[Tags], Any]:
    return itemgetter(*names) if names else lambda _: ()


def own_rows(roster: Roster, answer: Sequence[Buckets] | Sequence[Points]) -> list[int]:
    """Return where the series of a source's answer stand; the roster knows all of them.

    Raises:
        UpstreamError: A series came twice.
    """
    rows: list[int] = roster.places(one.tags for one in answer).tolist()
    if len(set(rows)) < len(rows):
        raise UpstreamError("a source answered one series twice")
    return rows
