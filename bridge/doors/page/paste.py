"""What a person takes along: target text, fields of Grafana's form, lines for a shell."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import orjson

from bridge.catalog import OBJECT_LABEL, Kind
from bridge.doors.page.question import CHART_POINTS
from bridge.engine.grammar import format_target
from bridge.engine.parts import format_downsample

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bridge.doors.page.question import Question
    from bridge.engine.grammar import LiveTarget

    #: Parameters of an address, in the order they are written.
    Asked = Mapping[str, str | int]


@dataclass(frozen=True, slots=True)
class Snippet:
    """Something to copy: what it is for, and the text."""

    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Taken:
    """What goes along with a graph.

    Attributes:
        target: The text for SimpleJSON and simPod JSON.
        fixed_step: Whether that text holds a step only because it says how buckets are made.
        opentsdb: The fields of Grafana's OpenTSDB query editor, by their names there.
        shell: Lines for a shell.
    """

    target: str
    shell: tuple[Snippet, ...]
    opentsdb: tuple[tuple[str, str], ...] = ()
    fixed_step: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """Where and as whom the bridge is asked.

    Attributes:
        base: Address without a slash at its end.
        user: Name to ask with; empty when nobody need show one.
    """

    base: str
    user: str = ""

    def curl(self, path: str, *options: tuple[str, str], asked: Asked | None = None) -> str:
        """Return a command line, each option on a line of its own; curl asks for the password.

        Args:
            path: Of the bridge.
            options: Each with its value.
            asked: Parameters of a GET.
        """
        user = (("-u", self.user),) if self.user else ()
        given = [("--data-urlencode", f"{key}={value}") for key, value in (asked or {}).items()]
        head = ["curl", "-sS", *(["-G"] if asked else []), f"{self.base}{path}"]
        return " \\\n  ".join(map(shlex.join, (head, *user, *options, *given)))


def take(question: Question, place: Place) -> Taken:
    """Return everything that goes along with a graph."""
    target, downsample = question.target, question.downsample
    unsaid = question.chosen and (downsample.function != "avg" or downsample.fill != "none")
    written = replace(target, downsample=downsample) if unsaid else target
    return Taken(
        format_target(written),
        tuple(_shell(question, format_target(written), place)),
        tuple(_opentsdb(question)),
        unsaid,
    )


def take_table(target: LiveTarget, place: Place) -> Taken:
    """Return everything that goes along with a live table."""
    text = format_target(target)
    body = {"targets": [{"target": text, "type": "table"}]}
    return Taken(text, (_query_line(place, body), _rows_line(place, {"target": text})))


def _opentsdb(question: Question) -> Iterator[tuple[str, str]]:
    target, downsample = question.target, question.downsample
    yield "Metric", target.metric
    yield "Aggregator", target.aggregator or "none"
    alias = _alias(question)
    if alias:
        yield "Alias", alias
    interval = "" if question.chosen else format_downsample(downsample).split("-")[0]
    yield "Down sample: interval", interval or "(empty)"
    yield "Down sample: aggregator", downsample.function
    yield "Down sample: fill", downsample.fill
    for flt in target.filters:
        grouped = "yes" if flt.group_by else "no"
        yield "Filter", f"{flt.key} = {flt.kind}({flt.text}), group by: {grouped}"
    if target.rate is not None:
        yield "Rate", "on"
        if target.rate.counter:
            yield "Counter", "on"
        if target.rate.counter_max:
            yield "Counter max", f"{target.rate.counter_max:g}"
        if target.rate.reset_value:
            yield "Reset value", f"{target.rate.reset_value:g}"
    if target.explicit_tags:
        yield "Explicit tags", "on"


def _alias(question: Question) -> str:
    target, kind = question.target, question.metric.kind
    if target.aggregator not in {None, "none"}:
        keys = dict.fromkeys(flt.key for flt in target.filters if flt.group_by)
    else:
        own = "vm_name" if kind is Kind.VM else OBJECT_LABEL[kind]
        keys = dict.fromkeys([own] if own else [])
        if "nicname" in question.metric.labels:
            keys["nicname"] = None
    return " ".join(f"$tag_{key}" for key in keys)


def _shell(question: Question, text: str, place: Place) -> Iterator[Snippet]:
    window, target = question.window, question.target
    body = {
        "range": {"from": _iso(window.start_ms), "to": _iso(window.end_ms)},
        "intervalMs": question.downsample.interval_ms or 1,
        "maxDataPoints": CHART_POINTS,
        "targets": [{"target": text}],
    }
    if question.downsample.calendar:
        body["timezone"] = question.zone.key
    yield _query_line(place, body)
    zone: Asked = {"timezone": question.zone.key} if question.downsample.calendar else {}
    points: Asked = {"points": CHART_POINTS} if question.chosen else {}
    span: Asked = {"from": window.start_ms, "to": window.end_ms}
    yield _rows_line(place, {"target": text, **span, **points, **zone})
    expression = format_target(
        replace(
            target,
            aggregator=target.aggregator or "none",
            downsample=question.downsample,
            legend=None,
        )
    )
    moments: Asked = {"start": window.start_ms, "end": window.end_ms}
    yield Snippet("OpenTSDB", place.curl("/api/query", asked={**moments, "m": expression, **zone}))


def _query_line(place: Place, body: Mapping[str, object]) -> Snippet:
    data = orjson.dumps(body).decode()
    return Snippet(
        "JSON, as the panels ask",
        place.curl("/query", ("-H", "Content-Type: application/json"), ("-d", data)),
    )


def _rows_line(place: Place, asked: Asked) -> Snippet:
    return Snippet("CSV", place.curl("/rows", ("-H", "Accept: text/csv"), asked=asked))


def _iso(at_ms: int) -> str:
    moment = datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds")
    return moment.replace("+00:00", "Z")
