"""Arithmetic of time spans: what is there, what is missing.

A span is ``(start, end)`` in milliseconds, the end exclusive, never empty.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

Span = tuple[int, int]


def overlap(one: Span, other: Span) -> Span | None:
    """Return what two spans share."""
    start, end = max(one[0], other[0]), min(one[1], other[1])
    return (start, end) if start < end else None


def missing(wanted: Span, there: Iterable[Span]) -> list[Span]:
    """Return the parts of ``wanted`` that no span of ``there`` covers, ascending."""
    gaps = []
    at, end = wanted
    for begin, until in sorted(there):
        if begin >= end:
            break
        if begin > at:
            gaps.append((at, begin))
        at = max(at, until)
    if at < end:
        gaps.append((at, end))
    return gaps


def joined(spans: Iterable[Span], *, slack: int = 0) -> list[Span]:
    """Join spans that overlap, touch or lie at most ``slack`` apart."""
    result: list[Span] = []
    for begin, until in sorted(spans):
        if result and begin - result[-1][1] <= slack:
            result[-1] = (result[-1][0], max(result[-1][1], until))
        else:
            result.append((begin, until))
    return result


def whole(span: Span, grid: int) -> Span | None:
    """Return the part of a span made of whole steps of an epoch grid."""
    start, end = -(-span[0] // grid) * grid, span[1] // grid * grid
    return (start, end) if start < end else None
