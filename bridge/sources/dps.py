"""OpenTSDB's JSON answers into numpy arrays, one series at a time.

Decoding a whole answer at once would hold the interpreter for as long as it takes (and
build a million objects). Here each ``dps`` object is cut out by a byte search and decoded
by itself, so that other threads run in between; series with the same stamps share them
(reference: performance 1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from bridge.errors import UpstreamError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

#: Cannot occur inside a JSON string, where a quote is escaped.
_MARK = b'"dps":{'


@dataclass(frozen=True, slots=True, eq=False)
class AnswerSeries:
    """One element of an ``/api/query`` answer.

    Attributes:
        tags: As answered.
        stamps: Ascending stamps in the answer's own unit.
        values: Same length; points that were NaN or null are left out.
    """

    tags: Mapping[str, str]
    stamps: NDArray[np.int64]
    values: NDArray[np.float64]


def parse_answer(body: bytes, who: str) -> tuple[AnswerSeries, ...]:
    """Parse the body of a successful ``/api/query``.

    Args:
        body: The JSON array.
        who: The upstream's name for messages.

    Raises:
        UpstreamError: It is not an OpenTSDB answer.
    """
    spans, rest = _cut(body)
    try:
        heads = orjson.loads(rest)
    except orjson.JSONDecodeError:
        raise UpstreamError(f"{who} answered something that is not complete JSON") from None
    if not isinstance(heads, list):
        raise UpstreamError(f"{who} answered JSON that is not a list of series")
    if len(heads) != len(spans):  # not written compactly, or without points
        spans = [orjson.dumps(head.pop("dps", None)) for head in heads if isinstance(head, dict)]
        heads = [head | {"dps": 0} if isinstance(head, dict) else head for head in heads]
    if len(heads) != len(spans):
        raise UpstreamError(f"{who} answered something that is not a list of series")
    last_keys: list[str] = []
    last_stamps = np.empty(0, dtype=np.int64)
    series = []
    for head, span in zip(heads, spans, strict=True):
        tags = _tags(head, who)
        try:
            dps = orjson.loads(span)
            keys = list(dps.keys())
            if keys != last_keys:
                last_keys, last_stamps = keys, _stamps(keys)
            stamps, values = last_stamps, _values(dps)
        except (ValueError, TypeError, OverflowError, AttributeError):
            raise UpstreamError(f"{who} answered points that are not numbers") from None
        series.append(_tidy(tags, stamps, values))
    return tuple(series)


def _cut(body: bytes) -> tuple[list[bytes], bytes]:
    """Cut every flat ``dps`` object out; return them and the JSON that is left."""
    spans, rest = [], []
    at = 0
    while (mark := body.find(_MARK, at)) >= 0:
        start = mark + len(_MARK) - 1
        end = body.find(b"}", start) + 1
        if not end:
            break
        rest.append(body[at:start])
        rest.append(b"0")
        spans.append(body[start:end])
        at = end
    rest.append(body[at:])
    return spans, b"".join(rest)


def _tags(head: Any, who: str) -> dict[str, str]:
    tags = head.get("tags") if isinstance(head, dict) and head.get("dps") == 0 else None
    if not isinstance(tags, dict):
        raise UpstreamError(f"{who} answered a series without tags")
    return {str(key): str(value) for key, value in tags.items()}


def _stamps(keys: list[str]) -> NDArray[np.int64]:
    return np.fromiter(map(int, keys), dtype=np.int64, count=len(keys))


def _values(dps: Mapping[str, Any]) -> NDArray[np.float64]:
    try:
        return np.fromiter(dps.values(), dtype=np.float64, count=len(dps))
    except TypeError:  # a null among the numbers
        plain = (np.nan if value is None else value for value in dps.values())
        return np.fromiter(plain, dtype=np.float64, count=len(dps))


def _tidy(
    tags: Mapping[str, str], stamps: NDArray[np.int64], values: NDArray[np.float64]
) -> AnswerSeries:
    finite = np.isfinite(values)
    if not finite.all():
        stamps, values = stamps[finite], values[finite]
    if len(stamps) > 1 and (np.diff(stamps) <= 0).any():
        stamps, first = np.unique(stamps, return_index=True)
        values = values[first]
    return AnswerSeries(tags, stamps, values)
