"""OpenTSDB's HTTP API under ``/api``."""

from __future__ import annotations

from bridge.doors.openapi.parts import (
    JSON_TYPE,
    NUMBER,
    TEXT,
    TRUTH,
    WHOLE,
    Operation,
    Parameter,
    Schema,
    answered,
    array,
    given,
    one_of,
    optional,
    pair,
    text,
)
from bridge.doors.openapi.schemas import shared
from bridge.doors.opentsdb.suggest import TYPES

_DOOR = "OpenTSDB"
_ERRORS = (400, 413, 502)
_TAGS: Schema = {"type": "object", "additionalProperties": TEXT}
_FLAG = text(about="set by being there")
_TIME: Schema = {
    "anyOf": [
        text("opentsdb-time", "1h-ago", "now", "1767247200", "2026/01/31-12:00:00"),
        {**WHOLE, "minimum": 0},
    ]
}
_FILTER = given(
    ["type", "tagk", "filter"],
    type=shared("FilterKind"),
    tagk=text("label", "vm_name", "cluster"),
    filter=text("filter", "*", "web01|web02"),
    groupBy=TRUTH,
)
_SUB_QUERY = given(
    ["metric", "aggregator"],
    metric=text("metric", "vscope.vm.cpu.usage.perc", "live:task"),
    aggregator=shared("Aggregator"),
    downsample=optional(text("downsample", "5m-avg", "1h-max-zero")),
    rate=TRUTH,
    rateOptions=optional(
        given(counter=TRUTH, counterMax=NUMBER, resetValue=NUMBER, dropResets=TRUTH)
    ),
    tags=optional(_TAGS),
    filters=optional(array(_FILTER)),
    explicitTags=TRUTH,
)
_BODY = given(
    ["start", "queries"],
    start=_TIME,
    end=optional(_TIME),
    queries=array(_SUB_QUERY, minItems=1),
    msResolution=TRUTH,
    arrays=TRUTH,
    showQuery=TRUTH,
    globalAnnotations=TRUTH,
    useCalendar=TRUTH,
    timezone=optional(text("timezone", "Europe/Paris")),
)
_NOTE = answered(tsuid=TEXT, description=TEXT, notes=TEXT, startTime=WHOLE, endTime=WHOLE)
_VALUE: Schema = {"type": ["number", "null"]}
_SERIES: Schema = {
    JSON_TYPE: array(
        answered(
            ["annotations", "globalAnnotations"],
            metric=TEXT,
            tags=_TAGS,
            aggregateTags=array(TEXT),
            query={"type": "object", "properties": {"index": WHOLE}, "required": ["index"]},
            annotations=array(_NOTE),
            globalAnnotations=array(_NOTE),
            dps={
                "anyOf": [
                    {"type": "object", "additionalProperties": _VALUE},
                    array(pair("stamp, value")),
                ]
            },
        )
    )
}
_LAST = {
    JSON_TYPE: array(
        answered(
            ["metric", "tags"], timestamp=WHOLE, value=TEXT, tsuid=TEXT, metric=TEXT, tags=_TAGS
        )
    )
}
_LOOKUP = {
    JSON_TYPE: answered(
        ["metric", "tags"],
        type={"const": "LOOKUP"},
        metric=TEXT,
        tags=array(answered(key=TEXT, value=TEXT)),
        limit=WHOLE,
        time=NUMBER,
        results=array(answered(tsuid=TEXT, metric=TEXT, tags=_TAGS)),
        startIndex=WHOLE,
        totalResults=WHOLE,
    )
}
_NAMES = {JSON_TYPE: array(TEXT)}
_SELECTOR = text("selector", "vscope.vm.cpu.usage.perc{vm=*}")
#: Answered whatever is asked, by either method.
_CONSTANT = (
    ("/api/aggregators", "Aggregators that are served", array(TEXT)),
    (
        "/api/config/filters",
        "Filter types that are served",
        {"type": "object", "additionalProperties": answered(examples=TEXT, description=TEXT)},
    ),
    ("/api/version", "The OpenTSDB whose behaviour this is", _TAGS),
)

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "/api/query",
        "get",
        "Series",
        _DOOR,
        _SERIES,
        parameters=(
            Parameter("start", text("opentsdb-time", "1h-ago"), required=True),
            Parameter("end", text("opentsdb-time", "now")),
            Parameter(
                "m",
                text("m", "avg:5m-avg:vscope.vm.cpu.usage.perc{cluster=*}"),
                required=True,
                repeated=True,
            ),
            Parameter("tz", text("timezone", "Europe/Paris")),
            *(
                Parameter(name, _FLAG)
                for name in ("ms", "arrays", "show_query", "global_annotations")
            ),
        ),
        errors=_ERRORS,
    ),
    Operation(
        "/api/query",
        "post",
        "Series",
        _DOOR,
        _SERIES,
        parameters=(Parameter("arrays", _FLAG),),
        body=_BODY,
        errors=_ERRORS,
        body_needed=True,
    ),
    Operation("/api/query", "delete", "Refused as by OpenTSDB", _DOOR, {}, errors=(400,)),
    Operation(
        "/api/query/last",
        "get",
        "The newest point of each series",
        _DOOR,
        _LAST,
        parameters=(
            Parameter("timeseries", _SELECTOR, required=True, repeated=True),
            Parameter("resolve", one_of(["true", "false"])),
            Parameter("back_scan", {**WHOLE, "minimum": 0}),
        ),
        errors=_ERRORS,
    ),
    Operation(
        "/api/query/last",
        "post",
        "The newest point of each series",
        _DOOR,
        _LAST,
        body=given(
            ["queries"],
            queries=array(
                given(
                    ["metric"],
                    metric=text("metric", "vscope.vm.cpu.usage.perc"),
                    tags=optional(_TAGS),
                ),
                minItems=1,
            ),
            resolveNames=TRUTH,
            backScan={**WHOLE, "minimum": 0},
        ),
        errors=_ERRORS,
        body_needed=True,
    ),
    Operation(
        "/api/suggest",
        "get",
        "Names that hold a text",
        _DOOR,
        _NAMES,
        parameters=(
            Parameter("type", one_of(TYPES), required=True),
            Parameter("q", text("part", "cpu")),
            Parameter("max", {**WHOLE, "minimum": 1}),
        ),
        errors=_ERRORS,
    ),
    Operation(
        "/api/suggest",
        "post",
        "Names that hold a text",
        _DOOR,
        _NAMES,
        body=given(
            ["type"],
            type=one_of(TYPES),
            q=text("part", "cpu"),
            max={**WHOLE, "minimum": 1, "maximum": 2**31 - 1},
        ),
        errors=_ERRORS,
        body_needed=True,
    ),
    Operation(
        "/api/search/lookup",
        "get",
        "Series of a metric",
        _DOOR,
        _LOOKUP,
        parameters=(
            Parameter("m", _SELECTOR, required=True),
            Parameter("limit", {**WHOLE, "minimum": 0}),
            Parameter("start_index", {**WHOLE, "minimum": 0}),
        ),
        errors=_ERRORS,
    ),
    Operation(
        "/api/search/lookup",
        "post",
        "Series of a metric; without a body, the address says which",
        _DOOR,
        _LOOKUP,
        body=given(
            metric=text("metric", "vscope.vm.cpu.usage.perc"),
            tags=optional(array(given(key=text("label", "vm"), value=TEXT))),
            limit={**WHOLE, "minimum": 0},
            startIndex={**WHOLE, "minimum": 0},
        ),
        errors=_ERRORS,
    ),
    Operation(
        "/api/annotation",
        "get",
        "The task that begins in a second",
        _DOOR,
        {JSON_TYPE: _NOTE},
        parameters=(
            Parameter("start_time", text("opentsdb-time", "1767247200"), required=True),
            Parameter("tsuid", TEXT),
        ),
        errors=(400, 404),
    ),
    *(
        Operation(path, method, about, _DOOR, {JSON_TYPE: schema})
        for path, about, schema in _CONSTANT
        for method in ("get", "post")
    ),
)
