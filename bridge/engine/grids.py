"""Buckets as a matrix with NaN for a gap, which makes cutting and joining one call each.

Kept, only values are held, and a bit a bucket where there are gaps (``Packed``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from bridge.engine.rosters import Roster, own_rows
from bridge.engine.sheets import PIECE_BYTES, SERIES_BYTES, common_roster, kept
from bridge.errors import UpstreamError
from bridge.model import BucketFunction, Buckets
from bridge.once import Once

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from bridge.engine.extents import Span
    from bridge.engine.rosters import Rows

#: What may be merged into wider buckets exactly; an average needs its counts.
MERGEABLE = frozenset(BucketFunction) - {BucketFunction.AVG}


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
        places: Once[NDArray[np.int64], slice | Rows]
        places = Once(lambda stamps: _places(stamps, span, step_ms))
        for row, one in zip(own_rows(roster, answer), answer, strict=True):
            at = places.of(one.stamps_ms)
            for layer, function in enumerate(functions):
                cells[layer, row, at] = one.columns[function]
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
        return Packed(self.roster, self.start_ms, self.step_ms, width, kept(values), bits)

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
