"""The points of the drawn series side by side: for the table, and for what the pointer shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import orjson

from bridge.doors.page.times import absolute
from bridge.doors.page.units import MISSING, readable
from bridge.offload import in_slices

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bridge.doors.page.answer import Answer
    from bridge.doors.page.question import Question

#: Cells at most; the newest times are kept.
MOST_CELLS = 20_000


@dataclass(frozen=True, slots=True)
class Points:
    """Values as text, one row a time.

    Attributes:
        times: As a person reads them.
        across: The same in percent of the chart's width.
        columns: One a drawn series, as long as ``times``.
        left_out: How many earlier times there are.
    """

    times: tuple[str, ...]
    across: tuple[float, ...]
    columns: tuple[tuple[str, ...], ...]
    left_out: int = 0

    def as_json(self) -> str:
        """Return what the script reads: ``{"x": [...], "t": [...], "v": [[...], ...]}``."""
        return orjson.dumps({"x": self.across, "t": self.times, "v": self.columns}).decode()


async def side_by_side(question: Question, answer: Answer) -> Points:
    """Write the points of the drawn series, beside other requests."""
    series = [row.series for row in answer.rows[: answer.drawn]]
    if not series:
        return Points((), (), ())
    axis = np.unique(np.concatenate([one.stamps_ms for one in series]))
    left_out = max(0, len(axis) - MOST_CELLS // len(series))
    axis = axis[left_out:]

    def columns() -> Iterator[tuple[str, ...]]:
        for one in series:
            kept = one.stamps_ms.searchsorted(axis[0])
            texts = [MISSING] * len(axis)
            places = axis.searchsorted(one.stamps_ms[kept:]).tolist()
            for place, value in zip(places, one.values[kept:].tolist(), strict=True):
                texts[place] = readable(value, answer.unit)
            yield tuple(texts)

    window = question.window
    span = window.end_ms - window.start_ms
    return Points(
        tuple(absolute(stamp, question.zone) for stamp in axis.tolist()),
        tuple((100 * (axis - window.start_ms) / span).round(3).tolist()),
        tuple(await in_slices(columns(), 0)),
        left_out,
    )
