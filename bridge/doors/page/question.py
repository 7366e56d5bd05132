"""From the explorer's form to a question the engine can be asked, or errors at its fields."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bridge.catalog import SERVICE_LABELS, Kind
from bridge.doors.fields import read_span
from bridge.doors.page.form import RESERVED, filled_in
from bridge.doors.page.times import read_zone, span_text
from bridge.doors.payload import Wanted, apply_payload, label_filters
from bridge.engine.grammar import LiveTarget, SeriesTarget, parse_target
from bridge.engine.lexemes import parse_choice, unknown
from bridge.engine.steps import choose_step
from bridge.errors import BadRequestError
from bridge.model import Downsample

if TYPE_CHECKING:
    from collections.abc import Callable

    from bridge.catalog import Metric
    from bridge.doors.page.form import Form
    from bridge.doors.page.times import Zone
    from bridge.model import TagFilter, Window

#: Points across a chart, which the step is chosen for.
CHART_POINTS = 500
#: Points of one series that are drawn at most, with a step a person asked for.
MOST_POINTS = 3_000


class FormError(Exception):
    """The form cannot be understood.

    Attributes:
        problems: What is wrong, by field; ``""`` is the form as a whole.
    """

    def __init__(self, problems: dict[str, str]) -> None:
        super().__init__("; ".join(problems.values()))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Question:
    """A form that was understood.

    Attributes:
        form: With the fields a target text stands for filled in.
        target: What is asked.
        downsample: How points become buckets, the step chosen where the form leaves it.
        chosen: Whether the bridge chose the step.
        metric: What is known of the metric.
        window: The range.
        zone: In which times are read and shown.
        notices: What a person should know about the reading.
    """

    form: Form
    target: SeriesTarget
    downsample: Downsample
    chosen: bool
    metric: Metric
    window: Window
    zone: Zone
    notices: tuple[str, ...] = ()


@dataclass(slots=True)
class _Reader:
    """Reads field after field and keeps what is wrong with each."""

    require_metric: Callable[[str], Metric]
    source_step_ms: int
    problems: dict[str, str]
    notices: list[str]

    def fail(self, error: BadRequestError, field: str = "") -> None:
        """Keep the first error of a field; the payload's names are the form's."""
        name = (error.field or "").removeprefix("payload.")
        place = "" if error.position is None else f"position {error.position + 1}: "
        self.problems.setdefault(field or name, f"{place}{error.message}")


def understand(
    form: Form, require_metric: Callable[[str], Metric], *, source_step_ms: int, now_s: float
) -> Question:
    """Turn a form into a question.

    Args:
        form: A metric or a target must be in it.
        require_metric: Gives a metric, or raises BadRequestError.
        source_step_ms: The history's own step.
        now_s: Epoch seconds.

    Raises:
        FormError: With a sentence for every field that is wrong.
    """
    reader = _Reader(require_metric, source_step_ms, {}, [])
    zone = window = metric = wanted = None
    try:
        zone = read_zone(form.zone)
        window = read_span(form.start, form.end, now=now_s, zone=zone)
        if window.start_ms == window.end_ms:
            reader.fail(BadRequestError("the range is empty"), "to")
    except BadRequestError as error:
        reader.fail(error)
    place = "target" if form.target else "metric"
    if form.target:
        form, wanted = _from_target(reader, form)
    try:
        metric = require_metric(form.metric)
    except BadRequestError as error:
        reader.fail(error, place)
    if metric is not None and wanted is None and not form.target:
        form = _without_strange(reader, form, metric)
        wanted = _from_fields(reader, form, metric)
    if reader.problems or not (zone and window and metric and wanted):
        raise FormError(reader.problems)
    return _with_step(reader, form, wanted, metric, window, zone)


def _from_target(reader: _Reader, form: Form) -> tuple[Form, Wanted | None]:
    """Fill in the form from a target text, or keep the text where the form cannot say it."""
    try:
        target = parse_target(form.target)
    except BadRequestError as error:
        reader.fail(error, "target")
        return form, None
    if isinstance(target, LiveTarget):
        message = "this is a live table, not a graph; live tables have a page of their own"
        reader.fail(BadRequestError(message), "target")
        return form, None
    filled = filled_in(form, target)
    trial = _Reader(reader.require_metric, reader.source_step_ms, {}, [])
    try:
        metric = reader.require_metric(target.metric)
    except BadRequestError as error:
        reader.fail(error, "target")
        return form, None
    wanted = _from_fields(trial, filled, metric)
    same = wanted is not None and not trial.problems and _equal(wanted.target, target)
    if same:
        return filled, wanted
    reader.notices.append("The target says more than the form can show; it is used as written.")
    return replace(form, metric=target.metric), Wanted(target)


def _equal(one: object, other: SeriesTarget) -> bool:
    """Compare targets without regard to the order of their filters."""
    return (
        isinstance(one, SeriesTarget)
        and replace(one, filters=()) == replace(other, filters=())
        and Counter(one.filters) == Counter(other.filters)
    )


def _without_strange(reader: _Reader, form: Form, metric: Metric) -> Form:
    """Leave out what was filled in for another metric, and say so."""
    if form.of in {"", metric.name} or metric.kind is Kind.OTHER:
        return form
    known = {*metric.all_labels, *SERVICE_LABELS}
    strange = [key for key in form.labels if key not in known]
    if strange:
        reader.notices.append(
            f"{metric.name} has no label {', '.join(strange)}: that filter was left out."
        )
    return replace(
        form,
        labels={key: text for key, text in form.labels.items() if key in known},
        group_by=tuple(key for key in form.group_by if key in known),
    )


def _from_fields(reader: _Reader, form: Form, metric: Metric) -> Wanted | None:
    known = (*metric.all_labels, *sorted(SERVICE_LABELS))
    filters: list[TagFilter] = []
    grouped = frozenset(form.group_by)
    for key in dict.fromkeys((*form.labels, *form.group_by)):
        if (metric.kind is not Kind.OTHER and key not in known) or key in RESERVED:
            problem = unknown(f"{metric.name} has no label '{key[:60]}'", key, known)
            reader.fail(BadRequestError(problem), key if key in form.labels else "group_by")
            continue
        try:
            if key in form.labels:
                filters += label_filters({key: (form.labels[key],)}, grouped)
            elif everything := parse_choice(key, ("*",), group_by=True):
                filters.append(everything)
        except BadRequestError as error:
            reader.fail(error, key)
    payload = dict(form.combining)
    if form.explicit_tags:
        payload["explicit_tags"] = "true"
    base = SeriesTarget(metric.name, filters=tuple(filters))
    try:
        return apply_payload(base, payload, reader.require_metric)
    except BadRequestError as error:
        reader.fail(error)
        return None


def _with_step(
    reader: _Reader, form: Form, wanted: Wanted, metric: Metric, window: Window, zone: Zone
) -> Question:
    target = wanted.target
    if not isinstance(target, SeriesTarget):
        raise TypeError("a question is about series")
    downsample = target.downsample or Downsample(
        choose_step(
            window,
            interval_ms=None,
            max_points=CHART_POINTS,
            source_step_ms=reader.source_step_ms,
        ),
        wanted.function,
        wanted.fill,
    )
    span = window.end_ms - window.start_ms
    if downsample.interval_ms and span // downsample.interval_ms > MOST_POINTS:
        least = choose_step(window, interval_ms=None, max_points=MOST_POINTS, source_step_ms=1)
        raise FormError(
            {
                "target" if form.target else "downsample": (
                    f"{span // downsample.interval_ms:,} points in each line, more than the "
                    f"{MOST_POINTS:,} that are drawn: leave it empty, or take at least "
                    f"{span_text(least)}"
                )
            }
        )
    return Question(
        form,
        target,
        downsample,
        target.downsample is None,
        metric,
        window,
        zone,
        tuple(reader.notices),
    )
