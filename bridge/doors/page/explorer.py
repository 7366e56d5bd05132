"""The metric explorer: from an address to everything its page shows."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from bridge.advice import advice_for
from bridge.doors.http import clipped
from bridge.doors.names import find_metrics, known_metric, values_of_all
from bridge.doors.page.answer import find_answer
from bridge.doors.page.catalogue import grouped, start_query
from bridge.doors.page.form import COMBINING, RESERVED, Form
from bridge.doors.page.paste import take
from bridge.doors.page.points import side_by_side
from bridge.doors.page.question import FormError, understand
from bridge.doors.page.times import QUICK_RANGES, absolute, span_text
from bridge.doors.payload import RATES
from bridge.engine.functions import AGGREGATORS, DOWNSAMPLERS, FILLS
from bridge.errors import BadRequestError, BridgeError, UpstreamTimeoutError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bridge.catalog import Metric
    from bridge.doors.doorway import Doorway
    from bridge.doors.page.paste import Place
    from bridge.doors.page.question import Question
    from bridge.ovh.choices import Choice

#: Values offered for one label; any other can be typed.
MOST_OFFERED = 500
#: What people take most, before all others.
_COMMON = ("avg", "sum", "min", "max", "count")
_STEPS = ("5m", "10m", "15m", "30m", "1h", "3h", "6h", "12h", "1d", "1dc", "1wc", "1nc", "0all")
#: Where an error is shown that belongs to no field.
WHOLE = ""


@dataclass(frozen=True, slots=True)
class LabelField:
    """One label of the form.

    Attributes:
        key: Its name.
        text: The filter as typed.
        grouped: Whether it is grouped by.
        choices: Values offered, at most ``MOST_OFFERED``.
        more: How many there are beyond those.
    """

    key: str
    text: str
    grouped: bool
    choices: tuple[Choice, ...]
    more: int


@dataclass(frozen=True, slots=True)
class Rendered:
    """What a template needs, and the answer's status."""

    template: str
    context: Mapping[str, Any]
    status: int = 200


async def explore(doorway: Doorway, form: Form, place: Place, *, answer_s: float) -> Rendered:
    """Return the explorer's page for a form; what fails is told in it."""
    if not form.metric and not form.target:
        metrics = await find_metrics(doorway, "")
        return Rendered("metrics.html", {"groups": grouped(metrics), "start_query": start_query})
    problems: dict[str, str] = {}
    question: Question | None = None
    status = 200
    try:
        question = understand(
            form,
            doorway.engine.require_metric,
            source_step_ms=doorway.limits.source_step_ms,
            now_s=doorway.clock(),
        )
        form = question.form
    except FormError as error:
        problems, status = error.problems, 400
    metric = question.metric if question else known_metric(doorway, form.metric)
    choosing = asyncio.create_task(_choices(doorway, metric))
    shown: dict[str, Any] = {}
    try:
        if question is not None:
            async with asyncio.timeout(answer_s):
                shown = await _answer(doorway, question, place)
    except TimeoutError:
        late = UpstreamTimeoutError(f"no answer within {answer_s:g} s (setting deadline_s)")
        problems, status = _problem(late), late.status
    except BridgeError as error:
        problems, status = _problem(error), error.status
    finally:
        groups, choices = await choosing
    return Rendered(
        "explore.html",
        {
            "answer": None,
            "groups": groups,
            "metric": metric,
            "labels": [] if form.target else list(_labels(form, choices)),
            "form": form,
            "problems": problems,
            "advice": advice_for(problems.get(WHOLE, "")),
            "question": question,
            "ranges": _ranges(form, question),
            "options": _OPTIONS,
            **shown,
        },
        status,
    )


def _common_first(names: Mapping[str, Any]) -> tuple[str, ...]:
    return (*_COMMON, *sorted(names.keys() - {*_COMMON, "none"}))


_OPTIONS = {
    "aggregator": _common_first(AGGREGATORS),
    "function": tuple(name for name in _common_first(DOWNSAMPLERS) if name != "avg"),
    "fill": tuple(name for name in FILLS if name != "none"),
    "rate": RATES,
    "downsample": _STEPS,
}


def _problem(error: BridgeError) -> dict[str, str]:
    field = WHOLE
    if isinstance(error, BadRequestError) and error.field in {*COMBINING, "metric", "tz"}:
        field = error.field or WHOLE
    return {field: clipped(error.message)}


async def _choices(
    doorway: Doorway, metric: Metric | None
) -> tuple[Any, Mapping[str, tuple[Choice, ...]]]:
    """Return the metrics and the values of this one's labels; neither ever fails."""

    async def values() -> Mapping[str, tuple[Choice, ...]]:
        return {} if metric is None else await values_of_all(doorway, metric)

    metrics, choices = await asyncio.gather(find_metrics(doorway, ""), values())
    return grouped((*metrics, metric) if metric else metrics), choices


def _labels(form: Form, choices: Mapping[str, tuple[Choice, ...]]) -> Iterator[LabelField]:
    keys = dict.fromkeys((*choices, *form.labels, *form.group_by))
    for key in keys:
        if key in RESERVED:
            continue
        offered = choices.get(key, ())
        yield LabelField(
            key,
            form.labels.get(key, ""),
            key in form.group_by,
            offered[:MOST_OFFERED],
            max(0, len(offered) - MOST_OFFERED),
        )


async def _answer(doorway: Doorway, question: Question, place: Place) -> dict[str, Any]:
    answer = await find_answer(doorway, question)
    window, zone = question.window, question.zone
    fresh_ms = window.end_ms - 2 * max(
        question.downsample.interval_ms, doorway.limits.source_step_ms
    )
    return {
        "answer": answer,
        "points": await side_by_side(question, answer),
        "taken": take(question, place),
        "title": question.metric.description,
        "step": span_text(question.downsample.interval_ms)
        if question.downsample.interval_ms
        else "",
        "start": absolute(window.start_ms, zone),
        "end": absolute(window.end_ms, zone),
        "moment": lambda at_ms: absolute(at_ms, zone),
        "is_old": lambda at_ms: at_ms < fresh_ms,
        "narrowed": lambda row: _narrowed(question.form, row.narrow),
    }


def _narrowed(form: Form, narrow: Mapping[str, str]) -> dict[str, str | list[str]]:
    """Return the address of one series alone."""
    kept = tuple(key for key in form.group_by if key not in narrow)
    return replace(form, labels={**form.labels, **narrow}, group_by=kept, order="", show="").query()


def _ranges(form: Form, question: Question | None) -> dict[str, Any]:
    """Return the links that change the range, and which of them is in use."""
    quick = [
        (name, form.query(**{"from": start, "to": ""}), form.start == start and form.end == "now")
        for start, name in QUICK_RANGES
    ]
    if question is None:
        return {"quick": quick, "moves": []}
    window, zone = question.window, question.zone
    span = window.end_ms - window.start_ms
    moves = [
        ("Earlier", window.start_ms - span, window.end_ms - span),
        ("Later", window.start_ms + span, window.end_ms + span),
        ("Wider", window.start_ms - span // 2, window.end_ms + span // 2),
        ("Closer", window.start_ms + span // 4, window.end_ms - span // 4),
    ]
    seconds = span < 600_000
    return {
        "quick": quick,
        "moves": [
            (
                name,
                form.query(
                    **{
                        "from": absolute(max(0, start), zone, seconds=seconds),
                        "to": absolute(end, zone, seconds=seconds),
                    }
                ),
            )
            for name, start, end in moves
        ],
    }
