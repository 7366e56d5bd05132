"""Points to JSON bytes, without one Python object a point.

``[[value, stamp], ...]``: the values are encoded by orjson as a whole (shortest exact
floats, NaN and infinities as null), and set between the texts of the stamps, which the
series of one answer mostly share (reference: performance 1, which measured the way with one
list a point two to seven times slower).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import groupby, islice
from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np
import orjson

from bridge.bytewise import anywhere, places

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    Stamps = NDArray[np.int64]
    Values = NDArray[np.float64]


#: Time axes kept at once: series that differ in theirs must not pile up texts.
_MOST_AXES = 32

AxisT = TypeVar("AxisT")


class Axes(Generic[AxisT]):
    """What is made of a time axis, made once for the series that share it.

    Args:
        make: Makes it of the stamps.
    """

    def __init__(self, make: Callable[[Stamps], AxisT]) -> None:
        self._make = make
        self._made: dict[bytes, AxisT] = {}
        self._last: tuple[Stamps, AxisT] | None = None

    def of(self, stamps: Stamps) -> AxisT:
        """Return what is made of these stamps."""
        if self._last is not None and self._last[0] is stamps:
            return self._last[1]
        key = stamps.tobytes()
        found = self._made.get(key)
        if found is None:
            if len(self._made) >= _MOST_AXES:
                self._made.clear()
            found = self._made[key] = self._make(stamps)
        self._last = stamps, found
        return found


@dataclass(frozen=True, slots=True, eq=False)
class _Axis:
    """What the series of one time axis share.

    Attributes:
        holes: Where nulls go.
        stamps: What stands behind each value, ``,1700000000000],[``; all of one length.
    """

    holes: NDArray[np.intp]
    stamps: NDArray[np.void]


class DatapointsEncoder:
    """Encodes the series of one target; equal time axes are encoded once.

    Args:
        step_ms: Where neighbouring stamps are further apart than this, a null is put one
            step behind the earlier, so that a graph shows a hole and not a line; 0 puts none.
        tolerance_ms: How much more than the step is no hole yet, for steps finer than the
            history's own.
    """

    def __init__(self, *, step_ms: int = 0, tolerance_ms: int = 0) -> None:
        self._axes = Axes(partial(_axis, step_ms=step_ms, longest_ms=step_ms + tolerance_ms))

    def encode(self, series: Iterable[tuple[Stamps, Values]]) -> Iterator[bytes | memoryview]:
        """Yield ``[[value|null, stamp], ...]`` as JSON, one for each series.

        Args:
            series: Epoch milliseconds (``int64``, ascending), and as many values
                (``float64``). Neighbours of one time axis are encoded together.
        """
        for axis, lines in groupby(series, lambda line: self._axis_of(line[0])):
            if axis is None:
                yield from (b"[]" for _ in lines)
                continue
            rows = (np.insert(row, axis.holes, np.nan) for _, row in lines)
            if not len(axis.holes):
                rows = (row for _, row in lines)
            while block := list(islice(rows, max(1, _POINTS_AT_ONCE // len(axis.stamps)))):
                yield from _set(block, axis.stamps)

    def _axis_of(self, stamps_ms: Stamps) -> _Axis | None:
        return self._axes.of(stamps_ms) if len(stamps_ms) else None


def _axis(stamps_ms: Stamps, *, step_ms: int, longest_ms: int) -> _Axis:
    holes = np.empty(0, dtype=np.intp)
    if step_ms:
        before = np.flatnonzero(np.diff(stamps_ms) > longest_ms)
        holes = before + 1
        stamps_ms = np.insert(stamps_ms, holes, stamps_ms[before] + step_ms)
    texts = column(stamps_ms)
    width = max(len(str(at)) for at in (stamps_ms[0], stamps_ms[-1]))
    if len(texts) != len(stamps_ms) * (width + 1) - 1:
        # JSON allows spaces: stamps of fewer digits, before 2001, get some.
        texts = b",".join(text.rjust(width) for text in texts.split(b","))
    behind = np.empty((len(stamps_ms), width + 4), dtype=np.uint8)
    behind[:, 0] = _COMMA
    behind[:, 1:-2] = np.frombuffer(texts + b"]", dtype=np.uint8).reshape(-1, width + 1)
    behind[:, -3:] = _BETWEEN
    return _Axis(holes, behind.view(f"V{width + 4}")[:, 0])


#: Points encoded between two turns of the event loop.
_POINTS_AT_ONCE = 16_384
#: The longest text of a float64, ``-2.2250738585072014e-308``.
_LONGEST = 24


def _set(rows: Sequence[Values], stamps: NDArray[np.void]) -> Iterator[memoryview]:
    """Set the values of several series between the same stamps.

    The values are encoded all at once. Each is then copied to its place with whatever stands
    behind it, as many bytes as the longest number can have; the next value, and in the end
    the stamps, overwrite what is too much. So every copy has the same length, and none needs
    an object (docs/performance.md).
    """
    columns, width = len(stamps), stamps.itemsize
    values = np.concatenate(rows)
    points = len(values)
    text = np.frombuffer(column(values) + bytes(_LONGEST), dtype=np.uint8)
    length = len(text) - _LONGEST
    ends = np.append(places(text[:length], _COMMA), length)
    # Each text grows by what stands behind it, and each series by two brackets.
    moved = np.arange(2, 2 + points * (width - 1), width - 1)
    moved += np.arange(len(rows)).repeat(columns)
    made = np.empty(length + points * (width - 1) + len(rows) + 1 + _LONGEST, dtype=np.uint8)
    starts = np.append(0, ends[:-1] + 1)
    anywhere(made, _LONGEST)[starts + moved] = anywhere(text, _LONGEST)[starts]
    ends += moved
    anywhere(made, width)[ends] = np.tile(stamps, len(rows))
    lasts = ends[columns - 1 :: columns] + width
    firsts = np.append(0, lasts[:-1] - 1)
    made[firsts] = made[firsts + 1] = _OPENING
    made[lasts - 2] = _CLOSING
    written = made.data
    for first, last in zip(firsts.tolist(), (lasts - 1).tolist(), strict=True):
        yield written[first:last]


_COMMA, _OPENING, _CLOSING = b",[]"
#: What ends one point and begins the next.
_BETWEEN = np.frombuffer(b"],[", dtype=np.uint8)


def column(numbers: Stamps | Values) -> bytes:
    """Encode a column as JSON numbers joined by commas, without the brackets."""
    encoded = orjson.dumps(np.ascontiguousarray(numbers), option=orjson.OPT_SERIALIZE_NUMPY)
    return encoded[1:-1]


def json_list(elements: Iterable[Sequence[bytes | memoryview]]) -> Iterator[bytes | memoryview]:
    """Give the pieces of a JSON list; joined once, no point is copied more than it must be.

    Args:
        elements: The pieces of each element.
    """
    before = b"["
    for pieces in elements:
        yield before
        yield from pieces
        before = b","
    yield b"[]" if before == b"[" else b"]"


def encode_rows(
    series: Sequence[tuple[Stamps, Values, Sequence[str | None]]],
) -> bytes:
    """Encode a long table, ``[[stamp, label..., value], ...]``, sorted by time.

    Args:
        series: Stamps, values and the labels' cells, the same number of cells for each.
    """
    lines = [
        (stamps, values, b"," + b"".join(orjson.dumps(cell) + b"," for cell in cells))
        for stamps, values, cells in series
    ]
    return b"".join(interleave(lines, opening=b"[[", between=b"],[", closing=b"]]")) or b"[]"


def interleave(
    series: Sequence[tuple[Stamps, Values, bytes]],
    *,
    opening: bytes,
    between: bytes,
    closing: bytes,
    stamps_as: Callable[[Stamps], list[bytes]] | None = None,
) -> Iterator[bytes]:
    """Write the points of all series sorted by time, some thousand at a time.

    Each point is its stamp, the middle of its series, its value; points of one stamp keep
    the order of the series. Without points nothing is written at all.

    Args:
        series: Stamps, values and the middle.
        opening: Stands before the first point.
        between: Stands between two points.
        closing: Stands behind the last point.
        stamps_as: Writes stamps; as JSON numbers where not given.
    """
    write = stamps_as or (lambda stamps: column(stamps).split(b","))
    middles = [middle for _, _, middle in series]
    lengths = [len(stamps) for stamps, _, _ in series]
    if not sum(lengths):
        return
    stamps = np.concatenate([one[0] for one in series])
    values = np.concatenate([one[1] for one in series])
    owners = np.repeat(np.arange(len(series)), lengths)
    order = np.argsort(stamps, kind="stable")
    for start in range(0, len(order), _ROWS_AT_ONCE):
        rows = order[start : start + _ROWS_AT_ONCE]
        parts = [between] * (4 * len(rows))
        if start == 0:
            parts[0] = opening
        parts[1::4] = write(stamps[rows])
        parts[2::4] = [middles[owner] for owner in owners[rows].tolist()]
        parts[3::4] = column(values[rows]).split(b",")
        yield b"".join(parts)
    yield closing


#: Rows of a table written between two turns of the event loop.
_ROWS_AT_ONCE = 4_096
