"""Tag filters as OpenTSDB's clients write them (reference: opentsdb 1, "Tag -> filter").

Texts are literal, unlike those of the JSON doors: Grafana puts several values of a variable
together with ``|`` and escapes nothing (reference: grafana 4.2).
"""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Any

from bridge.doors.fields import shown
from bridge.doors.opentsdb.values import read_object, read_text, read_truth
from bridge.engine.lexemes import MAX_ALTERNATIVES, MAX_TEXT, Value, as_filter, unknown
from bridge.errors import BadRequestError
from bridge.model import FilterKind, TagFilter

if TYPE_CHECKING:
    from collections.abc import Mapping

_TYPED = re.compile(r"([A-Za-z_]+)\((.*)\)", re.DOTALL)
_WILD = frozenset({FilterKind.WILDCARD, FilterKind.IWILDCARD})
_LITERAL = frozenset({FilterKind.LITERAL_OR, FilterKind.ILITERAL_OR})
#: Filters in which these, none of which can be the value of a tag, say what Grafana's All does.
_TAKE_ALL = _WILD | _LITERAL | {FilterKind.REGEXP}
_EVERYTHING = frozenset({"*", ".*"})


def read_tags(tags: Any, field: str) -> tuple[TagFilter, ...]:
    """Read ``{"key": "value"}``, every key of which is grouped by; ``[]`` is empty.

    Raises:
        BadRequestError: With its place in the request.
    """
    if tags is None or tags == []:
        return ()
    return tuple(
        bare_filter(key, read_text(tags, key, field), f"{field}.{key}", group_by=True)
        for key in read_object(tags, field)
    )


def read_filters(filters: list[Any], field: str) -> tuple[TagFilter, ...]:
    """Read ``[{"type", "tagk", "filter", "groupBy"}]``.

    Raises:
        BadRequestError: With its place in the request.
    """
    return tuple(
        _read_filter(read_object(one, f"{field}[{at}]"), f"{field}[{at}]")
        for at, one in enumerate(filters)
    )


def _read_filter(given: Mapping[str, Any], field: str) -> TagFilter:
    key, kind = read_text(given, "tagk", field), read_text(given, "type", field)
    if not key.strip():
        raise BadRequestError("tagk: expected a tag key, found none", field=f"{field}.tagk")
    if kind not in list(FilterKind):
        problem = f"no such filter type: {shown(kind)}"
        raise BadRequestError(unknown(problem, kind, FilterKind), field=f"{field}.type")
    return _filter(
        key,
        FilterKind(kind),
        read_text(given, "filter", field),
        f"{field}.filter",
        group_by=read_truth(given, "groupBy", field) or read_truth(given, "group_by", field),
    )


def bare_filter(key: str, text: str, field: str, *, group_by: bool = False) -> TagFilter:
    """Read the value of a tag: ``*``, ``a|b``, ``we*``, or a filter type ``regexp(...)``.

    Raises:
        BadRequestError: With its place in the request.
    """
    typed = _TYPED.fullmatch(text)
    if typed is not None:
        name = typed[1].lower()
        if name in list(FilterKind):
            return _filter(key, FilterKind(name), typed[2], field, group_by=group_by)
        if difflib.get_close_matches(name[:64], list(FilterKind), n=1, cutoff=0.75):
            problem = f"no such filter type: {shown(typed[1])}"
            raise BadRequestError(unknown(problem, name, FilterKind), field=field)
    return _filter(key, None, text, field, group_by=group_by)


def _filter(
    key: str, kind: FilterKind | None, text: str, field: str, *, group_by: bool
) -> TagFilter:
    if len(text) > MAX_TEXT:
        raise BadRequestError(
            f"the filter on {shown(key)} has {len(text):,} characters, more than {MAX_TEXT:,}",
            field=field,
        )
    if kind is FilterKind.REGEXP:
        texts = [text]
    else:
        texts = list(dict.fromkeys(part for part in text.split("|") if part))
    if not texts or not texts[0]:
        raise BadRequestError(f"the filter on {shown(key)} is empty", field=field)
    if len(texts) > MAX_ALTERNATIVES:
        raise BadRequestError(
            f"the filter on {shown(key)} names {len(texts):,} values, "
            f"more than {MAX_ALTERNATIVES:,}",
            field=field,
        )
    if kind in _TAKE_ALL and not _EVERYTHING.isdisjoint(texts):
        return TagFilter(key, FilterKind.WILDCARD, "*", group_by)
    _check_stars(key, kind, texts, field)
    try:
        return as_filter(key, Value(kind, tuple(texts), 0), group_by=group_by)
    except BadRequestError as error:
        raise BadRequestError(error.message, field=field) from None


def _check_stars(key: str, kind: FilterKind | None, texts: list[str], field: str) -> None:
    """Refuse what would match nothing, whatever the values, without a word."""
    for one in texts:
        if kind in _WILD and "*" not in one:
            raise BadRequestError(
                f"the {kind} filter on {shown(key)} has no '*': {shown(one)}; use "
                "literal_or for exact values, which takes '*' alone for every value",
                field=field,
            )
        if kind in _LITERAL and "*" in one:
            raise BadRequestError(
                f"the {kind} filter on {shown(key)} takes exact values, and '*' alone for "
                f"every value, found {shown(one)}; use wildcard",
                field=field,
            )
