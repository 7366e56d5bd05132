"""Points to OpenTSDB's ``dps``, without one Python object a point.

As in ``bridge.doors.datapoints``: the column of values is encoded as a whole, cut at its
commas, and set into a template made of the stamps, which most series of an answer share.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from bridge.doors.datapoints import Axes, column

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Stamps = NDArray[np.int64]
    Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Axis:
    """What the series of one time axis share.

    Attributes:
        template: The text of the stamps.
        kept: Which points are answered; None for all.
    """

    template: bytes
    kept: NDArray[np.bool_] | None


class DpsEncoder:
    """Encodes the series of one answer; equal time axes are encoded once.

    Args:
        milliseconds: Stamps go out in milliseconds; otherwise in seconds, and of several
            points in one second the last one goes out.
        arrays: ``[[stamp, value]]``, otherwise ``{"stamp": value}``.
        gaps: NaN goes out as null; otherwise the point is left out.
    """

    def __init__(self, *, milliseconds: bool, arrays: bool, gaps: bool) -> None:
        self._gaps = gaps
        self._axes = Axes(partial(_axis, milliseconds=milliseconds, arrays=arrays))

    def encode(self, stamps_ms: Stamps, values: Values) -> bytes | None:
        """Return the ``dps`` as JSON; None where no point has a value.

        Args:
            stamps_ms: Epoch milliseconds, ``int64``, ascending.
            values: As many, ``float64``; NaN where a fill policy left a gap.
        """
        if not len(stamps_ms):
            return None
        if math.isnan(np.minimum.reduce(values)):
            missing = np.isnan(values)
            if missing.all():
                return None
            if not self._gaps:
                stamps_ms, values = stamps_ms[~missing], values[~missing]
        axis = self._axes.of(stamps_ms)
        if axis.kept is not None:
            values = values[axis.kept]
        return axis.template % tuple(column(values).split(b","))


def _axis(stamps: Stamps, *, milliseconds: bool, arrays: bool) -> _Axis:
    kept = None
    if not milliseconds:
        stamps = stamps // 1000
        last = np.append(stamps[1:] != stamps[:-1], True)
        if not last.all():
            stamps, kept = stamps[last], last
    text = column(stamps)
    if arrays:
        return _Axis(b"[[" + text.replace(b",", b",%b],[") + b",%b]]", kept)
    return _Axis(b'{"' + text.replace(b",", b'":%b,"') + b'":%b}', kept)
