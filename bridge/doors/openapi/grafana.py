"""Grafana's JSON datasources: SimpleJSON and simPod."""

from __future__ import annotations

from bridge.doors.adhoc import OPERATORS
from bridge.doors.openapi.parts import (
    JSON_TYPE,
    NUMBER,
    STAMP_MS,
    TEXT,
    TRUTH,
    Operation,
    Parameter,
    Schema,
    answered,
    array,
    given,
    one_of,
    optional,
    text,
)
from bridge.doors.openapi.schemas import shared
from bridge.doors.payload import SERIES_FIELDS
from bridge.engine.calls import FUNCTIONS

_BOTH, _SIMPLEJSON, _SIMPOD = "SimpleJSON and simPod JSON", "SimpleJSON", "simPod JSON"

_TIME: Schema = {"anyOf": [text("date-time"), {**NUMBER, "minimum": 0}]}
_RANGE = given(["from", "to"], **{"from": _TIME, "to": _TIME})
_POSITIVE = optional({**NUMBER, "exclusiveMinimum": 0})
#: A form field: nothing, a value, or several.
_CHOICE: Schema = {
    "anyOf": [TEXT, NUMBER, TRUTH, array(TEXT), {"type": "null"}],
    "description": "one value or several; each with the syntax of a target's filters",
}
_PAYLOAD: Schema = {
    "type": "object",
    "properties": dict.fromkeys(SERIES_FIELDS, _CHOICE),
    "additionalProperties": _CHOICE,
    "description": "Form fields beside the target: those of the query builder, and each label.",
}
_ADHOC = optional(
    array(
        given(
            ["key"],
            key=text("label", "vm_name", "cluster"),
            operator=one_of(OPERATORS),
            value=TEXT,
            values=array(TEXT),
        )
    )
)
_TARGET = given(
    target=optional(shared("Target")),
    refId=optional({**TEXT, "maxLength": 200}),
    type=optional(one_of(["table", "timeserie", "timeseries"])),
    hide=optional(TRUTH),
    payload=optional({"anyOf": [_PAYLOAD, {"const": ""}]}),
)
_QUERY = given(
    ["targets"],
    targets=array(_TARGET),
    range=_RANGE,
    intervalMs=_POSITIVE,
    maxDataPoints=_POSITIVE,
    adhocFilters=_ADHOC,
    filters=_ADHOC,
    timezone=optional(text("timezone", "Europe/Paris", "utc", "browser")),
    scopedVars=optional({"type": "object"}),
)
_OPTIONS = array(answered(label=TEXT, value=TEXT))
_FIELD = answered(
    ["options"],
    name=TEXT,
    label=TEXT,
    type=one_of(["input", "select", "multi-select"]),
    placeholder=TEXT,
    reloadMetric=TRUTH,
    options=_OPTIONS,
)
_VARIABLE_CALL: Schema = {
    "type": "object",
    "properties": {"function": one_of(FUNCTIONS), "target": optional(shared("Variable"))},
    "additionalProperties": _CHOICE,
}
_VARIABLE_CHOICES = {JSON_TYPE: array(answered(__text=TEXT, __value=TEXT))}

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "/query",
        "post",
        "Series, tables and live tables of a panel",
        _BOTH,
        {JSON_TYPE: array({"anyOf": [shared("Series"), shared("Table")]})},
        body=_QUERY,
        errors=(400, 413, 502),
        headers=("Age", "Warning"),
        body_needed=True,
    ),
    Operation(
        "/search",
        "post",
        "Metrics that hold a text, or the names that a function lists",
        _SIMPLEJSON,
        {JSON_TYPE: array(answered(text=TEXT, value=TEXT, __text=TEXT, __value=TEXT))},
        body=given(target=optional(shared("Variable"))),
        errors=(400, 413, 502),
    ),
    Operation(
        "/tag-keys",
        "post",
        "Keys of ad hoc filters; never an error of the request",
        _BOTH,
        {JSON_TYPE: array(answered(type={"const": "string"}, text=TEXT, value=TEXT))},
        body=given(),
    ),
    Operation(
        "/tag-values",
        "post",
        "Values of one key of ad hoc filters; never an error of the request",
        _BOTH,
        {JSON_TYPE: array(answered(text=TEXT, value=TEXT))},
        body=given(key=text("label", "vm_name", "cluster")),
    ),
    Operation(
        "/annotations",
        "post",
        "OVHcloud's tasks in a range",
        _SIMPLEJSON,
        {
            JSON_TYPE: array(
                answered(
                    ["timeEnd", "isRegion"],
                    annotation={"type": "object"},
                    time=STAMP_MS,
                    title=TEXT,
                    text=TEXT,
                    tags=array(TEXT),
                    id=TEXT,
                    timeEnd=STAMP_MS,
                    isRegion={"const": True},
                )
            )
        },
        body=given(
            ["range"],
            range=_RANGE,
            annotation=optional(given(query=optional(shared("Target")))),
            adhocFilters=_ADHOC,
            filters=_ADHOC,
        ),
        errors=(400, 413),
        body_needed=True,
    ),
    Operation(
        "/metrics",
        "post",
        "Metrics and live tables, each with its form",
        _SIMPOD,
        {JSON_TYPE: array(answered(label=TEXT, value=TEXT, payloads=array(_FIELD)))},
        body=given(metric=optional(text("metric", "vscope.vm.cpu.usage.perc", "live:vm"))),
        errors=(400, 413, 502),
    ),
    Operation(
        "/metric-payload-options",
        "post",
        "Choices of one field of a form",
        _SIMPOD,
        {JSON_TYPE: _OPTIONS},
        body=given(
            metric=text("metric", "vscope.vm.cpu.usage.perc", "live:vm"),
            name=text("label", "vm_name", "cluster"),
            payload=optional(_PAYLOAD),
        ),
        errors=(400, 413, 502),
    ),
    Operation(
        "/variable",
        "get",
        "The names that a function lists",
        _SIMPOD,
        _VARIABLE_CHOICES,
        parameters=(Parameter("target", shared("Variable"), required=True),),
        errors=(400, 413, 502),
    ),
    Operation(
        "/variable",
        "post",
        "The names that a function lists",
        _SIMPOD,
        _VARIABLE_CHOICES,
        body=given(payload=optional({"anyOf": [shared("Variable"), _VARIABLE_CALL]})),
        errors=(400, 413, 502),
    ),
)
