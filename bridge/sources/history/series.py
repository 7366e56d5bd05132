"""Which series there are: a copy in memory of the table ``series``.

A series' number says its metric (``number >> METRIC_BITS``), so that the series of one
metric lie side by side wherever points are sorted by number.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import chain
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
import orjson

from bridge.engine.filters import match_all
from bridge.errors import BadRequestError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from bridge.model import SeriesKey, TagFilter
    from bridge.sources.history.database import Cursor

    Tags = Mapping[str, str]

#: Bits of a series' number that count the series of its metric.
METRIC_BITS = 24


@dataclass(frozen=True, slots=True, eq=False)
class Selection:
    """Series of one metric.

    Attributes:
        numbers: Ascending, ``int64``.
        tags: One a number.
        whole: These are all series of the metric.
    """

    numbers: NDArray[np.int64]
    tags: tuple[Tags, ...]
    whole: bool


@dataclass(frozen=True, slots=True)
class NewSeries:
    """A series that gets a number with the next transaction."""

    number: int
    metric: str
    tags: tuple[tuple[str, str], ...]

    @property
    def tags_text(self) -> str:
        """The tags as they are stored."""
        return orjson.dumps(dict(self.tags)).decode()


@dataclass(slots=True)
class _Metric:
    """Lists that only grow, so that other threads may read what there was."""

    number: int
    numbers: list[int] = field(default_factory=list)
    tags: list[Tags] = field(default_factory=list)


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:  # half of a character
        return False
    return True


class SeriesTable:
    """Names to numbers and back. One thread adds, any may look."""

    def __init__(self, rows: Iterable[tuple[int, str, str]] = ()) -> None:
        self._metrics: dict[str, _Metric] = {}
        self._numbers: dict[tuple[str, tuple[tuple[str, str], ...]], int] = {}
        for number, metric, tags in rows:
            self._add(NewSeries(number, metric, tuple(sorted(orjson.loads(tags).items()))))

    @classmethod
    def load(cls, cursor: Cursor) -> SeriesTable:
        """Read the table of the store."""
        return cls(
            cursor.execute("SELECT series, metric, tags FROM series ORDER BY series").fetchall()
        )

    def __len__(self) -> int:
        return len(self._numbers)

    def metrics(self, start: str = "") -> list[str]:
        """List the metrics that begin with a text, sorted."""
        return sorted(name for name in list(self._metrics) if name.startswith(start))

    def select(self, metric: str, filters: tuple[TagFilter, ...]) -> Selection:
        """Find the series of a metric that match.

        Raises:
            BadRequestError: A broken filter.
        """
        matches = match_all(filters)
        known = self._metrics.get(metric)
        count = len(known.tags) if known else 0
        if known is None or not count:
            return Selection(np.empty(0, dtype=np.int64), (), whole=True)
        tags = known.tags[:count]
        numbers = np.array(known.numbers[:count], dtype=np.int64)
        if not filters:
            return Selection(numbers, tuple(tags), whole=True)
        found = [at for at, own in enumerate(tags) if matches(own)]
        chosen = tuple(tags[at] for at in found)
        return Selection(numbers[found], chosen, whole=len(found) == count)

    def assign(self, keys: Sequence[SeriesKey]) -> tuple[NDArray[np.int64], tuple[NewSeries, ...]]:
        """Return the number of each key, and the series that are new.

        Raises:
            BadRequestError: A key without metric, or named twice.
        """
        added: list[NewSeries] = []
        next_metric = max((m.number for m in self._metrics.values()), default=0) + 1
        next_number: dict[str, int] = {}
        numbers = np.empty(len(keys), dtype=np.int64)
        for at, key in enumerate(keys):
            number = self._numbers.get((key.metric, key.tags))
            if number is None:
                tags = tuple(sorted(key.tags))
                number = self._numbers.get((key.metric, tags))
            if number is None:
                if not key.metric:
                    raise BadRequestError("a series without a metric cannot be recorded")
                if not _is_text(key.metric) or not all(map(_is_text, chain.from_iterable(tags))):
                    raise BadRequestError(f"{key.metric!r} {dict(tags)!r}: names must be UTF-8")
                number = next_number.get(key.metric, 0)
                if not number:
                    known = self._metrics.get(key.metric)
                    if known is None:
                        number = next_metric << METRIC_BITS
                        next_metric += 1
                    else:
                        number = known.numbers[-1] + 1
                next_number[key.metric] = number + 1
                added.append(NewSeries(number, key.metric, tags))
            numbers[at] = number
        if len(np.unique(numbers)) < len(keys) or len({(n.metric, n.tags) for n in added}) < len(
            added
        ):
            raise BadRequestError("a series is named twice in one batch of points")
        return numbers, tuple(added)

    def publish(self, added: Iterable[NewSeries]) -> None:
        """Make series known, once they are stored."""
        for new in added:
            self._add(new)

    def _add(self, new: NewSeries) -> None:
        metric = self._metrics.get(new.metric)
        if metric is None:
            metric = self._metrics[new.metric] = _Metric(new.number >> METRIC_BITS)
        self._numbers[new.metric, new.tags] = new.number
        metric.numbers.append(new.number)
        metric.tags.append(MappingProxyType(dict(new.tags)))
