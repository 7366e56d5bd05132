"""Points to record, in few words."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bridge.model import (
    BucketFunction,
    BucketRequest,
    PointBatch,
    PointRequest,
    SeriesKey,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bridge.model import TagFilter
    from bridge.sources.history import History

#: A place that needs no disk, where there is one.
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108

METRIC = "vscope.vm.cpu.usage.perc"
EVER = 4_000_000_000_000


def key(vm: str, metric: str = METRIC) -> SeriesKey:
    return SeriesKey(metric, (("datacenter", "pcc-1_datacenter1"), ("vm", vm)))


def batch(points: Iterable[tuple[str, int, float]], metric: str = METRIC) -> PointBatch:
    """Points given as (vm, epoch ms, value)."""
    given = list(points)
    names = list(dict.fromkeys(vm for vm, _, _ in given))
    return PointBatch(
        tuple(key(vm, metric) for vm in names),
        np.array([names.index(vm) for vm, _, _ in given], dtype=np.int32),
        np.array([stamp for _, stamp, _ in given], dtype=np.int64),
        np.array([value for _, _, value in given], dtype=np.float64),
    )


async def stored(
    history: History,
    metric: str = METRIC,
    filters: tuple[TagFilter, ...] = (),
    start_ms: int = 0,
    end_ms: int = EVER,
    limit: int = 1_000_000,
) -> dict[str, dict[int, float]]:
    """Every raw point, by virtual machine and time."""
    found = await history.points(PointRequest(metric, filters, start_ms, end_ms, limit))
    return {
        series.tags["vm"]: dict(zip(series.stamps_ms.tolist(), series.values.tolist(), strict=True))
        for series in found
    }


async def bucketed(
    history: History,
    start_ms: int,
    end_ms: int,
    step_ms: int,
    functions: Iterable[BucketFunction] = BucketFunction,
    metric: str = METRIC,
    filters: tuple[TagFilter, ...] = (),
) -> dict[str, dict[int, Mapping[str, float]]]:
    """Buckets, by virtual machine and time, as function to value."""
    request = BucketRequest(metric, filters, start_ms, end_ms, step_ms, frozenset(functions))
    return {
        series.tags["vm"]: {
            stamp: {str(f): float(column[at]) for f, column in series.columns.items()}
            for at, stamp in enumerate(series.stamps_ms.tolist())
        }
        for series in await history.buckets(request)
    }
