"""The target and variable grammar, one for every JSON door (design 4, "Target text").

A target is OpenTSDB's ``m`` expression with everything but the metric optional::

    [agg:][explicit_tags:][rate[{...}]:][ds:]metric[{group by}][{filter only}][ as legend]
    live:kind[{filters}]

Variables are calls (``bridge.engine.calls``). Every error carries the offset in the text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING

from bridge.engine.calls import FUNCTIONS, Argument, Call, Signature, parse_variable
from bridge.engine.lexemes import (
    WORD,
    as_filter,
    check_legend,
    check_length,
    count_values,
    fail,
    format_filter,
    found,
    parse_filter,
    read_value,
    skip_space,
    unescape,
    unknown,
)
from bridge.engine.parts import format_downsample, format_rate, parse_downsample, parse_rate
from bridge.errors import BadRequestError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import TypeVar

    from bridge.engine.lexemes import Value
    from bridge.model import Downsample, Rate, TagFilter

    PartT = TypeVar("PartT")

__all__ = [
    "FUNCTIONS",
    "LIVE_KINDS",
    "Argument",
    "Call",
    "LiveTarget",
    "SeriesTarget",
    "Signature",
    "format_target",
    "parse_downsample",
    "parse_filter",
    "parse_filters",
    "parse_rate",
    "parse_target",
    "parse_variable",
]

#: Kinds of live tables and the other names they answer to.
LIVE_KINDS = ("vm", "host", "filer", "datacenter", "cluster", "service", "task")
_LIVE_ALIASES: Mapping[str, str] = MappingProxyType({"datastore": "filer"})

#: Longer texts are read anew each time; panels ask the same at every refresh.
LONGEST_REMEMBERED = 4_096

_AS = re.compile(r"as(?=\s|$)", re.IGNORECASE)
_TRUTH = {"true": True, "false": False}


@dataclass(frozen=True, slots=True)
class SeriesTarget:
    """What to read and how to combine it; None where the text says nothing.

    Attributes:
        metric: Metric name, not checked against any catalogue.
        aggregator: None keeps every stored series by itself.
        downsample: None lets the door choose a step.
        rate: None means values as stored.
        filters: First braces group by, second only filter.
        explicit_tags: Only series that carry exactly the filtered keys.
        legend: Template with ``{{label}}`` placeholders.
    """

    metric: str
    aggregator: str | None = None
    downsample: Downsample | None = None
    rate: Rate | None = None
    filters: tuple[TagFilter, ...] = ()
    explicit_tags: bool = False
    legend: str | None = None


@dataclass(frozen=True, slots=True)
class LiveTarget:
    """A live table of the inventory.

    Attributes:
        kind: One of ``LIVE_KINDS``.
        filters: On columns of the table.
        show_hidden: Whether hidden objects are shown (``hidden=true``).
    """

    kind: str
    filters: tuple[TagFilter, ...] = ()
    show_hidden: bool = False


def parse_target(text: str) -> SeriesTarget | LiveTarget:
    """Read one target.

    Raises:
        BadRequestError: With ``position``, the zero-based offset in ``text``.
    """
    if len(text) > LONGEST_REMEMBERED:
        return _parse_target(text)
    return _remembered_target(text)


def _parse_target(text: str) -> SeriesTarget | LiveTarget:
    check_length(text)
    parts: dict[str, object] = {}
    at = skip_space(text, 0)
    while True:
        word = WORD.match(text, at)
        if word is None:
            fail(f"expected a metric, found {found(text, at)}", at)
        name, end = unescape(word[0]), word.end()
        if name.lower() == "rate" and text.startswith("{", end):
            close = text.find("}", end)
            if text.startswith(":", close + 1) and close > 0:
                end = close + 1
        if not text.startswith(":", end):
            break
        if name == "live":
            if parts:
                fail("expected a metric after the first parts; live: stands alone", at)
            return _live(text, end + 1)
        _take_part(parts, text[at:end], at)
        at = skip_space(text, end + 1)
    filters, end = _two_braces(text, end)
    legend = _legend(text, end)
    return SeriesTarget(name, filters=filters, legend=legend, **parts)  # type: ignore[arg-type]  # the keys and types are those of _take_part


_remembered_target = lru_cache(maxsize=1_024)(_parse_target)


def format_target(target: SeriesTarget | LiveTarget) -> str:
    """Write a target so that reading it gives an equal one."""
    if isinstance(target, LiveTarget):
        pairs = [f"{flt.key}={format_filter(flt)}" for flt in target.filters]
        pairs += ["hidden=true"] if target.show_hidden else []
        return f"live:{target.kind}{_braces(pairs)}"
    groups = [f"{f.key}={format_filter(f)}" for f in target.filters if f.group_by]
    others = [f"{f.key}={format_filter(f)}" for f in target.filters if not f.group_by]
    parts = [
        target.aggregator or "",
        "explicit_tags" if target.explicit_tags else "",
        format_rate(target.rate) if target.rate else "",
        format_downsample(target.downsample) if target.downsample else "",
        target.metric,
    ]
    text = ":".join(filter(None, parts))
    text += f"{{{','.join(groups)}}}{_braces(others)}" if others else _braces(groups)
    if target.legend is not None:
        text += " as " + target.legend.replace("\\", "\\\\")
    return text


def parse_filters(text: str) -> tuple[TagFilter, ...]:
    """Read filters that stand alone: ``{group by}{filter only}``, or ``a=b,c=d`` (filter only).

    Raises:
        BadRequestError: With ``position``.
    """
    check_length(text)
    at = skip_space(text, 0)
    if text.startswith("{", at):
        filters, end = _two_braces(text, at)
    else:
        pairs, end = _pairs_until(text, at, at, "")
        filters = tuple(as_filter(key, value) for key, value, _ in pairs)
    end = skip_space(text, end)
    if end < len(text):
        fail(f"expected the end after the filters, found {found(text, end)}", end)
    return filters


def _braces(pairs: list[str]) -> str:
    return f"{{{','.join(pairs)}}}" if pairs else ""


def _within(position: int, read: Callable[[str], PartT], text: str) -> PartT:
    """Read a part of a text, with errors placed in the whole."""
    try:
        return read(text)
    except BadRequestError as error:
        raise BadRequestError(error.message, position=position + (error.position or 0)) from None


def _take_part(parts: dict[str, object], text: str, position: int) -> None:
    """Sort one prefix part into the field of SeriesTarget it fills."""
    lower = text.lower()
    value: object
    if lower == "explicit_tags":
        name, value = "explicit_tags", True
    elif lower == "rate" or lower.startswith("rate{"):
        name, value = "rate", _within(position, parse_rate, text)
    elif text[0].isdigit():
        name, value = "downsample", _within(position, parse_downsample, text)
    elif re.fullmatch(r"[a-z][a-z0-9]*", lower):
        name, value = "aggregator", text
    else:
        fail(
            "expected an aggregator (avg), a downsampling (5m-avg), rate or explicit_tags "
            f"before ':', found {text!r}",
            position,
        )
    if name in parts:
        fail(f"the {name} is given twice, the second time as {text!r}", position)
    parts[name] = value


def _two_braces(text: str, position: int) -> tuple[tuple[TagFilter, ...], int]:
    filters: list[TagFilter] = []
    for group_by in (True, False):
        if not text.startswith("{", position):
            break
        pairs, position = _pairs(text, position)
        filters += [as_filter(key, value, group_by=group_by) for key, value, _ in pairs]
    return tuple(filters), position


def _pairs(text: str, position: int) -> tuple[list[tuple[str, Value, int]], int]:
    """Read ``{key=value,...}`` whose brace stands at ``position``."""
    at = skip_space(text, position + 1)
    if text.startswith("}", at):
        return [], at + 1
    pairs, at = _pairs_until(text, at, position, "}")
    if at >= len(text):
        fail("'{' is not closed: expected ',' or '}', found the end", position)
    return pairs, at + 1


def _pairs_until(
    text: str, position: int, opened: int, stop: str
) -> tuple[list[tuple[str, Value, int]], int]:
    """Read ``key=value,...`` up to ``stop`` or the end, and say where that is."""
    pairs: list[tuple[str, Value, int]] = []
    at, total = position, 0
    while True:
        key, key_at, at = _key(text, at, opened, has_values=bool(pairs))
        value, at = read_value(text, at, f",{stop}")
        total = count_values(value, total)
        pairs.append((key, value, key_at))
        if at >= len(text) or text[at] != ",":
            return pairs, at
        at = skip_space(text, at + 1)


def _key(text: str, position: int, opened: int, *, has_values: bool) -> tuple[str, int, int]:
    word = WORD.match(text, position)
    if word is None:
        if position >= len(text):
            if text.startswith("{", opened):
                fail("'{' is not closed: expected a label, found the end", opened)
            fail("expected a label=value, found the end", position)
        fail(f"expected a label, found {found(text, position)}", position)
    at = skip_space(text, word.end())
    if not text.startswith("=", at):
        hint = "; several values are written a|b, or ${name:pipe} for a variable"
        fail(
            f"expected '=' after the label '{word[0]}', found {found(text, at)}"
            + (hint if has_values else ""),
            at,
        )
    return unescape(word[0]), position, at + 1


def _legend(text: str, position: int) -> str | None:
    at = skip_space(text, position)
    if at >= len(text):
        return None
    word = _AS.match(text, at)
    if word is None:
        if text[at] in "()|":
            fail("a target names one metric; use several targets for several metrics", at)
        fail(f"expected '{{', ' as <legend>' or the end, found {found(text, at)}", at)
    legend = unescape(text[word.end() :].strip())
    if not legend:
        fail("expected a legend after 'as', found the end", len(text))
    return check_legend(legend, word.end())


def _live(text: str, position: int) -> LiveTarget:
    at = skip_space(text, position)
    word = WORD.match(text, at)
    written = word[0] if word else ""
    kind = _LIVE_ALIASES.get(written.lower(), written.lower())
    if word is None or kind not in LIVE_KINDS:
        what = f"'{written}'" if written else found(text, at)
        kinds = (*LIVE_KINDS, *_LIVE_ALIASES)
        fail(unknown(f"there is no live table {what}", written, kinds), at)
    end = word.end()
    pairs: list[tuple[str, Value, int]] = []
    if text.startswith("{", end):
        pairs, end = _pairs(text, end)
    end = skip_space(text, end)
    if end < len(text):
        fail(f"expected the end after the live table, found {found(text, end)}", end)
    filters: list[TagFilter] = []
    show_hidden = False
    for key, value, _ in pairs:
        if key == "hidden":
            word_given = "|".join(value.alternatives).lower()
            if word_given not in _TRUTH:
                fail(f"expected hidden=true or hidden=false, found {word_given!r}", value.position)
            show_hidden = _TRUTH[word_given]
        else:
            filters.append(as_filter(key, value))
    return LiveTarget(kind, tuple(filters), show_hidden)
