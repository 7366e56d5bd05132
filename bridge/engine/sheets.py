"""Series side by side over one span: how the cache joins, cuts and stores them.

A ``Grid`` holds buckets as a matrix with NaN for a gap, which makes cutting and joining a
numpy call each; stored, gaps cost a bit and only values are kept (``Packed``). A ``Rag``
holds raw points, which lie on no grid. Everything here is immutable.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np

from bridge.engine.filter_sets import listing
from bridge.engine.filters import match_all
from bridge.errors import UpstreamError
from bridge.model import BucketFunction, Buckets, Points

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from bridge.engine.extents import Span
    from bridge.engine.filter_sets import Filters

    Tags = Mapping[str, str]
    Rows = NDArray[np.intp]
    _Line = tuple[NDArray[np.int64], NDArray[np.float64]]

#: Bytes that a stored piece takes besides its values and bits: objects, arrays' heads.
PIECE_BYTES = 700
#: The same for each of its series: a share of the tags, which the pieces of a need share.
SERIES_BYTES = 128

#: What may be merged into wider buckets exactly; an average needs its counts.
MERGEABLE = frozenset(BucketFunction) - {BucketFunction.AVG}


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


class Sheet(Protocol):
    """What grids and rags have in common."""

    @property
    def roster(self) -> Roster:
        """The series, in order."""

    @property
    def span(self) -> Span:
        """What is known about them; a series without data in it is absent there."""

    @property
    def is_empty(self) -> bool:
        """Whether no series has anything."""

    @property
    def kept_bytes(self) -> int:
        """Bytes it takes when kept, without overhead."""

    def crop(self, span: Span) -> Self:
        """Return the part inside ``span``, which must be on the grid."""

    def select(self, rows: Rows) -> Self:
        """Return some of the series."""

    def packed(self) -> Stored:
        """Return a copy to keep."""

    @classmethod
    def join(cls, sheets: Sequence[Self]) -> Self:
        """Join sheets that follow each other without a gap."""


class Stored(Protocol):
    """A sheet as it is kept."""

    @property
    def roster(self) -> Roster:
        """As of the sheet."""

    @property
    def span(self) -> Span:
        """As of the sheet."""

    @property
    def nbytes(self) -> int:
        """Bytes it takes, overhead included."""

    def unpacked(self, rows: Rows | None = None) -> Sheet:
        """Return the sheet, or some of its series."""


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """Buckets of one need over one span.

    Attributes:
        roster: The series.
        start_ms: First bucket.
        step_ms: Bucket width.
        cells: (functions, series, buckets); NaN is a gap, the same for every function.
        is_full: There is no gap.
    """

    roster: Roster
    start_ms: int
    step_ms: int
    cells: NDArray[np.float64]
    is_full: bool = False

    @classmethod
    def of_buckets(
        cls,
        answer: Sequence[Buckets],
        functions: Sequence[BucketFunction],
        span: Span,
        step_ms: int,
        roster: Roster,
    ) -> Self:
        """Lay out a source's answer; ``roster`` knows all of its series."""
        start, end = span
        width = (end - start) // step_ms
        cells = np.full((len(functions), len(roster.tags), width), np.nan)
        seen = None
        places: slice | Rows = slice(0)
        for row, one in zip(_own_rows(roster, answer), answer, strict=True):
            stamps = one.stamps_ms
            if stamps is not seen:  # they are mostly shared
                seen, places = stamps, _places(stamps, span, step_ms)
            for layer, function in enumerate(functions):
                cells[layer, row, places] = one.columns[function]
        return cls(roster, start, step_ms, cells, bool(width) and not np.isnan(cells[0]).any())

    @property
    def span(self) -> Span:
        """See ``Sheet``."""
        return self.start_ms, self.start_ms + self.step_ms * self.cells.shape[2]

    @property
    def is_empty(self) -> bool:
        """See ``Sheet``."""
        if self.is_full:
            return not self.roster.tags
        return bool(np.isnan(self.cells[0]).all())

    @property
    def kept_bytes(self) -> int:
        """See ``Sheet``."""
        if self.is_full:
            return self.cells.nbytes
        return int(np.count_nonzero(~np.isnan(self.cells))) * self.cells.itemsize

    def crop(self, span: Span) -> Self:
        """See ``Sheet``."""
        if span == self.span:
            return self
        low, high = ((at - self.start_ms) // self.step_ms for at in span)
        return self._with(span[0], self.cells[:, :, low:high])

    def select(self, rows: Rows) -> Self:
        """See ``Sheet``."""
        roster = Roster(self.roster.tags[row] for row in rows.tolist())
        return type(self)(
            roster, self.start_ms, self.step_ms, self.cells[:, rows], is_full=self.is_full
        )

    def layers(self, chosen: Sequence[int]) -> Self:
        """Return some of the functions."""
        return self._with(self.start_ms, self.cells[list(chosen)])

    def merged(self, step_ms: int, functions: Sequence[BucketFunction]) -> Self:
        """Merge buckets into wider ones; the span is made of whole wider ones.

        Args:
            step_ms: A multiple of this grid's.
            functions: Of each layer, all in ``MERGEABLE``.
        """
        layers, series, width = self.cells.shape
        many = step_ms // self.step_ms
        parts = self.cells.reshape(layers, series, width // many, many)
        cells = np.stack([_MERGE[name](part) for name, part in zip(functions, parts, strict=True)])
        return type(self)(self.roster, self.start_ms, step_ms, cells, self.is_full)

    @classmethod
    def join(cls, sheets: Sequence[Self]) -> Self:
        """See ``Sheet``."""
        if len(sheets) == 1:
            return sheets[0]
        roster = common_roster(sheets)
        parts = []
        for one in sheets:
            part = one.cells
            if one.roster is not roster:
                part = np.full((part.shape[0], len(roster.tags), part.shape[2]), np.nan)
                part[:, roster.places(one.roster.tags)] = one.cells
            parts.append(part)
        full = all(one.is_full and one.roster is roster for one in sheets)
        first = sheets[0]
        return cls(roster, first.start_ms, first.step_ms, np.concatenate(parts, axis=2), full)

    @classmethod
    def empty(cls, span: Span, step_ms: int, layers: int) -> Self:
        """Return a grid that knows of no series."""
        width = (span[1] - span[0]) // step_ms
        return cls(Roster(()), span[0], step_ms, np.empty((layers, 0, width)))

    def packed(self) -> Packed:
        """See ``Sheet``."""
        layers, _, width = self.cells.shape
        bits = None
        values = self.cells.reshape(layers, -1)
        if not self.is_full:
            there = ~np.isnan(self.cells[0])
            if not there.all():
                bits = np.packbits(there, axis=1)
                values = self.cells[:, there]
        return Packed(self.roster, self.start_ms, self.step_ms, width, _kept(values), bits)

    def buckets(self, functions: Sequence[BucketFunction]) -> Iterator[Buckets]:
        """Give every series that has a bucket; ``functions`` names the layers."""
        width = self.cells.shape[2]
        stamps = np.arange(width, dtype=np.int64) * self.step_ms + self.start_ms
        if self.is_full:
            for row, tags in enumerate(self.roster.tags):
                yield Buckets(tags, stamps, dict(zip(functions, self.cells[:, row], strict=True)))
            return
        there = ~np.isnan(self.cells[0])
        counts = there.sum(axis=1).tolist()
        for row, (tags, count) in enumerate(zip(self.roster.tags, counts, strict=True)):
            own, lines = stamps, self.cells[:, row]
            if not count:
                continue
            if count < width:
                own, lines = stamps[there[row]], lines[:, there[row]]
            yield Buckets(tags, own, dict(zip(functions, lines, strict=True)))

    def _with(self, start_ms: int, cells: NDArray[np.float64]) -> Self:
        return type(self)(self.roster, start_ms, self.step_ms, cells, self.is_full)


@dataclass(frozen=True, slots=True, eq=False)
class Packed:
    """A grid as it is kept: eight bytes a value, and a bit a bucket where there are gaps."""

    roster: Roster
    start_ms: int
    step_ms: int
    width: int
    values: NDArray[np.float64]
    bits: NDArray[np.uint8] | None = None

    @property
    def span(self) -> Span:
        """See ``Stored``."""
        return self.start_ms, self.start_ms + self.step_ms * self.width

    @property
    def nbytes(self) -> int:
        """See ``Stored``."""
        held = self.values.nbytes + (0 if self.bits is None else self.bits.nbytes)
        return held + PIECE_BYTES + SERIES_BYTES * len(self.roster.tags)

    def unpacked(self, rows: Rows | None = None) -> Grid:
        """See ``Stored``."""
        layers, roster = len(self.values), self.roster
        if rows is not None:
            roster = Roster(self.roster.tags[row] for row in rows.tolist())
        if self.bits is None:
            cells = self.values.reshape(layers, len(self.roster.tags), self.width)
            cells = cells if rows is None else cells[:, rows]
            return Grid(roster, self.start_ms, self.step_ms, cells, is_full=True)
        bits, values = self.bits, self.values
        if rows is not None:
            ends = np.cumsum(np.bitwise_count(bits).sum(axis=1, dtype=np.intp))
            starts = np.concatenate(([0], ends))
            own = [values[:, starts[row] : ends[row]] for row in rows.tolist()]
            bits, values = bits[rows], np.concatenate([values[:, :0], *own], axis=1)
        there = np.unpackbits(bits, axis=1, count=self.width).view(np.bool_)
        cells = np.full((layers, len(roster.tags), self.width), np.nan)
        cells[:, there] = values
        return Grid(roster, self.start_ms, self.step_ms, cells)


@dataclass(frozen=True, slots=True, eq=False)
class Rag:
    """Raw points of one need over one span.

    Attributes:
        roster: The series.
        span: What is known.
        lines: Stamps and values of each series.
    """

    roster: Roster
    span: Span
    lines: tuple[_Line, ...]

    @classmethod
    def of_points(cls, answer: Sequence[Points], span: Span, roster: Roster) -> Self:
        """Lay out a source's answer; ``roster`` knows all of its series."""
        lines = [_NO_POINTS] * len(roster.tags)
        for row, one in zip(_own_rows(roster, answer), answer, strict=True):
            lines[row] = (one.stamps_ms, one.values)
        return cls(roster, span, tuple(lines))

    @property
    def is_empty(self) -> bool:
        """See ``Sheet``."""
        return not any(len(stamps) for stamps, _ in self.lines)

    @property
    def kept_bytes(self) -> int:
        """See ``Sheet``."""
        return sum(stamps.nbytes + values.nbytes for stamps, values in self.lines)

    @property
    def nbytes(self) -> int:
        """See ``Stored``."""
        return self.kept_bytes + PIECE_BYTES + 3 * SERIES_BYTES * len(self.lines)

    def crop(self, span: Span) -> Self:
        """See ``Sheet``."""
        if span == self.span:
            return self
        lines = []
        for stamps, values in self.lines:
            low, high = stamps.searchsorted(span)
            lines.append((stamps[low:high], values[low:high]))
        return type(self)(self.roster, span, tuple(lines))

    def select(self, rows: Rows) -> Self:
        """See ``Sheet``."""
        chosen = rows.tolist()
        roster = Roster(self.roster.tags[row] for row in chosen)
        return type(self)(roster, self.span, tuple(self.lines[row] for row in chosen))

    @classmethod
    def join(cls, sheets: Sequence[Self]) -> Self:
        """See ``Sheet``."""
        if len(sheets) == 1:
            return sheets[0]
        roster = common_roster(sheets)
        parts: list[list[_Line]] = [[] for _ in roster.tags]
        for one in sheets:
            rows = range(len(one.lines)) if one.roster is roster else roster.places(one.roster.tags)
            for row, line in zip(rows, one.lines, strict=True):
                if len(line[0]):
                    parts[row].append(line)
        lines = tuple(map(_chained, parts))
        return cls(roster, (sheets[0].span[0], sheets[-1].span[1]), lines)

    def packed(self) -> Self:
        """See ``Sheet``."""
        lines = tuple((_kept(stamps), _kept(values)) for stamps, values in self.lines)
        return type(self)(self.roster, self.span, lines)

    def unpacked(self, rows: Rows | None = None) -> Self:
        """See ``Stored``."""
        return self if rows is None else self.select(rows)

    def points(self) -> Iterator[Points]:
        """Give every series that has a point."""
        for tags, (stamps, values) in zip(self.roster.tags, self.lines, strict=True):
            if len(stamps):
                yield Points(tags, stamps, values)


def _chained(lines: list[_Line]) -> _Line:
    if len(lines) < 2:
        return lines[0] if lines else _NO_POINTS
    stamps, values = zip(*lines, strict=True)
    return np.concatenate(stamps), np.concatenate(values)


def common_roster(sheets: Sequence[Sheet]) -> Roster:
    """Return a roster that knows the series of all sheets, an existing one if possible."""
    largest = max((one.roster for one in sheets), key=lambda roster: len(roster.tags))
    for one in sheets:
        if one.roster is not largest:
            largest = largest.with_all(one.roster.tags)
    return largest


def _places(stamps: NDArray[np.int64], span: Span, step_ms: int) -> slice | Rows:
    """Return where in a row buckets belong."""
    start, end = span
    if not len(stamps):
        return slice(0)
    if stamps[0] < start or stamps[-1] >= end or ((stamps - start) % step_ms).any():
        raise UpstreamError("a source answered buckets that were not asked for")
    if len(stamps) == (end - start) // step_ms:
        return slice(None)
    return (stamps - start) // step_ms


def _own_rows(roster: Roster, answer: Sequence[Buckets] | Sequence[Points]) -> list[int]:
    rows: list[int] = roster.places(one.tags for one in answer).tolist()
    if len(set(rows)) < len(rows):
        raise UpstreamError("a source answered one series twice")
    return rows


def _kept(array: NDArray[Any]) -> NDArray[Any]:
    """Copy, so that nothing larger is kept alive, and protect."""
    copied = array.copy()
    copied.flags.writeable = False
    return copied


_NO_POINTS = (np.empty(0, dtype=np.int64), np.empty(0))


def _sum(parts: NDArray[np.float64]) -> NDArray[np.float64]:
    there = ~np.isnan(parts)
    return np.where(there.any(axis=-1), np.sum(parts, axis=-1, where=there), np.nan)


def _first(parts: NDArray[np.float64]) -> NDArray[np.float64]:
    at = np.argmax(~np.isnan(parts), axis=-1)
    return np.take_along_axis(parts, at[..., None], axis=-1)[..., 0]


#: How the buckets in the last axis become one; all of them NaN stays NaN.
_MERGE: Mapping[BucketFunction, Callable[[NDArray[np.float64]], NDArray[np.float64]]] = {
    BucketFunction.SUM: _sum,
    BucketFunction.COUNT: _sum,
    BucketFunction.MIN: lambda parts: np.fmin.reduce(parts, axis=-1),
    BucketFunction.MAX: lambda parts: np.fmax.reduce(parts, axis=-1),
    BucketFunction.FIRST: _first,
    BucketFunction.LAST: lambda parts: _first(parts[..., ::-1]),
}
