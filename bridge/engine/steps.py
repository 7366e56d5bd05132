"""Which step a graph gets when its client names only a width (design 3, "Step")."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bridge.model import Window

_SECOND, _MINUTE, _HOUR, _DAY = 1_000, 60_000, 3_600_000, 86_400_000

#: Steps people can read on an axis, in milliseconds (reference: opentsdb 4).
LADDER = (
    *(n * _SECOND for n in (1, 5, 10, 15, 20, 30)),
    *(n * _MINUTE for n in (1, 2, 5, 10, 15, 20, 30)),
    *(n * _HOUR for n in (1, 2, 3, 6, 12)),
    *(n * _DAY for n in (1, 7, 30)),
)

#: Points across a graph when the client says nothing about its width.
DEFAULT_POINTS = 1_000


def choose_step(
    window: Window, *, interval_ms: int | None, max_points: int | None, source_step_ms: int
) -> int:
    """Return a step in milliseconds for a graph of ``window``.

    It is the largest of what the client asked for, what keeps the answer within
    ``max_points``, and the source's own step, rounded up to ``LADDER``; beyond the ladder,
    to whole multiples of its last rung.

    Args:
        window: The graph's span.
        interval_ms: The client's wish, if it has one.
        max_points: The most points it can draw; ``DEFAULT_POINTS`` when it does not say.
        source_step_ms: A finer step would only show gaps.
    """
    span = window.end_ms - window.start_ms
    needed = max(
        interval_ms or 0, -(-span // max(max_points or DEFAULT_POINTS, 1)), source_step_ms, 1
    )
    for rung in LADDER:
        if rung >= needed:
            return rung
    return -(-needed // LADDER[-1]) * LADDER[-1]
