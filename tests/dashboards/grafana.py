"""What Grafana does between a saved dashboard and the requests that leave it.

Variables and their formats, steps, and the bodies of each datasource (reference: grafana 0a, 2,
3, 4.2, 4.3; recorded requests of a real Grafana in ``tests/fixtures``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

#: Points across a panel of half the width of a 1280 pixel screen.
MAX_DATA_POINTS = 600
_ANY_VARIABLE = re.compile(
    r"\$(\w+)|\[\[(\w+?)(?::(\w+))?\]\]|\$\{(\w+)(?:\.[^:^}]+)?(?::([^}]+))?\}"
)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def _regex(values: Sequence[str]) -> str:
    escaped = [re.sub(r"[\\^$*+?.()|\[\]{}/]", r"\\\g<0>", value) for value in values]
    return escaped[0] if len(escaped) == 1 else f"({'|'.join(escaped)})"


def _glob(values: Sequence[str]) -> str:
    return values[0] if len(values) == 1 else f"{{{','.join(values)}}}"


FORMATS: Mapping[str, Callable[[Sequence[str]], str]] = {
    "regex": _regex,
    "glob": _glob,
    "pipe": "|".join,
}


@dataclass
class Chosen:
    """The values of a dashboard's variables.

    Attributes:
        values: Every value chosen, by the variable's name.
        used: Names that some text held.
    """

    values: dict[str, list[str]] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)

    def fill(self, text: str, default: str) -> str:
        """Replace variables; what is unknown stays as it is."""

        def value(match: re.Match[str]) -> str:
            name = match[1] or match[2] or match[4]
            if name not in self.values:
                return match[0]
            self.used.add(name)
            return FORMATS[match[3] or match[5] or default](self.values[name])

        return _ANY_VARIABLE.sub(value, text)


@dataclass(frozen=True)
class Span:
    """A dashboard's time range, in seconds."""

    start: int
    end: int

    @classmethod
    def of(cls, dashboard: Mapping[str, Any], now: int) -> Span:
        """Return the range a dashboard opens with."""
        told = re.fullmatch(r"now-(\d+)([smhd])", dashboard["time"]["from"])
        assert told, dashboard["time"]
        assert dashboard["time"]["to"] == "now"
        return cls(now - int(told[1]) * _SECONDS[told[2]], now)

    def step_s(self, panel: Mapping[str, Any]) -> int:
        """Return the step Grafana gives a panel."""
        rough = (self.end - self.start) / MAX_DATA_POINTS
        steps = ((60, 45), (300, 225), (600, 450), (900, 750), (1200, 1050), (1800, 1500))
        steps += ((3600, 2700), (7200, 5400), (10800, 9000), (21600, 16200), (43200, 32400))
        step = max((step for step, above in steps if rough >= above), default=60)
        least = re.fullmatch(r"(\d+)([smhd])", panel.get("interval", "1s"))
        assert least, panel["interval"]
        return max(step, int(least[1]) * _SECONDS[least[2]])


@dataclass(frozen=True)
class Request:
    """One request Grafana sends.

    Attributes:
        of: Which of the ways it comes by.
        method: GET or POST.
        path: Where to.
        params: Of the address.
        body: As JSON.
        ref_ids: The queries it asks for.
    """

    of: str
    method: str
    path: str
    params: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    ref_ids: tuple[str, ...] = ("A",)


def panels_of(dashboard: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield every panel, those of collapsed rows too, without the rows."""
    for panel in dashboard["panels"]:
        yield from panel.get("panels", ())
        if panel["type"] != "row":
            yield panel


def requests_of(panel: Mapping[str, Any], chosen: Chosen, span: Span) -> Iterator[Request]:
    """Yield what a panel asks, in each way Grafana's versions do."""
    targets = panel.get("targets", [])
    if not targets:
        return
    match targets[0]["datasource"]["type"]:
        case "opentsdb":
            step = f"{span.step_s(panel) // 60}m"
            yield browser_opentsdb(targets, chosen, span, step)
            for target in targets:
                yield go_opentsdb(target, chosen, span, step)
        case "yesoreyeram-infinity-datasource":
            for target in targets:
                yield infinity(target, chosen)
        case "simpod-json-datasource":
            yield simpod(targets, chosen, span, span.step_s(panel))
        case other:
            raise AssertionError(other)


def _subquery(target: Mapping[str, Any], chosen: Chosen, step: str) -> dict[str, Any]:
    interval = chosen.fill(target["downsampleInterval"], "pipe") or step
    assert target["downsampleFillPolicy"] != "none"
    return {
        "metric": target["metric"],
        "aggregator": target["aggregator"],
        "downsample": "-".join(
            (interval, target["downsampleAggregator"], target["downsampleFillPolicy"])
        ),
        "filters": [
            {**one, "filter": chosen.fill(one["filter"], "pipe")} for one in target["filters"]
        ],
    }


def browser_opentsdb(
    targets: Sequence[Mapping[str, Any]], chosen: Chosen, span: Span, step: str
) -> Request:
    """From the browser, Grafana up to 13.1; from 10.1 on the saved query comes along."""
    queries = [{**target, **_subquery(target, chosen, step)} for target in targets]
    body = {
        "start": span.start * 1000,
        "queries": queries,
        "msResolution": False,
        "globalAnnotations": True,
        "showQuery": True,
    }
    refs = tuple(target["refId"] for target in targets)
    return Request("opentsdb browser", "POST", "/api/query", body=body, ref_ids=refs)


def go_opentsdb(target: Mapping[str, Any], chosen: Chosen, span: Span, step: str) -> Request:
    """From Grafana's server, one request a query: 13.2 and newer, and every alert rule."""
    query = _subquery(target, chosen, step)
    body = {"start": span.start, "end": span.end, "queries": [query]}
    return Request("opentsdb server", "POST", "/api/query", body=body, ref_ids=(target["refId"],))


def infinity(target: Mapping[str, Any], chosen: Chosen) -> Request:
    """From Grafana's server, by Infinity's backend parser."""
    assert target["parser"] == "backend"
    assert target["source"] == "url"
    options = target["url_options"]
    params = {one["key"]: chosen.fill(one["value"], "glob") for one in options["params"]}
    path = chosen.fill(target["url"], "glob")
    return Request("infinity", options["method"], path, params, ref_ids=(target["refId"],))


def simpod(
    targets: Sequence[Mapping[str, Any]], chosen: Chosen, span: Span, step_s: int
) -> Request:
    """From the browser, by the JSON datasource."""
    asked = [
        {**one, "payload": {}, "target": chosen.fill(one["target"], "regex")} for one in targets
    ]
    body = {
        "app": "dashboard",
        "requestId": "Q100",
        "timezone": "browser",
        "panelId": 1,
        "range": range_of(span),
        "interval": f"{step_s // 60}m",
        "intervalMs": step_s * 1000,
        "targets": asked,
        "maxDataPoints": MAX_DATA_POINTS,
        "scopedVars": {"__interval": {"text": "5m", "value": "5m"}},
    }
    refs = tuple(one["refId"] for one in targets)
    return Request("simpod", "POST", "/query", body=body, ref_ids=refs)


def range_of(span: Span) -> dict[str, str]:
    """Return a range as browsers write it."""
    moments = (datetime.fromtimestamp(stamp, UTC) for stamp in (span.start, span.end))
    start, end = (moment.isoformat().replace("+00:00", "Z") for moment in moments)
    return {"from": start, "to": end}


def variable_request(variable: Mapping[str, Any], chosen: Chosen, span: Span) -> Request:
    """Return what a variable asks for its values."""
    query = variable["query"]
    if variable["datasource"]["type"] == "simpod-json-datasource":
        assert query["format"] == "string"
        body = {
            "payload": {"target": chosen.fill(query["query"], "regex")},
            "range": range_of(span),
        }
        return Request("simpod", "POST", "/variable", body=body)
    assert query["queryType"] == "infinity"
    return infinity(query["infinityQuery"], chosen)


def options_of(variable: Mapping[str, Any], answer: Any) -> list[tuple[str, str]]:
    """Return the texts and values a variable offers, each value once."""
    query = variable["query"]
    found: dict[str, str] = {}
    for row in answer:
        if "infinityQuery" in query:
            cells = {one["text"]: row[one["selector"]] for one in query["infinityQuery"]["columns"]}
        else:
            cells = row
        only = next(iter(cells.values())) if len(cells) == 1 else None
        found.setdefault(cells.get("__value", only), cells.get("__text", only))
    return [(text, value) for value, text in found.items()]


def annotation_request(annotation: Mapping[str, Any], chosen: Chosen, span: Span) -> Request | None:
    """Return what an annotation asks; Grafana's own ask nobody."""
    if annotation["datasource"]["type"] == "grafana":
        return None
    target = annotation["target"]
    if annotation["datasource"]["type"] == "simpod-json-datasource":
        return simpod([target], chosen, span, 60)
    return infinity(target, chosen)
