"""Copies what one source still serves into the recording, while it still does.

Days are copied newest first, each in one transaction, and noted in a journal, so that a
copy that was broken off goes on where it stopped. Hours of a series that the recording
already has stay as they are: an hour is never mixed of two sources.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import orjson

from bridge.errors import NotOfferedError, UpstreamError
from bridge.model import (
    BucketFunction,
    BucketRequest,
    PointBatch,
    PointRequest,
    Recording,
    SeriesKey,
    Source,
)
from bridge.sources.merged import series_id

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from bridge.model import Points
    from bridge.sources.merged import SeriesId

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS

#: Points fetched and written at once; a day with more is copied in parts of whole hours.
MOST_POINTS = 500_000

_NO_SERIES = np.empty(0, dtype=np.int32)
_NO_STAMPS = np.empty(0, dtype=np.int64)
_NO_VALUES = np.empty(0, dtype=np.float64)

#: Seconds between two fetches: OVHcloud's front end serves others meanwhile.
PAUSE_S = 0.2


class RecordedSource(Source, Recording, Protocol):
    """A recording that can be read back."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a backfill has come.

    Attributes:
        metric: The metric at hand.
        days_done: Days of this metric copied or found copied before.
        days: Days of this metric for which the source has points.
        points: Points written so far, all metrics together.
    """

    metric: str
    days_done: int
    days: int
    points: int


class Journal:
    """Which days have been copied, one JSON line each; a torn last line is not one.

    Args:
        path: A file that need not exist yet.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._done: set[tuple[str, str, int]] = set()
        if path.exists():
            for line in path.read_bytes().splitlines():
                try:
                    source, metric, day = orjson.loads(line)
                except (orjson.JSONDecodeError, ValueError, TypeError):
                    continue
                self._done.add((source, metric, day))

    def has(self, source: str, metric: str, day: int) -> bool:
        """Tell whether a day (days since the epoch) has been copied."""
        return (source, metric, day) in self._done

    def note(self, source: str, metric: str, day: int) -> None:
        """Note a copied day."""
        self._done.add((source, metric, day))
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("ab") as file:
            file.write(b"\n" + orjson.dumps([source, metric, day]) + b"\n")


class Backfill:
    """One copy of one source's metrics.

    Args:
        source: Where from.
        recording: Where to.
        identity: Gives the labels that identify a metric's series; empty means all. A
            series that the recording has is continued under the tags it has there.
        journal: What has been copied before.
        pause_s: Seconds between two fetches.
    """

    def __init__(
        self,
        source: Source,
        recording: RecordedSource,
        identity: Callable[[str], tuple[str, ...]],
        journal: Journal,
        *,
        pause_s: float = PAUSE_S,
    ) -> None:
        self._source = source
        self._recording = recording
        self._identity = identity
        self._journal = journal
        self._pause_s = pause_s
        self._points = 0

    async def run(
        self, metrics: Sequence[str], start_ms: int, end_ms: int
    ) -> AsyncIterator[Progress]:
        """Copy metrics, and tell after every day.

        The day in progress is copied too, but not noted: it goes on.

        Args:
            metrics: Names, in the order of copying.
            start_ms: Start, cut down to a whole day.
            end_ms: End, exclusive.

        Raises:
            NotOfferedError: The source offers none of the metrics.
            BridgeError: Whatever source or recording raise; what was copied before stays.
        """
        not_offered: NotOfferedError | None = None
        offered = False
        for metric in metrics:
            try:
                days = await self._days(metric, start_ms, end_ms)
            except NotOfferedError as error:
                not_offered = error
                continue
            offered = True
            recorded = {
                series_id(self._identity(metric), tags): tags
                for tags in await self._recording.lookup(metric, ())
            }
            yield Progress(metric, 0, len(days), self._points)
            for number, (day, expected) in enumerate(sorted(days.items(), reverse=True), 1):
                if not self._journal.has(self._source.name, metric, day):
                    await self._copy(metric, day, expected, end_ms, recorded)
                    if (day + 1) * DAY_MS <= end_ms:
                        self._journal.note(self._source.name, metric, day)
                yield Progress(metric, number, len(days), self._points)
        if not offered and not_offered is not None:
            raise not_offered

    async def _days(self, metric: str, start_ms: int, end_ms: int) -> dict[int, int]:
        """Return the days for which the source has points, and how many it has."""
        request = BucketRequest(
            metric,
            (),
            start_ms // DAY_MS * DAY_MS,
            -(-end_ms // DAY_MS) * DAY_MS,
            DAY_MS,
            frozenset({BucketFunction.COUNT}),
        )
        days: dict[int, int] = defaultdict(int)
        for one in await self._source.buckets(request):
            counts = one.columns[BucketFunction.COUNT]
            for stamp, count in zip(one.stamps_ms.tolist(), counts.tolist(), strict=True):
                days[stamp // DAY_MS] += int(count)
        return dict(days)

    async def _copy(
        self,
        metric: str,
        day: int,
        expected: int,
        end_ms: int,
        recorded: Mapping[SeriesId, Mapping[str, str]],
    ) -> None:
        hours = 24
        while hours > 1 and expected * hours / 24 > MOST_POINTS:
            hours //= 2
        found = 0
        for start in range(day * DAY_MS, (day + 1) * DAY_MS, hours * HOUR_MS):
            end = min(start + hours * HOUR_MS, end_ms)
            if start >= end:
                break
            await asyncio.sleep(self._pause_s)
            request = PointRequest(metric, (), start, end - 1, 4 * MOST_POINTS)
            points = await self._source.points(request)
            found += sum(len(one.stamps_ms) for one in points)
            known = await self._recorded_hours(metric, start, hours)
            batch = self._batch(metric, points, known, recorded)
            if len(batch.values):
                await self._recording.write(batch)
                self._points += len(batch.values)
        if found < expected and (day + 1) * DAY_MS <= end_ms:
            raise UpstreamError(
                f"{self._source.name} gave {found:,} of {expected:,} points of {metric} for one "
                "day; the copy stops here and can be started again"
            )

    async def _recorded_hours(
        self, metric: str, start_ms: int, hours: int
    ) -> dict[SeriesId, NDArray[np.int64]]:
        end_ms = start_ms + hours * HOUR_MS
        counts = frozenset({BucketFunction.COUNT})
        request = BucketRequest(metric, (), start_ms, end_ms, HOUR_MS, counts)
        labels = self._identity(metric)
        return {
            series_id(labels, one.tags): one.stamps_ms
            for one in await self._recording.buckets(request)
        }

    def _batch(
        self,
        metric: str,
        points: Iterable[Points],
        known: Mapping[SeriesId, NDArray[np.int64]],
        recorded: Mapping[SeriesId, Mapping[str, str]],
    ) -> PointBatch:
        """Put together the points of hours that the recording does not have."""
        keys: list[SeriesKey] = []
        series, stamps, values = [_NO_SERIES], [_NO_STAMPS], [_NO_VALUES]
        for one in points:
            identity = series_id(self._identity(metric), one.tags)
            hours = one.stamps_ms - one.stamps_ms % HOUR_MS
            new = ~np.isin(hours, known.get(identity, _NO_STAMPS))
            if new.any():
                series.append(np.full(np.count_nonzero(new), len(keys), dtype=np.int32))
                tags = recorded.get(identity, one.tags)
                keys.append(SeriesKey(metric, tuple(sorted(tags.items()))))
                stamps.append(one.stamps_ms[new])
                values.append(one.values[new])
        return PointBatch(
            tuple(keys), np.concatenate(series), np.concatenate(stamps), np.concatenate(values)
        )
