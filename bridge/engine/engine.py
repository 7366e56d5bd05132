"""Answers queries: plan, fetch, label, group, aggregate.

The engine does no I/O but through its source. Work over many points runs in a worker
thread, so that the event loop stays free.
"""

from __future__ import annotations

import difflib
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from cachetools import LRUCache

from bridge.catalog import CHANGING_LABELS, uncatalogued
from bridge.engine.aggregate import aggregate
from bridge.engine.downsample import (
    downsample_points,
    fill_gaps,
    merge_buckets,
    needed_columns,
)
from bridge.engine.filters import match_all
from bridge.engine.grouping import common_tags, group
from bridge.engine.moves import cut
from bridge.engine.plan import edition, make_plan
from bridge.engine.pushdown import push_down, unknown_labels
from bridge.engine.rate import rates
from bridge.errors import (
    BadRequestError,
    NotOfferedError,
    TooMuchError,
    UpstreamError,
    UpstreamTimeoutError,
)
from bridge.model import (
    Answer,
    BucketRequest,
    Freshness,
    PointRequest,
    Points,
    Series,
    TagFilter,
    Window,
)
from bridge.offload import in_slices
from bridge.once import Once

if TYPE_CHECKING:
    from collections.abc import (
        Callable,
        Hashable,
        Iterable,
        Iterator,
        Mapping,
        Sequence,
    )

    from numpy.typing import NDArray

    from bridge.catalog import Metric
    from bridge.engine.plan import Plan
    from bridge.engine.pushdown import Enrichment
    from bridge.model import Buckets, Query, Source

    Line = tuple[NDArray[np.int64], NDArray[np.float64]]
    Labelled = tuple[Mapping[str, str], Line]


#: Lists of labels kept, by metric and filters.
_LOOKUPS = 64


class _LookedUp(NamedTuple):
    """What a look-up gave, and of what it was made."""

    found: tuple[Mapping[str, str], ...]
    labels: Enrichment
    matching: tuple[Mapping[str, str], ...]


class Engine:
    """OpenTSDB's semantics over one source.

    Args:
        source: Where series come from.
        catalogue: The known metrics.
        enrichment: Gives the current view of the inventory's labels; called once a query.
        source_step_ms: The source's own step, for estimates of raw points.
        max_points: Points one query may read.
        max_series: Series one query may answer.
        any_metric: The source may hold metrics that the catalogue lacks.
    """

    def __init__(
        self,
        source: Source,
        catalogue: Mapping[str, Metric],
        enrichment: Callable[[], Enrichment],
        *,
        source_step_ms: int,
        max_points: int,
        max_series: int,
        any_metric: bool = False,
    ) -> None:
        self._source = source
        self._catalogue = catalogue
        self._enrichment = enrichment
        self._source_step_ms = source_step_ms
        self._max_points = max_points
        self._max_series = max_series
        self._any_metric = any_metric
        self._labels: Enrichment | None = None
        self._relabelled = 0
        self._looked_up: LRUCache[Hashable, _LookedUp] = LRUCache(_LOOKUPS)

    def metrics(self) -> Mapping[str, Metric]:
        """Return the known metrics by name."""
        return self._catalogue

    async def metric_names(self, start: str, limit: int) -> tuple[str, ...]:
        """List metrics of the source that begin with a text, beyond the catalogue.

        Raises:
            BridgeError: Whatever the source raises.
        """
        return await self._source.metric_names(start, limit)

    def require_metric(self, name: str) -> Metric:
        """Return a metric of the catalogue.

        Raises:
            BadRequestError: With OpenTSDB's wording and the nearest names.
        """
        metric = self._catalogue.get(name)
        if metric is None and self._any_metric:
            return uncatalogued(name)
        if metric is None:
            near = difflib.get_close_matches(name, self._catalogue, n=3, cutoff=0.5)
            hint = f"; did you mean {', '.join(near)}?" if near else ""
            raise BadRequestError(f"No such name for 'metrics': '{name}'{hint}", field="metric")
        return metric

    def explain(self, query: Query) -> Plan:
        """Say how a query would be fetched, without fetching it.

        Raises:
            BadRequestError: As ``query``.
        """
        self.require_metric(query.metric)
        match_all(query.filters)
        return make_plan(query)

    def edition(self, query: Query) -> Hashable:
        """Return what queries have in common whose answers are the same, labels included.

        That holds while what was read for an answer is good (``Freshness``). Filters are not
        looked at: a broken one has no answer.

        Raises:
            BadRequestError: Unknown metric or function.
        """
        labels = self._enrichment()
        if labels is not self._labels:
            self._labels = labels
            self._relabelled += 1
        self.require_metric(query.metric)
        return edition(query, make_plan(query)), self._relabelled

    async def query(self, query: Query) -> Answer:
        """Answer one query; a known metric that nothing matches gives no series.

        Raises:
            BadRequestError: Unknown metric, function or filter.
            TooMuchError: It would read or answer more than the limits.
            BridgeError: Whatever the source raises.
        """
        metric = self.require_metric(query.metric)
        plan = make_plan(query)
        matches = match_all(query.filters)
        if query.window.start_ms > query.window.end_ms:
            raise BadRequestError("the range ends before it starts", field="range")
        labels = self._enrichment()
        scanned = Window(plan.scan_start_ms, plan.scan_end_ms - 1)
        pushed = push_down(metric, query.filters, labels, scanned)
        if pushed is None:
            return Answer((), unknown_labels(metric, query.filters))
        missing: list[str] = []
        read: list[Freshness] = []
        on_missing = missing.append if query.partial else None
        try:
            fetched = await self._fetch(query, plan, pushed, on_missing, read.append)
        except NotOfferedError as error:
            # Not every history can have it: a word beside the empty graph, where it is seen.
            words = metric.absence(error.message)
            if words is None or not query.partial:
                raise NotOfferedError(words or error.message) from error
            return Answer((), (words,))
        if query.explicit_tags:
            asked = {flt.key for flt in query.filters}
            fetched = [(stored, line) for stored, line in fetched if set(stored) == asked]
        moving = CHANGING_LABELS.intersection(metric.all_labels, (f.key for f in query.filters))
        total = sum(len(stamps) for _, (stamps, _) in fetched)
        if moving:
            # Gaps and rates are a whole series' own, wherever it was: they come before the cut.
            cutting = (
                cut(
                    _shape(line, query, plan),
                    labels.history(metric.kind, stored, moving),
                    rejoin=query.aggregator == "none",
                )
                for stored, line in fetched
            )
            labelled = [part for parts in await in_slices(cutting, total) for part in parts]
        else:
            enriching = ((labels.enrich(metric.kind, stored), line) for stored, line in fetched)
            labelled = await in_slices(enriching, len(fetched))
        selected = [(tags, line) for tags, line in labelled if matches(tags)]
        work = self._series(query, plan, selected, shaped=bool(moving))
        series = await in_slices(work, total)
        notices = () if series else unknown_labels(metric, query.filters)
        return Answer(tuple(series), notices, tuple(missing), overall(read))

    async def lookup(
        self, metric: str, filters: tuple[TagFilter, ...] = ()
    ) -> tuple[Mapping[str, str], ...]:
        """List the labels, stored and enriched, of a metric's series.

        Raises:
            BadRequestError: Unknown metric or broken filter.
            BridgeError: Whatever the source raises.
        """
        known = self.require_metric(metric)
        matches = match_all(filters)
        labels = self._enrichment()
        pushed = push_down(known, filters, labels)
        if pushed is None:
            return ()
        found = await self._source.lookup(metric, pushed)
        before = self._looked_up.get((metric, filters))
        # Sources give the same objects again for as long as they remember them.
        if before is not None and before.labels is labels and before.found == found:
            return before.matching
        enriching = (labels.enrich(known.kind, tags) for tags in found)
        matching = tuple(filter(matches, await in_slices(enriching, len(found))))
        self._looked_up[metric, filters] = _LookedUp(found, labels, matching)
        return matching

    async def _fetch(
        self,
        query: Query,
        plan: Plan,
        pushed: tuple[TagFilter, ...],
        on_missing: Callable[[str], None] | None,
        on_read: Callable[[Freshness], None],
    ) -> list[Labelled]:
        per_series = self._points_per_series(query, plan)
        self._check_points(per_series)
        try:
            self._check_points(per_series * len(await self._source.lookup(query.metric, pushed)))
        except (UpstreamError, UpstreamTimeoutError):
            if on_missing is None:
                raise
            # A panel may still be answered with what is known, and is checked afterwards.
        if plan.function is None:
            request = PointRequest(
                query.metric,
                pushed,
                plan.scan_start_ms,
                plan.scan_end_ms - 1,
                self._max_points,
                on_missing,
                on_read,
            )
            points = await self._source.points(request)
            total = sum(len(one.stamps_ms) for one in points)
            return await in_slices(_downsampled(points, query, plan), total)
        wanted = BucketRequest(
            query.metric,
            pushed,
            plan.scan_start_ms,
            plan.scan_end_ms,
            plan.step_ms,
            needed_columns(plan, query.downsample),
            on_missing,
            on_read,
        )
        lines = _from_buckets(await self._source.buckets(wanted), query, plan)
        self._check_points(sum(len(stamps) for _, (stamps, _) in lines))
        return lines

    def _points_per_series(self, query: Query, plan: Plan) -> int:
        """Estimate what one series reads: no bucket without a point, unless gaps are filled."""
        spec = query.downsample
        apart = max(plan.step_ms, self._source_step_ms)
        if spec is not None and spec.fill != "none" and spec.interval_ms:
            apart = min(apart, spec.interval_ms)
        return -(-(plan.scan_end_ms - plan.scan_start_ms) // apart)

    def _check_points(self, points: int) -> None:
        if points > self._max_points:
            raise TooMuchError(
                f"this would read about {points:,} points, more than the limit of "
                f"{self._max_points:,} (setting max_points): "
                "narrow the range or the filters, or take a wider step"
            )

    def _series(
        self, query: Query, plan: Plan, selected: Sequence[Labelled], *, shaped: bool
    ) -> Iterator[Series]:
        groups = group(query, selected)
        if len(groups) > self._max_series:
            raise TooMuchError(
                f"{len(groups):,} series, more than the limit of {self._max_series:,} "
                "(setting max_series): filter, or group by fewer labels"
            )
        hidden = CHANGING_LABELS - {f.key for f in query.filters}
        inside = Once(partial(_inside, query.window))
        spec = query.downsample
        # Buckets of a fixed width lie on multiples of it.
        step_ms = spec.interval_ms if spec is not None and not spec.calendar else 0
        for members in groups:
            lines = [own if shaped else _shape(own, query, plan) for _, own in members]
            lines = [line for line in lines if len(line[0])]
            if not lines:
                continue
            if query.aggregator == "none":
                stamps, values = lines[0]
            else:
                stamps, values = aggregate(
                    lines, query.aggregator, of_rates=query.rate is not None, step_ms=step_ms
                )
            stamps, part = inside.of(stamps)
            values = values[part]
            if not len(stamps):
                continue
            if np.isinf(values).any():
                raise BadRequestError(
                    "the result is too large for a number (infinite); "
                    "use another aggregator or downsampling function"
                )
            tags, aggregated = common_tags([tags for tags, _ in members], hidden)
            yield Series(query.metric, tags, aggregated, stamps, values)


def _inside(window: Window, stamps: NDArray[np.int64]) -> tuple[NDArray[np.int64], slice]:
    """Return the stamps that lie in a window, and where they stand."""
    edges = np.array([window.start_ms, window.end_ms + 1], dtype=np.int64)
    part = slice(*stamps.searchsorted(edges).tolist())
    return stamps[part], part


def overall(read: Sequence[Freshness]) -> Freshness:
    """Return how current what was read in several places is."""
    return Freshness(
        age_s=max((one.age_s for one in read), default=0.0),
        good_s=min((one.good_s for one in read), default=0.0),
        stale=any(one.stale for one in read),
    )


def _shape(line: Line, query: Query, plan: Plan) -> Line:
    """Fill the gaps of one series, then turn it into rates, as asked.

    A series whose only points lie before the first whole bucket is filled as well.
    """
    if query.downsample:
        line = fill_gaps(line, query.downsample, plan, query.timezone)
    if query.rate and len(line[0]):
        line = rates(*line, query.rate)
    return line


def _downsampled(points: Iterable[Points], query: Query, plan: Plan) -> Iterator[Labelled]:
    for series in points:
        line = (series.stamps_ms, series.values)
        if query.downsample is not None:
            line = downsample_points(series, query, query.downsample, plan)
        yield series.tags, line


def _from_buckets(buckets: Iterable[Buckets], query: Query, plan: Plan) -> list[Labelled]:
    spec = query.downsample
    if plan.function is None:
        return []
    if spec is not None and spec.calendar:
        return [(one.tags, merge_buckets(one, query, spec, plan)) for one in buckets]
    return [(one.tags, (one.stamps_ms, one.columns[plan.function])) for one in buckets]
