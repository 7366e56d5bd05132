"""One history out of several: OVHcloud's own, where it exists, and the bridge's recording.

For each series and hour the first source that has data wins. A bucket wider than an hour is
made of the winners' hours; a narrower one belongs to the hour in which it starts.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import structlog

from bridge.engine.downsample import reduce_runs
from bridge.errors import BridgeError, NotOfferedError, TooMuchError
from bridge.model import BucketFunction, Buckets, Points
from bridge.sources.several import ask_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from bridge.model import BucketRequest, PointRequest, Source, TagFilter

HOUR_MS = 3_600_000

SeriesId = tuple[str | None, ...]

PartT = TypeVar("PartT", Buckets, Points)

_log = structlog.get_logger(__name__)

#: How the values of hours become those of a wider bucket.
_REDUCE: Mapping[BucketFunction, str] = MappingProxyType(
    {
        BucketFunction.SUM: "sum",
        BucketFunction.COUNT: "sum",
        BucketFunction.MIN: "min",
        BucketFunction.MAX: "max",
        BucketFunction.FIRST: "first",
        BucketFunction.LAST: "last",
    }
)


class MergedSources:
    """The union of several sources of the same series.

    A series is the same in two sources when the labels that identify it are: sources may
    add others of their own.

    Args:
        sources: Strongest first, at least one.
        identity: Gives the labels that identify a metric's series; empty means all.
    """

    def __init__(
        self, sources: Sequence[Source], identity: Callable[[str], tuple[str, ...]]
    ) -> None:
        self._sources = tuple(sources)
        self._identity = identity

    @property
    def name(self) -> str:
        """The source's name, for messages."""
        return " and ".join(source.name for source in self._sources)

    async def buckets(self, request: BucketRequest) -> tuple[Buckets, ...]:
        """Fetch buckets of every source and let the first one that has an hour win."""
        sources = await self._having(request.metric)
        wide = len(sources) > 1 and request.step_ms > HOUR_MS
        asked = _hourly(request) if wide else request
        parts = await ask_all(
            sources, lambda source: source.buckets(asked), on_missing=request.on_missing
        )
        merged = [_first_wins(same, _join_buckets) for same in self._same(request.metric, parts)]
        return tuple(_widened(one, request) if wide else one for one in merged)

    async def points(self, request: PointRequest) -> tuple[Points, ...]:
        """Fetch raw points of every source and let the first one that has an hour win.

        Raises:
            TooMuchError: More points than the request's limit, all sources together.
        """
        parts = await ask_all(
            await self._having(request.metric),
            lambda source: source.points(request),
            on_missing=request.on_missing,
        )
        merged = tuple(
            _first_wins(same, _join_points) for same in self._same(request.metric, parts)
        )
        total = sum(len(one.stamps_ms) for one in merged)
        if total > request.limit:
            raise TooMuchError(
                f"{total:,} points, more than the limit of {request.limit:,} "
                "(setting max_points): narrow the range or the filters"
            )
        return merged

    async def lookup(
        self, metric: str, filters: tuple[TagFilter, ...]
    ) -> tuple[Mapping[str, str], ...]:
        """List the series of every source; one that fails is only logged."""
        parts = await ask_all(
            self._sources, lambda source: source.lookup(metric, filters), on_missing=_log_gap
        )
        same: dict[SeriesId, dict[str, str]] = {}
        for tags in (tags for part in parts for tags in part):
            key = self._key(metric, tags)
            same[key] = {**tags, **same.get(key, {})}
        return tuple(same.values())

    async def metric_names(self, start: str, limit: int) -> tuple[str, ...]:
        """List metrics of every source that begin with a text."""
        parts = await ask_all(
            self._sources, lambda source: source.metric_names(start, limit), on_missing=_log_gap
        )
        return tuple(sorted({name for part in parts for name in part}))[:limit]

    async def _having(self, metric: str) -> tuple[Source, ...]:
        """Return the sources that need to be asked: not those that have no such metric.

        Where only one has it, its answer is taken as it is, at its own cost. A source that
        cannot list is asked all the same, so that its failure is met where it counts.
        """
        listed = await asyncio.gather(*(_lists(source, metric) for source in self._sources))
        having = tuple(source for source, lists in zip(self._sources, listed, strict=True) if lists)
        # Where none has it, each says for itself whether it could have it.
        return having or self._sources

    def _same(self, metric: str, parts: Sequence[Iterable[PartT]]) -> Iterable[list[PartT]]:
        """Bring the parts of each series together, strongest first."""
        same: dict[SeriesId, list[PartT]] = defaultdict(list)
        for part in parts:
            for one in part:
                same[self._key(metric, one.tags)].append(one)
        return same.values()

    def _key(self, metric: str, tags: Mapping[str, str]) -> SeriesId:
        return series_id(self._identity(metric), tags)


def series_id(labels: tuple[str, ...], tags: Mapping[str, str]) -> SeriesId:
    """Return what is equal for the same series in all sources.

    Args:
        labels: The labels that identify it; empty means all it has.
        tags: The labels it has in one source.
    """
    if labels:
        return tuple(tags.get(label) for label in labels)
    return tuple(text for pair in sorted(tags.items()) for text in pair)


async def _lists(source: Source, metric: str) -> bool:
    try:
        return bool(await source.lookup(metric, ()))
    except NotOfferedError:
        return False
    except BridgeError:
        return True


def _first_wins(
    same: Sequence[PartT],
    join: Callable[[Mapping[str, str], Sequence[tuple[PartT, NDArray[np.bool_]]]], PartT],
) -> PartT:
    """Make one series of the parts of it, taking each hour from the first that has it."""
    if len(same) == 1:
        return same[0]
    tags: dict[str, str] = {}
    taken = np.empty(0, dtype=np.int64)
    kept = []
    for part in same:
        tags = {**part.tags, **tags}
        hours = part.stamps_ms // HOUR_MS
        kept.append((part, ~np.isin(hours, taken)))
        taken = np.union1d(taken, hours)
    return join(tags, kept)


def _join_buckets(
    tags: Mapping[str, str], kept: Sequence[tuple[Buckets, NDArray[np.bool_]]]
) -> Buckets:
    stamps = np.concatenate([part.stamps_ms[keep] for part, keep in kept])
    order = np.argsort(stamps, kind="stable")
    columns = {
        function: np.concatenate([part.columns[function][keep] for part, keep in kept])[order]
        for function in kept[0][0].columns
    }
    return Buckets(tags, stamps[order], columns)


def _join_points(
    tags: Mapping[str, str], kept: Sequence[tuple[Points, NDArray[np.bool_]]]
) -> Points:
    stamps = np.concatenate([part.stamps_ms[keep] for part, keep in kept])
    values = np.concatenate([part.values[keep] for part, keep in kept])
    order = np.argsort(stamps, kind="stable")
    return Points(tags, stamps[order], values[order])


def _hourly(request: BucketRequest) -> BucketRequest:
    functions = set(request.functions)
    if BucketFunction.AVG in functions:
        functions ^= {BucketFunction.AVG}
        functions |= {BucketFunction.SUM, BucketFunction.COUNT}
    return replace(request, step_ms=HOUR_MS, functions=frozenset(functions))


def _widened(hours: Buckets, request: BucketRequest) -> Buckets:
    starts = hours.stamps_ms - hours.stamps_ms % request.step_ms
    first = np.flatnonzero(np.diff(starts, prepend=starts[:1] - 1))
    made = {
        function: reduce_runs(column, first, _REDUCE[function])
        for function, column in hours.columns.items()
    }
    if BucketFunction.AVG in request.functions:
        made[BucketFunction.AVG] = made[BucketFunction.SUM] / made[BucketFunction.COUNT]
    return Buckets(hours.tags, starts[first], {one: made[one] for one in request.functions})


def _log_gap(what: str) -> None:
    _log.warning("series_not_listed", reason=what)
