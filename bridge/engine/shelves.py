"""Where the cache keeps series data: pieces on the epoch grid, bounded in bytes.

A piece is a stored sheet with the moment it was read. Data older than the settling time when
read are settled and trusted for long; the newest are the tail and trusted for a moment. What
is evicted is a piece's whole slot, least recently used first, so that neither a need nor a
long range is lost at once.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from bridge.engine.bounded import Bounded
from bridge.engine.extents import joined, missing, overlap, whole
from bridge.engine.filter_sets import includes
from bridge.engine.grids import Grid
from bridge.engine.rosters import Roster

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bridge.engine.extents import Span
    from bridge.engine.filter_sets import Filters
    from bridge.engine.needs import Need
    from bridge.engine.sheets import Sheet, Stored

#: One fetch may take this share of the room; what is larger passes through unkept, so that
#: a single long range does not push everybody else's data out.
LARGEST_SHARE = 0.25


@dataclass(frozen=True, slots=True)
class Rules:
    """How long what is trusted, in seconds.

    Attributes:
        settle_s: Data this old do not change any more; at least two steps.
        tail_s: How long younger data are given again; at most one step.
        keep_s: How long settled data are.
        empty_s: How long it is believed that there is nothing at all.
        stale_s: How much longer all of it may serve, marked, where reading fails.
    """

    settle_s: float = 300.0
    tail_s: float = 15.0
    keep_s: float = 6 * 3600.0
    empty_s: float = 60.0
    stale_s: float = 600.0

    def settled_until(self, now_ms: int, grid_ms: int) -> int:
        """Return where settled data end, on the grid."""
        settled = now_ms - max(2 * grid_ms, int(self.settle_s * 1000))
        return settled // grid_ms * grid_ms

    def trusted_s(self, grid_ms: int, *, settled: bool, empty: bool) -> float:
        """Return how long data are given again after they were read."""
        if not settled:
            return min(self.tail_s, grid_ms / 1000)
        return self.empty_s if empty else self.keep_s


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """A stored sheet.

    Attributes:
        stored: The data.
        read_at: When their reading began, in monotonic seconds.
        settled: They were older than the settling time then.
        empty: The whole answer they are from held nothing.
    """

    stored: Stored
    read_at: float
    settled: bool
    empty: bool


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Some of what was found; unpacking it is left for later.

    Attributes:
        span: What it covers.
        sheet: Makes the data.
        read_at: As of their piece; the earliest of several.
        settled: As of their piece; of several, whether all are.
        until: When they cease to be trusted, in monotonic seconds.
        weight: About how many values it may hold.
    """

    span: Span
    sheet: Callable[[], Sheet]
    read_at: float
    settled: bool
    until: float
    weight: int


@dataclass(eq=False, slots=True)
class Entry:
    """What is known of one need: its newest roster, and which slots hold pieces of it."""

    need: Need
    roster: Roster = field(default_factory=lambda: Roster(()))
    slots: set[int] = field(default_factory=set)


@dataclass(eq=False, slots=True)
class Family:
    """The needs of one metric, by filters.

    Attributes:
        all: Every one.
        wide: Those that may include others': all but lists of a single name, of which there
            can be thousands.
    """

    all: dict[Filters, list[Need]] = field(default_factory=dict)
    wide: dict[Filters, list[Need]] = field(default_factory=dict)

    def add(self, need: Need) -> None:
        """Note a need."""
        needs = self.all.setdefault(need.filters, [])
        needs.append(need)
        if need.is_wide:
            self.wide[need.filters] = needs

    def remove(self, need: Need) -> None:
        """Forget a need."""
        self.all[need.filters].remove(need)
        if not self.all[need.filters]:
            del self.all[need.filters]
            self.wide.pop(need.filters, None)

    def others(self, need: Need) -> list[Need]:
        """List needs that may serve this one: first of the same filters, finer ones last."""
        same = self.all.get(need.filters, [])
        wider = [
            other
            for filters, needs in self.wide.items()
            if filters != need.filters and includes(filters, need.filters)
            for other in needs
        ]
        return [
            other
            for needs in (same, wider)
            for other in sorted(needs, key=lambda one: -one.step_ms)
            if other != need and other.can_serve(need.step_ms, need.functions)
        ]


class Shelves:
    """The pieces of all needs.

    Args:
        max_bytes: Room for all of them.
        rules: How long what is trusted.
    """

    def __init__(self, max_bytes: int, rules: Rules) -> None:
        self._rules = rules
        self._entries: dict[Need, Entry] = {}
        self._families: dict[tuple[int, str], Family] = defaultdict(Family)
        self._slots: Bounded[tuple[Need, int], tuple[Piece, ...]] = Bounded(
            max_bytes, lambda pieces: sum(one.stored.nbytes for one in pieces), self._evicted
        )

    @property
    def nbytes(self) -> int:
        """Bytes in use."""
        return int(self._slots.currsize)

    def roster(self, need: Need) -> Roster:
        """Return the newest roster of a need."""
        entry = self._entries.get(need)
        return entry.roster if entry else Roster(())

    def put(self, need: Need, sheet: Sheet, read_at: float, settled_until: int) -> Iterator[None]:
        """Keep a sheet, a slot at a step; what was read later is not overwritten."""
        start, end = sheet.span
        if sheet.kept_bytes > LARGEST_SHARE * self._slots.maxsize:
            return
        empty = sheet.is_empty
        for slot in range(start // need.piece_ms, -(-end // need.piece_ms)):
            begin = max(start, slot * need.piece_ms)
            until = min(end, (slot + 1) * need.piece_ms)
            cut = min(max(settled_until, begin), until)
            new = [
                Piece(sheet.crop(span).packed(), read_at, settled, empty)
                for span, settled in (((begin, cut), True), ((cut, until), False))
                if span[0] < span[1]
            ]
            self._merge(need, slot, new)
            yield
        if need in self._entries:
            self._entries[need].roster = sheet.roster

    def find(self, need: Need, span: Span, now: float, *, overdue_s: float = 0.0) -> list[Part]:
        """Return what is known of a span, in order and without overlaps.

        Looked at in turn: the need's own pieces, finer ones of the same series, and those of
        needs that include its series.

        Args:
            need: What is looked for.
            span: On the need's grid.
            now: Monotonic seconds.
            overdue_s: How much longer than usual data may be trusted.
        """
        found: list[Part] = []
        gaps = [span]
        for candidate in self._candidates(need):
            for gap in gaps:
                found += self._serve(need, candidate, gap, now - overdue_s)
            gaps = missing(span, [part.span for part in found])
            if not gaps:
                break
        return sorted(found, key=lambda part: part.span)

    def forget(self, metric: str | None = None, span: Span | None = None) -> None:
        """Drop what is known of a metric, or of all, in a span, or ever."""
        for need, slot in list(self._slots):
            if metric is not None and need.metric != metric:
                continue
            lying = (slot * need.piece_ms, (slot + 1) * need.piece_ms)
            if span is None or overlap(lying, span):
                del self._slots[need, slot]
                self._evicted((need, slot))

    def _candidates(self, need: Need) -> Iterator[Need]:
        """Give the needs whose data may serve, the own first."""
        if need in self._entries:
            yield need
        family = self._families.get((need.origin, need.metric))
        if family is not None:
            yield from family.others(need)

    def _serve(self, need: Need, candidate: Need, gap: Span, now: float) -> list[Part]:
        filters = None if candidate.filters == need.filters else need.filters
        parts = list(self._valid(candidate, gap, now, filters))
        if candidate.step_ms != need.step_ms:
            return list(_merged(need, candidate, parts))
        if candidate.functions != need.functions:
            return [
                replace(part, sheet=partial(_layers, need, candidate, part.sheet)) for part in parts
            ]
        return parts

    def _valid(self, need: Need, span: Span, now: float, filters: Filters | None) -> Iterator[Part]:
        """Give the parts of a need's own pieces that can be trusted, all or some series."""
        for slot in range(span[0] // need.piece_ms, -(-span[1] // need.piece_ms)):
            for piece in self._slots.get((need, slot), ()):
                shared = overlap(piece.stored.span, span)
                until = piece.read_at + self._rules.trusted_s(
                    need.grid_ms, settled=piece.settled, empty=piece.empty
                )
                if shared and now < until:
                    sheet = partial(_unpacked, piece.stored, shared, filters)
                    weight = (shared[1] - shared[0]) // need.grid_ms
                    weight *= len(piece.stored.roster.tags)
                    yield Part(shared, sheet, piece.read_at, piece.settled, until, weight)

    def _merge(self, need: Need, slot: int, new: list[Piece]) -> None:
        """Put new pieces into a slot, and join settled ones that touch."""
        old = self._slots.get((need, slot), ())
        read_at = new[0].read_at
        later = [piece for piece in old if piece.read_at > read_at]
        pieces = [*later]
        for piece in new:
            pieces += _without(piece, [other.stored.span for other in later])
        taken = [piece.stored.span for piece in pieces]
        for piece in old:
            if piece.read_at <= read_at:
                pieces += _without(piece, taken)
        pieces.sort(key=lambda piece: piece.stored.span)
        self._keep(need, slot, tuple(_joined(pieces)))

    def _keep(self, need: Need, slot: int, pieces: tuple[Piece, ...]) -> None:
        try:
            self._slots[need, slot] = pieces
        except ValueError:  # larger than all the room there is
            return
        entry = self._entries.get(need)
        if entry is None:
            entry = self._entries[need] = Entry(need)
            self._families[need.origin, need.metric].add(need)
        entry.slots.add(slot)

    def _evicted(self, key: tuple[Need, int]) -> None:
        need, slot = key
        entry = self._entries[need]
        entry.slots.discard(slot)
        if entry.slots:
            return
        del self._entries[need]
        family = self._families[need.origin, need.metric]
        family.remove(need)
        if not family.all:
            del self._families[need.origin, need.metric]


def _unpacked(stored: Stored, span: Span, filters: Filters | None) -> Sheet:
    rows = None if filters is None else stored.roster.matching(filters)
    return stored.unpacked(rows).crop(span)


def _merged(need: Need, finer: Need, parts: list[Part]) -> Iterator[Part]:
    """Merge finer buckets into whole wider ones, where they lie side by side."""
    for run in joined(part.span for part in parts):
        inside = whole(run, need.step_ms)
        if inside is None:
            continue
        own = [part for part in parts if overlap(part.span, inside)]
        yield Part(
            inside,
            partial(_widened, need, finer, [part.sheet for part in own], inside),
            min(part.read_at for part in own),
            all(part.settled for part in own),
            min(part.until for part in own),
            sum(part.weight for part in own),
        )


def _widened(need: Need, finer: Need, sheets: list[Callable[[], Sheet]], inside: Span) -> Sheet:
    grids = [_layers(need, finer, make) for make in sheets]
    return Grid.join(grids).crop(inside).merged(need.step_ms, need.functions)


def of_need(need: Need, candidate: Need, sheet: Sheet) -> Sheet:
    """Return the series that a need selects, of a sheet that includes them."""
    if candidate.filters == need.filters:
        return sheet
    return sheet.select(sheet.roster.matching(need.filters))


def _layers(need: Need, candidate: Need, make: Callable[[], Sheet]) -> Grid:
    """Choose the functions that are needed."""
    grid = make()
    if not isinstance(grid, Grid):
        raise TypeError("raw points have no functions")
    if candidate.functions == need.functions:
        return grid
    return grid.layers([candidate.functions.index(name) for name in need.functions])


def _without(piece: Piece, spans: list[Span]) -> list[Piece]:
    """Return what is left of a piece outside of some spans."""
    whole_span = piece.stored.span
    rest = missing(whole_span, spans)
    if rest == [whole_span]:
        return [piece]
    return [replace(piece, stored=piece.stored.unpacked().crop(span).packed()) for span in rest]


def _joined(pieces: list[Piece]) -> Iterator[Piece]:
    """Join settled pieces that touch; the joint one is as old as its oldest."""
    runs: list[list[Piece]] = []
    for piece in pieces:
        last = runs[-1][-1] if runs else None
        if (
            last is not None
            and last.stored.span[1] == piece.stored.span[0]
            and all(one.settled and not one.empty for one in (last, piece))
        ):
            runs[-1].append(piece)
        else:
            runs.append([piece])
    for run in runs:
        if len(run) == 1:
            yield run[0]
            continue
        sheet = type(run[0].stored.unpacked()).join([one.stored.unpacked() for one in run])
        read_at = min(one.read_at for one in run)
        yield Piece(sheet.packed(), read_at, settled=True, empty=False)
