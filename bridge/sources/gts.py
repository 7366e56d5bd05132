"""Warp 10's JSON answers into numpy arrays, one series at a time.

A series is ``{"c": class, "l": labels, "a": {}, "la": 0, "v": [[microsecond, value], ...]}``
(reference: opentsdb 2.7).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from bridge.errors import UpstreamError
from bridge.sources.answers import PairReader, count, cut, text_tags
from bridge.sources.metrics_platform import INTERNAL_LABEL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bridge.sources.answers import AnswerSeries, Line, Text

#: Bytes of an answer that one point takes, about.
BYTES_PER_POINT = 25

#: Cannot occur inside a JSON string, where a quote is escaped.
_MARK = b'"v":[['


def read_stack(body: bytes, who: str, *, lists: int | None) -> Iterator[tuple[int, AnswerSeries]]:
    """Parse the answer to a script that leaves series, or lists of series.

    Series without points are left out.

    Args:
        body: JSON: the stack, whose top is all there is.
        who: The upstream's name for messages.
        lists: How many lists of series the top holds; None when it holds the series.

    Yields:
        In which list a series stands (0 without lists), and the series, its stamps in
        microseconds.

    Raises:
        UpstreamError: It is no such answer.
    """
    spans, rest = cut(body, _MARK, b"]]")
    try:
        stack = orjson.loads(rest)
    except orjson.JSONDecodeError:
        raise UpstreamError(f"{who} answered something that is not complete JSON") from None
    reader = PairReader()
    following = iter(spans)
    for number, members in enumerate(_lists(stack, lists, who)):
        for head in members:
            tags = _tags(head, who)
            if head["v"] == []:
                continue
            try:
                span = next(following, b"") if head["v"] == 0 else orjson.dumps(head["v"])
                stamps, values = reader.read(span, count(span, "[") - 1) or _thorough(span)
            except (ValueError, TypeError, OverflowError):
                raise UpstreamError(f"{who} answered points that are not numbers") from None
            yield number, reader.series(tags, stamps, values)
    if next(following, None) is not None:
        raise UpstreamError(f"{who} answered points that belong to no series")


def _lists(stack: Any, lists: int | None, who: str) -> list[list[Any]]:
    top = stack[0] if isinstance(stack, list) and len(stack) == 1 else None
    if not isinstance(top, list):
        raise UpstreamError(f"{who} answered JSON that is not a list of series")
    if lists is None or top == []:
        return [top]
    if len(top) != lists or not all(isinstance(members, list) for members in top):
        raise UpstreamError(f"{who} answered JSON that is not a list of series for each function")
    return top


def _tags(head: Any, who: str) -> dict[str, str]:
    tags = head.get("l") if isinstance(head, dict) and "v" in head else None
    try:
        return {key: text for key, text in text_tags(tags).items() if key != INTERNAL_LABEL}
    except TypeError:
        raise UpstreamError(f"{who} answered a series without labels") from None


def _thorough(span: Text) -> Line:
    """Return stamps and values of ``[[stamp, value], ...]``; what is no number is refused.

    Strict JSON has no word for what is not finite: it comes as text, and becomes NaN.
    """
    rows = orjson.loads(span)
    if not isinstance(rows, list) or any(type(stamp) is not int for stamp, _ in rows):
        raise TypeError
    values = [_NOT_FINITE.get(v, v) if isinstance(v, str) else v for _, v in rows]
    if any(type(value) not in (int, float) for value in values):
        raise TypeError
    stamps = np.array([stamp for stamp, _ in rows], dtype=np.int64)
    return stamps, np.array(values, dtype=np.float64)


_NOT_FINITE = dict.fromkeys(("NaN", "Infinity", "-Infinity"), np.nan)
