"""Raw points, as they came: every series has its own stamps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from bridge.engine.rosters import Roster, own_rows
from bridge.engine.sheets import PIECE_BYTES, SERIES_BYTES, common_roster, kept
from bridge.model import Points

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from bridge.engine.extents import Span
    from bridge.engine.rosters import Rows

    _Line = tuple[NDArray[np.int64], NDArray[np.float64]]


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
        for row, one in zip(own_rows(roster, answer), answer, strict=True):
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
        lines = tuple((kept(stamps), kept(values)) for stamps, values in self.lines)
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


_NO_POINTS = (np.empty(0, dtype=np.int64), np.empty(0))
