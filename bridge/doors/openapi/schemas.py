"""Schemas that several doors share, under the names they have in the document."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bridge.doors.openapi.parts import CELL, TEXT, WHOLE, answered, array, pair, text
from bridge.engine.functions import AGGREGATORS, DOWNSAMPLERS, FILLS
from bridge.model import FilterKind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bridge.doors.openapi.parts import Schema


def shared(name: str) -> Schema:
    """Return a reference to one of ``SCHEMAS``."""
    return {"$ref": f"#/components/schemas/{name}"}


_ERROR = {
    **answered(
        message=TEXT,
        error=answered(
            ("field", "position", "details"),
            code={"type": "integer", "description": "the HTTP status"},
            message=TEXT,
            field={**TEXT, "description": "the part of the request it came from"},
            position={**WHOLE, "minimum": 0, "description": "characters before it in that part"},
            details={**TEXT, "description": "under /api, as OpenTSDB: where in the request"},
        ),
    ),
    "description": "An error in the form every client shows.",
}

SCHEMAS: Mapping[str, Schema] = {
    "Error": _ERROR,
    "Target": text(
        "target",
        "vscope.vm.cpu.usage.perc",
        "avg:5m-avg:vscope.vm.cpu.usage.perc{cluster=*}",
        "live:vm{power_state=poweredOn}",
        about="A metric with what to do with its points, or a live table: docs/query-language.md.",
    ),
    "Variable": text(
        "variable",
        "vms()",
        "hosts(*, cluster=*)",
        "tag_values(vscope.vm.cpu.usage.perc, vm)",
        about="A function that lists names, or part of a metric's name.",
    ),
    "Moment": text("moment", "now-6h", "2026-01-31T12:00:00Z", "1767247200"),
    "Aggregator": {"type": "string", "enum": sorted(AGGREGATORS)},
    "Downsampler": {"type": "string", "enum": sorted(DOWNSAMPLERS)},
    "Fill": {"type": "string", "enum": list(FILLS)},
    "FilterKind": {"type": "string", "enum": [kind.value for kind in FilterKind]},
    "Status": answered(status=TEXT, name=TEXT, version=TEXT),
    "Alive": answered(status={"const": "ok"}),
    "Ready": answered(status={"const": "ready"}, reasons=array(TEXT)),
    "NotReady": answered(
        status={"const": "not ready"},
        reasons=array(TEXT),
        message=TEXT,
        error=_ERROR["properties"]["error"],
    ),
    "Notices": answered(
        notices=array(answered(severity={"const": "warning"}, text=TEXT), minItems=1)
    ),
    "Column": answered(
        ("unit", "description"),
        text=TEXT,
        type={"enum": ["string", "number", "boolean", "time"]},
        unit=TEXT,
        description=TEXT,
    ),
    "Table": answered(
        ("meta", "name"),
        type={"const": "table"},
        refId=TEXT,
        columns=array(shared("Column")),
        rows=array(array(CELL)),
        meta=shared("Notices"),
        name=TEXT,
    ),
    "Series": answered(
        ("unit", "meta"),
        target=TEXT,
        title=TEXT,
        refId=TEXT,
        tags={"type": "object", "additionalProperties": TEXT},
        unit=TEXT,
        meta=shared("Notices"),
        datapoints=array(pair("value, epoch milliseconds")),
    ),
}
