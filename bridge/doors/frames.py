"""Answers in the shapes Grafana's JSON datasources draw (reference: grafana 1.4).

A time series element carries ``target``, ``title`` and ``tags``: ``title`` is the legend,
``tags`` become labels. Tables are long: time, labels, value.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from bridge.doors.datapoints import DatapointsEncoder, encode_rows
from bridge.doors.titles import Named, titles

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bridge.model import Downsample, Freshness
    from bridge.ovh.live import Table

#: One element of an answer, in pieces.
Element = tuple[bytes | memoryview, ...]

#: The unit of a rate, per second, of values in the unit before the colon.
_RATE_UNITS = {"kbytes": "KBs", "gbytes": "GBs"}


@dataclass(frozen=True, slots=True, eq=False)
class SeriesResult:
    """The answer to one target that asks for series.

    Attributes:
        named: The series in the engine's order.
        ref_id: The client's name of the query.
        table: Whether a table is wanted.
        downsample: How points became buckets.
        notices: Sentences to show at the panel.
        missing: What the answer lacks, shown before the notices.
        freshness: Of what was read for it; None where nothing was.
    """

    named: tuple[Named, ...]
    ref_id: str
    table: bool
    downsample: Downsample
    notices: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    freshness: Freshness | None = None

    @property
    def said(self) -> tuple[str, ...]:
        """Everything to say at the panel."""
        return (*self.missing, *self.notices)


@dataclass(frozen=True, slots=True, eq=False)
class TableResult:
    """The answer to one target that asks for a live table.

    Attributes:
        table: The objects.
        ref_id: The client's name of the query.
        name: Of the table.
        missing: What it lacks, or which of it is old.
        freshness: How old, where something is missing.
    """

    table: Table
    ref_id: str
    name: str
    missing: tuple[str, ...] = ()
    freshness: Freshness | None = None


Result = SeriesResult | TableResult


def count_points(results: Sequence[Result]) -> int:
    """Return how many points there are to encode."""
    return sum(
        len(named.series.stamps_ms)
        for result in results
        if isinstance(result, SeriesResult)
        for named in result.named
    )


def elements(results: Sequence[Result], *, source_step_ms: int) -> Iterator[Element]:
    """Encode the answers to all targets, in their order, one JSON element at a time.

    Args:
        results: One a target.
        source_step_ms: With a finer step, a hole is what is longer than both.
    """
    drawn = [
        one
        for result in results
        if isinstance(result, SeriesResult) and not result.table
        for one in result.named
    ]
    title_of = dict(zip(map(id, drawn), titles(drawn), strict=True))
    for result in results:
        if isinstance(result, TableResult):
            yield (orjson.dumps(_live_element(result)),)
        elif result.table:
            yield (orjson.dumps(_long_table(result)),)
        else:
            notices = result.said
            if notices and not result.named:
                yield (orjson.dumps(_table(result.ref_id, [], [], notices)),)
            encoder = _encoder(result.downsample, source_step_ms)
            drawn_points = encoder.encode(
                (one.series.stamps_ms, one.series.values) for one in result.named
            )
            for one, points in zip(result.named, drawn_points, strict=True):
                head = _head(one, title_of[id(one)], notices)
                notices = ()
                yield orjson.dumps(head)[:-1], b',"datapoints":', points, b"}"


def unit_of(named: Named) -> str | None:
    """Return the Grafana unit of a series' values; None when they have none known."""
    unit = named.metric.unit
    if "count" in {named.target.aggregator, named.function}:
        return "short"
    if named.target.rate is not None:
        return _RATE_UNITS.get(unit)
    return unit


def _head(one: Named, title: str, notices: Sequence[str]) -> dict[str, Any]:
    """Return an element of a time series without its points."""
    head: dict[str, Any] = {
        "target": title,
        "title": title,
        "refId": one.ref_id,
        "tags": {"metric": one.metric.name, **one.series.tags},
    }
    unit = unit_of(one)
    if unit is not None:
        head["unit"] = unit
    if notices:
        head["meta"] = _meta(notices)
    return head


def _encoder(downsample: Downsample, source_step_ms: int) -> DatapointsEncoder:
    step = downsample.interval_ms
    if downsample.calendar or downsample.fill != "none":
        return DatapointsEncoder()
    return DatapointsEncoder(
        step_ms=step, tolerance_ms=source_step_ms if step < source_step_ms else 0
    )


def _long_table(result: SeriesResult) -> dict[str, Any]:
    labels = _labels(result.named)
    value: dict[str, Any] = {"text": "value", "type": "number"}
    unit = unit_of(result.named[0]) if result.named else None
    if unit is not None:
        value["unit"] = unit
    columns = [
        {"text": "time", "type": "time"},
        *({"text": label, "type": "string"} for label in labels),
        value,
    ]
    rows = encode_rows(
        [
            (
                one.series.stamps_ms,
                one.series.values,
                [one.series.tags.get(label) for label in labels],
            )
            for one in result.named
        ]
    )
    return _table(result.ref_id, columns, orjson.Fragment(rows), result.said)


def _labels(named: Sequence[Named]) -> list[str]:
    """Return the labels any series has, those of the catalogue first."""
    present = {key for one in named for key in one.series.tags}
    known = dict.fromkeys(key for one in named for key in one.metric.all_labels)
    return [key for key in known if key in present] + sorted(present - set(known))


def _live_element(result: TableResult) -> dict[str, Any]:
    columns = [
        {
            "text": column.name,
            "type": column.type,
            "description": column.description,
            **({"unit": column.unit} if column.unit else {}),
        }
        for column in result.table.columns
    ]
    table = _table(result.ref_id, columns, result.table.rows, result.missing)
    return {**table, "name": result.name}


def _table(
    ref_id: str, columns: Sequence[Mapping[str, Any]], rows: Any, notices: Sequence[str]
) -> dict[str, Any]:
    element = {"type": "table", "refId": ref_id, "columns": columns, "rows": rows}
    return {**element, "meta": _meta(notices)} if notices else element


def _meta(notices: Sequence[str]) -> dict[str, Any]:
    return {"notices": [{"severity": "warning", "text": text} for text in notices]}
