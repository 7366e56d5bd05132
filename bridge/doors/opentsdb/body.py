"""``POST /api/query``: a JSON body into an ``Ask`` (reference: opentsdb 1 and 1a, grafana 4).

Grafana puts the whole target of its editor into a query, so keys that OpenTSDB does not know
are passed over, as OpenTSDB does; what is known is read strictly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bridge.doors.fields import shown
from bridge.doors.opentsdb.ask import (
    Ask,
    SubQuery,
    check_aggregator,
    check_downsampler,
    refuse_delete,
    refuse_tsuids,
)
from bridge.doors.opentsdb.filters import read_filters, read_tags
from bridge.doors.opentsdb.times import read_window
from bridge.doors.opentsdb.values import (
    read_figure,
    read_list,
    read_object,
    read_text,
    read_truth,
)
from bridge.engine.lexemes import unknown
from bridge.engine.parts import DEFAULT_FUNCTION, FILLS, parse_downsample
from bridge.errors import BadRequestError, TooMuchError
from bridge.model import Downsample, Query, Rate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bridge.model import TagFilter, Window

#: Grafana's browser sends all of these or some, its server none (reference: grafana 4.3).
_BROWSER_KEYS = ("msResolution", "globalAnnotations", "showQuery")
_RATE_OPTIONS = ("counter", "isCounter", "counterMax", "resetValue", "dropResets")
#: What JavaScript makes of a function that is not there.
_NO_FUNCTION = ("", "undefined", "null")


def read_body(
    body: Mapping[str, Any], *, now_ms: int, arrays: bool, alert: bool, max_queries: int
) -> Ask:
    """Read the body of a query.

    Args:
        body: The decoded JSON.
        now_ms: The present, epoch milliseconds.
        arrays: The address asks for arrays.
        alert: Grafana's server says that it evaluates an alert rule.
        max_queries: Most queries in one request.

    Raises:
        BadRequestError: A part cannot be read or is not served; ``field`` names it.
        TooMuchError: More queries than that.
    """
    if read_truth(body, "delete"):
        raise refuse_delete()
    timezone = read_text(body, "timezone").strip() or "UTC"
    if body.get("start", "") == "":
        raise BadRequestError("Missing start time", field="start")
    window = read_window(body["start"], body.get("end"), now_ms=now_ms, timezone=timezone)
    given = read_list(body, "queries")
    if not given:
        raise BadRequestError("Missing queries", field="queries")
    if len(given) > max_queries:
        raise too_many_queries(len(given), max_queries)
    calendar = read_truth(body, "useCalendar")
    return Ask(
        window,
        tuple(
            _read_sub_query(
                read_object(one, f"queries[{at}]"),
                f"queries[{at}]",
                window,
                timezone,
                calendar=calendar,
            )
            for at, one in enumerate(given)
        ),
        milliseconds=read_truth(body, "msResolution"),
        arrays=arrays or read_truth(body, "arrays"),
        gaps=not alert and any(key in body for key in _BROWSER_KEYS),
        show_query=read_truth(body, "showQuery"),
        annotations=read_truth(body, "globalAnnotations"),
    )


def too_many_queries(count: int, limit: int) -> TooMuchError:
    """Return the refusal of a request with too many queries."""
    return TooMuchError(
        f"{count:,} queries, more than the limit of {limit:,} (setting max_targets)"
    )


def _read_sub_query(
    given: Mapping[str, Any], field: str, window: Window, timezone: str, *, calendar: bool
) -> SubQuery:
    if given.get("tsuids"):
        raise refuse_tsuids(f"{field}.tsuids")
    if given.get("percentiles"):
        raise BadRequestError(
            "percentiles of histograms are not served; p99 and its like are aggregators",
            field=f"{field}.percentiles",
        )
    aggregator = check_aggregator(read_text(given, "aggregator", field), f"{field}.aggregator")
    metric = read_text(given, "metric", field)
    if not metric:
        raise BadRequestError(
            "Missing the metric or tsuids, provide at least one", field=f"{field}.metric"
        )
    downsample = read_text(given, "downsample", field).strip() or None
    filters = _filters(given, field)
    options = _rate_options(given.get("rateOptions"), f"{field}.rateOptions")
    query = Query(
        metric,
        window,
        aggregator,
        _downsample(downsample, f"{field}.downsample", calendar=calendar),
        options if read_truth(given, "rate", field) else None,
        filters,
        # Without filters OpenTSDB takes no notice of it (reference: opentsdb 1a).
        explicit_tags=read_truth(given, "explicitTags", field) and bool(filters),
        timezone=timezone,
    )
    sub_query = SubQuery(field, query, downsample)
    if sub_query.is_live and (filters or query.rate):
        raise BadRequestError(
            f"{shown(metric)} takes no tags and no rate; its filters stand in braces: "
            "live:task{state=done}",
            field=f"{field}.{'filters' if filters else 'rate'}",
        )
    return sub_query


def _filters(given: Mapping[str, Any], field: str) -> tuple[TagFilter, ...]:
    """Read tags and filters; of two that are not empty the later key wins, as in OpenTSDB."""
    found: tuple[TagFilter, ...] = ()
    for key in given:
        if key == "tags":
            found = read_tags(given[key], f"{field}.tags") or found
        elif key == "filters":
            found = read_filters(read_list(given, key, field), f"{field}.filters") or found
    return found


def _downsample(text: str | None, field: str, *, calendar: bool) -> Downsample | None:
    """Read ``1m-avg-zero``; empty parts, and what JavaScript makes of them, are passed over."""
    if text is None:
        return None
    interval, dash, rest = text.partition("-")
    function, _, fill = rest.partition("-")
    if not interval or not dash:
        raise BadRequestError(
            f"Invalid downsampling specifier {shown(text)}: "
            "must provide at least interval and function",
            field=field,
        )
    function = DEFAULT_FUNCTION if function in _NO_FUNCTION else function
    check_downsampler(function, field)
    fill = fill.rstrip("-")
    if fill and fill.lower() not in FILLS:
        problem = f"Unrecognized fill policy: {fill}"
        raise BadRequestError(unknown(problem, fill, FILLS), field=field)
    if interval == "all":
        interval = "0all"
    elif calendar and not interval.endswith(("c", "all")):
        interval += "c"
    try:
        return parse_downsample(f"{interval}-{function}-{fill}")
    except BadRequestError as error:
        raise BadRequestError(
            f"Invalid duration: {shown(interval)}; {error.message}", field=field
        ) from None


def _rate_options(given: Any, field: str) -> Rate:
    if given is None:
        return Rate()
    for key in read_object(given, field):
        if key not in _RATE_OPTIONS:
            raise BadRequestError(
                unknown(f"no such rate option: {shown(key)}", key, _RATE_OPTIONS),
                field=f"{field}.{key}",
            )
    return Rate(
        counter=read_truth(given, "counter", field) or read_truth(given, "isCounter", field),
        counter_max=read_figure(given, "counterMax", field),
        reset_value=read_figure(given, "resetValue", field),
        drop_resets=read_truth(given, "dropResets", field),
    )
