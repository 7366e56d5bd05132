"""``/rows``: flat tables for Infinity's backend parser, scripts and spreadsheets.

One row a point, sorted by time over all series (reference: grafana 3.2), or one row an
object of a live table. Nobody sees a notice here, and alert rules ask: an answer is
complete and fresh, or an error. Which columns there are depends on the question alone,
never on the data, since each text column becomes a label of an alert.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from starlette.responses import Response

from bridge.catalog import CHANGING_LABELS, OBJECT_LABEL, SERVICE_LABELS, Kind
from bridge.doors.flat import CSV_TYPE, JSON_TYPE, Line, live_table_rows, series_table
from bridge.doors.http import PlacedError, both
from bridge.doors.parameters import read_asked, read_given
from bridge.doors.titles import Named, titles
from bridge.engine.filters import literals
from bridge.engine.grammar import LiveTarget, SeriesTarget
from bridge.engine.lexemes import unknown
from bridge.engine.parts import format_downsample
from bridge.engine.steps import choose_step
from bridge.errors import BadRequestError, BridgeError, TooMuchError
from bridge.model import Downsample, FilterKind, Query
from bridge.offload import in_slices
from bridge.ovh.fresh import fresh_snapshot
from bridge.ovh.live import live_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request
    from starlette.routing import Route

    from bridge.catalog import Metric
    from bridge.doors.doorway import Doorway
    from bridge.doors.parameters import Asked
    from bridge.model import Series

#: Columns of their own; a label of such a name gets ``label_`` in front.
OWN_COLUMNS = ("time", "legend", "metric", "value")


def routes(doorway: Doorway) -> list[Route]:
    """Return ``/rows``."""

    async def rows(request: Request) -> Response:
        """Answer one target as a flat table."""
        given = await read_given(request, max_bytes=doorway.limits.max_body_bytes)
        asked = read_asked(doorway, given)
        as_csv = wants_csv(asked.format, request.headers.getlist("accept"))
        body = await answer(doorway, asked, as_csv=as_csv)
        headers = {"Content-Type": CSV_TYPE if as_csv else JSON_TYPE, "Vary": "Accept"}
        if as_csv:
            headers["Content-Disposition"] = 'attachment; filename="rows.csv"'
        return Response(body, headers=headers)

    return both("/rows", rows, ["GET", "POST"])


async def answer(doorway: Doorway, asked: Asked, *, as_csv: bool) -> bytes:
    """Answer one question.

    Raises:
        BadRequestError: The target cannot be answered as it is.
        TooMuchError: There would be more rows than the limit.
        PlacedError: The query failed.
    """
    target = asked.wanted.target
    try:
        if isinstance(target, LiveTarget):
            return _live(doorway, asked, target, as_csv=as_csv)
        return await _series(doorway, asked, target, as_csv=as_csv)
    except BadRequestError as error:
        raise BadRequestError(
            error.message, field=error.field or asked.place, position=error.position
        ) from None
    except BridgeError as error:
        raise PlacedError(error, asked.place) from error


def wants_csv(asked: str | None, accepts: Sequence[str]) -> bool:
    """Choose the form: the parameter's, else the one ``Accept`` likes more, else JSON."""
    if asked is not None:
        return asked == "csv"
    likes: dict[str, float] = {}
    for part in ",".join(accepts).split(","):
        kind, _, parameters = part.partition(";")
        likes[kind.strip().lower()] = _quality(parameters)
    otherwise = likes.get("application/*", likes.get("*/*", 0.0))
    return likes.get("text/csv", 0.0) > likes.get("application/json", otherwise)


def _quality(parameters: str) -> float:
    for parameter in parameters.split(";"):
        name, _, text = parameter.partition("=")
        if name.strip().lower() == "q":
            try:
                return float(text)
            except ValueError:
                return 0.0
    return 1.0


async def _series(doorway: Doorway, asked: Asked, target: SeriesTarget, *, as_csv: bool) -> bytes:
    downsample = asked.wanted.buckets(
        asked.window,
        interval_ms=asked.interval_ms,
        max_points=asked.points,
        source_step_ms=doorway.limits.source_step_ms,
    )
    query = Query(
        target.metric,
        asked.window,
        aggregator=target.aggregator or "none",
        downsample=downsample,
        rate=target.rate,
        filters=target.filters,
        explicit_tags=target.explicit_tags,
        timezone=asked.timezone,
    )
    metric = doorway.engine.require_metric(target.metric)
    series = (await doorway.engine.query(query)).series
    if not series:
        await _require_known_labels(doorway, target, metric)
    count = sum(len(one.stamps_ms) for one in series)
    if count > doorway.limits.max_rows:
        raise _too_many(doorway, asked, count, downsample)
    labels, lines = _lines(target, metric, series, downsample.function)
    work = series_table(labels, lines, as_csv=as_csv, time_format=asked.time_format)
    return b"".join(await in_slices(work, count))


def _live(doorway: Doorway, asked: Asked, target: LiveTarget, *, as_csv: bool) -> bytes:
    snapshot, now = doorway.snapshot(), doorway.clock()
    # The table of services says itself which of them could not be read.
    if target.kind != "service":
        oldest = doorway.limits.max_live_age_s
        snapshot = fresh_snapshot(snapshot, target.filters, now=now, max_age_s=oldest)
    table = live_table(
        snapshot, target.kind, target.filters, now=now, show_hidden=target.show_hidden
    )
    if len(table.rows) > doorway.limits.max_rows:
        raise _too_many(doorway, asked, len(table.rows), None)
    return live_table_rows(table, as_csv=as_csv, time_format=asked.time_format)


async def _require_known_labels(doorway: Doorway, target: SeriesTarget, metric: Metric) -> None:
    """Refuse filters on labels that no series of the metric has, which look like no data."""
    known = (*metric.all_labels, *sorted(SERVICE_LABELS))
    strange = [flt.key for flt in target.filters if flt.key not in known]
    if not strange:
        return
    stored = {key for tags in await doorway.engine.lookup(metric.name, ()) for key in tags}
    for key in strange:
        if stored and key not in stored:
            labels = dict.fromkeys((*metric.all_labels, *sorted(stored)))
            raise BadRequestError(unknown(f"{metric.name} has no label {key!r}", key, labels))


def _too_many(
    doorway: Doorway, asked: Asked, count: int, downsample: Downsample | None
) -> TooMuchError:
    limit = doorway.limits.max_rows
    less = "narrow the range or the filters"
    if downsample is not None:
        wider = "take a wider step"
        if downsample.interval_ms and not downsample.calendar:
            needed = downsample.interval_ms * -(-count // limit)
            step = choose_step(asked.window, interval_ms=needed, max_points=None, source_step_ms=1)
            text = format_downsample(Downsample(step, downsample.function)).partition("-")[0]
            wider = f"take a wider step (step={text})"
        less = f"{wider}, {less}, or combine series with an aggregator"
    return TooMuchError(
        f"{count:,} rows, more than the limit of {limit:,} (setting max_rows): {less}"
    )


def _lines(
    target: SeriesTarget, metric: Metric, series: Sequence[Series], function: str
) -> tuple[list[str], list[Line]]:
    """Return the names of the label columns, and the series with a cell for each."""
    labels = _labels(target, metric, series)
    columns = [_column(label, labels) for label in labels]
    last = [[metric.name]] * len(series)
    if target.legend is not None:
        named = [Named(one, target, metric, function, "") for one in series]
        last = [[title, metric.name] for title in titles(named)]
        columns.append("legend")
    lines = []
    for one, more in zip(series, last, strict=True):
        cells = [one.tags.get(label, "") for label in labels] + more
        stamps, values = one.stamps_ms, one.values
        # A fill policy may have put what is not a number where there is no value.
        if np.isnan(values).any():
            real = ~np.isnan(values)
            stamps, values = stamps[real], values[real]
        lines.append(Line(stamps, values, cells))
    return [*columns, "metric"], lines


def _labels(target: SeriesTarget, metric: Metric, series: Sequence[Series]) -> list[str]:
    """Return the labels that make columns, from the question and the catalogue.

    Outside the catalogue, and where two series would look alike, those the series have.
    """
    named = dict.fromkeys(flt.key for flt in target.filters)
    found = sorted({key for one in series for key in one.tags})
    if target.aggregator in {None, "none"}:
        shown = [key for key in metric.all_labels if key not in CHANGING_LABELS or key in named]
        labels = [*shown, *(key for key in named if key not in shown)]
        if metric.kind is Kind.OTHER:
            labels = [*found, *(key for key in named if key not in found)]
    else:
        labels = _grouped(target, metric)
    if len({tuple(one.tags.get(key, "") for key in labels) for one in series}) < len(series):
        labels += [key for key in found if key not in labels]
    return labels


def _grouped(target: SeriesTarget, metric: Metric) -> list[str]:
    """Return the labels a group has by construction: those it was made by, and what they imply."""
    grouped = {flt.key for flt in target.filters if flt.group_by}
    fixed = {
        flt.key
        for flt in target.filters
        if flt.kind is FilterKind.LITERAL_OR and len(literals(flt)) == 1
    }
    certain = grouped | fixed
    if OBJECT_LABEL[metric.kind] in grouped:
        certain |= set(metric.all_labels) - CHANGING_LABELS - {"nicname"}
    if "datacenter" in certain:
        certain.add("service")
    order = [*metric.all_labels, *sorted(certain)]
    return [key for key in dict.fromkeys(order) if key in certain]


def _column(label: str, labels: Sequence[str]) -> str:
    name = label
    while name in OWN_COLUMNS or (name != label and name in labels):
        name = f"label_{name}"
    return name
