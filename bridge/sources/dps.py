"""OpenTSDB's JSON answers into numpy arrays, some thousand points at a time."""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import pairwise
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import orjson

from bridge.bytewise import anywhere, places
from bridge.errors import UpstreamError
from bridge.sources.answers import AnswerSeries, Numbers, cut, text_tags, tidied

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from bridge.sources.answers import Text

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
    lines = _lines(spans)
    for head in heads:
        tags = _tags(head, who)
        try:
            line = next(lines)
        except (ValueError, TypeError, OverflowError, AttributeError):
            raise UpstreamError(f"{who} answered points that are not numbers") from None
        # JSON has no other numbers than finite ones.
        made = AnswerSeries if line.is_plain else tidied
        yield made(tags, line.stamps, line.values)


class _Line(NamedTuple):
    """The points of one series, and whether they are numbers only, in the order of time."""

    stamps: NDArray[np.int64]
    values: NDArray[np.float64]
    is_plain: bool


def _lines(spans: Sequence[Text]) -> Iterator[_Line]:
    compact = _Compact()
    for block in _blocks(spans):
        yield from compact.read(block) or (
            line for span in block for line in compact.read([span]) or [_thorough(span)]
        )


#: Bytes read at once: each step of that holds the interpreter.
_BYTES_AT_ONCE = 16_384 * BYTES_PER_POINT


#: What a series costs besides its points, as so many bytes of them.
_BYTES_A_SERIES = 100 * BYTES_PER_POINT


def _blocks(spans: Sequence[Text]) -> Iterator[list[Text]]:
    block: list[Text] = []
    size = 0
    for span in spans:
        block.append(span)
        size += len(span) + _BYTES_A_SERIES
        if size >= _BYTES_AT_ONCE:
            yield block
            block, size = [], 0
    if block:
        yield block


class _Compact:
    """Reads points as OpenTSDB writes them, ``{"1700000000":1.5,"1700000060":2}``.

    The keys, all of one length, are cut out; what is left is a list of numbers, which needs
    no object for each (docs/performance.md). Equal keys are read once.
    """

    def __init__(self) -> None:
        self._numbers = Numbers()
        self._read_axis = lru_cache(_MOST_AXES)(_axis)
        self._keys = b""
        self._axis: _Axis | None = None

    def read(self, spans: Sequence[Text]) -> list[_Line] | None:
        """Read several series at once; None where one of them is written in another way."""
        joined = bytearray().join(spans)
        text = np.frombuffer(joined, dtype=np.uint8)
        colons = places(text, _COLON)
        # A key with what stands around it: a brace or comma, quotes, and the colon.
        width = _AROUND + joined.find(b'"', 2) - 2
        starts = colons + 1 - width
        if not _AROUND < width <= _AROUND + _MOST_DIGITS or b"[" in joined:
            return None
        if not len(colons) or starts[0] < 0:
            return None
        keys = anywhere(text, width)
        found = keys[starts].tobytes()
        ends = np.cumsum([len(span) for span in spans])
        bounds = [0, *colons.searchsorted(ends).tolist()]
        axes = []
        for low, high in pairwise(bounds):
            axis = self._axis_of(found[low * width : high * width], width)
            if axis is None or len(axis.stamps) != high - low:
                return None
            axes.append(axis)
        # Every number now follows a comma or the opening bracket, and at least one of them
        # each key: where there are as many as keys, each key has its own.
        keys[starts] = np.void(b",".ljust(width))
        text[ends - 1] = _SPACE
        text[0], text[-1] = _OPENING, _CLOSING
        values = self._numbers.read(text.data)
        if values is None or len(values) != len(colons):
            return None
        return [
            _Line(axis.stamps, values[low:high], axis.ascends)
            for axis, (low, high) in zip(axes, pairwise(bounds), strict=True)
        ]

    def _axis_of(self, keys: bytes, width: int) -> _Axis | None:
        if keys != self._keys:  # cheaper than to look them up, and mostly not so
            self._keys, self._axis = keys, self._read_axis(keys, width)
        return self._axis


class _Axis(NamedTuple):
    """The stamps of one series, and whether they ascend."""

    stamps: NDArray[np.int64]
    ascends: bool


#: Axes kept: series that all differ in theirs must not pile them up.
_MOST_AXES = 32

#: What stands around the digits of a key, and how many there may be: so many are exact as
#: doubles.
_AROUND, _MOST_DIGITS = len(b',"":'), 15

_COLON, _SPACE, _OPENING, _CLOSING = b": []"


def _axis(keys: bytes, width: int) -> _Axis | None:
    """Read the keys of one series, ``{"1":`` and then ``,"2":``; None where they are odd."""
    table = np.frombuffer(keys, dtype=np.uint8).reshape(-1, width)
    around = table[:, [0, 1, -2, -1]].tobytes()
    digits = table[:, 2:-2] - ord("0")
    if not len(table) or around != b'{"":' + b',"":' * (len(table) - 1) or digits.max() > 9:
        return None
    stamps = (digits @ 10.0 ** np.arange(width - 5, -1, -1)).astype(np.int64)
    return _Axis(stamps, bool((stamps[1:] > stamps[:-1]).all()))


def _thorough(span: Text) -> _Line:
    """Read ``{"stamp": value, ...}`` however it is written; a null becomes NaN."""
    dps = orjson.loads(span)
    if not all(map(_STAMP.fullmatch, dps.keys())):
        raise ValueError("a stamp is no whole number")
    stamps = np.fromiter(map(int, dps.keys()), dtype=np.int64, count=len(dps))
    return _Line(stamps, _numbers(dps.values()), is_plain=False)


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
