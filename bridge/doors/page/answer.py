"""The answer to the explorer's question: figures of every series, and the lines to draw."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bridge.catalog import OBJECT_LABEL
from bridge.doors.frames import unit_of
from bridge.doors.page.chart import MOST_LINES, Chart, Gaps, draw
from bridge.doors.titles import Named, titles
from bridge.engine.lexemes import exactly, format_filter
from bridge.model import Query
from bridge.offload import in_slices
from bridge.ovh.order import natural_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from bridge.doors.doorway import Doorway
    from bridge.doors.page.question import Question
    from bridge.model import Series

#: Series listed at most.
MOST_ROWS = 200
ORDERS = ("name", "last", "min", "max", "mean")


@dataclass(frozen=True, slots=True)
class Figures:
    """What one series comes down to; values are those of its buckets.

    Attributes:
        last: Its last value.
        last_ms: When that was, in epoch milliseconds.
        low: The lowest.
        high: The highest.
        mean: The mean.
        gaps: How many holes it has between its points.
    """

    last: float
    last_ms: int
    low: float
    high: float
    mean: float
    gaps: int


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the legend.

    Attributes:
        title: As Grafana would call it.
        figures: None for a series that holds nothing but gaps.
        narrow: The fields that leave only this series; empty where nothing else would be left.
        series: With its points.
    """

    title: str
    figures: Figures | None
    narrow: Mapping[str, str]
    series: Series


@dataclass(frozen=True, slots=True)
class Answer:
    """Everything the explorer shows.

    Attributes:
        rows: In the asked order, at most ``MOST_ROWS``; the first of them are drawn.
        drawn: How many are drawn.
        total: How many series there are.
        order: What they are ordered by; ``-`` in front is the largest first.
        unit: Grafana unit id of the values.
        chart: None without series.
        notices: Sentences for a person.
        missing: What could not be read, in words.
    """

    rows: tuple[Row, ...]
    drawn: int
    total: int
    order: str
    unit: str | None
    chart: Chart | None
    notices: tuple[str, ...]
    missing: tuple[str, ...]


async def find_answer(doorway: Doorway, question: Question) -> Answer:
    """Ask the engine and make of its answer what the page shows.

    Raises:
        BridgeError: Whatever the engine raises.
    """
    target, downsample = question.target, question.downsample
    answered = await doorway.engine.query(
        Query(
            target.metric,
            question.window,
            aggregator=target.aggregator or "none",
            downsample=downsample,
            rate=target.rate,
            filters=target.filters,
            explicit_tags=target.explicit_tags,
            timezone=question.zone.key,
            partial=True,
        )
    )
    named = [
        Named(series, target, question.metric, downsample.function, "A")
        for series in answered.series
    ]
    gaps = _gaps(doorway, question)
    points = sum(len(one.series.stamps_ms) for one in named)
    rows = await in_slices(_rows(named, question, gaps), points)
    order = question.form.order
    if order.removeprefix("-") not in ORDERS:
        order = "name" if len(rows) <= MOST_LINES else "-mean"
    rows.sort(key=_by(order), reverse=order.startswith("-"))
    unit = unit_of(named[0]) if named else question.metric.unit
    chart = None
    lines = [(row.series.stamps_ms, row.series.values) for row in rows[:MOST_LINES]]
    if lines:
        pieces = draw(lines, window=question.window, gaps=gaps, unit=unit, zone=question.zone)
        made = await in_slices(pieces, sum(len(stamps) for stamps, _ in lines))
        chart = next(one for one in made if isinstance(one, Chart))
    notices = (*question.notices, *answered.notices, *_remarks(rows, order))
    return Answer(
        tuple(rows[:MOST_ROWS]),
        len(lines),
        len(rows),
        order,
        unit,
        chart,
        notices,
        answered.missing,
    )


def _gaps(doorway: Doorway, question: Question) -> Gaps:
    """Break lines where Grafana's graphs break (``bridge.doors.frames``)."""
    downsample, source_step = question.downsample, doorway.limits.source_step_ms
    if downsample.calendar or downsample.fill != "none" or not downsample.interval_ms:
        return Gaps()
    step = downsample.interval_ms
    return Gaps(step + (source_step if step < source_step else 0))


def _rows(named: Sequence[Named], question: Question, gaps: Gaps) -> Iterator[Row]:
    for one, title in zip(named, titles(named), strict=True):
        series = one.series
        yield Row(
            title,
            _figures(series, gaps),
            _narrow(question, series) if len(named) > 1 else {},
            series,
        )


def _figures(series: Series, gaps: Gaps) -> Figures | None:
    there = np.flatnonzero(~np.isnan(series.values))
    if not len(there):
        return None
    stamps, values = series.stamps_ms[there], series.values[there]
    holes = gaps.after(stamps, values)
    holes[:-1] |= np.diff(there) > 1
    return Figures(
        float(values[-1]),
        int(stamps[-1]),
        float(values.min()),
        float(values.max()),
        # The mean of values whose sum may be too large for a number.
        float((values / len(values)).sum()),
        int(holes.sum()),
    )


def _narrow(question: Question, series: Series) -> dict[str, str]:
    """Return the labels that tell this series from the others, as the form's fields."""
    target = question.target
    if question.form.target:
        return {}
    if target.aggregator not in {None, "none"}:
        keys = dict.fromkeys(flt.key for flt in target.filters if flt.group_by)
    else:
        own = OBJECT_LABEL[question.metric.kind]
        keys = dict.fromkeys([own, "datacenter", "nicname"] if own else series.tags)
    return {
        key: format_filter(exactly(key, [series.tags[key]])) for key in keys if key in series.tags
    }


def _by(order: str) -> Callable[[Row], tuple[bool, object]]:
    """Return a sort key; series without values come last in either direction."""
    name, largest_first = order.removeprefix("-"), order.startswith("-")
    if name == "name":
        return lambda row: (True, natural_key(row.title))
    field = {"last": "last", "min": "low", "max": "high", "mean": "mean"}[name]
    return lambda row: (
        (row.figures is None) is not largest_first,
        0.0 if row.figures is None else getattr(row.figures, field),
    )


def _remarks(rows: Sequence[Row], order: str) -> Iterator[str]:
    if len(rows) > MOST_LINES:
        name, largest = order.removeprefix("-"), order.startswith("-")
        which = (
            "first by name" if name == "name" else f"{'highest' if largest else 'lowest'} by {name}"
        )
        yield (
            f"{len(rows):,} series: the {MOST_LINES} {which} are drawn. Filter, or group by "
            "fewer labels, to see others."
        )
    if len(rows) > MOST_ROWS:
        yield f"The table lists {MOST_ROWS} of them."
    broken = sum(row.figures is None or row.figures.gaps > 0 for row in rows)
    if broken:
        verb = "have" if broken > 1 else "has"
        which = f"{broken} of {len(rows):,} series {verb}" if len(rows) > 1 else "The series has"
        yield f"{which} gaps: there is no data there, and no line is drawn across."
