"""From readings to points and eras: the recorder's part that does no I/O.

The same poll entered twice gives the same points.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bridge.catalog import DISKSPACE_USED, Kind
from bridge.model import PointBatch, SeriesKey
from bridge.ovh.eras import EraBook
from bridge.ovh.grid import stamp_ms
from bridge.ovh.readings import SAMPLE_AGE
from bridge.ovh.samples import SampleClock
from bridge.ovh.trend import days_until_full

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from bridge.model import LabelEra
    from bridge.ovh.objects import Poll
    from bridge.ovh.readings import Reading, Tags
    from bridge.ovh.samples import Subject

    Growth = Callable[[Tags], float | None]
    Entry = tuple[SeriesKey, float]

CAPACITY = "vscope.filer.datastore.diskspace.capacity"
FULL_DAYS = "vscope.filer.datastore.full.days"
EXPIRES = "vscope.credential.expires"
#: Series keys that may be remembered beyond those of one poll.
_MOST_KEYS = 50_000


class Ledger:
    """What has been entered so far, as far as the next poll depends on it.

    Args:
        eras: The stored eras.
        samples: When objects last gave values, see ``recorded_samples``.
        growth: Gives the growth of the datastore with these tags, kB a day.
    """

    def __init__(
        self,
        eras: Iterable[LabelEra] = (),
        samples: Mapping[str, Mapping[Subject, int]] | None = None,
        *,
        growth: Growth = lambda _: None,
    ) -> None:
        self.book = EraBook(eras)
        self._samples = SampleClock(samples)
        self._growth = growth
        # Keys are the same objects in every poll: batches that wait cost little.
        self._keys: dict[tuple[str, Tags], SeriesKey] = {}

    def note(self, poll: Poll, found: Sequence[Reading]) -> tuple[LabelEra, ...]:
        """Enter the labels found in one poll; return the eras to store with it."""
        seen = ((one.key, one.labels) for one in found if one.labels is not None)
        return self.book.note(stamp_ms(poll.started_at, poll.interval_s), seen)

    def entries(
        self, poll: Poll, found: Sequence[Reading], *, expires_ms: int | None = None
    ) -> Iterator[Entry]:
        """Enter the values of one poll; yield what to store, each series once.

        Args:
            poll: The poll.
            found: Its readings.
            expires_ms: When the account's credential expires, None where it does not.
        """
        stamp = stamp_ms(poll.started_at, poll.interval_s)
        if len(self._keys) > _MOST_KEYS + 100 * len(found):
            self._keys.clear()
        key = self._key
        for one in found:
            tags = one.tags
            for metric, value in one.values:
                yield key(metric, tags), value
            if one.key[0] is Kind.DATASTORE:
                days = self._days_until_full(one)
                if days is not None:
                    yield key(FULL_DAYS, tags), days
        ages = self._samples.ages(
            poll.service.name,
            stamp,
            (((one.key[0], one.tags), one.sampled) for one in found),
            complete=poll.service.polled_at is not None,
        )
        for (kind, tags), age in ages.items():
            yield key(SAMPLE_AGE[kind], tags), age
        if expires_ms is not None:
            yield key(EXPIRES, (("account", poll.service.account),)), (expires_ms - stamp) / 1000

    def _days_until_full(self, store: Reading) -> float | None:
        growth = self._growth(store.tags)
        space = dict(store.values)
        if growth is None or not {DISKSPACE_USED, CAPACITY} <= space.keys():
            return None
        return days_until_full(growth, space[DISKSPACE_USED], space[CAPACITY])

    def _key(self, metric: str, tags: Tags) -> SeriesKey:
        known = self._keys.get((metric, tags))
        if known is None:
            known = self._keys[metric, tags] = SeriesKey(metric, tags)
        return known


def batch_of(entries: Sequence[Entry], stamp: int) -> PointBatch:
    """Return one poll's entries as points, all at its stamp (epoch milliseconds)."""
    return PointBatch(
        tuple(key for key, _ in entries),
        np.arange(len(entries), dtype=np.int32),
        np.full(len(entries), stamp, dtype=np.int64),
        np.array([value for _, value in entries], dtype=np.float64),
    )
