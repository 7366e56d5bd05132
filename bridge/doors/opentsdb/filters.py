"""Tag filters as OpenTSDB's clients write them (reference: opentsdb 1, "Tag -> filter").

Texts are literal, unlike those of the JSON doors: Grafana puts several values of a variable
together with ``|`` and escapes nothing (reference: grafana 4.2).
"""

from __future__ import annotations

import difflib
import re
from typing import Any

from bridge.doors.fields import shown
from bridge.doors.http import kind_of
from bridge.engine.lexemes import MAX_ALTERNATIVES, MAX_TEXT, Value, as_filter, unknown
from bridge.errors import BadRequestError
from bridge.model import FilterKind, TagFilter

_TYPED = re.compile(r"([A-Za-z_]+)\((.*)\)", re.DOTALL)
_WILD = frozenset({FilterKind.WILDCARD, FilterKind.IWILDCARD})
#: Filters in which these, none of which can be the value of a tag, say what Grafana's All does.
_TAKE_ALL = _WILD | {FilterKind.LITERAL_OR, FilterKind.ILITERAL_OR, FilterKind.REGEXP}
_EVERYTHING = frozenset({"*", ".*"})


def read_tags(tags: Any, field: str) -> tuple[TagFilter, ...]:
    """Read ``{"key": "value"}``, every key of which is grouped by; ``[]`` is empty.

    Raises:
        BadRequestError: With its place in the request.
    """
    if tags is None or tags == []:
        return ()
    if not isinstance(tags, dict):
        raise BadRequestError(f"tags: expected an object, found {kind_of(tags)}", field=field)
    return tuple(
        bare_filter(key, _text(value, f"{field}.{key}"), f"{field}.{key}", group_by=True)
        for key, value in tags.items()
    )


def read_filters(filters: Any, field: str) -> tuple[TagFilter, ...]:
    """Read ``[{"type", "tagk", "filter", "groupBy"}]``.

    Raises:
        BadRequestError: With its place in the request.
    """
    if filters is None:
        return ()
    if not isinstance(filters, list):
        raise BadRequestError(f"filters: expected a list, found {kind_of(filters)}", field=field)
    return tuple(_read_filter(one, f"{field}[{at}]") for at, one in enumerate(filters))


def _read_filter(given: Any, field: str) -> TagFilter:
    if not isinstance(given, dict):
        raise BadRequestError(f"filter: expected an object, found {kind_of(given)}", field=field)
    key = given.get("tagk")
    if not isinstance(key, str) or not key.strip():
        raise BadRequestError(
            f"tagk: expected a tag key, found {shown(key)}", field=f"{field}.tagk"
        )
    kind = given.get("type")
    if kind not in list(FilterKind):
        problem = f"no such filter type: {shown(kind)}"
        raise BadRequestError(
            unknown(problem, kind if isinstance(kind, str) else "", FilterKind),
            field=f"{field}.type",
        )
    group_by = given.get("groupBy", False)
    if group_by not in (True, False, None):
        raise BadRequestError(
            f"groupBy: expected true or false, found {shown(group_by)}", field=f"{field}.groupBy"
        )
    text = _text(given.get("filter"), f"{field}.filter")
    return _filter(key, FilterKind(kind), text, f"{field}.filter", group_by=bool(group_by))


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
    if kind in _WILD:
        for one in texts:
            if "*" not in one:
                raise BadRequestError(
                    f"the {kind} filter on {shown(key)} has no '*': {shown(one)}; use "
                    "literal_or for exact values, which takes '*' alone for every value",
                    field=field,
                )
    try:
        return as_filter(key, Value(kind, tuple(texts), 0), group_by=group_by)
    except BadRequestError as error:
        raise BadRequestError(error.message, field=field) from None


def _text(value: Any, field: str) -> str:
    """Return a text; OpenTSDB takes numbers for texts too."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        found = "nothing" if value is None else kind_of(value)
        name = field.rpartition(".")[2]
        raise BadRequestError(f"{name}: expected a text, found {found}", field=field)
    return str(value)
