"""OpenTSDB's seven tag filters, as predicates (reference: opentsdb 1 and 1a).

Two ``literal_or`` on one key are a union, all other filters are ANDed; a filter on a key
that a series lacks never matches.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import regex

from bridge.errors import BadRequestError
from bridge.model import FilterKind, TagFilter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

#: Seconds one pattern may spend on one tag value before it is refused.
PATTERN_TIMEOUT_S = 0.2


def literals(flt: TagFilter) -> frozenset[str]:
    """Return the alternatives of a ``..._or`` filter; empty ones are dropped."""
    return frozenset(part for part in flt.text.split("|") if part)


def literal_unions(filters: Iterable[TagFilter]) -> dict[str, frozenset[str]]:
    """Return, for each key with a ``literal_or``, the values that its filters allow."""
    unions: dict[str, frozenset[str]] = {}
    for flt in filters:
        if flt.kind is FilterKind.LITERAL_OR:
            unions[flt.key] = unions.get(flt.key, frozenset()) | literals(flt)
    return unions


def compile_filter(flt: TagFilter) -> Callable[[str], bool]:
    """Turn one filter into a predicate on a tag value.

    Raises:
        BadRequestError: Empty text, a wildcard without ``*``, or a broken pattern. The
            predicate itself raises it when a pattern takes too long on a value.
    """
    if not flt.text:
        raise BadRequestError(f"the filter on '{flt.key}' is empty")
    match flt.kind:
        case FilterKind.LITERAL_OR:
            return _one_of(flt).__contains__
        case FilterKind.NOT_LITERAL_OR:
            unwanted = _one_of(flt)
            return lambda value: value not in unwanted
        case FilterKind.ILITERAL_OR:
            wanted = frozenset(text.lower() for text in _one_of(flt))
            return lambda value: value.lower() in wanted
        case FilterKind.NOT_ILITERAL_OR:
            unwanted = frozenset(text.lower() for text in _one_of(flt))
            return lambda value: value.lower() not in unwanted
        case FilterKind.WILDCARD | FilterKind.IWILDCARD:
            return _wildcard(flt)
        case FilterKind.REGEXP:
            return _regexp(flt)


def match_all(filters: Iterable[TagFilter]) -> Callable[[Mapping[str, str]], bool]:
    """Turn filters into one predicate on a series' tags.

    Raises:
        BadRequestError: As ``compile_filter``.
    """
    unions: dict[str, set[str]] = defaultdict(set)
    checks: list[tuple[str, Callable[[str], bool]]] = []
    for flt in filters:
        if flt.kind is FilterKind.LITERAL_OR:
            unions[flt.key] |= _one_of(flt)
        else:
            checks.append((flt.key, compile_filter(flt)))
    checks.extend((key, frozenset(wanted).__contains__) for key, wanted in unions.items())

    def matches(tags: Mapping[str, str]) -> bool:
        return all(key in tags and check(tags[key]) for key, check in checks)

    return matches


def _one_of(flt: TagFilter) -> frozenset[str]:
    wanted = literals(flt)
    if not wanted:
        raise BadRequestError(f"the filter on '{flt.key}' names no value")
    return wanted


def _wildcard(flt: TagFilter) -> Callable[[str], bool]:
    if "*" not in flt.text:
        raise BadRequestError(
            f"the {flt.kind} filter on '{flt.key}' has no '*': {flt.text!r}; "
            "use literal_or for exact values"
        )
    if flt.text == "*":
        return lambda _: True
    folded = flt.kind is FilterKind.IWILDCARD
    text = flt.text.lower() if folded else flt.text
    head, *middle, tail = text.split("*")
    middle = [part for part in middle if part]

    def matches(value: str) -> bool:
        if folded:
            value = value.lower()
        if len(value) < len(head) + len(tail):
            return False
        if not (value.startswith(head) and value.endswith(tail)):
            return False
        at, end = len(head), len(value) - len(tail)
        for part in middle:
            found = value.find(part, at, end)
            if found < 0:
                return False
            at = found + len(part)
        return True

    return matches


def _regexp(flt: TagFilter) -> Callable[[str], bool]:
    try:
        pattern = regex.compile(flt.text)
    except (regex.error, RecursionError, OverflowError) as error:
        raise BadRequestError(
            f"the regexp on '{flt.key}' is not a regular expression: {error}"
        ) from None

    def matches(value: str) -> bool:
        try:
            return pattern.search(value, timeout=PATTERN_TIMEOUT_S) is not None
        except TimeoutError:
            raise BadRequestError(
                f"the regexp on '{flt.key}' takes too long; simplify it"
            ) from None

    return matches
