"""One sub-query from selection to answer (reference: opentsdb 2.3 and 2.6)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from bridge.demo.erlenmeyer.buckets import bucketize, fill, reduce_rows
from bridge.demo.erlenmeyer.request import Downsampling, parse_downsample
from bridge.demo.erlenmeyer.selectors import (
    BackendError,
    compile_selectors,
    filter_text,
    literal,
    selector,
    tag_selectors,
    unique,
)
from bridge.demo.shelf import FetchLimitError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from bridge.demo.erlenmeyer.buckets import Grid
    from bridge.demo.erlenmeyer.request import QueryRequest, RateOptions, SubQuery
    from bridge.demo.shelf import Shelf, StoredSeries

    _Answered = tuple[Mapping[str, str], NDArray[np.int64], NDArray[np.float64]]

FETCH_LIMIT = 20_000_000
#: Aggregators that leave gaps as they are; all others fill them.
HONEST = frozenset({"zimsum", "count", "mimmin", "mimmax"})
_LADDER_S = (1, 5, 10, 15, 30, 60, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400, 604800)
#: A client's reset value of 1 means "none" to Erlenmeyer.
_NO_RESET = 1


def forced_span_us(start_us: int, end_us: int) -> int:
    """Return the bucket width used when a query names none: at most about 1,000 points."""
    wanted_us = (end_us - start_us) // 1000
    for step in _LADDER_S:
        if wanted_us <= step * 1_000_000:
            return step * 1_000_000
    return _LADDER_S[-1] * 1_000_000


def _fetch(shelf: Shelf, query: SubQuery, request: QueryRequest) -> tuple[Any, list[str]]:
    texts, groups = tag_selectors(query.tags)
    for spec in query.filters:
        text = filter_text(spec.kind, spec.expression)
        if text is not None:
            texts[spec.key] = text
            if spec.group_by:
                groups.append(spec.key)
    metric = selector(literal(query.metric))
    labels = compile_selectors(texts)
    try:
        found = shelf.select(metric, labels, request.start_us, request.end_us, FETCH_LIMIT)
    except FetchLimitError as error:
        raise BackendError from error
    if query.explicit_tags:
        wanted = {*query.tags, *(spec.key for spec in query.filters)}
        found = [series for series in found if set(series.name.labels) == wanted]
    return found, groups


def _correct_resets(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Lift everything after a fall by what was lost, so that a counter never falls."""
    falls = np.diff(values, prepend=values[:1]) < 0
    before = np.concatenate((values[:1], values[:-1]))
    lifted: NDArray[np.float64] = values + np.cumsum(np.where(falls, before, 0.0))
    return lifted


def _count(values: NDArray[np.float64], options: RateOptions) -> NDArray[np.float64]:
    if options.drop_resets and len(values):
        values = _correct_resets(values)
    if options.counter_max is not None:
        # A maximum clamps values; it does not undo an overflow.
        values = np.minimum(values, float(options.counter_max))
    return values


def _counted(grid: Grid, options: RateOptions) -> Grid:
    values = grid.values.copy()
    for row, present in enumerate(grid.present):
        values[row][present] = _count(values[row][present], options)
    return replace(grid, values=values)


def _rate(
    stamps: NDArray[np.int64], values: NDArray[np.float64], options: RateOptions | None
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Turn an aggregated series into change a second; the first stamp is lost."""
    reset = options.reset_value if options is not None and options.counter else None
    if reset is not None and reset != _NO_RESET:
        # The original reads the value before, and zeroes it from the limit on.
        shifted = np.concatenate((values[:1], values[:-1]))
        values = np.where(shifted >= reset, 0.0, shifted)
    return stamps[1:], np.diff(values) / (np.diff(stamps) / 1e6)


def _common(members: Sequence[StoredSeries]) -> dict[str, str]:
    first, *others = members
    shared = set(first.name.labels.items())
    for other in others:
        shared &= set(other.name.labels.items())
    return dict(sorted(shared))


def _grouped(found: Sequence[StoredSeries], keys: Sequence[str]) -> Iterable[list[int]]:
    groups: dict[tuple[str | None, ...], list[int]] = {}
    for number, series in enumerate(found):
        labels = series.name.labels
        groups.setdefault(tuple(labels.get(key) for key in keys), []).append(number)
    return groups.values()


def _number(value: float) -> float:
    """Print whole numbers the way Go does: without a fraction."""
    return int(value) if value.is_integer() and abs(value) < 1e21 else value


def _points(
    stamps: NDArray[np.int64], values: NDArray[np.float64], *, milliseconds: bool
) -> dict[str, float]:
    """Return ``dps``: stamps are cut to the second even when milliseconds are asked for."""
    keep = np.isfinite(values)
    seconds = (stamps[keep] // 1_000_000).tolist()
    tail = "000" if milliseconds else ""
    return {
        f"{second}{tail}": _number(value)
        for second, value in zip(seconds, values[keep].tolist(), strict=True)
    }


def _element(
    index: int, query: SubQuery, tags: Mapping[str, str], groups: Sequence[str], dps: Any
) -> dict[str, Any]:
    return {
        "metric": query.metric,
        "tags": tags,
        "query": {"index": index},
        "aggregateTags": groups,
        "dps": dps,
    }


def downsampling_of(request: QueryRequest, index: int) -> Downsampling | None:
    """Return how the sub-query at ``index`` is bucketed; None for raw points.

    Raises:
        RefusedError: its downsampling cannot be understood.
    """
    query = request.queries[index]
    if query.aggregator == "none":
        return None
    if query.downsample is None:
        return Downsampling(forced_span_us(request.start_us, request.end_us), "avg", "none")
    return parse_downsample(query.downsample)


def run(shelf: Shelf, request: QueryRequest, index: int) -> list[dict[str, Any]]:
    """Answer the sub-query at ``index``.

    Raises:
        RefusedError: the downsampling cannot be understood (found out only now).
        BackendError: Warp 10 would refuse.
    """
    query = request.queries[index]
    down = downsampling_of(request, index)
    found, groups = _fetch(shelf, query, request)
    options = query.rate_options
    if query.rate and options is not None and options.counter and down is None:
        found = [replace(s, values=_count(s.values, options)) for s in found]
    if down is None:
        answers = [(series.name.labels, series.stamps_us, series.values) for series in found]
    else:
        answers = _aggregate(found, groups, query, request, down)
    elements = []
    for labels, stamps, values in answers:
        dps = _points(stamps, values, milliseconds=request.ms_resolution)
        if dps:
            tags = dict(sorted(labels.items()))
            elements.append(_element(index, query, tags, groups, dps))
    return elements


def _aggregate(
    found: Sequence[StoredSeries],
    groups: Sequence[str],
    query: SubQuery,
    request: QueryRequest,
    down: Downsampling,
) -> list[_Answered]:
    if not found:
        # Warp 10 counts the buckets of nothing as well, but has nothing to refuse.
        return []
    interpolate = down.fill == "none" and query.aggregator not in HONEST
    grid = bucketize(
        found,
        down.function,
        span_us=down.span_us,
        start_us=request.start_us,
        end_us=request.end_us,
        every=interpolate or down.fill != "none",
    )
    grid = fill(grid, down.fill, interpolate=interpolate)
    if query.rate and query.rate_options is not None and query.rate_options.counter:
        grid = _counted(grid, query.rate_options)
    answers: list[_Answered] = []
    for members in _grouped(found, unique(groups)):
        stamps, values = reduce_rows(grid, np.array(members), query.aggregator)
        if query.rate:
            stamps, values = _rate(stamps, values, query.rate_options)
        answers.append((_common([found[number] for number in members]), stamps, values))
    return answers
