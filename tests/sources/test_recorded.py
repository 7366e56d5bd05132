"""The recording as the engine sees it: one unit, and words for what is never recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bridge.catalog import DISKSPACE_USED, catalogue
from bridge.engine.engine import Engine
from bridge.errors import NotOfferedError
from bridge.model import (
    BucketFunction,
    BucketRequest,
    Downsample,
    PointRequest,
    Query,
    SeriesKey,
    Window,
)
from bridge.sources.merged import MergedSources
from bridge.sources.offered import ovhcloud_history
from bridge.sources.recorded import KB_PER_GB, Rescaled, recorded
from tests.engine.memory import NoInventory
from tests.ovh.memory_recording import MemoryRecording

if TYPE_CHECKING:
    from bridge.model import Source

NET, CPU, CAPACITY = (
    "vscope.host.net.tx",
    "vscope.vm.cpu.usage.perc",
    "vscope.filer.datastore.diskspace.capacity",
)
TAGS = (("datacenter", "d"), ("datastore", "s"))
WINDOW = Window(0, 600_000)


def holding(**metrics: float) -> MemoryRecording:
    recording = MemoryRecording()
    for name, value in metrics.items():
        recording.series[SeriesKey(name, TAGS)] = {60_000: value, 120_000: value}
    return recording


def engine_over(source: Source, unit: str = "kB") -> Engine:
    known = catalogue(diskspace_unit=unit)
    return Engine(
        recorded(source, known),
        known,
        NoInventory,
        source_step_ms=60_000,
        max_points=10_000,
        max_series=10,
    )


@pytest.mark.parametrize(("unit", "expected"), [("kB", 3 * KB_PER_GB), ("GB", 3.0)])
@pytest.mark.parametrize("downsample", [None, Downsample(300_000, "max"), Downsample(1, "p95")])
async def test_space_comes_in_the_unit_it_is_labelled_with(
    unit: str, expected: float, downsample: Downsample | None
) -> None:
    recording = holding(**{DISKSPACE_USED: 3 * KB_PER_GB, CAPACITY: 9.0})
    engine = engine_over(recording, unit)
    [series] = (await engine.query(Query(DISKSPACE_USED, WINDOW, downsample=downsample))).series
    assert set(series.values.tolist()) == {expected}
    [other] = (await engine.query(Query(CAPACITY, WINDOW, downsample=downsample))).series
    assert set(other.values.tolist()) == {9.0}


async def test_counts_are_not_rescaled() -> None:
    source = Rescaled(holding(**{CPU: 2.0}), {CPU: 10.0})
    request = BucketRequest(CPU, (), 0, 300_000, 300_000, frozenset(BucketFunction))
    [series] = await source.buckets(request)
    figures = {function: column.tolist() for function, column in series.columns.items()}
    assert figures.pop(BucketFunction.COUNT) == [2.0]
    assert figures.pop(BucketFunction.SUM) == [40.0]
    assert set(map(tuple, figures.values())) == {(20.0,)}
    assert source.name == "the recording"
    assert await source.metric_names("vscope.vm", 5) == (CPU,)


async def test_what_cannot_be_recorded_is_answered_in_words() -> None:
    engine = engine_over(holding(**{CPU: 1.0}))
    with pytest.raises(NotOfferedError, match=r"net\.tx is not offered by OVHcloud's API, so it"):
        await engine.query(Query(NET, WINDOW))
    with pytest.raises(NotOfferedError):
        await engine.lookup(NET)
    seen = await engine.query(Query(NET, WINDOW, partial=True))
    assert seen.series == ()
    assert "not offered by OVHcloud's API" in seen.notices[0]
    # What may be recorded and has no points is an empty answer.
    empty = await engine.query(Query("vscope.vm.net.rx", WINDOW, partial=True))
    assert (empty.series, empty.notices) == ((), ())


async def test_ovhcloud_is_not_asked_for_what_only_the_bridge_records() -> None:
    asked = holding(**{CPU: 1.0, CAPACITY: 2.0})
    known = catalogue()
    engine = Engine(
        ovhcloud_history(asked, known), known, NoInventory,
        source_step_ms=60_000, max_points=10_000, max_series=10,
    )  # fmt: skip
    with pytest.raises(NotOfferedError, match="only where the bridge has recorded it"):
        await engine.query(Query(CAPACITY, WINDOW))
    seen = await engine.query(Query(CAPACITY, WINDOW, partial=True))
    assert (seen.series, len(seen.notices)) == ((), 1)
    assert len((await engine.query(Query(CPU, WINDOW))).series) == 1
    # Its own metrics it may be asked for, whether they are recorded or not.
    assert (await engine.query(Query(NET, WINDOW))).series == ()


async def test_merged_histories_answer_from_the_one_that_can() -> None:
    known = catalogue()
    theirs, ours = holding(**{NET: 5.0}), holding(**{CAPACITY: 7.0})
    merged = MergedSources(
        [ovhcloud_history(theirs, known), recorded(ours, known)],
        lambda name: known[name].labels,
    )
    engine = Engine(
        merged, known, NoInventory, source_step_ms=60_000, max_points=10_000, max_series=10
    )
    for name, value in ((NET, 5.0), (CAPACITY, 7.0)):
        [series] = (await engine.query(Query(name, WINDOW))).series
        assert set(series.values.tolist()) == {value}
    # OVHcloud withdraws its history: what the bridge cannot record is not offered by anyone.
    theirs.failure = NotOfferedError("no vScope token")
    with pytest.raises(NotOfferedError, match=r"not recorded; only OVHcloud's .*\(no vScope token"):
        await engine.query(Query("vscope.vm.mem.tps", WINDOW))
    assert len((await engine.query(Query(CAPACITY, WINDOW))).series) == 1


async def test_what_was_imported_is_served() -> None:
    source = recorded(holding(**{NET: 4.0}), catalogue())
    [points] = await source.points(PointRequest(NET, (), 0, 600_000, 100))
    assert points.values.tolist() == [4.0, 4.0]
    request = BucketRequest(NET, (), 0, 300_000, 300_000, frozenset({BucketFunction.MAX}))
    assert len(await source.buckets(request)) == 1
    for other in ("vscope.host.net.rx", "vscope.vm.mem.tps"):
        with pytest.raises(NotOfferedError):
            await source.points(PointRequest(other, (), 0, 600_000, 100))
