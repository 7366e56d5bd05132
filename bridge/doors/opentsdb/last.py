"""``/api/query/last``: the newest point of each series (reference: opentsdb 1).

A value is a text and a stamp is milliseconds, as in OpenTSDB. Unlike there, tags need not
name a series completely: every series that matches is answered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bridge.doors.opentsdb.ask import SubQuery, refuse_tsuids
from bridge.doors.opentsdb.body import too_many_queries
from bridge.doors.opentsdb.filters import read_tags
from bridge.doors.opentsdb.lookup import tsuid
from bridge.doors.opentsdb.query import run_queries
from bridge.doors.opentsdb.selector import parse_selector
from bridge.doors.opentsdb.values import (
    read_count,
    read_list,
    read_object,
    read_text,
    read_truth,
)
from bridge.errors import BadRequestError
from bridge.model import Query, Window

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.datastructures import QueryParams

    from bridge.catalog import Metric
    from bridge.doors.doorway import Doorway
    from bridge.model import Series

#: Hours looked back when the client names none.
DEFAULT_HOURS = 24
_HOUR_MS = 3_600_000


async def last_address(doorway: Doorway, words: QueryParams) -> list[dict[str, Any]]:
    """Answer ``timeseries=metric{key=value}``, ``resolve`` and ``back_scan``.

    Raises:
        BadRequestError: No query, or one that cannot be read.
        PlacedError: A query failed.
    """
    if "tsuids" in words:
        raise refuse_tsuids("tsuids")
    window = _window(doorway, words, "back_scan")
    wanted = []
    for at, text in enumerate(words.getlist("timeseries")):
        field = f"timeseries[{at}]"
        selector = parse_selector(text, field)
        # Two values of one key cannot both hold: the last one counts, as in OpenTSDB's map.
        filters = read_tags(dict(selector.pairs), field)
        wanted.append(SubQuery(field, Query(selector.metric, window, filters=filters)))
    resolve = words.get("resolve", "false").lower() in ("", "true")
    return await _answer(doorway, wanted, resolve=resolve)


async def last_body(doorway: Doorway, body: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Answer ``{"queries": [{"metric", "tags"}], "resolveNames", "backScan"}``.

    Raises:
        BadRequestError: No query, or one that cannot be read.
        PlacedError: A query failed.
    """
    window = _window(doorway, body, "backScan")
    wanted = []
    for at, one in enumerate(read_list(body, "queries")):
        field = f"queries[{at}]"
        given = read_object(one, field)
        if given.get("tsuids"):
            raise refuse_tsuids(f"{field}.tsuids")
        filters = read_tags(given.get("tags"), f"{field}.tags")
        metric = read_text(given, "metric", field)
        wanted.append(SubQuery(field, Query(metric, window, filters=filters)))
    return await _answer(doorway, wanted, resolve=read_truth(body, "resolveNames"))


def _window(doorway: Doorway, words: Mapping[str, Any], key: str) -> Window:
    hours = read_count(words, key, f"Unable to parse '{key}' as a number")
    now_ms = int(doorway.clock() * 1000)
    since_ms = now_ms - (hours if hours and hours > 0 else DEFAULT_HOURS) * _HOUR_MS
    return Window(max(since_ms, 0), now_ms)


async def _answer(
    doorway: Doorway, wanted: Sequence[SubQuery], *, resolve: bool
) -> list[dict[str, Any]]:
    if not wanted:
        raise BadRequestError("Missing sub queries", field="queries")
    limit = doorway.limits.max_targets
    if len(wanted) > limit:
        raise too_many_queries(len(wanted), limit)
    answers = await run_queries(doorway, wanted)
    return [
        _element(doorway.engine.require_metric(series.metric), series, resolve=resolve)
        for answer in answers
        for series in answer.series
    ]


def _element(metric: Metric, series: Series, *, resolve: bool) -> dict[str, Any]:
    named = {"metric": series.metric, "tags": series.tags} if resolve else {}
    return {
        "timestamp": int(series.stamps_ms[-1]),
        "value": repr(float(series.values[-1])),
        "tsuid": tsuid(metric, series.tags),
        **named,
    }
