"""Copying a source's history into the recording: all of it, once, without mixing hours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.errors import BridgeError, NotOfferedError, UpstreamError
from bridge.model import Buckets, LabelEra, PointBatch, PointRequest, Points, SeriesKey
from bridge.sources.backfill import DAY_MS, HOUR_MS, Backfill, Journal, Progress
from tests.engine.memory import MemorySource

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bridge.model import BucketRequest

METRIC = "vscope.vm.cpu.usage.perc"
END_MS = 5 * DAY_MS

Line = dict[int, float]


class MemoryRecording(MemorySource):
    """Keeps what is written; a point replaces one of the same series and stamp."""

    def __init__(self) -> None:
        super().__init__([])
        self.lines: dict[tuple[tuple[str, str], ...], Line] = {}
        self.batches: list[int] = []
        self.fail_after: int | None = None

    async def write(self, batch: PointBatch, eras: Sequence[LabelEra] = ()) -> None:
        assert not eras
        if self.fail_after is not None and len(self.batches) >= self.fail_after:
            raise BridgeError("disk full")
        self.batches.append(len(batch.values))
        for series, stamp, value in zip(
            batch.series.tolist(), batch.stamps_ms.tolist(), batch.values.tolist(), strict=True
        ):
            self.lines.setdefault(batch.keys[series].tags, {})[stamp] = value
        self.series = [
            Points(
                dict(tags),
                np.array(sorted(line), dtype=np.int64),
                np.array([line[stamp] for stamp in sorted(line)]),
            )
            for tags, line in self.lines.items()
        ]

    async def eras(self) -> tuple[LabelEra, ...]:
        return ()


def tags(vm: str, **more: str) -> dict[str, str]:
    return {"datacenter": "pcc-1_datacenter1", "vm": vm, **more}


def key(vm: str, **more: str) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(tags(vm, **more).items()))


def backfill(source: MemorySource, recording: MemoryRecording, folder: Path) -> Backfill:
    return Backfill(
        source,
        recording,
        lambda _metric: ("datacenter", "vm"),
        Journal(folder / "backfill.jsonl"),
        pause_s=0.0,
    )


async def copy(
    source: MemorySource, recording: MemoryRecording, folder: Path, *, until_ms: int = END_MS
) -> list[Progress]:
    run = backfill(source, recording, folder).run([METRIC], 0, until_ms)
    return [progress async for progress in run]


def regular(step_ms: int = 300_000, value: float = 1.0) -> Line:
    return dict.fromkeys(range(0, END_MS, step_ms), value)


async def test_everything_is_copied_day_by_day_newest_first(tmp_path: Path) -> None:
    source = MemorySource([(tags("vm-1", env="prod"), list(regular().items()))])
    recording = MemoryRecording()
    told = await copy(source, recording, tmp_path)
    assert recording.lines == {key("vm-1", env="prod"): regular()}
    assert [(one.days_done, one.days) for one in told] == [(n, 5) for n in range(6)]
    assert told[-1].points == len(regular())
    assert recording.batches == [288] * 5


async def test_recorded_hours_stay_as_they_are(tmp_path: Path) -> None:
    source = MemorySource([(tags("vm-1", env="prod"), list(regular().items()))])
    recording = MemoryRecording()
    own = {DAY_MS + 120_000 * n: 7.0 for n in range(45)}  # an hour and a half
    batch = PointBatch(
        (SeriesKey(METRIC, key("vm-1")),),
        np.zeros(len(own), dtype=np.int32),
        np.array(list(own), dtype=np.int64),
        np.array(list(own.values())),
    )
    await recording.write(batch)
    await copy(source, recording, tmp_path)
    recorded = {stamp // HOUR_MS for stamp in own}
    expected = {s: v for s, v in regular().items() if s // HOUR_MS not in recorded} | own
    # The series goes on under the labels it was recorded with.
    assert recording.lines == {key("vm-1"): expected}


async def test_a_second_run_asks_only_for_what_is_new(tmp_path: Path) -> None:
    source = MemorySource([(tags("vm-1"), list(regular().items()))])
    recording = MemoryRecording()
    noon = 4 * DAY_MS + 12 * HOUR_MS
    await copy(source, recording, tmp_path, until_ms=noon)
    assert max(recording.lines[key("vm-1")]) == noon - 300_000
    source.fetches.clear()
    await copy(source, recording, tmp_path)
    # The day that was in progress, and nothing else.
    assert source.fetches == ["buckets", "points"]
    assert recording.lines[key("vm-1")] == regular()


async def test_a_day_with_very_many_points_is_copied_in_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.sources.backfill.MOST_POINTS", 100)
    source = MemorySource([(tags("vm-1"), list(regular().items()))])
    recording = MemoryRecording()
    await copy(source, recording, tmp_path)
    assert max(recording.batches) <= 100
    assert recording.lines[key("vm-1")] == regular()


async def test_an_answer_that_lacks_points_is_no_copied_day(tmp_path: Path) -> None:
    class Forgetful(MemorySource):
        async def points(self, request: PointRequest) -> tuple[Points, ...]:
            return tuple(
                Points(one.tags, one.stamps_ms[1:], one.values[1:])
                for one in await super().points(request)
            )

    source = Forgetful([(tags("vm-1"), list(regular().items()))])
    with pytest.raises(UpstreamError, match="287 of 288 points"):
        await copy(source, MemoryRecording(), tmp_path)
    assert not (tmp_path / "backfill.jsonl").exists()


async def test_what_no_source_offers_is_said(tmp_path: Path) -> None:
    class NotOffered(MemorySource):
        async def buckets(self, _request: BucketRequest) -> tuple[Buckets, ...]:
            raise NotOfferedError("no token")

    with pytest.raises(NotOfferedError, match="no token"):
        await copy(NotOffered([]), MemoryRecording(), tmp_path)


async def test_a_torn_journal_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    path = tmp_path / "backfill.jsonl"
    Journal(path).note("memory", METRIC, 3)
    with path.open("ab") as file:
        file.write(b'["memory","vscope')
    again = Journal(path)
    assert again.has("memory", METRIC, 3)
    again.note("memory", METRIC, 4)
    assert Journal(path).has("memory", METRIC, 4)


points = st.dictionaries(
    st.integers(0, END_MS // 60_000 - 1).map(lambda minute: minute * 60_000),
    st.integers(-9, 9).map(float),
    max_size=60,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(points, min_size=1, max_size=3), st.integers(0, 6))
async def test_broken_off_anywhere_and_started_again_gives_the_whole(
    tmp_path_factory: pytest.TempPathFactory, lines: list[Line], fail_after: int
) -> None:
    folder = tmp_path_factory.mktemp("copy")
    source = MemorySource(
        [(tags(f"vm-{n}"), list(line.items())) for n, line in enumerate(lines) if line]
    )
    recording = MemoryRecording()
    recording.fail_after = fail_after
    try:
        await copy(source, recording, folder)
    except BridgeError as error:
        assert error.message == "disk full"  # noqa: PT017 -- it need not fail
    recording.fail_after = None
    await copy(source, recording, folder)
    assert recording.lines == {key(f"vm-{n}"): line for n, line in enumerate(lines) if line}
