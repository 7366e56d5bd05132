"""simPod JSON's own routes (reference: grafana 2.3): its query builder and its variables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bridge.doors.fields import choice_texts
from bridge.doors.http import JsonResponse, both, kind_of, read_object
from bridge.doors.names import MAX_CHOICES, find_metrics, known_metric, label_values
from bridge.doors.payload import RATES, SERIES_FIELDS, label_filters
from bridge.doors.variables import call_of_payload, list_choices, run
from bridge.engine.functions import AGGREGATORS, DOWNSAMPLERS, FILLS
from bridge.engine.grammar import LiveTarget, SeriesTarget, parse_target
from bridge.errors import BadRequestError
from bridge.ovh.live import LIVE_KINDS, live_columns, live_table
from bridge.ovh.order import natural_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

    from bridge.catalog import Metric
    from bridge.doors.doorway import Doorway
    from bridge.engine.calls import Call
    from bridge.ovh.choices import Choice

    Options = list[dict[str, str]]


def routes(doorway: Doorway) -> list[Route]:
    """Return ``/metrics`` (POST), ``/metric-payload-options`` and ``/variable``."""
    limit = doorway.limits.max_body_bytes

    async def metrics(request: Request) -> Response:
        """Answer the metrics of the query editor, each with its form."""
        body = await read_object(request, max_bytes=limit)
        return JsonResponse(await _metrics(doorway, body.get("metric")))

    async def options(request: Request) -> Response:
        """Answer the choices of one field of a form."""
        body = await read_object(request, max_bytes=limit)
        return JsonResponse(await _field_options(doorway, body))

    async def variable(request: Request) -> Response:
        """Answer a query variable; scripts and Infinity may ask with ``?target=``."""
        if request.method == "POST":
            body = await read_object(request, max_bytes=limit)
        else:
            body = {"payload": {"target": _asked_target(request)}}
        found = await _variable(doorway, body)
        return JsonResponse([{"__text": one.text, "__value": one.value} for one in found])

    return [
        *both("/metrics", metrics, ["POST"]),
        *both("/metric-payload-options", options, ["POST"]),
        *both("/variable", variable, ["GET", "POST"]),
    ]


def _asked_target(request: Request) -> str:
    strange = [name for name in request.query_params if name != "target"]
    targets = request.query_params.getlist("target")
    if strange or len(targets) != 1:
        raise BadRequestError("expected one parameter, such as ?target=vms()", field="target")
    return targets[0]


async def _metrics(doorway: Doorway, posted: Any) -> list[dict[str, Any]]:
    """List metrics and live tables.

    The posted one is always among them: the editor drops what a person enters into the
    form of a metric that is not (reference: grafana 2.3, "Trap").
    """
    listed = [
        {
            "label": f"{metric.description} ({metric.name})",
            "value": metric.name,
            "payloads": _series_form(metric),
        }
        for metric in await find_metrics(doorway, "")
    ]
    listed += [
        {"label": f"Live table: {kind}", "value": f"live:{kind}", "payloads": _live_form(kind)}
        for kind in LIVE_KINDS
    ]
    if isinstance(posted, str) and posted and all(one["value"] != posted for one in listed):
        target = _target(posted)
        form: list[dict[str, Any]] = []
        if isinstance(target, LiveTarget):
            form = _live_form(target.kind)
        elif target is not None and (metric := known_metric(doorway, target.metric)):
            form = _series_form(metric)
        listed.append({"label": posted, "value": posted, "payloads": form})
    return listed


def _target(text: Any) -> SeriesTarget | LiveTarget | None:
    if not isinstance(text, str):
        return None
    try:
        return parse_target(text)
    except BadRequestError:
        return None


def _series_form(metric: Metric) -> list[dict[str, Any]]:
    labels = [_field(key, key, "multi-select", placeholder="all") for key in metric.all_labels]
    return [
        *labels,
        _field("aggregator", "Aggregator", "select", sorted(AGGREGATORS), placeholder="none"),
        _field("group_by", "Group by", "multi-select", metric.all_labels),
        _field("downsample", "Interval", "input", placeholder="auto, or 5m"),
        _field("function", "Function", "select", sorted(DOWNSAMPLERS), placeholder="avg"),
        _field("fill", "Fill", "select", FILLS, placeholder="none"),
        _field("rate", "Rate", "select", RATES, placeholder="no"),
        _field("legend", "Legend", "input", placeholder="{{vm_name}}"),
        _field("format", "Format", "select", ("time_series", "table"), placeholder="time_series"),
    ]


def _live_form(kind: str) -> list[dict[str, Any]]:
    fields = [
        {**_field(column.name, column.name, "multi-select", placeholder="all")}
        for column in live_columns(kind)
        if column.type in {"string", "boolean"} and column.name != "hidden"
    ]
    return [*fields, _field("hidden", "Hidden too", "select", ("false", "true"))]


def _field(
    name: str,
    label: str,
    kind: str,
    options: Iterable[str] = (),
    *,
    placeholder: str = "",
) -> dict[str, Any]:
    field: dict[str, Any] = {
        "name": name,
        "label": label,
        "type": kind,
        "placeholder": placeholder,
        "reloadMetric": False,
    }
    chosen = _plain(options)
    return {**field, "options": chosen} if chosen else field


async def _field_options(doorway: Doorway, body: Mapping[str, Any]) -> Options:
    """List the choices of one field, narrowed by the other fields of the form."""
    name, payload = body.get("name"), body.get("payload")
    target = _target(body.get("metric"))
    if not isinstance(name, str) or target is None:
        return []
    others = {
        key: choice_texts(value, f"payload.{key}")
        for key, value in (payload if isinstance(payload, dict) else {}).items()
        if key != name
    }
    if isinstance(target, LiveTarget):
        return _live_options(doorway, target, name, others)
    metric = known_metric(doorway, target.metric)
    if metric is None:
        return []
    for field in _series_form(metric):
        if field["name"] == name and "options" in field:
            options: Options = field["options"]
            return options
    if name in SERIES_FIELDS or name not in metric.all_labels:
        return []
    known = {key: texts for key, texts in others.items() if key in metric.all_labels}
    filters = (*target.filters, *label_filters(known))
    found = await label_values(doorway, metric, name, filters)
    return [{"label": one.text, "value": one.value} for one in found[:MAX_CHOICES]]


def _live_options(
    doorway: Doorway, target: LiveTarget, name: str, others: Mapping[str, tuple[str, ...]]
) -> Options:
    columns = [column.name for column in live_columns(target.kind)]
    if name == "hidden":
        return _plain(("false", "true"))
    if name not in columns:
        return []
    known = {key: texts for key, texts in others.items() if key in columns and key != "hidden"}
    table = live_table(
        doorway.snapshot(),
        target.kind,
        [*target.filters, *label_filters(known)],
        now=doorway.clock(),
        show_hidden=target.show_hidden or others.get("hidden") == ("true",),
    )
    index = columns.index(name)
    cells = {
        str(cell).lower() if isinstance(cell, bool) else str(cell)
        for row in table.rows
        if (cell := row[index]) is not None
    }
    return _plain(sorted(cells, key=natural_key)[:MAX_CHOICES])


def _plain(values: Iterable[str]) -> Options:
    return [{"label": value, "value": value} for value in values]


async def _variable(doorway: Doorway, body: Mapping[str, Any]) -> tuple[Choice, ...]:
    """Answer both forms of a variable: a text, or the JSON a person wrote."""
    payload = body.get("payload", body.get("target"))
    if isinstance(payload, dict):
        call = None if "target" in payload else _call(payload)
        if call is not None:
            return await run(doorway, call)
        payload, field = payload.get("target"), "payload.target"
    else:
        field = "payload"
    if payload is None or payload == "":
        return ()
    if not isinstance(payload, str):
        raise BadRequestError(f"expected a text, found {kind_of(payload)}", field=field)
    if not payload.strip():
        return ()
    try:
        return await list_choices(doorway, payload)
    except BadRequestError as error:
        raise error.within(field) from None


def _call(payload: Mapping[str, Any]) -> Call | None:
    try:
        return call_of_payload(payload)
    except BadRequestError as error:
        raise error.within("payload") from None
