"""simPod's payload: form fields beside a target, turned into the same target.

In the builder each field arrives as text or a list of texts, in code mode as the JSON a
person wrote (reference: grafana 2.3). Values have the syntax of a target's filters.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from bridge.catalog import SERVICE_LABELS, Kind
from bridge.doors.adhoc import has_column
from bridge.doors.fields import choice_texts, shown
from bridge.doors.http import kind_of
from bridge.engine.functions import AGGREGATORS, DOWNSAMPLERS, FILLS
from bridge.engine.grammar import LiveTarget, SeriesTarget, parse_downsample, parse_rate
from bridge.engine.lexemes import Value, as_filter, check_legend, parse_choice, unknown
from bridge.engine.steps import choose_step
from bridge.errors import BadRequestError
from bridge.model import Downsample, FilterKind
from bridge.ovh.live import live_columns

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bridge.catalog import Metric
    from bridge.model import TagFilter, Window

ReadT = TypeVar("ReadT")

#: Fields of a metric's form besides its labels.
SERIES_FIELDS = (
    "aggregator",
    "group_by",
    "downsample",
    "function",
    "fill",
    "rate",
    "explicit_tags",
    "legend",
    "format",
)
#: Fields of a live table's form besides its columns.
LIVE_FIELDS = ("hidden", "format")
RATES = ("rate", "rate{counter}", "rate{dropcounter}")
_TABLE = frozenset({"table"})
_SERIES = frozenset({"", "ts", "time_series", "timeseries", "timeserie"})


@dataclass(frozen=True, slots=True)
class Wanted:
    """A target with what the payload adds to it.

    Attributes:
        target: Text and payload together.
        function: How points become buckets when the bridge chooses the step.
        fill: The same for empty buckets.
        table: Whether a table is wanted.
    """

    target: SeriesTarget | LiveTarget
    function: str = "avg"
    fill: str = "none"
    table: bool = False

    def buckets(
        self,
        window: Window,
        *,
        interval_ms: int | None,
        max_points: int | None,
        source_step_ms: int,
    ) -> Downsample:
        """Return the downsampling the text asks for, else one that fits (``choose_step``)."""
        if isinstance(self.target, SeriesTarget) and self.target.downsample is not None:
            return self.target.downsample
        step_ms = choose_step(
            window, interval_ms=interval_ms, max_points=max_points, source_step_ms=source_step_ms
        )
        return Downsample(step_ms, self.function, self.fill)


def apply_payload(
    target: SeriesTarget | LiveTarget, payload: Any, metric: Callable[[str], Metric]
) -> Wanted:
    """Put a payload's fields into a target.

    Args:
        target: What the target's text says.
        payload: Decoded JSON; nothing, an empty text or an empty object adds nothing.
        metric: Gives the target's metric, or raises BadRequestError.

    Raises:
        BadRequestError: An unknown field, a value that cannot be read, or something that
            the text says as well.
    """
    if payload is None or payload in ("", {}):
        return Wanted(target)
    if not isinstance(payload, dict):
        raise BadRequestError(f"expected an object, found {kind_of(payload)}", field="payload")
    texts = {key: choice_texts(value, f"payload.{key}") for key, value in payload.items()}
    if isinstance(target, LiveTarget):
        return _live(target, texts)
    return _series(target, texts, metric(target.metric))


def label_filters(
    texts: Mapping[str, tuple[str, ...]], grouped: frozenset[str] = frozenset()
) -> tuple[TagFilter, ...]:
    """Turn chosen values, by label, into filters.

    Raises:
        BadRequestError: A value cannot be read; ``field`` names the payload's field.
    """
    filters = []
    for key, chosen in texts.items():
        try:
            flt = parse_choice(key, chosen, group_by=key in grouped)
        except BadRequestError as error:
            raise error.within(f"payload.{key}") from None
        if flt is not None:
            filters.append(flt)
    return tuple(filters)


def _series(target: SeriesTarget, texts: Mapping[str, tuple[str, ...]], metric: Metric) -> Wanted:
    labels = (*metric.all_labels, *sorted(SERVICE_LABELS))
    _only_known(texts, (*labels, *SERIES_FIELDS))
    chosen = {key: text for key, text in texts.items() if key not in SERIES_FIELDS}
    fields = {key: text for key, text in texts.items() if key in SERIES_FIELDS and text}
    grouped = _group_by(fields, metric)
    filters = label_filters(chosen, grouped)
    written = tuple(
        replace(flt, group_by=flt.group_by or flt.key in grouped) for flt in target.filters
    )
    filtered = {flt.key for flt in (*written, *filters)}
    everything = tuple(
        as_filter(key, Value(FilterKind.WILDCARD, ("*",), 0), group_by=True)
        for key in sorted(grouped - filtered, key=_place(labels))
    )
    merged = replace(target, filters=(*written, *filters, *everything))
    if "aggregator" in fields:
        aggregator = _one(fields, "aggregator", AGGREGATORS)
        merged = replace(
            merged, aggregator=_unless_set(target.aggregator, aggregator, "aggregator")
        )
    if "rate" in fields:
        rate = _read("rate", "|".join(fields["rate"]), parse_rate)
        merged = replace(merged, rate=_unless_set(target.rate, rate, "rate"))
    if "legend" in fields:
        legend = _read("legend", " ".join(fields["legend"]), lambda text: check_legend(text, 0))
        merged = replace(merged, legend=_unless_set(target.legend, legend, "legend"))
    if "explicit_tags" in fields:
        explicit = _one(fields, "explicit_tags", ("true", "false")) == "true"
        merged = replace(merged, explicit_tags=target.explicit_tags or explicit)
    return _step(merged, fields)


def _step(target: SeriesTarget, fields: Mapping[str, tuple[str, ...]]) -> Wanted:
    """Put interval, function and fill together; without an interval the bridge chooses."""
    function = _one(fields, "function", DOWNSAMPLERS) if "function" in fields else None
    fill = _one(fields, "fill", FILLS) if "fill" in fields else None
    table = _is_table(fields)
    if target.downsample is not None:
        for name in ("downsample", "function", "fill"):
            if name in fields:
                _unless_set(target.downsample, None, name)
        return Wanted(target, table=table)
    interval = "|".join(fields.get("downsample", ())).strip()
    if not interval or interval.lower() == "auto":
        return Wanted(target, function or "avg", fill or "none", table)
    spec = _read("downsample", interval, parse_downsample)
    named = interval.strip("-").count("-")
    if (function and named >= 1) or (fill and named >= 2):
        raise BadRequestError(
            f"{interval!r} names the function or fill already", field="payload.downsample"
        )
    spec = Downsample(
        spec.interval_ms,
        function or spec.function,
        fill or spec.fill,
        spec.calendar,
        spec.count,
        spec.unit,
    )
    return Wanted(replace(target, downsample=spec), table=table)


def _live(target: LiveTarget, texts: Mapping[str, tuple[str, ...]]) -> Wanted:
    columns = {key: text for key, text in texts.items() if key not in LIVE_FIELDS}
    if not all(has_column(target.kind, key) for key in columns):
        _only_known(texts, (*(column.name for column in live_columns(target.kind)), *LIVE_FIELDS))
    filters = (*target.filters, *label_filters(columns))
    shown_too = bool(texts.get("hidden")) and _one(texts, "hidden", ("true", "false")) == "true"
    _is_table(texts)
    return Wanted(replace(target, filters=filters, show_hidden=target.show_hidden or shown_too))


def _place(labels: tuple[str, ...]) -> Callable[[str], tuple[int, str]]:
    """Order labels as listed, others after them by name."""
    places = {label: index for index, label in enumerate(labels)}
    return lambda key: (places.get(key, len(places)), key)


def _group_by(fields: Mapping[str, tuple[str, ...]], metric: Metric) -> frozenset[str]:
    """Read the labels to group by; those of a metric outside the catalogue are not known here."""
    flt = parse_choice("group_by", fields.get("group_by", ()))
    if flt is None:
        return frozenset()
    if flt.kind is FilterKind.WILDCARD:
        return frozenset(metric.all_labels)
    labels = (*metric.all_labels, *sorted(SERVICE_LABELS))
    wanted = flt.text.split("|")
    for name in wanted:
        if name not in labels and metric.kind is not Kind.OTHER:
            raise BadRequestError(
                unknown(f"there is no label {name!r} to group by", name, labels),
                field="payload.group_by",
            )
    return frozenset(wanted)


def _only_known(texts: Mapping[str, Any], accepted: tuple[str, ...]) -> None:
    strange = [key for key in texts if key not in accepted]
    if strange:
        names = ", ".join(shown(key) for key in strange[:5])
        raise BadRequestError(
            unknown(f"there is no field {names}", strange[0], accepted), field="payload"
        )


def _one(
    fields: Mapping[str, tuple[str, ...]], name: str, accepted: Mapping[str, Any] | tuple[str, ...]
) -> str:
    text = "|".join(fields[name])
    if text not in accepted:
        raise BadRequestError(
            unknown(f"there is no {name} {shown(text)}", text, sorted(accepted)),
            field=f"payload.{name}",
        )
    return text


def _read(name: str, text: str, read: Callable[[str], ReadT]) -> ReadT:
    try:
        return read(text)
    except BadRequestError as error:
        raise error.within(f"payload.{name}") from None


def _unless_set(set_already: ReadT | None, value: ReadT | None, name: str) -> ReadT | None:
    if set_already is not None:
        raise BadRequestError(f"the target's text sets the {name} too", field=f"payload.{name}")
    return value


def _is_table(fields: Mapping[str, tuple[str, ...]]) -> bool:
    text = "|".join(fields.get("format", ())).lower()
    if text not in _TABLE | _SERIES:
        raise BadRequestError(
            f"expected time_series or table, found {shown(text)}", field="payload.format"
        )
    return text in _TABLE
