"""What every JSON door is given: the engine, the inventory, the limits, a clock."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, Self

from cachetools import LRUCache

from bridge.doors.finished import finished_answers

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping

    from bridge.catalog import Metric
    from bridge.doors.finished import Finished
    from bridge.model import Answer, Query, TagFilter
    from bridge.ovh.choices import Choice
    from bridge.ovh.objects import Snapshot
    from bridge.remembered import Remembered
    from bridge.settings import Settings


class Queries(Protocol):
    """The engine, as the doors see it."""

    async def query(self, query: Query) -> Answer:
        """Answer one query."""

    def edition(self, query: Query) -> Hashable:
        """Return what queries have in common whose answers are the same."""

    async def lookup(
        self, metric: str, filters: tuple[TagFilter, ...]
    ) -> tuple[Mapping[str, str], ...]:
        """List the labels of a metric's series."""

    async def metric_names(self, start: str, limit: int) -> tuple[str, ...]:
        """List metrics of the source that the catalogue may lack."""

    def metrics(self) -> Mapping[str, Metric]:
        """Return the known metrics by name."""

    def require_metric(self, name: str) -> Metric:
        """Return a known metric or raise BadRequestError."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request may ask.

    Attributes:
        max_body_bytes: Longest body.
        max_targets: Most targets.
        max_series: Most series of one target.
        max_rows: Most rows of one answer of ``/rows``.
        max_live_age_s: Oldest reading of the inventory that ``/rows`` answers from.
        source_step_ms: The history's own step; no finer one is chosen.
        options_s: Seconds that lists of choices wait for the history.
    """

    max_body_bytes: int = 4 * 1024 * 1024
    max_targets: int = 100
    max_series: int = 2_000
    max_rows: int = 100_000
    max_live_age_s: float = 900.0
    source_step_ms: int = 300_000
    options_s: float = 8.0

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Take the limits from the settings."""
        return cls(
            max_body_bytes=settings.max_body_bytes,
            max_targets=settings.max_targets,
            max_series=settings.max_series,
            max_rows=settings.max_rows,
            max_live_age_s=settings.max_live_age_s,
            source_step_ms=settings.source_step_s * 1000,
            options_s=min(8.0, settings.deadline_s / 2),
        )


@dataclass(frozen=True, slots=True)
class Doorway:
    """Everything a JSON door needs.

    Attributes:
        engine: Answers queries.
        snapshot: Gives the inventory as it is now.
        limits: What one request may ask.
        clock: Epoch seconds.
        timer: Monotonic seconds.
        answers: What was answered, while it is good.
        lists: Choices of template variables, by the inventory's version and the call.
    """

    engine: Queries
    snapshot: Callable[[], Snapshot]
    limits: Limits
    clock: Callable[[], float] = time.time
    timer: Callable[[], float] = time.monotonic
    answers: Remembered[Finished] = field(default_factory=lambda: finished_answers(0))
    lists: LRUCache[Hashable, tuple[Choice, ...]] = field(default_factory=lambda: LRUCache(256))
