"""Series side by side over one span: what all that the cache joins, cuts and keeps can do.

``Grid`` holds buckets, ``Rag`` raw points, which lie on no grid. Both are immutable.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, Self

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from bridge.engine.extents import Span
    from bridge.engine.rosters import Roster, Rows

#: Bytes that a stored piece takes besides its values and bits: objects, arrays' heads.
PIECE_BYTES = 700
#: The same for each of its series: a share of the tags, which the pieces of a need share.
SERIES_BYTES = 128


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


def common_roster(sheets: Sequence[Sheet]) -> Roster:
    """Return a roster that knows the series of all sheets, an existing one if possible."""
    largest = max((one.roster for one in sheets), key=lambda roster: len(roster.tags))
    for one in sheets:
        if one.roster is not largest:
            largest = largest.with_all(one.roster.tags)
    return largest


def kept(array: NDArray[Any]) -> NDArray[Any]:
    """Copy, so that nothing larger is kept alive, and protect."""
    copied = array.copy()
    copied.flags.writeable = False
    return copied
