"""Which tier of each part answers a question exactly, or why none does."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bridge.errors import BadRequestError
from bridge.sources.history.layout import RAW, ROLLUPS, moment_text
from bridge.sources.history.meta import one
from bridge.sources.history.parts import read_parts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bridge.sources.history.database import Cursor
    from bridge.sources.history.layout import Tier
    from bridge.sources.history.parts import Part
    from bridge.sources.history.series import Selection
    from bridge.sources.history.store import Store

    Place = tuple[int, int]

#: The month of a time in SQL, as ``layout.month_of``.
MONTH = "datesub('month', TIMESTAMP '1970-01-01', make_timestamp_ms(time))::INTEGER"


@dataclass(frozen=True, slots=True)
class Asked:
    """What rows a question needs.

    Attributes:
        selection: The series.
        wanted: The SQL condition that a row is of one of them.
        start_ms: First millisecond.
        end_ms: Last one, inclusive.
        step_ms: Width of the buckets; None for points.
    """

    selection: Selection
    wanted: str
    start_ms: int
    end_ms: int
    step_ms: int | None = None

    @property
    def condition(self) -> str:
        """The SQL condition that a row is asked for."""
        return f"({self.wanted} AND time BETWEEN {self.start_ms} AND {self.end_ms})"

    @property
    def fitting(self) -> tuple[Tier, ...]:
        """The tiers that can give the answer, coarsest first."""
        step = self.step_ms
        if step is None:
            return (RAW,)
        return (*(tier for tier in reversed(ROLLUPS) if step % tier.width_ms == 0), RAW)


@dataclass(frozen=True, slots=True)
class Choice:
    """What to read.

    Attributes:
        parts: The parts to read of each tier.
        patched: Parts, with the tier, whose roll-up must be renewed by points that came
            late, because the points it was made of are no longer kept.
        late: Whether the table ``late`` holds anything.
    """

    parts: Mapping[Tier, Sequence[Part]]
    patched: Sequence[tuple[Part, Tier]]
    late: bool

    @property
    def used(self) -> list[Part]:
        """Every part that is read."""
        return [*(p for own in self.parts.values() for p in own), *(p for p, _ in self.patched)]


def choose(cursor: Cursor, store: Store, asked: Asked) -> Choice:
    """Decide which files answer a question; ``cursor`` is in the transaction that reads them.

    Raises:
        BadRequestError: What is kept of some month cannot give the answer.
    """
    parts = read_parts(
        cursor,
        start_ms=asked.start_ms,
        end_ms=asked.end_ms,
        low=int(asked.selection.numbers[0]),
        high=int(asked.selection.numbers[-1]) + 1,
    )
    known = _known(cursor, store, parts, asked)
    late = one(cursor, "SELECT count(*) FROM late") > 0
    touched = _touched(cursor, asked) if late and parts else frozenset()
    chosen: dict[Tier, list[Part]] = defaultdict(list)
    patched: list[tuple[Part, Tier]] = []
    refused: list[Part] = []
    for part in parts:
        place = (part.month, part.low)
        series, lost = known.get(place, (0, 0)) if known is not None else (1, 0)
        tier = _best(part, asked.fitting, lost)
        if place in touched and tier is not RAW:
            if not lost & RAW.bit and (RAW in part.files or not series):
                tier = RAW
            elif tier is not None:
                patched.append((part, tier))
        if tier is None and series:
            refused.append(part)
        elif tier is not None and tier in part.files:
            chosen[tier].append(part)
    if refused:
        raise _refusal(refused, known or {}, asked)
    left = {id(part) for part, _ in patched}
    return Choice(
        {tier: [p for p in own if id(p) not in left] for tier, own in chosen.items()},
        patched,
        late,
    )


def _best(part: Part, tiers: Sequence[Tier], lost: int) -> Tier | None:
    return next((t for t in tiers if t in part.files and not lost & t.bit), None)


def _known(
    cursor: Cursor, store: Store, parts: Sequence[Part], asked: Asked
) -> Mapping[Place, tuple[int, int]] | None:
    """Count the asked series in each part, and say which tiers some of them have lost.

    None when every part certainly has what is asked.
    """
    if all(part.month > store.lost_until and asked.fitting[0] in part.files for part in parts):
        return None
    rows = cursor.execute(
        "SELECT part.month, part.low, count(*), bit_or(lost) FROM (SELECT DISTINCT month, low, "
        f"high FROM files WHERE month BETWEEN {parts[0].month} AND {parts[-1].month}) AS part "
        "JOIN coverage ON coverage.month = part.month AND series >= low AND series < high "
        f"WHERE {asked.wanted} GROUP BY part.month, part.low"
    ).fetchall()
    return {(month, low): (count, lost) for month, low, count, lost in rows}


def _touched(cursor: Cursor, asked: Asked) -> frozenset[Place]:
    """Return the parts with late points that are asked for."""
    rows = cursor.execute(
        "SELECT DISTINCT files.month, files.low FROM files JOIN "
        f"(SELECT DISTINCT series, {MONTH} AS month FROM late WHERE {asked.condition}) AS late "
        "ON files.month = late.month AND series >= low AND series < high"
    ).fetchall()
    return frozenset((month, low) for month, low in rows)


def _refusal(
    refused: Sequence[Part], known: Mapping[Place, tuple[int, int]], asked: Asked
) -> BadRequestError:
    oldest = moment_text(max(part.end_ms for part in refused))
    steps = [
        tier.name
        for tier in ROLLUPS
        if all(_best(p, (tier,), known.get((p.month, p.low), (0, 0))[1]) for p in refused)
    ]
    said = (
        "points"
        if asked.step_ms is None
        else f"buckets of {asked.step_ms // 1000} s, which need points,"
    )
    instead = (
        f"for this range ask for a step that is a multiple of {steps[0]} with avg, sum, count, "
        "min, max, first or last, or start later"
        if steps
        else "start later"
    )
    return BadRequestError(
        f"the recording has {said} of these series only from {oldest} on: {instead}"
    )
