"""``GET /api/query``: ``m=avg:1m-avg:metric{tag=*}`` and flags into an ``Ask``.

The text of ``m`` is read by the engine's grammar, of which OpenTSDB's is a part. A flag is
set by being there, whatever its value, as in OpenTSDB (reference: opentsdb 1a).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bridge.doors.opentsdb.ask import (
    Ask,
    SubQuery,
    check_aggregator,
    check_downsampler,
    refuse_delete,
    refuse_tsuids,
)
from bridge.doors.opentsdb.body import too_many_queries
from bridge.doors.opentsdb.times import read_window
from bridge.engine.grammar import SeriesTarget, parse_target
from bridge.engine.parts import format_downsample
from bridge.errors import BadRequestError
from bridge.model import Query

if TYPE_CHECKING:
    from starlette.datastructures import QueryParams

    from bridge.model import Window


def read_address(words: QueryParams, *, now_ms: int, alert: bool, max_queries: int) -> Ask:
    """Read the parameters of a query.

    Args:
        words: The parameters.
        now_ms: The present, epoch milliseconds.
        alert: Grafana's server says that it evaluates an alert rule.
        max_queries: Most queries in one request.

    Raises:
        BadRequestError: A part cannot be read or is not served; ``field`` names it.
        TooMuchError: More queries than that.
    """
    if "delete" in words:
        raise refuse_delete()
    for key in ("tsuid", "tsuids"):
        if key in words:
            raise refuse_tsuids(key)
    # Another site's page could read the answer with a person's credential.
    if "jsonp" in words:
        raise BadRequestError("jsonp is not served; leave it out for JSON", field="jsonp")
    if words.get("serializer", "json") != "json":
        raise BadRequestError("Requested serializer was not found", field="serializer")
    start = words.get("start", "")
    if not start:
        raise BadRequestError("Missing parameter <code>start</code>", field="start")
    # OpenTSDB does not read the zone here; with UTC in its place days would be wrong.
    timezone = words.get("timezone") or words.get("tz") or "UTC"
    window = read_window(start, words.get("end"), now_ms=now_ms, timezone=timezone)
    texts = words.getlist("m")
    if not texts:
        raise BadRequestError("Missing sub queries", field="m")
    if len(texts) > max_queries:
        raise too_many_queries(len(texts), max_queries)
    return Ask(
        window,
        tuple(_read(text, f"m[{at}]", window, timezone) for at, text in enumerate(texts)),
        milliseconds="ms" in words,
        arrays="arrays" in words,
        gaps=not alert,
        show_query="show_query" in words,
        annotations="global_annotations" in words,
    )


def _read(text: str, field: str, window: Window, timezone: str) -> SubQuery:
    try:
        target = parse_target(text)
    except BadRequestError as error:
        raise BadRequestError(error.message, field=field, position=error.position) from None
    if not isinstance(target, SeriesTarget):
        raise BadRequestError("live tables are not served here", field=field)
    if target.legend is not None:
        raise BadRequestError("legends ('as ...') are not served here", field=field)
    spec = target.downsample
    if spec is not None:
        check_downsampler(spec.function, field)
    query = Query(
        target.metric,
        window,
        check_aggregator(target.aggregator or "", field),
        spec,
        target.rate,
        target.filters,
        explicit_tags=target.explicit_tags and bool(target.filters),
        timezone=timezone,
    )
    return SubQuery(field, query, None if spec is None else format_downsample(spec))
