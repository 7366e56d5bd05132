"""``/api/query``: the answer to an ``Ask`` (reference: grafana 7.5).

One failing query fails the whole answer, and no answer is ever partial: an alert rule must
not be evaluated on less than it asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from bridge.catalog import SERVICE_LABELS, Kind
from bridge.doors.datapoints import json_list
from bridge.doors.http import PlacedError
from bridge.doors.in_order import in_order
from bridge.doors.names import label_keys
from bridge.doors.opentsdb.ask import echo
from bridge.doors.opentsdb.dps import DpsEncoder
from bridge.doors.opentsdb.notes import live_series, notes
from bridge.errors import BadRequestError, BridgeError
from bridge.offload import in_slices

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bridge.doors.doorway import Doorway
    from bridge.doors.opentsdb.ask import Ask, SubQuery
    from bridge.doors.opentsdb.notes import Note
    from bridge.model import Answer, Series


#: Bytes of a query up to which every series repeats it, and not only the first one.
LONGEST_ECHO = 10_000


async def answer_query(doorway: Doorway, ask: Ask) -> bytes:
    """Answer all queries of a request, as encoded JSON.

    Raises:
        BadRequestError: Something asked for is not there; ``field`` names its place.
        PlacedError: A query failed.
        TooMuchError: All answers together are too much.
    """
    history = await run_queries(doorway, [one for one in ask.queries if not one.is_live])
    answered = iter(history)
    parts = [
        live_series(doorway, one) if one.is_live else (next(answered).series, [])
        for one in ask.queries
    ]
    global_notes = notes(doorway, ask.window) if ask.annotations else []
    points = sum(len(one.stamps_ms) for series, _ in parts for one in series)
    doorway.limits.require_points(points)
    elements = _elements(ask, parts, global_notes)
    return b"".join(await in_slices(json_list(elements), points))


async def run_queries(doorway: Doorway, sub_queries: Sequence[SubQuery]) -> list[Answer]:
    """Ask the engine all at the same time; metrics that nobody knows are refused before.

    Raises:
        BadRequestError: Something asked for is not there; ``field`` names its place.
        PlacedError: A query failed.
    """
    for sub_query in sub_queries:
        try:
            doorway.engine.require_metric(sub_query.query.metric)
        except BadRequestError as error:
            raise error.within(sub_query.field) from None
    return await in_order(_run(doorway, sub_query) for sub_query in sub_queries)


async def _run(doorway: Doorway, sub_query: SubQuery) -> Answer:
    try:
        answer = await doorway.engine.query(sub_query.query)
        if not answer.series:
            await _refuse_unknown_keys(doorway, sub_query)
    except BadRequestError as error:
        place = sub_query.field if error.field is None else f"{sub_query.field}.{error.field}"
        raise BadRequestError(error.message, field=place) from error
    except BridgeError as error:
        raise PlacedError(error, sub_query.field) from error
    return answer


async def _refuse_unknown_keys(doorway: Doorway, sub_query: SubQuery) -> None:
    """Tell a label that no series anywhere has from one without a matching value.

    Which labels series outside the catalogue have is not known.

    Raises:
        BadRequestError: In OpenTSDB's words, with the labels there are.
    """
    metric = doorway.engine.require_metric(sub_query.query.metric)
    known = {*label_keys(doorway), *SERVICE_LABELS}
    asked = [one.key for one in sub_query.query.filters if one.key not in known]
    if not asked or metric.kind is Kind.OTHER:
        return
    stored = {key for tags in await doorway.engine.lookup(metric.name, ()) for key in tags}
    for key in asked:
        if key not in stored:
            raise BadRequestError(
                f"No such name for 'tagk': '{key}'; "
                f"{metric.name} has {', '.join(metric.all_labels)}",
                field="filters",
            )


def _elements(
    ask: Ask, parts: Sequence[tuple[Sequence[Series], Sequence[Note]]], global_notes: Sequence[Note]
) -> Iterator[tuple[bytes, ...]]:
    """Encode every series that has a point, in the order of the queries, in pieces."""
    encoder = DpsEncoder(milliseconds=ask.milliseconds, arrays=ask.arrays, gaps=ask.gaps)
    extra = _encoded("globalAnnotations", global_notes)
    for index, (sub_query, (found, own)) in enumerate(zip(ask.queries, parts, strict=True)):
        only_index = b',"query":' + orjson.dumps({"index": index})
        query = only_index
        if ask.show_query:
            query = b',"query":' + orjson.dumps(echo(sub_query, index))
        for series in found:
            dps = encoder.encode(series.stamps_ms, series.values)
            if dps is None:
                continue
            head = orjson.dumps(
                {
                    "metric": series.metric,
                    "tags": series.tags,
                    "aggregateTags": series.aggregate_tags,
                }
            )
            if own:
                extra = _encoded("annotations", own) + _encoded("globalAnnotations", own)
            yield head[:-1], query, extra, b',"dps":', dps, b"}"
            extra = b""
            if len(query) > LONGEST_ECHO:
                query = only_index


def _encoded(key: str, found: Sequence[Note]) -> bytes:
    return b',"%b":%b' % (key.encode(), orjson.dumps(found)) if found else b""
