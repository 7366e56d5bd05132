"""The bridge itself: its page, probes, figures, and this document."""

from __future__ import annotations

from bridge.doors.openapi.parts import (
    HTML_TYPE,
    JSON_TYPE,
    Labels,
    Operation,
    Parameter,
    Schema,
    one_of,
    text,
)
from bridge.doors.openapi.schemas import shared
from bridge.doors.payload import SERIES_FIELDS
from bridge.ovh.live import LIVE_KINDS

_PROBE = "probes and figures"
_PAGE = "page"
_STATUS = {JSON_TYPE: shared("Status")}
_HTML: dict[str, Schema | None] = {HTML_TYPE: None}
_PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"
_OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"

_EXPLORER: tuple[Parameter | Labels, ...] = (
    Parameter("metric", text("metric", "vscope.vm.cpu.usage.perc")),
    Parameter("target", shared("Target")),
    *(Parameter(name, text()) for name in SERIES_FIELDS),
    Parameter("from", shared("Moment")),
    Parameter("to", shared("Moment")),
    Parameter("tz", text("timezone", "Europe/Paris")),
    Parameter("order", text()),
    Parameter("show", one_of(["table"])),
    Labels("A filter on each label that is named."),
)
_LIVE: tuple[Parameter | Labels, ...] = (
    Parameter("kind", one_of(LIVE_KINDS)),
    Parameter("search", text()),
    Parameter("sort", text("column", "name", "-name")),
    Parameter("page", {"type": "integer", "minimum": 1, "maximum": 999_999}),
    Parameter("columns", one_of(["all"])),
    Parameter("hidden", one_of(["true", "false"])),
    Parameter("tz", text("timezone", "Europe/Paris")),
    Labels("A filter on each column that is named."),
)


def _failing(*statuses: int) -> dict[int, dict[str, Schema | None]]:
    """Return errors that are told on a page as well."""
    return {status: {JSON_TYPE: shared("Error"), **_HTML} for status in statuses}


OPERATIONS: tuple[Operation, ...] = (
    Operation("/", "get", "Datasource test; a page for a browser", _PROBE, {**_STATUS, **_HTML}),
    Operation("/", "head", "The same without a body", _PROBE, {}),
    Operation("/", "post", "Datasource test", _PROBE, _STATUS),
    Operation("/", "options", "Datasource test", _PROBE, _STATUS),
    Operation(
        "/healthz",
        "get",
        "Whether the process lives",
        _PROBE,
        {JSON_TYPE: shared("Alive")},
        open=True,
    ),
    Operation(
        "/readyz",
        "get",
        "Whether questions can be answered, with reasons in words",
        _PROBE,
        {JSON_TYPE: shared("Ready")},
        failed={503: {JSON_TYPE: {"anyOf": [shared("NotReady"), shared("Error")]}}},
    ),
    Operation(
        "/metrics",
        "get",
        "The bridge's own figures for Prometheus",
        _PROBE,
        {_PROMETHEUS: None, _OPENMETRICS: None},
    ),
    Operation("/openapi.json", "get", "This document", _PROBE, {JSON_TYPE: {"type": "object"}}),
    Operation(
        "/explore",
        "get",
        "The metric explorer",
        _PAGE,
        _HTML,
        parameters=_EXPLORER,
        failed=_failing(400, 413, 502, 503, 504),
    ),
    Operation("/live", "get", "A live table", _PAGE, _HTML, parameters=_LIVE, failed=_failing(400)),
    Operation(
        "/static/{name}",
        "get",
        "A file of the page",
        _PAGE,
        {
            "text/css; charset=utf-8": None,
            "text/javascript; charset=utf-8": None,
            "image/svg+xml": None,
        },
        parameters=(
            Parameter("name", {"type": "string", "minLength": 1}, required=True, place="path"),
        ),
        errors=(404,),
    ),
)
