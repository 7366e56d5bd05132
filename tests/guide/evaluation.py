"""How Grafana evaluates a rule (reference: grafana 0a, 4.3, 4.5): ask, frame, reduce, compare.

Requests are those of its server, answers are decoded as strictly as Go does, and whatever
Grafana takes for an error, no data or NaN is the same here.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.contract.infinity import Column, Labels, Points, numbers, wide
from tests.guide.provisioning import (
    InfinityModel,
    MathModel,
    OpenTsdbModel,
    ReduceModel,
    Rule,
    ThresholdModel,
)

if TYPE_CHECKING:
    import httpx

    from tests.guide.provisioning import Query

Numbers = dict[Labels, float | None]


class EvaluationError(Exception):
    """The rule's state is Error."""


@dataclass(frozen=True)
class Instance:
    """One alert instance: its labels, the numbers of the steps, and whether it fires."""

    labels: dict[str, str]
    values: dict[str, float | None]
    fires: bool


def evaluate(
    client: httpx.Client, url: str, rule: Rule, *, now: float, newest: bool = False
) -> list[Instance]:
    """Evaluate a rule once; no instances mean NoData.

    Args:
        client: Grafana's.
        url: The datasources' address.
        rule: What is evaluated.
        now: Epoch seconds.
        newest: Ask as the newest Grafana does: seconds, and points as arrays.

    Raises:
        EvaluationError: As Grafana's state Error.
    """
    steps: dict[str, dict[Labels, Any]] = {}
    for query in rule.data:
        match query.model:
            case OpenTsdbModel():
                steps[query.refId] = _ask_opentsdb(client, url, query, now=now, newest=newest)
            case InfinityModel():
                steps[query.refId] = _ask_infinity(client, url, query, now=now)
            case ReduceModel(expression=of, reducer=name):
                steps[query.refId] = {
                    labels: _reduce(points, name) for labels, points in steps[of].items()
                }
            case MathModel(terms=(of, by, wanted)):
                steps[query.refId] = _where(steps[of], steps[by], wanted)
            case ThresholdModel(expression=of, conditions=[condition]):
                limit, kind = condition.evaluator.params[0], condition.evaluator.type
                steps[query.refId] = {
                    labels: _compare(value, kind, limit) for labels, value in steps[of].items()
                }
    return [
        Instance(
            dict(labels),
            {
                name: found[labels]
                for name, found in steps.items()
                if not isinstance(found.get(labels), dict)
            },
            bool(fires),
        )
        for labels, fires in steps[rule.condition].items()
    ]


def _reduce(points: Points, reducer: str) -> float | None:
    if not isinstance(points, dict):
        raise EvaluationError("can only reduce type series")
    present = [value for value in points.values() if value is not None and math.isfinite(value)]
    if not present:
        return None
    return {"mean": lambda xs: sum(xs) / len(xs), "max": max, "min": min}[reducer](present)


def _where(
    numbers_of: dict[Labels, Any], states: dict[Labels, Any], wanted: float
) -> dict[Labels, Any]:
    """Multiply by whether a state is as wanted; what has no partner of its labels drops out."""
    return {
        labels: None if None in {value, states[labels]} else value * (states[labels] == wanted)
        for labels, value in numbers_of.items()
        if labels in states
    }


def _compare(value: float | None, kind: str, limit: float) -> bool:
    if isinstance(value, dict):
        raise EvaluationError("a threshold needs numbers, reduce the series first")
    # An unknown number is NaN, which Grafana 9.4 lets fire.
    return value is None or (value > limit if kind == "gt" else value < limit)


def body_of(query: Query, *, now: float, newest: bool) -> dict[str, Any]:
    """Build what Grafana's server sends to OpenTSDB."""
    model, span = query.model, query.relativeTimeRange
    assert isinstance(model, OpenTsdbModel)
    assert span is not None
    tick = int(now) // 10 * 10
    asked: dict[str, Any] = {
        "metric": model.metric,
        "aggregator": model.aggregator,
        "downsample": f"{model.downsampleInterval}-{model.downsampleAggregator}",
        "filters": [one.model_dump(mode="json") for one in model.filters],
    }
    if model.downsampleFillPolicy != "none":
        asked["downsample"] += f"-{model.downsampleFillPolicy}"
    if model.shouldComputeRate:
        asked["rate"] = True
        asked["rateOptions"] = {"counter": model.isCounter, "dropResets": True}
        if model.counterMax is not None:
            asked["rateOptions"] = {"counter": model.isCounter, "counterMax": 0, "resetValue": 0}
    unit = 1 if newest else 1000
    return {
        "start": (tick - span.from_) * unit,
        "end": (tick - span.to) * unit,
        "queries": [asked],
    }


def _ask_opentsdb(
    client: httpx.Client, url: str, query: Query, *, now: float, newest: bool
) -> dict[Labels, Points]:
    response = client.post(
        f"{url}/api/query",
        params={"arrays": "true"} if newest else {},
        json=body_of(query, now=now, newest=newest),
        headers={"FromAlert": "true", "User-Agent": "Grafana/9.4.0-pre", "Accept-Encoding": "gzip"},
    )
    if response.status_code // 100 != 2:
        raise EvaluationError(f"request failed, status: {response.status_code}")
    found: dict[Labels, Points] = {}
    for element in _decoded(response.text):
        dps = element["dps"]
        if newest:
            assert isinstance(dps, list), "cannot unmarshal object into []"
            dps = {str(stamp): value for stamp, value in dps}
        labels = tuple(sorted(element["tags"].items()))
        if not all(isinstance(text, str) for pair in labels for text in pair):
            raise EvaluationError("cannot unmarshal a tag that is no text")
        if labels in found:
            raise EvaluationError(f"has duplicate results with labels {dict(labels)}")
        points: Points = {}
        for stamp, value in dps.items():
            if isinstance(value, str) or not isinstance(value, int | float | None):
                raise EvaluationError("cannot unmarshal string into float64")
            points[int(stamp)] = 0.0 if value is None else float(value)
        found[labels] = points
    return found


def _decoded(text: str) -> list[dict[str, Any]]:
    if not text:
        raise EvaluationError("unexpected end of JSON input")
    decoded = json.loads(text)
    if not isinstance(decoded, list):
        raise EvaluationError("cannot unmarshal object into []")
    return decoded


def _ask_infinity(client: httpx.Client, url: str, query: Query, *, now: float) -> dict[Labels, Any]:
    model, span = query.model, query.relativeTimeRange
    assert isinstance(model, InfinityModel)
    assert span is not None
    macros = {
        "${__timeFrom}": str((int(now) - span.from_) * 1000),
        "${__timeTo}": str((int(now) - span.to) * 1000),
    }
    parameters = {}
    for parameter in model.url_options.params:
        value = parameter.value
        for macro, text in macros.items():
            value = value.replace(macro, text)
        parameters[parameter.key] = value
    response = client.get(
        url + model.url,
        params=dict(sorted(parameters.items())),
        headers={
            "Accept": "application/json;q=0.9,text/plain",
            "User-Agent": "Go-http-client/1.1",
            "Accept-Encoding": "gzip",
        },
    )
    if response.status_code >= 400:
        raise EvaluationError(f"unsuccessful HTTP response. {response.status_code}")
    columns = [Column(one.selector, one.type) for one in model.columns]
    names = {one.selector: one.text for one in model.columns}
    read = wide if model.format == "timeseries" else numbers
    found: dict[Labels, Any] = read(response.text, columns)
    rows = len(json.loads(response.text))
    points = sum(
        sum(value is not None for value in one.values()) if isinstance(one, dict) else 1
        for one in found.values()
    )
    assert points == rows, "rows collapsed: the declared labels do not tell the series apart"
    return {
        tuple(sorted((names[key], text) for key, text in labels)): one
        for labels, one in found.items()
    }
