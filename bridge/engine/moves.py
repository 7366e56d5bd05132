"""Series of objects that moved, cut where they did.

Each bucket, or raw point, belongs to where the object was at the bucket's start. A part is a
member of its group like a whole series: it takes part from its first to its last point, and
nothing is interpolated from one part to the next, nor over the time spent elsewhere. No
point is added or lost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    Line = tuple[NDArray[np.int64], NDArray[np.float64]]
    Labelled = tuple[Mapping[str, str], Line]
    History = Sequence[tuple[int, Mapping[str, str]]]


def cut(line: Line, history: History, *, rejoin: bool) -> list[Labelled]:
    """Cut one series where its labels change.

    Args:
        line: Stamps and values, ascending.
        history: Labels, each with the millisecond from which they hold, ascending; the
            first hold from ever.
        rejoin: Whether parts of the same labels become one again, so that each label set
            occurs once; the time spent elsewhere is then a gap.

    Returns:
        Labels and line of each part that has points, by time; all of an uncut series, even
        without points.
    """
    if len(history) == 1:
        return [(history[0][1], line)]
    stamps, values = line
    cuts = np.searchsorted(stamps, [since_ms for since_ms, _ in history[1:]]).tolist()
    spans = zip([0, *cuts], [*cuts, len(stamps)], history, strict=True)
    parts = [(labels, slice(low, high)) for low, high, (_, labels) in spans if low < high]
    if not rejoin:
        return [(labels, (stamps[own], values[own])) for labels, own in parts]
    same: dict[tuple[tuple[str, str], ...], list[tuple[Mapping[str, str], slice]]] = {}
    for labels, own in parts:
        same.setdefault(tuple(sorted(labels.items())), []).append((labels, own))
    return [
        (
            members[0][0],
            (
                np.concatenate([stamps[own] for _, own in members]),
                np.concatenate([values[own] for _, own in members]),
            ),
        )
        for members in same.values()
    ]
