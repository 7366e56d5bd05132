"""Points to JSON bytes, without one Python object a point.

``[[value, stamp], ...]``: the column of values is encoded by orjson as a whole (shortest
exact floats, NaN and infinities as null), cut at its commas, and set between the texts of
the stamps, which the series of one answer mostly share (reference: performance 1, which
measured the way with one list a point two to seven times slower).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np
import orjson

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

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
        if self._last is not None and _same(self._last[0], stamps):
            return self._last[1]
        key = stamps.tobytes()
        found = self._made.get(key)
        if found is None:
            if len(self._made) >= _MOST_AXES:
                self._made.clear()
            found = self._made[key] = self._make(stamps)
        self._last = stamps, found
        return found


def _same(one: Stamps, other: Stamps) -> bool:
    """Whether two arrays are the same part of the same memory: cheaper than to compare."""
    if one is other:
        return True
    return (
        one.base is other.base is not None
        and len(one) == len(other)
        and one.__array_interface__["data"] == other.__array_interface__["data"]
        and one.strides == other.strides
    )


@dataclass(frozen=True, slots=True)
class _Axis:
    """What the series of one time axis share.

    Attributes:
        holes: Where nulls go.
        texts: The pieces of the answer: a bracket, then values, to be set, and stamps in turn.
    """

    holes: NDArray[np.intp]
    texts: list[bytes]


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

    def encode(self, stamps_ms: Stamps, values: Values) -> bytes:
        """Return ``[[value|null, stamp], ...]`` as JSON.

        Args:
            stamps_ms: Epoch milliseconds, ``int64``, ascending.
            values: As many, ``float64``.
        """
        if not len(stamps_ms):
            return b"[]"
        axis = self._axes.of(stamps_ms)
        if len(axis.holes):
            values = np.insert(values, axis.holes, np.nan)
        axis.texts[1::2] = column(values).split(b",")
        return b"".join(axis.texts)


def _axis(stamps_ms: Stamps, *, step_ms: int, longest_ms: int) -> _Axis:
    holes = np.empty(0, dtype=np.intp)
    if step_ms:
        before = np.flatnonzero(np.diff(stamps_ms) > longest_ms)
        holes = before + 1
        stamps_ms = np.insert(stamps_ms, holes, stamps_ms[before] + step_ms)
    stamps = column(stamps_ms).split(b",")
    texts = [b"[["] * (2 * len(stamps) + 1)
    texts[2::2] = [b"," + stamp + b"],[" for stamp in stamps]
    texts[-1] = b"," + stamps[-1] + b"]]"
    return _Axis(holes, texts)


def column(numbers: Stamps | Values) -> bytes:
    """Encode a column as JSON numbers joined by commas, without the brackets."""
    encoded = orjson.dumps(np.ascontiguousarray(numbers), option=orjson.OPT_SERIALIZE_NUMPY)
    return encoded[1:-1]


def json_list(items: list[bytes]) -> bytes:
    """Join encoded elements to a JSON list; the list given is changed.

    Brackets go into the outer elements: joining them on would copy the whole answer again.
    """
    if not items:
        return b"[]"
    items[0] = b"[" + items[0]
    items[-1] += b"]"
    return b",".join(items)


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
