"""``/rows``: flat tables for Infinity, scripts and spreadsheets."""

from __future__ import annotations

from bridge.doors.flat import CSV_TYPE
from bridge.doors.openapi.parts import (
    CELL,
    JSON_TYPE,
    NUMBER,
    TEXT,
    TRUTH,
    Labels,
    Operation,
    Parameter,
    Schema,
    array,
    one_of,
    text,
)
from bridge.doors.openapi.schemas import shared
from bridge.doors.parameters import FORMATS, PARAMETERS, TIME_FORMATS

_KNOWN: dict[str, Schema] = {
    "target": shared("Target"),
    "metric": text("metric", "vscope.vm.cpu.usage.perc", "live:vm"),
    "filters": text("filters", "{cluster=prod}", about="as in a target's braces"),
    "aggregator": shared("Aggregator"),
    "step": text("step", "5m", "1h-max", "1dc"),
    "function": shared("Downsampler"),
    "fill": shared("Fill"),
    "from": shared("Moment"),
    "to": shared("Moment"),
    "interval": text("interval", "30s", "60000"),
    "points": {"type": "integer", "minimum": 1},
    "timezone": text("timezone", "Europe/Paris"),
    "format": one_of(FORMATS),
    "time_format": one_of(TIME_FORMATS),
}
_ALL: dict[str, Schema] = {name: _KNOWN.get(name, text()) for name in PARAMETERS}
_VALUE: Schema = {"anyOf": [TEXT, NUMBER, TRUTH, array(TEXT), {"type": "null"}]}
_ROWS: dict[str, Schema | None] = {
    JSON_TYPE: array({"type": "object", "additionalProperties": CELL}),
    CSV_TYPE: None,
}
_ERRORS = (400, 413, 502)
_PARAMETERS: tuple[Parameter | Labels, ...] = (
    *(Parameter(name, schema) for name, schema in _ALL.items()),
    Labels("A filter on each label or column that is named."),
)

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "/rows",
        "get",
        "One target as a flat table",
        "rows",
        _ROWS,
        parameters=_PARAMETERS,
        errors=_ERRORS,
    ),
    Operation(
        "/rows",
        "post",
        "One target as a flat table; address and body together say what",
        "rows",
        _ROWS,
        parameters=(Parameter("format", one_of(FORMATS)),),
        body={
            "type": "object",
            "properties": {
                **_ALL,
                "filters": {
                    "anyOf": [
                        _ALL["filters"],
                        {"type": "object", "additionalProperties": _VALUE},
                        {"type": "null"},
                    ]
                },
            },
            "additionalProperties": _VALUE,
        },
        errors=_ERRORS,
    ),
)
