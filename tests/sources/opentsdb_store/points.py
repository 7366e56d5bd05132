"""Batches of points for tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bridge.model import PointBatch, SeriesKey

if TYPE_CHECKING:
    from collections.abc import Mapping

CPU = "vscope.vm.cpu.usage.perc"
AGE = "vscope.vm.sample.age"
STAMP = 1_700_000_040_000


def key(metric: str = CPU, vm: str = "vm-1", **tags: str) -> SeriesKey:
    return SeriesKey(metric, tuple(sorted({"vm": vm, "servicename": "pcc-1", **tags}.items())))


def batch(values: Mapping[SeriesKey, float], stamp: int = STAMP) -> PointBatch:
    count = len(values)
    return PointBatch(
        tuple(values),
        np.arange(count, dtype=np.int32),
        np.full(count, stamp, dtype=np.int64),
        np.array(list(values.values()), dtype=np.float64),
    )


def machines(count: int, stamp: int = STAMP, value: float = 0.5) -> PointBatch:
    return batch({key(vm=f"vm-{number}"): value + number for number in range(count)}, stamp)


def as_dict(found: PointBatch) -> dict[tuple[SeriesKey, int], float]:
    columns = zip(
        found.series.tolist(), found.stamps_ms.tolist(), found.values.tolist(), strict=True
    )
    return {(found.keys[series], stamp): value for series, stamp, value in columns}
