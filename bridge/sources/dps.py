"""OpenTSDB's JSON answers into numpy arrays, one series at a time.

Decoding a whole answer at once would hold the interpreter for as long as it takes (and
build a million objects). Here each ``dps`` object is cut out by a byte search and decoded
by itself, so that other threads run in between; series with the same stamps share them
(reference: performance 1).
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from bridge.errors import UpstreamError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

#: Where there is no wheel for an interpreter, the thorough way serves alone.
_HAS_SIMDJSON = find_spec("simdjson") is not None
if _HAS_SIMDJSON:
    import simdjson

#: Turns ``{"1":2}`` into ``[ 1 ,2]``.
_FLAT = bytes.maketrans(b':{}"', b",[] ")

_COLON = ord(":")

#: Bytes from which the fast way is faster.
_WORTH_IT = 256

#: Stamps stay exact as doubles below this.
_LARGEST_STAMP = 2**53

#: Bytes of an answer that one point takes, about.
BYTES_PER_POINT = 20

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


def read_answer(body: bytes, who: str) -> Iterator[AnswerSeries]:
    """Parse the body of a successful ``/api/query``, series by series.

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
    decoder = _Decoder()
    for head, span in zip(heads, spans, strict=True):
        tags = _tags(head, who)
        try:
            stamps, values = decoder.decode(span)
        except (ValueError, TypeError, OverflowError, AttributeError):
            raise UpstreamError(f"{who} answered points that are not numbers") from None
        yield _tidy(tags, stamps, values)


class _Decoder:
    """Decodes the ``dps`` objects of one answer; equal consecutive time axes are shared."""

    def __init__(self) -> None:
        self._parser = simdjson.Parser() if _HAS_SIMDJSON else None
        self._stamps = np.empty(0, dtype=np.int64)

    def decode(self, span: bytes) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return stamps and values of ``{"stamp": value, ...}``; a null becomes NaN.

        Raises:
            ValueError, TypeError, OverflowError, AttributeError: Anything else.
        """
        stamps, values = self._fast(span) or _thorough(span)
        if np.array_equal(stamps, self._stamps):
            stamps = self._stamps
        self._stamps = stamps
        return stamps, values

    def _fast(self, span: bytes) -> tuple[NDArray[np.int64], NDArray[np.float64]] | None:
        """Read the object as one flat list of numbers, if that is what it holds."""
        if self._parser is None or len(span) < _WORTH_IT or b"[" in span:
            return None
        try:
            numbers = self._parser.parse(span.translate(_FLAT))
            if not isinstance(numbers, simdjson.Array):
                return None
            pairs = np.frombuffer(numbers.as_buffer(of_type="d"))
        except (ValueError, TypeError, RuntimeError):
            return None
        colons = np.count_nonzero(np.frombuffer(span, dtype=np.uint8) == _COLON)
        if len(pairs) != 2 * colons:
            return None
        stamps = pairs[0::2].astype(np.int64)
        exact = np.array_equal(stamps, pairs[0::2]) and int(stamps[-1]) < _LARGEST_STAMP
        return (stamps, pairs[1::2].copy()) if exact else None


def _thorough(span: bytes) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    dps = orjson.loads(span)
    stamps = np.fromiter(map(int, dps.keys()), dtype=np.int64, count=len(dps))
    return stamps, _values(dps)


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
    if len(stamps) > 1 and (stamps[1:] <= stamps[:-1]).any():
        stamps, first = np.unique(stamps, return_index=True)
        values = values[first]
    return AnswerSeries(tags, stamps, values)
