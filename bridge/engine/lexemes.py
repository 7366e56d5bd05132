r"""Values as they stand in a target or variable: literals, groups, wildcards, filter types.

One tolerant reading for what people type and for what Grafana's interpolation makes of a
variable (reference: grafana 1.3): regex-escaped text (``web\.01``), ``(a|b)`` groups
anywhere in a value, globs ``{a,b}``, ``.*`` for All. Reading is linear in the text, and
what groups multiply to is bounded.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn

from bridge.errors import BadRequestError
from bridge.model import FilterKind, TagFilter

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

#: Longest text read, in characters.
MAX_TEXT = 262_144
#: What the groups of one value may multiply to: values, and characters in all of them.
MAX_ALTERNATIVES = 10_000
MAX_EXPANDED = 1_000_000
#: Longest legend, which each series repeats.
MAX_LEGEND = 500
#: Groups inside groups.
MAX_DEPTH = 32

_EVERYTHING = frozenset({"*", ".*", ".+"})
_RUN = re.compile(r"[^\\|(){},]+")
_TYPE = re.compile(rf"({'|'.join(FilterKind)})\(", re.IGNORECASE)
_WORD_CALL = re.compile(r"([A-Za-z_]{3,24})\(")
_SPACE = re.compile(r"\s*")
#: A label or metric name; the characters that Grafana escapes may be escaped.
WORD = re.compile(r"(?:[\w./-]|\\[./-])+")
_PLAIN = re.compile(r"[A-Za-z0-9_.\-]+")
_NEEDS_ESCAPE = re.compile(r"[\\(){}|,]")
_CLOSER = {"(": ")", "{": "}"}
_NEGATIVE = frozenset({FilterKind.NOT_LITERAL_OR, FilterKind.NOT_ILITERAL_OR})
_FOLDED = frozenset({FilterKind.ILITERAL_OR, FilterKind.NOT_ILITERAL_OR, FilterKind.IWILDCARD})
_WILD = frozenset({FilterKind.WILDCARD, FilterKind.IWILDCARD})


@dataclass(frozen=True, slots=True)
class Value:
    """One value as read.

    Attributes:
        kind: The filter type written around it, None for a bare value.
        alternatives: What it may be, without repetitions; the raw pattern for ``regexp``.
        position: Where it starts in the text.
    """

    kind: FilterKind | None
    alternatives: tuple[str, ...]
    position: int


def fail(message: str, position: int) -> NoReturn:
    """Raise BadRequestError at an offset of the text."""
    raise BadRequestError(message, position=position)


def found(text: str, position: int) -> str:
    """Name what stands at an offset, for messages."""
    return repr(text[position]) if position < len(text) else "the end"


def skip_space(text: str, position: int) -> int:
    """Return the offset of the first character that is not white space."""
    match = _SPACE.match(text, position)
    return match.end() if match else position


def unknown(problem: str, name: str, names: Iterable[str]) -> str:
    """Say what is wrong with a name, which accepted one is near, and all of them."""
    known = list(names)
    near = difflib.get_close_matches(name[:64], known, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]}?" if near else ""
    return f"{problem}{hint} (accepted: {', '.join(known)})"


def check_length(text: str) -> None:
    """Refuse text longer than ``MAX_TEXT``."""
    if len(text) > MAX_TEXT:
        fail(f"the text has {len(text):,} characters, more than {MAX_TEXT:,}", MAX_TEXT)


def unescape(text: str) -> str:
    r"""Take off the backslash in front of punctuation and spaces, as Grafana puts it.

    A backslash in front of a letter or digit stands for itself (``domain\web01``).
    """
    return re.sub(r"\\([^\w]|_)", r"\1", text)


def escape(text: str) -> str:
    """Put a backslash before each character that has a meaning inside a value."""
    return _NEEDS_ESCAPE.sub(r"\\\g<0>", text)


def check_legend(legend: str, position: int) -> str:
    """Return a legend that is not too long."""
    if len(legend) > MAX_LEGEND:
        fail(f"the legend is longer than {MAX_LEGEND} characters", position)
    return legend


def count_values(value: Value, before: int) -> int:
    """Add a value's alternatives to those before it in one text.

    Raises:
        BadRequestError: Together they are more than one value's groups may give.
    """
    total = before + len(value.alternatives)
    if total > MAX_ALTERNATIVES:
        fail(f"more than {MAX_ALTERNATIVES:,} values in all", value.position)
    return total


def read_value(text: str, position: int, stops: str) -> tuple[Value, int]:
    """Read one value, typed or bare, up to one of ``stops`` or the end of the text.

    Returns:
        The value, and the offset of the stop.

    Raises:
        BadRequestError: Unclosed or unopened brackets, an unknown filter type, or groups
            that multiply to too many values.
    """
    start = skip_space(text, position)
    typed = _TYPE.match(text, start)
    if typed is None:
        _refuse_misspelt_type(text, start)
        alternatives, end = _Reader(text).alternatives(start, stops, strip=True)
        return Value(None, _distinct(alternatives), start), end
    kind = FilterKind(typed[1].lower())
    if kind is FilterKind.REGEXP:
        close = _end_of_pattern(text, typed.end())
        inside: Sequence[str] = [text[typed.end() : close]]
    else:
        inside, close = _Reader(text).alternatives(typed.end(), ")")
        if close >= len(text):
            fail(f"'(' after {typed[1]} is not closed", typed.end() - 1)
    end = skip_space(text, close + 1)
    if end < len(text) and text[end] not in stops:
        wanted = " or ".join(repr(stop) for stop in stops) or "the end"
        fail(f"expected {wanted} after {typed[1]}(...), found {found(text, end)}", end)
    return Value(kind, _distinct(inside), start), end


def as_filter(key: str, value: Value, *, group_by: bool = False) -> TagFilter:
    """Turn a value into a filter on ``key``.

    A bare value is ``*``, exact values (``literal_or``) or, with a ``*`` in it, a wildcard
    that ignores case, as OpenTSDB's tags. What no single one of the other types can say
    (several wildcards, a literal ``|``) becomes a regular expression.

    Raises:
        BadRequestError: The value is empty.
    """
    texts = [text for text in value.alternatives if text]
    if not texts:
        fail(f"expected a value for '{key}', found none", value.position)
    kind = value.kind
    if kind is FilterKind.REGEXP:
        return TagFilter(key, kind, texts[0], group_by)
    if kind is None:
        if not _EVERYTHING.isdisjoint(texts):
            return TagFilter(key, FilterKind.WILDCARD, "*", group_by)
        wild = any("*" in text for text in texts)
        kind = FilterKind.IWILDCARD if wild else FilterKind.LITERAL_OR
    if kind in _WILD:
        if len(texts) == 1:
            return TagFilter(key, kind, texts[0], group_by)
    elif not any("|" in text for text in texts):
        return TagFilter(key, kind, "|".join(texts), group_by)
    return TagFilter(key, FilterKind.REGEXP, _pattern(kind, texts), group_by)


def exactly(
    key: str, values: Iterable[str], *, negative: bool = False, group_by: bool = False
) -> TagFilter:
    """Return the filter for exact values, in which nothing has a special meaning.

    Args:
        key: Tag key.
        values: At least one that is not empty.
        negative: Match everything but these.
        group_by: As in TagFilter.
    """
    kind = FilterKind.NOT_LITERAL_OR if negative else FilterKind.LITERAL_OR
    return as_filter(key, Value(kind, _distinct(values), 0), group_by=group_by)


def parse_filter(key: str, text: str, *, group_by: bool = False) -> tuple[TagFilter, ...]:
    """Read a value that stands alone, for example in a form field.

    Commas are text here; everything else is as in a target's braces.

    Raises:
        BadRequestError: With the position inside ``text``.
    """
    check_length(text)
    value, _ = read_value(text, 0, "")
    return (as_filter(key, value, group_by=group_by),)


def parse_choice(key: str, texts: Sequence[str], *, group_by: bool = False) -> TagFilter | None:
    """Read a multiple choice: any of the values matches; None when nothing is chosen.

    Raises:
        BadRequestError: A value cannot be read, or one of several names a filter type.
    """
    values, total = [], 0
    for text in filter(None, texts):
        check_length(text)
        value, _ = read_value(text, 0, "")
        total = count_values(value, total)
        values.append(value)
    if not values:
        return None
    if len(values) == 1:
        return as_filter(key, values[0], group_by=group_by)
    for value in values:
        if value.kind is not None:
            fail(f"{value.kind}(...) must be the only value of '{key}'", value.position)
    merged = _distinct(text for value in values for text in value.alternatives)
    return as_filter(key, Value(None, merged, 0), group_by=group_by)


def format_filter(flt: TagFilter) -> str:
    """Write a filter so that reading it gives it back; ``regexp`` must have its brackets paired."""
    if flt.kind is FilterKind.REGEXP:
        return f"regexp({flt.text})"
    if flt.kind is FilterKind.WILDCARD and flt.text == "*":
        return "*"
    if flt.kind in _WILD:
        return f"{flt.kind}({escape(flt.text)})"
    texts = flt.text.split("|")
    if flt.kind is FilterKind.LITERAL_OR and all(_PLAIN.fullmatch(text) for text in texts):
        return flt.text
    return f"{flt.kind}({'|'.join(map(escape, texts))})"


def _distinct(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(texts))


def _refuse_misspelt_type(text: str, position: int) -> None:
    word = _WORD_CALL.match(text, position)
    if word is None:
        return
    near = difflib.get_close_matches(word[1].lower(), list(FilterKind), n=1, cutoff=0.75)
    if near:
        fail(f"there is no filter type '{word[1]}'; did you mean {near[0]}(...)?", position)


def _pattern(kind: FilterKind, texts: Iterable[str]) -> str:
    """Say with a regular expression what ``kind`` would say of all the texts."""
    if kind in _WILD:
        escaped = [".*".join(map(re.escape, text.split("*"))) for text in texts]
    else:
        escaped = [re.escape(text) for text in texts]
    group = f"(?{'i' if kind in _FOLDED else ''}:{'|'.join(escaped)})$"
    return f"^(?!{group})" if kind in _NEGATIVE else f"^{group}"


def _end_of_pattern(text: str, start: int) -> int:
    """Return the offset of the bracket that closes ``regexp(``, the pattern starts at ``start``."""
    depth, at, in_class = 0, start, False
    while at < len(text):
        char = text[at]
        if char == "\\":
            at += 1
        elif in_class:
            in_class = char != "]"
        elif char == "[":
            in_class = True
            # A bracket right after the opening one is text, as in "[]a]" and "[^]a]".
            at += 1 if text[at + 1 : at + 2] == "^" else 0
            at += 1 if text[at + 1 : at + 2] == "]" else 0
        elif char == "(":
            depth += 1
        elif char == ")":
            if depth == 0:
                return at
            depth -= 1
        at += 1
    fail("'(' after regexp is not closed", start - 1)


@dataclass(slots=True)
class _Sequence:
    """One alternative while it is read: every head, followed by the tail."""

    heads: list[str] = field(default_factory=lambda: [""])
    tail: list[str] = field(default_factory=list)
    items: int = 0
    group: list[str] | None = None
    raw_end: bool = False

    def add(self, text: str, *, raw: bool = False) -> None:
        self.tail.append(text)
        self.items += 1
        self.raw_end = raw

    def multiply(self, options: list[str], position: int) -> None:
        self._flush(position)
        count = len(self.heads) * len(options)
        size = len(options) * sum(map(len, self.heads)) + len(self.heads) * sum(map(len, options))
        if count > MAX_ALTERNATIVES or size > MAX_EXPANDED:
            fail(f"the groups multiply to {count:,} values, too many", position)
        self.heads = [head + option for head in self.heads for option in options]
        self.items += 1
        self.raw_end = False

    def finish(self, position: int, *, unwrap: bool, strip: bool) -> list[str]:
        if unwrap and self.items == 1 and self.group is not None:
            return self.group
        if strip and self.raw_end:
            self.tail[-1] = self.tail[-1].rstrip()
        self._flush(position)
        return self.heads

    def _flush(self, position: int) -> None:
        tail = "".join(self.tail)
        self.tail.clear()
        if not tail:
            return
        if len(self.heads) > 1 and len(self.heads) * len(tail) > MAX_EXPANDED:
            fail("the groups multiply to too much text", position)
        self.heads = [head + tail for head in self.heads]


class _Reader:
    """Recursive descent over one text."""

    def __init__(self, text: str) -> None:
        self._text = text

    def alternatives(
        self,
        position: int,
        stops: str,
        *,
        depth: int = 0,
        separator: str = "|",
        strip: bool = False,
    ) -> tuple[list[str], int]:
        """Read ``a|b(c|d)`` up to one of ``stops`` or the end, and say where that is."""
        text = self._text
        done: list[str] = []
        sequence, at = _Sequence(), position
        while at < len(text) and text[at] not in stops:
            char = text[at]
            if char == separator:
                done += sequence.finish(at, unwrap=depth == 0, strip=strip)
                if len(done) > MAX_ALTERNATIVES:
                    fail(f"more than {MAX_ALTERNATIVES:,} values", at)
                sequence = _Sequence()
                at = skip_space(text, at + 1) if strip else at + 1
            elif char in _CLOSER:
                at = self._group(sequence, at, depth)
            elif char in ")}":
                opener = "(" if char == ")" else "{"
                if depth:
                    fail(f"expected {stops!r} before {char!r}", at)
                fail(f"found {char!r} without {opener!r}; the character itself is \\{char}", at)
            elif char == "\\":
                special = at + 1 < len(text) and not text[at + 1].isalnum()
                sequence.add(text[at + 1] if special else char)
                at += 2 if special else 1
            else:
                run = _RUN.match(text, at)
                end = run.end() if run else at + 1
                sequence.add(text[at:end], raw=True)
                at = end
        done += sequence.finish(at, unwrap=depth == 0, strip=strip)
        return done, at

    def _group(self, sequence: _Sequence, position: int, depth: int) -> int:
        """Read a bracketed group; one without a separator is text with brackets in it."""
        opener = self._text[position]
        closer = _CLOSER[opener]
        if depth >= MAX_DEPTH:
            fail(f"groups are nested deeper than {MAX_DEPTH}", position)
        separator = "|" if opener == "(" else ","
        options, end = self.alternatives(position + 1, closer, depth=depth + 1, separator=separator)
        if end >= len(self._text):
            fail(f"{opener!r} is not closed", position)
        separated, options = len(options) > 1, list(_distinct(options))
        if sequence.items == 0:
            sequence.group = options
        if len(options) > 1:
            sequence.multiply(options, position)
        else:
            sequence.add(options[0] if separated else f"{opener}{options[0]}{closer}")
        return end + 1
