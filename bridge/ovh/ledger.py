"""From readings to points and eras: the recorder's part that does no I/O.

The same poll entered twice gives the same points.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from bridge.catalog import DISKSPACE_USED
from bridge.model import PointBatch, SeriesKey
from bridge.ovh.eras import EraBook
from bridge.ovh.grid import stamp_ms
from bridge.ovh.readings import SAMPLE_AGE
from bridge.ovh.samples import SampleClock
from bridge.ovh.trend import days_until_full

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from bridge.model import LabelEra
    from bridge.ovh.objects import Poll
    from bridge.ovh.readings import Reading, Tags
    from bridge.ovh.samples import Subject

    Growth = Callable[[Tags], float | None]
    #: Series and a value for each.
    Entries = tuple[Collection[SeriesKey], Collection[float]]

CAPACITY = "vscope.filer.datastore.diskspace.capacity"
FULL_DAYS = "vscope.filer.datastore.full.days"
EXPIRES = "vscope.credential.expires"
#: Objects whose keys may be remembered beyond those of a poll.
_MOST_OBJECTS = 5_000


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
        # With keys that are the same in every poll, batches that wait cost little.
        self._keys: dict[Tags, _Keys] = {}

    def note(self, poll: Poll, found: Sequence[Reading]) -> tuple[LabelEra, ...]:
        """Enter the labels found in one poll; return the eras to store with it."""
        seen = ((one.key, one.labels) for one in found if one.labels is not None)
        return self.book.note(stamp_ms(poll.started_at, poll.interval_s), seen)

    def entries(
        self, poll: Poll, found: Sequence[Reading], *, expires_ms: int | None = None
    ) -> Iterator[Entries]:
        """Enter the values of one poll; yield what to store, each series once.

        Args:
            poll: The poll.
            found: Its readings.
            expires_ms: When the account's credential expires, None where it does not.
        """
        stamp = stamp_ms(poll.started_at, poll.interval_s)
        if len(self._keys) > _MOST_OBJECTS + 4 * len(found):
            self._keys.clear()
        ages = self._samples.ages(
            poll.service.name,
            stamp,
            (((one.key[0], one.tags), one.sampled) for one in found),
            complete=poll.service.polled_at is not None,
        )
        for one in found:
            key = self._keys_of(one.tags)
            yield [key(metric) for metric in one.values], one.values.values()
            days = self._days_until_full(one)
            if days is not None:
                yield [key(FULL_DAYS)], [days]
        for (kind, tags), age in ages.items():
            yield [self._keys_of(tags)(SAMPLE_AGE[kind])], [age]
        if expires_ms is not None:
            key = self._keys_of((("account", poll.service.account),))
            yield [key(EXPIRES)], [(expires_ms - stamp) / 1000]

    def _days_until_full(self, one: Reading) -> float | None:
        used, capacity = one.values.get(DISKSPACE_USED), one.values.get(CAPACITY)
        growth = None if used is None else self._growth(one.tags)
        if growth is None or used is None or capacity is None:
            return None
        return days_until_full(growth, used, capacity)

    def _keys_of(self, tags: Tags) -> Callable[[str], SeriesKey]:
        """Return what gives the key of each metric of one object."""
        known = self._keys.get(tags)
        if known is None:
            known = self._keys[tags] = _Keys(tags)
        return known.__getitem__


class _Keys(dict[str, SeriesKey]):
    """The keys of one object, by metric: the same objects in every poll."""

    def __init__(self, tags: Tags) -> None:
        super().__init__()
        self._tags = tags

    def __missing__(self, metric: str) -> SeriesKey:
        made = self[metric] = SeriesKey(metric, self._tags)
        return made


def batch_of(entries: Sequence[Entries], stamp: int) -> PointBatch:
    """Return one poll's entries as points, all at its stamp (epoch milliseconds)."""
    keys = tuple(chain.from_iterable(keys for keys, _ in entries))
    values = chain.from_iterable(values for _, values in entries)
    return PointBatch(
        keys,
        np.arange(len(keys), dtype=np.int32),
        np.full(len(keys), stamp, dtype=np.int64),
        np.fromiter(values, dtype=np.float64, count=len(keys)),
    )
