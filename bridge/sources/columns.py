"""The answers for several bucket functions as columns of the same series."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import numpy as np

from bridge.engine.rosters import label_order
from bridge.errors import TooMuchError, UpstreamError
from bridge.model import Buckets, Points

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from bridge.model import BucketFunction

SeriesT = TypeVar("SeriesT", Buckets, Points)


def as_buckets(answers: Mapping[BucketFunction, Sequence[Points]], who: str) -> tuple[Buckets, ...]:
    """Put the buckets of several functions side by side.

    Args:
        answers: For each function the series; stamps are the starts of buckets.
        who: The upstream's name for messages.

    Raises:
        UpstreamError: The functions disagree about which series or buckets exist.
    """
    functions = list(answers)
    if len(functions) == 1:
        return tuple(
            Buckets(one.tags, one.stamps_ms, {functions[0]: one.values})
            for one in answers[functions[0]]
        )
    tables = {
        function: {tuple(sorted(one.tags.items())): one for one in answer}
        for function, answer in answers.items()
    }
    first = tables[functions[0]]
    if any(table.keys() != first.keys() for table in tables.values()):
        raise UpstreamError(f"{who} answered different series for the same question")
    made = []
    for key, one in first.items():
        same = {function: table[key] for function, table in tables.items()}
        if any(not np.array_equal(other.stamps_ms, one.stamps_ms) for other in same.values()):
            raise UpstreamError(f"{who} answered a bucket for one function but not for another")
        made.append(Buckets(one.tags, one.stamps_ms, {f: line.values for f, line in same.items()}))
    return tuple(made)


def in_order(series: Iterable[SeriesT]) -> tuple[SeriesT, ...]:
    """Put series, which come in any order, into the order of their tags.

    Else an aggregator that looks at the order (``first``, ``last``, ``diff``) would answer
    the same question in another way each time.
    """
    found = tuple(series)
    return tuple(found[at] for at in label_order([one.tags for one in found]))


def require_at_most(limit: int, series: Sequence[Points]) -> None:
    """Refuse more points than were asked for.

    Raises:
        TooMuchError: Naming the setting.
    """
    total = sum(len(one.stamps_ms) for one in series)
    if total > limit:
        raise too_many_points(f"{total:,} points", limit)


def too_many_points(found: str, limit: int) -> TooMuchError:
    """Return the error for a request that exceeds the bridge's own limit."""
    return TooMuchError(
        f"{found}, more than the limit of {limit:,} (setting max_points): "
        "narrow the range or the filters"
    )
