"""The engine alone against bare numpy: 500 series x 1,440 buckets from memory.

``python benchmarks/engine.py``: group by one label and average, with interpolation where
buckets are missing. The baseline is what numpy needs for the same means when all series are
already one aligned matrix, with no labels and no windows to think of. Then five-minute buckets
of the same, and a function that needs raw points, which the engine downsamples first.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from bridge.engine.parts import parse_downsample
from bridge.model import FilterKind, Query, TagFilter, Window
from tests.engine.memory import MemorySource, engine_over

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bridge.model import BucketRequest, Buckets

SERIES, POINTS, GROUPS, STEP_MS = 500, 1_440, 10, 60_000
WITHIN = 5.0


class Shelf(MemorySource):
    """Buckets as a cache would hold them: made once, handed out as they are."""

    def __init__(
        self, series: Sequence[tuple[Mapping[str, str], Sequence[tuple[int, float]]]]
    ) -> None:
        super().__init__(series)
        self._made: tuple[Buckets, ...] = ()

    async def buckets(self, request: BucketRequest) -> tuple[Buckets, ...]:
        if not self._made:
            self._made = await super().buckets(request)
        return self._made


def source(*, gaps: bool) -> Shelf:
    chance = np.random.default_rng(1)
    series = []
    for number in range(SERIES):
        stamps = np.arange(POINTS) * STEP_MS
        if gaps:
            stamps = stamps[chance.random(POINTS) > 0.1]
        points = zip(stamps.tolist(), chance.normal(50, 10, len(stamps)).tolist(), strict=True)
        series.append(({"vm": f"vm-{number}", "group": str(number % GROUPS)}, list(points)))
    return Shelf(series)


def bare(matrix: np.ndarray) -> list[np.ndarray]:
    """The same means on one aligned matrix with NaN for gaps, in as few operations as it takes."""
    rows, columns = np.arange(SERIES)[:, None], np.arange(matrix.shape[1])
    there = ~np.isnan(matrix)
    before = np.maximum.accumulate(np.where(there, columns, -1), axis=1)
    after = np.minimum.accumulate(np.where(there, columns, len(columns))[:, ::-1], axis=1)[:, ::-1]
    inside = (before >= 0) & (after < len(columns))
    before, after = np.maximum(before, 0), np.minimum(after, len(columns) - 1)
    share = (columns - before) / np.maximum(after - before, 1)
    low = matrix[rows, before]
    filled = np.where(inside, low + share * (matrix[rows, after] - low), np.nan)
    return [np.nanmean(filled[group::GROUPS], axis=0) for group in range(GROUPS)]


def aligned(shelf: Shelf) -> np.ndarray:
    matrix = np.full((SERIES, POINTS), np.nan)
    for row, series in enumerate(shelf.series):
        matrix[row, series.stamps_ms // STEP_MS] = series.values
    return matrix


def median_ms(work: Callable[[], object], rounds: int = 15) -> float:
    took = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        took.append((time.perf_counter() - start) * 1e3)
    return statistics.median(took)


def main() -> None:
    for text, gaps in (("1m-avg", True), ("1m-avg", False), ("5m-avg", True), ("5m-p95", True)):
        shelf = source(gaps=gaps)
        engine = engine_over(shelf, "m", max_points=100_000_000)
        query = Query(
            "m",
            Window(0, POINTS * STEP_MS - 1),
            "avg",
            parse_downsample(text),
            filters=(TagFilter("group", FilterKind.WILDCARD, "*", group_by=True),),
        )
        matrix = aligned(shelf)
        with asyncio.Runner() as runner:
            engine_ms = median_ms(lambda e=engine, q=query, r=runner: r.run(e.query(q)))
        bare_ms = median_ms(lambda m=matrix: bare(m))
        told = f" (target: <= {WITHIN:g} times)" if text == "1m-avg" else ""
        print(
            f"engine, {SERIES} x {POINTS}, {text}, {GROUPS} groups, "
            f"{'10 % gaps' if gaps else 'no gaps'}: {engine_ms:.1f} ms; bare numpy, "
            f"1 minute with interpolation: {bare_ms:.1f} ms; {engine_ms / bare_ms:.1f} times{told}"
        )


if __name__ == "__main__":
    main()
