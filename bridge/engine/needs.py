"""What one fetch is about, apart from its span, in a form that compares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bridge.engine.filter_sets import includes, listing
from bridge.engine.grids import MERGEABLE

if TYPE_CHECKING:
    from bridge.engine.filter_sets import Filters
    from bridge.model import BucketFunction

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
