"""Points to JSON bytes, without one Python object a point.

``[[value, stamp], ...]``: the column of values is encoded by orjson as a whole (shortest
exact floats, NaN and infinities as null), cut at its commas, and set into a template made
of the stamps, which the series of one answer mostly share (reference: performance 1, which
measured the way with one list a point two to seven times slower).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import orjson

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Stamps = NDArray[np.int64]
    Values = NDArray[np.float64]


class DatapointsEncoder:
    """Encodes the series of one answer; equal consecutive time axes are encoded once."""

    def __init__(self) -> None:
        self._stamps: Stamps | None = None
        self._template = b""

    def encode(self, stamps_ms: Stamps, values: Values) -> bytes:
        """Return ``[[value|null, stamp], ...]`` as JSON.

        Args:
            stamps_ms: Epoch milliseconds, ``int64``.
            values: As many, ``float64``.
        """
        if not len(stamps_ms):
            return b"[]"
        if self._stamps is None or not np.array_equal(self._stamps, stamps_ms):
            self._stamps = stamps_ms
            self._template = b"[[%b," + column(stamps_ms).replace(b",", b"],[%b,") + b"]]"
        return self._template % tuple(column(values).split(b","))


def column(numbers: Stamps | Values) -> bytes:
    """Encode a column as JSON numbers joined by commas, without the brackets."""
    encoded = orjson.dumps(np.ascontiguousarray(numbers), option=orjson.OPT_SERIALIZE_NUMPY)
    return encoded[1:-1]


def with_gaps(
    stamps_ms: Stamps, values: Values, *, step_ms: int, tolerance_ms: int = 0
) -> tuple[Stamps, Values]:
    """Put one NaN where buckets are missing, so that a graph shows a hole and not a line.

    Args:
        stamps_ms: Ascending bucket starts.
        values: As many.
        step_ms: Distance of neighbouring buckets.
        tolerance_ms: How much more than the step is no hole yet, for steps finer than the
            history's own.

    Returns:
        The columns with the NaN one step behind the bucket before each hole.
    """
    before = np.flatnonzero(np.diff(stamps_ms) > step_ms + tolerance_ms)
    if not len(before):
        return stamps_ms, values
    return (
        np.insert(stamps_ms, before + 1, stamps_ms[before] + step_ms),
        np.insert(values, before + 1, np.nan),
    )


def encode_rows(
    series: Sequence[tuple[Stamps, Values, Sequence[str | None]]],
) -> bytes:
    """Encode a long table, ``[[stamp, label..., value], ...]``, sorted by time.

    Args:
        series: Stamps, values and the labels' cells, the same number of cells for each.
    """
    rows: list[bytes] = []
    for stamps_ms, values, cells in series:
        if not len(stamps_ms):
            continue
        labels = b"," + b"".join(orjson.dumps(cell) + b"," for cell in cells)
        stamps, numbers = column(stamps_ms).split(b","), column(values).split(b",")
        rows += [
            b"[" + stamp + labels + number + b"]"
            for stamp, number in zip(stamps, numbers, strict=True)
        ]
    if not rows:
        return b"[]"
    order = np.argsort(np.concatenate([one[0] for one in series]), kind="stable")
    return b"[" + b",".join([rows[index] for index in order.tolist()]) + b"]"
