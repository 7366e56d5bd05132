"""OpenTSDB's JSON answers into numpy arrays, one series at a time."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from bridge.errors import UpstreamError
from bridge.sources.answers import AnswerSeries, PairReader, count, cut, text_tags

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from numpy.typing import NDArray

    from bridge.sources.answers import Line

#: Turns ``{"1":2}`` into ``[ 1 ,2]``; white space, which could stand in a stamp, into nonsense.
_FLAT = bytes.maketrans(b':{}" \t\n\r', b",[] !!!!")

#: Bytes of an answer that one point takes, about.
BYTES_PER_POINT = 20

_STAMP = re.compile("-?[0-9]{1,19}")
#: OpenTSDB's words for what is no point.
_NOT_FINITE: Mapping[str, float] = MappingProxyType(
    dict.fromkeys(("NaN", "Infinity", "-Infinity"), np.nan)
)

#: Cannot occur inside a JSON string, where a quote is escaped.
_MARK = b'"dps":{'


def read_answer(body: bytes, who: str) -> Iterator[AnswerSeries]:
    """Parse the body of a successful ``/api/query``, series by series.

    Points that are NaN or null are left out.

    Args:
        body: The JSON array.
        who: The upstream's name for messages.

    Raises:
        UpstreamError: It is not an OpenTSDB answer.
    """
    spans, rest = cut(body, _MARK, b"}")
    try:
        heads = orjson.loads(rest)
    except orjson.JSONDecodeError:
        raise UpstreamError(f"{who} answered something that is not complete JSON") from None
    if not isinstance(heads, list):
        raise UpstreamError(f"{who} answered JSON that is not a list of series")
    if len(heads) != len(spans):  # not written compactly, or without points
        try:
            spans = [orjson.dumps(one.pop("dps", None)) for one in heads if isinstance(one, dict)]
        except TypeError:
            raise UpstreamError(f"{who} answered points nested too deeply") from None
        heads = [head | {"dps": 0} if isinstance(head, dict) else head for head in heads]
    if len(heads) != len(spans):
        raise UpstreamError(f"{who} answered something that is not a list of series")
    reader = PairReader()
    for head, span in zip(heads, spans, strict=True):
        tags = _tags(head, who)
        pairs = count(span, ":")
        plain = b"[" not in span and count(span, '"') == 2 * pairs
        flat = reader.read(span.translate(_FLAT), pairs) if plain else None
        try:
            stamps, values = flat or _thorough(span)
        except (ValueError, TypeError, OverflowError, AttributeError):
            raise UpstreamError(f"{who} answered points that are not numbers") from None
        yield reader.series(tags, stamps, values)


def _thorough(span: bytes) -> Line:
    """Return stamps and values of ``{"stamp": value, ...}``; a null becomes NaN."""
    dps = orjson.loads(span)
    if not all(map(_STAMP.fullmatch, dps.keys())):
        raise ValueError("a stamp is no whole number")
    stamps = np.fromiter(map(int, dps.keys()), dtype=np.int64, count=len(dps))
    return stamps, _numbers(dps.values())


def _tags(head: Any, who: str) -> dict[str, str]:
    tags = head.get("tags") if isinstance(head, dict) and head.get("dps") == 0 else None
    try:
        return text_tags(tags)
    except TypeError:
        raise UpstreamError(f"{who} answered a series without tags") from None


def _numbers(values: Iterable[Any]) -> NDArray[np.float64]:
    """Return values as numbers, null as NaN; a truth or another text is refused."""
    plain = [
        np.nan if one is None else _NOT_FINITE.get(one, one) if type(one) is str else one
        for one in values
    ]
    if any(type(one) not in {int, float} for one in plain):
        raise TypeError("a value is no number")
    return np.array(plain, dtype=np.float64)
