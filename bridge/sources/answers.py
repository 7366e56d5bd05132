"""Series out of large JSON answers, one at a time, without an object for each point.

Decoding a whole answer at once would hold the interpreter for as long as it takes (and
build a million objects). Here the points of each series are cut out by a byte search and
decoded by themselves, so that other work runs in between; series with the same stamps
share them (reference: performance 1).
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    Line = tuple[NDArray[np.int64], NDArray[np.float64]]
    #: A part of an answer.
    Text = bytes | memoryview

#: Where there is no wheel for an interpreter, orjson reads numbers as well.
_HAS_SIMDJSON = find_spec("simdjson") is not None
if _HAS_SIMDJSON:
    import simdjson

_NUMBERS = frozenset({int, float})

#: Bytes from which the fast way is faster.
_WORTH_IT = 256

#: Stamps stay exact as doubles below this.
_LARGEST_STAMP = 2**53


@dataclass(frozen=True, slots=True, eq=False)
class AnswerSeries:
    """One series of an upstream's answer.

    Attributes:
        tags: As answered.
        stamps: Ascending stamps in the answer's own unit.
        values: Same length, finite.
    """

    tags: Mapping[str, str]
    stamps: NDArray[np.int64]
    values: NDArray[np.float64]


def text_tags(content: Any) -> dict[str, str]:
    """Return an answer's tags, which are an object of texts.

    Raises:
        TypeError: They are something else.
    """
    if not isinstance(content, dict) or not all(isinstance(v, str) for v in content.values()):
        raise TypeError("tags are an object of texts")
    return content


class Numbers:
    """Reads lists of numbers, without an object for each where simdjson is there."""

    def __init__(self) -> None:
        self._parser = simdjson.Parser() if _HAS_SIMDJSON else None

    def read(self, text: Text) -> NDArray[np.float64] | None:
        """Return the numbers of a JSON array, which simdjson reads however it is nested.

        Returns:
            None where it holds something else.
        """
        try:
            if self._parser is None:
                plain = orjson.loads(text)
                return np.array(plain, np.float64) if set(map(type, plain)) <= _NUMBERS else None
            numbers = self._parser.parse(text)
            if not isinstance(numbers, simdjson.Array):
                return None
            return np.frombuffer(numbers.as_buffer(of_type="d"))
        except (ValueError, TypeError, RuntimeError, OverflowError):
            return None


class PairReader:
    """Reads the points of one answer; equal consecutive time axes are shared."""

    def __init__(self) -> None:
        self._numbers = Numbers()
        self._stamps = np.empty(0, dtype=np.int64)
        #: The same as read, and whether they ascend.
        self._read = np.empty(0)
        self._ascending = True

    def read(self, span: Text, pairs: int) -> Line | None:
        """Read an array of numbers as pairs of stamp and value, however it is nested.

        Args:
            span: JSON.
            pairs: How many there must be.

        Returns:
            None where that is not what it holds, or not worth the while.
        """
        flat = self._numbers.read(span) if len(span) >= _WORTH_IT else None
        if flat is None or len(flat) != 2 * pairs:
            return None
        if np.array_equal(flat[0::2], self._read):
            return self._stamps, flat[1::2].copy()
        with np.errstate(invalid="ignore"):  # what is no stamp is seen on the next line
            stamps = flat[0::2].astype(np.int64)
        if not np.array_equal(stamps, flat[0::2]) or int(stamps[-1]) >= _LARGEST_STAMP:
            return None
        self._read, self._stamps = flat[0::2].copy(), stamps
        self._ascending = bool((stamps[1:] > stamps[:-1]).all())
        return stamps, flat[1::2].copy()

    def series(
        self, tags: Mapping[str, str], stamps: NDArray[np.int64], values: NDArray[np.float64]
    ) -> AnswerSeries:
        """Make a series of what was read: stamps shared with the series before, and tidy."""
        if stamps is self._stamps and self._ascending:
            return AnswerSeries(tags, stamps, values)  # JSON has no other numbers than finite
        made = tidied(tags, stamps, values)
        if np.array_equal(made.stamps, self._stamps):
            return AnswerSeries(tags, self._stamps, made.values)
        return made


def count(span: Text, char: str) -> int:
    """Count an ASCII character; faster than ``bytes.count`` where it is frequent."""
    return int(np.count_nonzero(np.frombuffer(span, dtype=np.uint8) == ord(char)))


def cut(body: bytes, mark: bytes, end: bytes) -> tuple[Sequence[Text], bytes]:
    """Cut out what stands between marks; return it and the JSON that is left.

    Args:
        body: JSON.
        mark: A key and the beginning of its value, one bracket or brace long; must not be
            able to occur inside a JSON string.
        end: The last bytes of the value, which cannot occur earlier in it.

    Returns:
        The values, and the body with ``0`` in their places.
    """
    key = mark.rstrip(b"[{")
    whole = memoryview(body)
    spans, rest = [], []
    at = 0
    while (found := body.find(mark, at)) >= 0:
        start = found + len(key)
        stop = body.find(end, start) + len(end)
        if stop < start:
            break
        rest.append(body[at:start])
        rest.append(b"0")
        spans.append(whole[start:stop])
        at = stop
    rest.append(body[at:])
    return spans, b"".join(rest)


def tidied(
    tags: Mapping[str, str], stamps: NDArray[np.int64], values: NDArray[np.float64]
) -> AnswerSeries:
    """Drop what is not finite, and put stamps into order, each once.

    Of several values for a stamp the last one counts, as wherever JSON names a key twice.
    """
    finite = np.isfinite(values)
    if not finite.all():
        stamps, values = stamps[finite], values[finite]
    if len(stamps) > 1 and (stamps[1:] <= stamps[:-1]).any():
        stamps, last = np.unique(stamps[::-1], return_index=True)
        values = values[::-1][last]
    return AnswerSeries(tags, stamps, values)
