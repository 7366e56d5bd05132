"""``POST /api/query``: a JSON body into an ``Ask`` (reference: opentsdb 1 and 1a, grafana 4).

Grafana puts the whole target of its editor into a query, so keys that OpenTSDB does not know
are passed over, as OpenTSDB does; what is known is read strictly.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from bridge.doors.fields import shown
from bridge.doors.http import kind_of
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
_TRUTH = {"true": True, "false": False, "": False}


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
    timezone = _timezone(body)
    if body.get("start", "") == "":
        raise BadRequestError("Missing start time", field="start")
    window = read_window(body["start"], body.get("end"), now_ms=now_ms, timezone=timezone)
    given = body.get("queries")
    if not given and not isinstance(given, dict):
        raise BadRequestError("Missing queries", field="queries")
    if not isinstance(given, list):
        raise BadRequestError(f"queries: expected a list, found {kind_of(given)}", field="queries")
    if len(given) > max_queries:
        raise too_many_queries(len(given), max_queries)
    calendar = read_truth(body, "useCalendar")
    return Ask(
        window,
        tuple(
            _read_sub_query(one, f"queries[{at}]", window, timezone, calendar=calendar)
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


def read_truth(given: Mapping[str, Any], key: str, field: str = "") -> bool:
    """Read true or false as OpenTSDB does: also as text, and numbers; null is false.

    Raises:
        BadRequestError: It is something else.
    """
    value = given.get(key)
    if isinstance(value, bool | int | None):
        return bool(value)
    truth = _TRUTH.get(value.strip().lower()) if isinstance(value, str) else None
    if truth is None:
        raise BadRequestError(
            f"{key}: expected true or false, found {shown(value)}", field=_inside(field, key)
        )
    return truth


def _read_sub_query(
    given: Any, field: str, window: Window, timezone: str, *, calendar: bool
) -> SubQuery:
    if not isinstance(given, dict):
        raise BadRequestError(f"query: expected an object, found {kind_of(given)}", field=field)
    if given.get("tsuids"):
        raise refuse_tsuids(f"{field}.tsuids")
    if given.get("percentiles"):
        raise BadRequestError(
            "percentiles of histograms are not served; p99 and its like are aggregators",
            field=f"{field}.percentiles",
        )
    aggregator = check_aggregator(_text(given, "aggregator", field), f"{field}.aggregator")
    metric = _text(given, "metric", field)
    if not metric:
        raise BadRequestError(
            "Missing the metric or tsuids, provide at least one", field=f"{field}.metric"
        )
    downsample = (_text(given, "downsample", field) or "").strip() or None
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
    return SubQuery(field, query, downsample)


def _filters(given: Mapping[str, Any], field: str) -> tuple[TagFilter, ...]:
    """Read tags and filters; of two that are not empty the later key wins, as in OpenTSDB."""
    found: tuple[TagFilter, ...] = ()
    for key, value in given.items():
        if key == "tags":
            found = read_tags(value, f"{field}.tags") or found
        elif key == "filters":
            found = read_filters(value, f"{field}.filters") or found
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
    fill = fill.rstrip("-").lower()
    if fill and fill not in FILLS:
        raise BadRequestError(
            unknown(f"Unrecognized fill policy: {fill[:60]}", fill, FILLS), field=field
        )
    if calendar and not interval.endswith(("c", "all")):
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
    if not isinstance(given, dict):
        raise BadRequestError(
            f"rateOptions: expected an object, found {kind_of(given)}", field=field
        )
    for key in given:
        if key not in _RATE_OPTIONS:
            raise BadRequestError(
                unknown(f"no such rate option: {shown(key)}", key, _RATE_OPTIONS),
                field=f"{field}.{key}",
            )
    return Rate(
        counter=read_truth(given, "counter", field) or read_truth(given, "isCounter", field),
        counter_max=_figure(given, "counterMax", field),
        reset_value=_figure(given, "resetValue", field),
        drop_resets=read_truth(given, "dropResets", field),
    )


def _figure(given: Mapping[str, Any], key: str, field: str) -> float:
    """Read a number or a number as text; nothing and 0 are 0, which means unset."""
    value = given.get(key)
    if value is None or (isinstance(value, str) and not value.strip()):
        return 0.0
    try:
        figure = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        figure = math.nan
    if not (math.isfinite(figure) and figure >= 0):
        raise BadRequestError(
            f"{key}: expected a number from 0, found {shown(value)}", field=_inside(field, key)
        )
    return figure


def _text(given: Mapping[str, Any], key: str, field: str) -> str | None:
    """Read a text; OpenTSDB takes numbers for texts too."""
    value = given.get(key)
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadRequestError(
            f"{key}: expected a text, found {kind_of(value)}", field=_inside(field, key)
        )
    return str(value)


def _timezone(body: Mapping[str, Any]) -> str:
    return (_text(body, "timezone", "") or "").strip() or "UTC"


def _inside(field: str, key: str) -> str:
    return f"{field}.{key}" if field else key
