"""The parameters of ``/rows``: an address' query, a body's keys, or both, into what is wanted.

Names are checked, since a misspelt filter would answer for other machines than the asker
believes; an empty value counts as not given. Grafana leaves what it does not know in the
text: a literal ``$__interval`` means "choose for me", any other ``$name`` is refused.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NoReturn

from bridge.catalog import SERVICE_LABELS
from bridge.doors.adhoc import has_column
from bridge.doors.fields import choice_texts, positive, read_interval, read_span, shown
from bridge.doors.http import read_object
from bridge.doors.payload import Wanted, apply_payload, label_filters
from bridge.engine.calendar import zone
from bridge.engine.grammar import LiveTarget, SeriesTarget, parse_filters, parse_target
from bridge.engine.lexemes import unknown
from bridge.errors import BadRequestError
from bridge.model import FilterKind, Window
from bridge.ovh.live import live_columns

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.requests import Request

    from bridge.doors.doorway import Doorway
    from bridge.model import TagFilter

#: What only series have, and the name of each in simPod's payload.
SERIES_PARAMETERS: Mapping[str, str] = {
    "aggregator": "aggregator",
    "group_by": "group_by",
    "step": "downsample",
    "function": "function",
    "fill": "fill",
    "rate": "rate",
    "explicit_tags": "explicit_tags",
}
#: Names that are neither labels nor columns; live tables ignore those of the second line.
PARAMETERS = (
    *("target", "metric", "filters", *SERIES_PARAMETERS),
    *("from", "to", "interval", "points", "timezone"),
    *("format", "time_format"),
)
FORMATS = ("json", "csv")
TIME_FORMATS = ("ms", "s", "iso")
#: The span of a question that names no start.
DEFAULT_START = "now-1h"

_CHOOSE = re.compile(r"\$(?:__(interval(_ms)?|maxDataPoints)|\{__(interval(_ms)?|maxDataPoints)\})")
_CHOSEN_BY_BRIDGE = frozenset({"step", "interval", "points"})
#: A variable that stands where a value stands, not ``web$1`` or the end of a pattern.
_VARIABLE = re.compile(r"(?:^|(?<=[=:|,{( ]))(\$(?:\{\w+(?::[\w:]+)?\}|\w+))(?=$|[,|){} ])")
_TRUTH = {"true": "rate", "false": ""}


@dataclass(frozen=True, slots=True)
class Asked:
    """What one request to ``/rows`` asks.

    Attributes:
        wanted: Target and parameters together.
        place: Which parameter holds the target.
        window: Only looked at for series.
        interval_ms: The step wished for, where none is demanded.
        points: The most points a series should have, where no step is demanded.
        timezone: For calendar intervals, and times without an offset.
        format: One of ``FORMATS``; None leaves it to the ``Accept`` header.
        time_format: One of ``TIME_FORMATS``.
    """

    wanted: Wanted
    place: str
    window: Window
    interval_ms: int | None
    points: int | None
    timezone: str
    format: str | None
    time_format: str


async def read_given(request: Request, *, max_bytes: int) -> dict[str, Any]:
    """Return the values by name: texts, lists of texts, or what JSON holds.

    Raises:
        BadRequestError: The body is no JSON object, or says otherwise than the address.
        TooMuchError: The body is too long.
    """
    given: dict[str, Any] = {}
    for name, text in request.query_params.multi_items():
        given.setdefault(name, []).extend([text] if text else [])
    if request.method != "POST":
        return given
    for name, value in (await read_object(request, max_bytes=max_bytes)).items():
        if name in given and _as_texts(name, value) != tuple(given[name]):
            raise BadRequestError("the address and the body say different things", field=name)
        given[name] = value
    return given


def read_asked(doorway: Doorway, given: Mapping[str, Any]) -> Asked:
    """Read the values of a request.

    Raises:
        BadRequestError: An unknown name, or a value that cannot be read; ``field`` names it.
    """
    texts = {name: _as_texts(name, value) for name, value in given.items()}
    for name, values in texts.items():
        _refuse_variables(name, values)
    place = _place(texts)
    target = _target(doorway, place, _one(texts, place))
    _refuse_unknown(doorway, target, texts)
    timezone = _one(texts, "timezone") or "UTC"
    start, end = _one(texts, "from") or DEFAULT_START, _one(texts, "to") or "now"
    window = read_span(start, end, now=doorway.clock(), zone=zone(timezone))
    return Asked(
        _wanted(doorway, target, texts, _filters(given)),
        place,
        window,
        read_interval(_one(texts, "interval"), "interval"),
        positive({"points": _one(texts, "points")}, "points"),
        timezone,
        _choice(texts, "format", FORMATS),
        _choice(texts, "time_format", TIME_FORMATS) or TIME_FORMATS[0],
    )


def _as_texts(name: str, value: Any) -> tuple[str, ...]:
    """Return a value as texts, without those that leave the choice to the bridge."""
    if name == "filters" and isinstance(value, dict):
        return tuple(text for key in value for text in choice_texts(value[key], f"filters.{key}"))
    texts = choice_texts(value, name)
    if name in _CHOSEN_BY_BRIDGE:
        return tuple(text for text in texts if not _CHOOSE.fullmatch(text.strip()))
    return texts


def _refuse_variables(name: str, values: tuple[str, ...]) -> None:
    for text in values:
        found = _VARIABLE.search(text)
        if found is None:
            continue
        if name in {"from", "to"}:
            raise BadRequestError(
                f"Grafana has not replaced {found[1]}; Infinity replaces ${{__timeFrom}} and "
                "${__timeTo} in queries with a backend parser, in alert rules too, while "
                "${__from} and ${__to} work in panels only",
                field=name,
            )
        raise BadRequestError(
            f"Grafana has not replaced {found[1]}; alert rules have no variables "
            f"(for the text itself write \\{found[1]})",
            field=name,
        )


def _place(texts: Mapping[str, tuple[str, ...]]) -> str:
    places = [name for name in ("target", "metric") if texts.get(name)]
    if not places:
        raise BadRequestError(
            "expected a metric such as vscope.vm.cpu.usage.perc, a live table such as live:vm, "
            "or a whole target",
            field="metric",
        )
    if len(places) > 1:
        raise BadRequestError("give either a metric or a target", field="target")
    return places[0]


def _target(doorway: Doorway, place: str, text: str) -> SeriesTarget | LiveTarget:
    try:
        target = parse_target(text)
        if isinstance(target, SeriesTarget):
            doorway.engine.require_metric(target.metric)
    except BadRequestError as error:
        raise BadRequestError(error.message, field=place, position=error.position) from None
    return target


def _refuse_unknown(
    doorway: Doorway, target: SeriesTarget | LiveTarget, texts: Mapping[str, tuple[str, ...]]
) -> None:
    if isinstance(target, SeriesTarget):
        own = (*doorway.engine.require_metric(target.metric).all_labels, *sorted(SERVICE_LABELS))
        problem = "there is no parameter or label"
    else:
        own = (*(column.name for column in live_columns(target.kind)), "hidden")
        problem = f"live:{target.kind} has no parameter or column"
        for name in SERIES_PARAMETERS:
            if texts.get(name):
                raise BadRequestError("only series have this, live tables do not", field=name)
    accepted = {*PARAMETERS, *own}
    for name in texts:
        if name in accepted or (isinstance(target, LiveTarget) and has_column(target.kind, name)):
            continue
        raise BadRequestError(unknown(f"{problem} {shown(name)}", name, (*PARAMETERS, *own)))


def _filters(given: Mapping[str, Any]) -> tuple[TagFilter, ...]:
    """Read ``filters``: a text as in a target's braces, or an object of values by label."""
    value = given.get("filters")
    if isinstance(value, dict):
        texts = {key: choice_texts(one, f"filters.{key}") for key, one in value.items()}
        try:
            return label_filters(texts)
        except BadRequestError as error:
            _replaced(error, "payload", "filters")
    text = _one({"filters": _as_texts("filters", value)}, "filters")
    if not text.strip():
        return ()
    try:
        return parse_filters(text)
    except BadRequestError as error:
        raise error.within("filters") from None


def _wanted(
    doorway: Doorway,
    target: SeriesTarget | LiveTarget,
    texts: Mapping[str, tuple[str, ...]],
    filters: tuple[TagFilter, ...],
) -> Wanted:
    payload: dict[str, Any] = {}
    for name, values in texts.items():
        if not values:
            continue
        if name in SERIES_PARAMETERS:
            payload[SERIES_PARAMETERS[name]] = [_rate(values)] if name == "rate" else list(values)
        elif name not in PARAMETERS:
            payload[name] = list(values)
    target = replace(target, filters=(*target.filters, *filters))
    try:
        wanted = apply_payload(target, payload, doorway.engine.require_metric)
    except BadRequestError as error:
        _replaced(error, "payload.downsample", "step")
    _refuse_unions(wanted.target.filters)
    return wanted


def _refuse_unions(filters: Sequence[TagFilter]) -> None:
    """Refuse exact values for one label in two places, which the engine would unite."""
    exact = Counter(flt.key for flt in filters if flt.kind is FilterKind.LITERAL_OR)
    for key, count in exact.items():
        if count > 1:
            raise BadRequestError("this label is given values in more than one place", field=key)


def _replaced(error: BadRequestError, field: str, name: str) -> NoReturn:
    """Raise an error of the payload under the parameter's name."""
    place = error.field or ""
    place = name + place.removeprefix(field) if place.startswith(field) else place
    place = place.removeprefix("payload").removeprefix(".")
    raise BadRequestError(error.message, field=place or None, position=error.position) from None


def _rate(values: tuple[str, ...]) -> str:
    """Read ``true``, ``counter,1000`` and ``rate{counter,1000}`` alike."""
    text = ",".join(values).strip()
    if text.lower().startswith(("counter", "dropcounter")):
        return f"rate{{{text}}}"
    return _TRUTH.get(text.lower(), text)


def _choice(
    texts: Mapping[str, tuple[str, ...]], name: str, accepted: tuple[str, ...]
) -> str | None:
    text = _one(texts, name).strip().lower()
    if text and text not in accepted:
        raise BadRequestError(
            unknown(f"there is no {name} {shown(text)}", text, accepted), field=name
        )
    return text or None


def _one(texts: Mapping[str, tuple[str, ...]], name: str) -> str:
    values = texts.get(name, ())
    if len(values) > 1:
        raise BadRequestError(f"expected one value, found {len(values)}", field=name)
    return values[0] if values else ""
