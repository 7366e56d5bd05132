"""How long ago each object last gave its performance values.

Every known object has this number in every poll, also when it is off or could not be read,
so that an alert rule sees silence as a number and not as a series that ends.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import structlog

from bridge.errors import UpstreamError, UpstreamTimeoutError
from bridge.model import BucketFunction, BucketRequest
from bridge.ovh.readings import SAMPLE_AGE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from bridge.catalog import Kind
    from bridge.model import PointBatch, Source
    from bridge.ovh.readings import Tags

    Subject = tuple[Kind, Tags]
    #: When objects last gave values, epoch milliseconds, by service.
    Samples = Mapping[str, Mapping[Subject, int]]

_MINUTE_MS, _HOUR_MS = 60_000, 3_600_000
#: How far back a restart looks for the ages that were recorded last.
LOOK_BACK_MS = 7 * 24 * _HOUR_MS

_log = structlog.get_logger(__name__)


class SampleClock:
    """Remembers, for each service, when its objects last gave performance values.

    Args:
        last_ms: What earlier recordings tell, by service; see ``recorded_samples``.
    """

    def __init__(self, last_ms: Samples | None = None) -> None:
        self._last_ms = dict(last_ms or {})

    def ages(
        self,
        service: str,
        stamp_ms: int,
        seen: Iterable[tuple[Subject, bool]],
        *,
        complete: bool,
    ) -> dict[Subject, float]:
        """Return the age, in seconds, of every known object's last performance values.

        An object that never gave any counts from when it was first seen.

        Args:
            service: Its name.
            stamp_ms: The poll's stamp.
            seen: The known objects, and whether they gave values in this poll.
            complete: Whether ``seen`` is all there is; otherwise objects that an earlier
                recording knows are still taken to exist.
        """
        before = self._last_ms.get(service, {})
        last = {} if complete else dict(before)
        for subject, sampled in seen:
            last[subject] = stamp_ms if sampled else before.get(subject, stamp_ms)
        self._last_ms[service] = last
        return {subject: max(0, stamp_ms - at) / 1000 for subject, at in last.items()}


async def recorded_samples(source: Source, now_ms: int) -> dict[str, dict[Subject, int]]:
    """Read from the recording when its objects last gave values, by service.

    Only objects of the last recorded hour of each service count as known.

    Raises:
        BridgeError: Whatever the source raises.
    """
    end = now_ms - now_ms % _HOUR_MS + _HOUR_MS
    found: dict[str, dict[Subject, int]] = defaultdict(dict)
    for kind, metric in SAMPLE_AGE.items():
        hours = await _last(source, metric, end - LOOK_BACK_MS, end, _HOUR_MS)
        newest: dict[str, int] = defaultdict(int)
        for tags, (hour_ms, _) in hours.items():
            service = dict(tags).get("servicename", "")
            newest[service] = max(newest[service], hour_ms)
        for hour_ms in set(newest.values()):
            minutes = await _last(source, metric, hour_ms, hour_ms + _HOUR_MS, _MINUTE_MS)
            for tags, (stamp_ms, age_s) in minutes.items():
                service = dict(tags).get("servicename", "")
                if newest[service] == hour_ms:
                    found[service][kind, tags] = stamp_ms - round(age_s * 1000)
    return dict(found)


async def samples_of(
    source: Source, kept: Callable[[], Awaitable[Iterable[PointBatch]]], now_ms: int
) -> Samples:
    """Read from the recording, or from what is kept beside it while it is out of reach.

    Args:
        source: The recording.
        kept: Gives the newest ages that were recorded here, a batch a service.
        now_ms: Epoch milliseconds.
    """
    try:
        return await recorded_samples(source, now_ms)
    except (UpstreamError, UpstreamTimeoutError) as error:
        _log.warning("ages_from_spool", reason=error.message)
        return kept_samples(await kept())


def kept_samples(batches: Iterable[PointBatch]) -> dict[str, dict[Subject, int]]:
    """Return what batches with the metrics of ``SAMPLE_AGE`` tell; others are left out."""
    kinds = {metric: kind for kind, metric in SAMPLE_AGE.items()}
    found: dict[str, dict[Subject, int]] = defaultdict(dict)
    for batch in batches:
        columns = (batch.series.tolist(), batch.stamps_ms.tolist(), batch.values.tolist())
        for at, stamp_ms, age_s in zip(*columns, strict=True):
            key = batch.keys[at]
            if key.metric in kinds:
                service = dict(key.tags).get("servicename", "")
                found[service][kinds[key.metric], key.tags] = stamp_ms - round(age_s * 1000)
    return dict(found)


async def _last(
    source: Source, metric: str, start_ms: int, end_ms: int, step_ms: int
) -> dict[Tags, tuple[int, float]]:
    """Return the last bucket of each series: its start and its last value."""
    request = BucketRequest(metric, (), start_ms, end_ms, step_ms, frozenset({BucketFunction.LAST}))
    return {
        tuple(sorted(series.tags.items())): (
            int(series.stamps_ms[-1]),
            float(series.columns[BucketFunction.LAST][-1]),
        )
        for series in await source.buckets(request)
        if len(series.stamps_ms)
    }
