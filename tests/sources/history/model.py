"""What a store must answer, kept in plain dictionaries.

The model learns from the store only which months of a tier still have a file and how far
points are moved into files; whether they should have is tested on its own. Everything else
follows from what was written.
"""

from __future__ import annotations

import math
from collections import defaultdict
from typing import TYPE_CHECKING

from bridge.sources.history.layout import HOUR, RAW, ROLLUPS, TEN_MINUTES, month_of, month_start

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bridge.sources.history.layout import Tier

Points = dict[int, float]
Kept = frozenset[tuple[str, int]]


class Refused(Exception):  # noqa: N818 -- an answer, not an error
    """The store must refuse."""


class Model:
    def __init__(self) -> None:
        self.points: dict[str, Points] = defaultdict(dict)
        self.kept: Kept = frozenset()
        self.moved: set[tuple[str, int]] = set()
        self.lost: set[tuple[Tier, str, int]] = set()
        #: Roll-ups of points that have gone: the points each bucket was made of.
        self.frozen: dict[tuple[Tier, str, int], Points] = {}

    def write(self, vm: str, stamp: int, value: float) -> None:
        self.points[vm][stamp] = value

    def names(self) -> set[str]:
        """The machines that a store knows: those of which it has something."""
        return {vm for vm, own in self.points.items() if own} | {vm for vm, _ in self.moved}

    def maintained(self, kept: Kept, moved_until: int) -> None:
        """Follow what maintenance did; every late point is merged then.

        First what came into files, then new roll-ups, then what was deleted.
        """
        self.moved |= {
            (vm, month_of(stamp))
            for vm, own in self.points.items()
            for stamp in own
            if stamp < moved_until
        }
        for name, month in sorted(kept - self.kept):
            for tier in ROLLUPS:
                if tier.name == name:
                    self._made(tier, month)
        for name, month in self.kept - kept:
            self._deleted(next(tier for tier in (RAW, *ROLLUPS) if tier.name == name), month)
        for month in {month for _, month in self.kept} - {month for _, month in kept}:
            self._forget_all(month)
        self.kept = kept

    def read_points(self, vms: Iterable[str], start: int, end: int) -> dict[str, Points]:
        chosen = list(vms)
        for month in range(month_of(start), month_of(end) + 1):
            self._tier(chosen, month, (RAW,))
        return {
            vm: inside
            for vm in chosen
            if (inside := {t: v for t, v in self.points[vm].items() if start <= t <= end})
        }

    def read_buckets(
        self, vms: Iterable[str], start: int, end: int, step: int
    ) -> dict[str, dict[int, Mapping[str, float]]]:
        chosen = list(vms)
        fitting = (*(t for t in (HOUR, TEN_MINUTES) if step % t.width_ms == 0), RAW)
        months = range(month_of(start), month_of(end - 1) + 1)
        tiers = {month: self._tier(chosen, month, fitting) for month in months}
        answer = {}
        for vm in chosen:
            made: dict[int, Points] = defaultdict(dict)
            for month, tier in tiers.items():
                for stamp, value in self._rows(tier, vm, month).items():
                    if start <= stamp < end:
                        made[stamp - stamp % step][stamp] = value
            if made:
                answer[vm] = {bucket: figures(own) for bucket, own in made.items()}
        return answer

    def _tier(self, vms: list[str], month: int, fitting: tuple[Tier, ...]) -> Tier:
        """The tier a month is read from; points, where the asked machines have no files."""
        having = [vm for vm in vms if (vm, month) in self.moved]
        for tier in fitting:
            gone = any((tier, vm, month) in self.lost for vm in having)
            if (tier.name, month) in self.kept and not gone:
                return tier
        if having and any(m == month for _, m in self.kept):
            raise Refused
        return RAW

    def _rows(self, tier: Tier, vm: str, month: int) -> Points:
        """Every point that a tier of a month tells of."""
        first, end = month_start(month), month_start(month + 1)
        own = {t: v for t, v in self.points[vm].items() if first <= t < end}
        if tier is RAW or (RAW, vm, month) not in self.lost:
            return own
        buckets = {t - t % tier.width_ms for t in own}
        buckets |= {
            b for x, name, b in self.frozen if x is tier and name == vm and first <= b < end
        }
        rows: Points = {}
        for bucket in buckets:
            rows |= self._bucket(tier, vm, bucket)
        return rows

    def _bucket(self, tier: Tier, vm: str, bucket: int) -> Points:
        """At least as many points replace the ones a roll-up was made of."""
        now = {t: v for t, v in self.points[vm].items() if bucket <= t < bucket + tier.width_ms}
        before = self.frozen.get((tier, vm, bucket), {})
        return now if len(now) >= len(before) else before

    def _made(self, tier: Tier, month: int) -> None:
        """A roll-up was made of all points, or of the narrower roll-up where they have gone."""
        for vm, covered in self.moved:
            if covered != month:
                continue
            self.lost.discard((tier, vm, month))
            if (RAW, vm, month) not in self.lost:
                continue
            narrower = (TEN_MINUTES.name, month) in self.kept and tier is HOUR
            if not narrower or (TEN_MINUTES, vm, month) in self.lost:
                self.lost.add((tier, vm, month))
                continue
            for (x, name, bucket), own in list(self.frozen.items()):
                if x is TEN_MINUTES and name == vm and month_of(bucket) == month:
                    wide = bucket - bucket % tier.width_ms
                    self.frozen[tier, vm, wide] = self.frozen.get((tier, vm, wide), {}) | own

    def _deleted(self, tier: Tier, month: int) -> None:
        for vm in [vm for vm, covered in self.moved if covered == month]:
            if tier is RAW:
                for rollup in ROLLUPS:
                    if (rollup.name, month) in self.kept:
                        self._freeze(rollup, vm, month)
                self.points[vm] = {t: v for t, v in self.points[vm].items() if month_of(t) != month}
            else:
                self._forget(tier, vm, month)
            self.lost.add((tier, vm, month))

    def _forget_all(self, month: int) -> None:
        for vm in [vm for vm, covered in self.moved if covered == month]:
            self.moved.discard((vm, month))
            for tier in (RAW, *ROLLUPS):
                self.lost.discard((tier, vm, month))
                self._forget(tier, vm, month)

    def _freeze(self, tier: Tier, vm: str, month: int) -> None:
        for bucket in {t - t % tier.width_ms for t in self.points[vm] if month_of(t) == month}:
            self.frozen[tier, vm, bucket] = (
                self._bucket(tier, vm, bucket)
                if (RAW, vm, month) in self.lost
                else {
                    t: v for t, v in self.points[vm].items() if bucket <= t < bucket + tier.width_ms
                }
            )

    def _forget(self, tier: Tier, vm: str, month: int) -> None:
        for place in [p for p in self.frozen if p[:2] == (tier, vm) and month_of(p[2]) == month]:
            del self.frozen[place]


def figures(points: Points) -> dict[str, float]:
    """Every function of a bucket."""
    ordered = [value for _, value in sorted(points.items())]
    total = math.fsum(ordered)
    return {
        "avg": total / len(ordered),
        "sum": total,
        "count": float(len(ordered)),
        "min": min(ordered),
        "max": max(ordered),
        "first": ordered[0],
        "last": ordered[-1],
    }
