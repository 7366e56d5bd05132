"""The growth of every datastore, read from the recording about once an hour."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from bridge.catalog import DISKSPACE_USED
from bridge.errors import BridgeError
from bridge.model import BucketFunction, BucketRequest
from bridge.ovh.errors import gist
from bridge.ovh.trend import DAY_MS, WINDOW_DAYS, daily_medians, growth_a_day

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bridge.model import Source
    from bridge.ovh.readings import Tags

REFRESH_MS = 3_600_000
#: A recording that cannot be read is tried again sooner.
RETRY_MS = 300_000
_HOUR_MS = 3_600_000

log = structlog.get_logger(__name__)


class GrowthWatch:
    """Knows how many kB more each datastore uses every day.

    Args:
        source: The recording, with space in kB; None where it cannot be read.
    """

    def __init__(self, source: Source | None) -> None:
        self._source = source
        self._growth: dict[tuple[str, str], float] = {}
        self._read_ms: int | None = None
        self._problem: str | None = None

    def kb_a_day(self, tags: Tags) -> float | None:
        """Return the growth of the datastore with these tags, None while it is not known."""
        return self._growth.get(_place(dict(tags)))

    async def refresh(self, now_ms: int) -> None:
        """Read the recorded weeks again when an hour has passed; failures are logged.

        Those are tried again after five minutes.
        """
        if self._source is None:
            return
        if self._read_ms is not None and 0 <= now_ms - self._read_ms < REFRESH_MS:
            return
        self._read_ms = now_ms
        # Today is left out: half a day has another median than a whole one.
        end = now_ms - now_ms % DAY_MS
        function = BucketFunction.AVG
        request = BucketRequest(
            DISKSPACE_USED,
            (),
            end - WINDOW_DAYS * DAY_MS,
            end,
            _HOUR_MS,
            frozenset({function}),
        )
        try:
            series = await self._source.buckets(request)
        except BridgeError as error:
            if gist(self._problem) != gist(error.message):
                log.warning("growth_unreadable", reason=error.message)
            self._problem = error.message
            self._read_ms = now_ms - REFRESH_MS + RETRY_MS
            return
        self._problem = None
        found: dict[tuple[str, str], float] = {}
        for one in series:
            growth = growth_a_day(*daily_medians(one.stamps_ms, one.columns[function]))
            if growth is not None:
                found[_place(one.tags)] = growth
        self._growth = found


def _place(tags: Mapping[str, str]) -> tuple[str, str]:
    """Return what a datastore is known by, also where its weeks were copied from elsewhere."""
    return tags.get("datacenter", ""), tags.get("datastore", "")
