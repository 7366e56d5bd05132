"""The recorder: polls in, points out, whatever fails in between."""

from __future__ import annotations

import asyncio
import functools
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from bridge.catalog import DISKSPACE_USED, Kind, catalogue
from bridge.demo.account import demo_account
from bridge.demo.options import DemoOptions
from bridge.demo.server import create_simulator
from bridge.errors import BadRequestError, UpstreamError
from bridge.model import SeriesKey
from bridge.ovh import recorder as module
from bridge.ovh.expiry import ExpiryWatch
from bridge.ovh.grid import stamp_ms
from bridge.ovh.objects import Poll
from bridge.ovh.recorder import WAITING_POLLS, Recorder
from bridge.ovh.samples import samples_of
from tests.ovh.memory_recording import MemoryRecording
from tests.ovh.snapshots import ONE, datacenter, datastore, seen, service, vm
from tests.ovh.upstream import FakeTime, Upstream, serve
from tests.ovh.watching import NOW, furnish, watching

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bridge.model import LabelEra, PointBatch
    from bridge.ovh.objects import Vm

CPU, AGE, POWER = "vscope.vm.cpu.usage.perc", "vscope.vm.sample.age", "vscope.vm.power.state"
PLACE = f"{ONE}_datacenter10"
#: A poll's start, in the middle of its cell.
START = 1_700_000_100.0
FULL = UpstreamError("the disk is full")


def busy(number: int = 1, **more: Any) -> Vm:
    return vm(number, f"web{number}", **{"cpu_used": 500, "cpu_max": 2000.0, **more})


def poll(*vms: Vm, at: float = START, name: str = ONE, **more: Any) -> Poll:
    read = [seen(one, read_at=at) for one in vms]
    known = service(name, datacenter(name, 10, vms=read), **more)
    return Poll(known, at, 120.0)


def recorder_of(recording: MemoryRecording, clock: FakeTime | None = None, **more: Any) -> Recorder:
    clock = clock or FakeTime(START)
    return Recorder(recording, recording, more.pop("expiries", {}), clock=clock, steady=clock,
                    **more)  # fmt: skip


async def test_one_metric_of_one_poll() -> None:
    recording = MemoryRecording()
    recorder = recorder_of(recording)
    await recorder.record(poll(busy()))
    assert recording.of(CPU) == {1_700_000_040_000: 25.0}
    [key] = [key for key in recording.series if key.metric == CPU]
    tags = {"datacenter": PLACE, "env": "prod", "servicename": ONE, "servicetype": "vscope"}
    assert key == SeriesKey(CPU, tuple(sorted({**tags, "vm": "vm-1"}.items())))
    state = recorder.state
    assert (state.state, state.problem, state.written_ms) == ("recording", None, 1_700_000_040_000)


polls = st.lists(
    st.tuples(
        st.integers(0, 10),
        st.dictionaries(
            st.integers(1, 3),
            st.tuples(
                st.none() | st.integers(0, 2000),
                st.sampled_from(["poweredOn", "poweredOff"]),
                st.sampled_from(["h1", "h2"]),
            ),
        ),
    ),
    min_size=1,
    max_size=8,
)


@settings(deadline=None)
@given(polls)
def test_the_same_polls_once_more_change_nothing(
    given_polls: list[tuple[int, dict[int, tuple[int | None, str, str]]]],
) -> None:
    made = [
        poll(
            *(busy(n, cpu_used=used, power_state=power, host_name=where)
              for n, (used, power, where) in machines.items()),
            at=START + 120 * cell,
        )
        for cell, machines in sorted(given_polls, key=lambda one: one[0])
    ]  # fmt: skip
    once, twice = MemoryRecording(), MemoryRecording()

    async def run() -> None:
        first, second = recorder_of(once), recorder_of(twice)
        for one in made:
            await first.record(one)
            await second.record(one)
            await second.record(one)

    asyncio.run(run())
    assert once.series == twice.series
    assert once.stored_eras == twice.stored_eras


async def test_two_recorders_of_a_service_write_the_same_stamps() -> None:
    recording = MemoryRecording()
    for at in (START, START + 37.5):
        await recorder_of(recording).record(poll(busy(), at=at))
    assert list(recording.of(CPU)) == [stamp_ms(START, 120.0)]


async def test_silence_is_a_number() -> None:
    recording = MemoryRecording()
    recorder = recorder_of(recording)
    on, off, silent = busy(1), busy(2, power_state="poweredOff"), busy(3, cpu_used=None)
    at = [START + 120 * n for n in range(4)]
    await recorder.record(poll(on, off, silent, at=at[0]))
    await recorder.record(poll(on, off, silent, at=at[1]))
    # The first machine cannot be read any more, the second one is switched on.
    stale = seen(on, read_at=at[1])
    known = service(ONE, datacenter(ONE, 10, vms=[stale, seen(busy(2), read_at=at[2])]))
    await recorder.record(Poll(known, at[2], 120.0))
    # The whole service fails.
    failed = replace(known, state="failed", problem="no connection")
    await recorder.record(Poll(failed, at[3], 120.0))
    ages = {n: list(recording.of(AGE, vm=f"vm-{n}").values()) for n in (1, 2, 3)}
    assert ages == {1: [0, 0, 120, 240], 2: [0, 120, 0, 120], 3: [0, 120]}
    assert list(recording.of(POWER, vm="vm-1").values()) == [1.0, 1.0]
    assert list(recording.of(POWER, vm="vm-2").values()) == [0.0, 0.0, 1.0]
    assert list(recording.of(AGE, vm="vm-1")) == [stamp_ms(t, 120.0) for t in at]


async def test_ages_and_eras_outlive_a_restart() -> None:
    recording = MemoryRecording()
    first = recorder_of(recording)
    await first.record(poll(busy(1, host_name="h1"), busy(2), at=START))
    await first.record(poll(busy(1, host_name="h1", cpu_used=None), busy(2), at=START + 120))
    eras = dict(recording.stored_eras)
    later = START + 3 * 86_400
    second = recorder_of(recording, FakeTime(later))
    # OVHcloud is out of reach: what was known still ages.
    unread = service(ONE, state="failed", problem="down", polled_at=None)
    await second.record(Poll(unread, later, 120.0))
    assert recording.of(AGE, vm="vm-1")[stamp_ms(later, 120.0)] == 3 * 86_400
    assert recording.of(AGE, vm="vm-2")[stamp_ms(later, 120.0)] == 3 * 86_400 - 120
    await second.record(poll(busy(1, host_name="h1", cpu_used=None), at=later + 120))
    assert recording.of(AGE, vm="vm-1")[stamp_ms(later + 120, 120.0)] == 3 * 86_400 + 120
    # The second machine is not there any more.
    assert stamp_ms(later + 120, 120.0) not in recording.of(AGE, vm="vm-2")
    assert recording.stored_eras == eras


async def test_labels_are_stored_when_they_change() -> None:
    recording = MemoryRecording()
    recorder = recorder_of(recording)
    for n, where in enumerate(["h1", "h1", "h2"]):
        await recorder.record(poll(busy(1, host_name=where), at=START + 120 * n))
    known = [
        (dict(era.labels)["host_name"], era.since_ms, era.until_ms)
        for era in recording.stored_eras.values()
    ]
    first, last = stamp_ms(START, 120.0), stamp_ms(START + 240, 120.0)
    assert known == [("h1", first, last), ("h2", last, None)]
    assert [era.since_ms for era in recorder.eras[Kind.VM, PLACE, "vm-1"]] == [first, last]


async def test_while_the_recording_fails_polls_wait_and_then_follow() -> None:
    recording = MemoryRecording()
    recorder = recorder_of(recording)
    await recorder.record(poll(busy(1, host_name="h1")))
    recording.failure = FULL
    with capture_logs() as events:
        for n in (1, 2):
            await recorder.record(poll(busy(1, host_name=f"h{n}"), at=START + 120 * n))
            assert (recorder.state.state, recorder.state.problem) == ("failing", FULL.message)
            assert recorder.state.waiting_polls == n
        recording.failure = None
        await recorder.record(poll(busy(1, host_name="h2"), at=START + 360))
    assert len(recording.of(CPU)) == 4
    assert len(recording.stored_eras) == 2
    assert (recorder.state.state, recorder.state.lost_polls) == ("recording", 0)
    told = [event["event"] for event in events]
    assert told == ["recording_failed", "recording_resumed"]


async def test_points_that_are_never_taken_stand_in_nobody_s_way() -> None:
    recording = MemoryRecording()
    recorder = recorder_of(recording)
    recording.failure = BadRequestError("no such time")
    recording.reads_fail = False
    with capture_logs() as events:
        await recorder.record(poll(busy()))
    recording.failure = None
    await recorder.record(poll(busy(), at=START + 120))
    assert [event["event"] for event in events] == ["points_refused"]
    assert (recorder.state.state, recorder.state.lost_polls) == ("recording", 1)
    assert len(recording.of(CPU)) == 1


async def test_what_waits_is_limited_and_no_era_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WAITING_POINTS", 10)
    recording = MemoryRecording()
    recorder = recorder_of(recording)
    await recorder.open()
    recording.failure = FULL
    for n in range(4):
        await recorder.record(poll(busy(1, host_name=f"h{n}"), at=START + 120 * n))
    recording.failure = None
    await recorder.record(poll(busy(1, host_name="h3"), at=START + 480))
    stamps = [stamp_ms(START + 120 * n, 120.0) for n in range(5)]
    written = list(recording.of(CPU))
    assert written == stamps[-len(written) :]
    assert recorder.state.lost_polls == 5 - len(written) > 0
    assert [era.since_ms for era in recording.stored_eras.values()] == stamps[:4]


async def test_a_recording_that_cannot_be_read_yet_is_opened_later() -> None:
    recording = MemoryRecording()
    recording.failure = FULL
    recorder = recorder_of(recording)
    await recorder.record(poll(busy()))
    assert (recorder.state.state, recorder.state.lost_polls) == ("failing", 1)
    assert recorder.eras == {}
    recording.failure = None
    await recorder.record(poll(busy(), at=START + 120))
    assert recorder.state.state == "recording"
    assert len(recording.of(CPU)) == 1


async def test_recording_starts_although_old_ages_cannot_be_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recording = MemoryRecording()
    await recorder_of(recording).record(poll(busy(cpu_used=None)))

    async def too_little(_: Any) -> None:
        raise BadRequestError("only roll-ups are kept")

    monkeypatch.setattr(recording, "buckets", too_little)
    again = recorder_of(recording)
    with capture_logs() as events:
        await again.record(poll(busy(cpu_used=None), at=START + 120))
        await again.record(poll(busy(cpu_used=None), at=START + 240))
    assert list(recording.of(AGE).values()) == [0, 0, 120]
    assert [event["event"] for event in events] == ["ages_unreadable", "growth_unreadable"]


async def test_only_labels_are_noted_of_services_that_others_record() -> None:
    recording = MemoryRecording()
    recorder = recorder_of(recording, records=lambda name: name != ONE)
    await recorder.record(poll(busy(host_name="h1")))
    await recorder.record(poll(busy(host_name="h2"), at=START + 120))
    assert recording.series == {}
    [hosts] = [
        [dict(era.labels)["host_name"] for era in eras]
        for (kind, _, _), eras in recorder.eras.items()
        if kind is Kind.VM
    ]
    assert hosts == ["h1", "h2"]
    assert len(recording.stored_eras) == 2
    await recorder.record(poll(busy(), name="pcc-2"))
    assert {dict(key.tags)["servicename"] for key in recording.series} == {"pcc-2"}


async def test_ages_are_known_although_the_recording_is_away() -> None:
    recording, kept = MemoryRecording(), KeptBatches()
    before = recorder_of(recording)
    before._recording = kept
    await before.record(poll(busy()))
    await before.record(poll(busy(cpu_used=None), at=START + 120))
    away = MemoryRecording()
    away.failure = UpstreamError("away")
    clock = FakeTime(START + 240)
    samples = functools.partial(samples_of, away, kept.last)
    after = Recorder(recording, None, {}, samples=samples, clock=clock, steady=clock)
    with capture_logs() as logs:
        await after.record(poll(busy(cpu_used=None), at=START + 240))
    assert list(recording.of(AGE).values()) == [240.0]
    assert "ages_from_spool" in {log["event"] for log in logs}


class KeptBatches(MemoryRecording):
    """What was written last, as the spool keeps it."""

    def __init__(self) -> None:
        super().__init__()
        self._last: tuple[PointBatch, ...] = ()

    async def write(self, batch: PointBatch, eras: Sequence[LabelEra] = ()) -> None:
        self._last = (batch,)
        await super().write(batch, eras)

    async def last(self) -> tuple[PointBatch, ...]:
        return self._last


@pytest.mark.parametrize("seconds", [-86_400.0, 86_400.0])
async def test_a_clock_that_is_set_is_told(seconds: float) -> None:
    recording, wall, steady = MemoryRecording(), FakeTime(START), FakeTime(0.0)
    recorder = Recorder(recording, recording, {}, clock=wall, steady=steady)
    with capture_logs() as events:
        for jump in (0.0, 0.0, seconds, 0.0):
            wall.now += 120 + jump
            steady.now += 120
            await recorder.record(poll(busy(), at=wall.now))
    [moved] = [event for event in events if event["event"] == "clock_moved"]
    assert moved["seconds"] == seconds
    replaced = [event for event in events if event["event"] == "points_replaced"]
    assert len(replaced) == (1 if seconds < 0 else 0)
    assert len(recording.of(CPU)) == 4
    assert all(age == 0 for age in recording.of(AGE).values())


async def test_services_record_by_themselves() -> None:
    recording = MemoryRecording()
    recorder = recorder_of(recording)
    other = "pcc-10-0-0-2"
    await recorder.record(poll(busy()))
    await recorder.record(poll(busy(), name=other))
    broken = service(other, state="failed", problem="no", polled_at=None)
    await recorder.record(Poll(broken, START + 120, 120.0))
    await recorder.record(poll(busy(), at=START + 120))
    assert len(recording.of(CPU, servicename=ONE)) == 2
    assert len(recording.of(CPU, servicename=other)) == 1
    assert list(recording.of(AGE, servicename=other).values()) == [0, 120]


async def test_days_until_full_come_from_the_recorded_weeks() -> None:
    recording = MemoryRecording()
    today = int(START) // 86_400
    common = {"datacenter": PLACE, "env": "prod", "servicename": ONE, "servicetype": "vscope"}
    tags = tuple(sorted({**common, "datastore": "pcc-000001"}.items()))
    used = recording.series[SeriesKey(DISKSPACE_USED, tags)]
    gigabyte = 1024.0 * 1024.0
    for day in range(20):
        for hour in range(24):
            stamp = (today - 20 + day) * 86_400_000 + hour * 3_600_000
            used[stamp] = (500 + 10 * day) * gigabyte
    store = datastore(1, space_used=700.0, space_free=300.0, connection_state="online")
    fresh = datastore(2, space_used=700.0, space_free=300.0)
    read = [seen(one, read_at=START) for one in (store, fresh)]
    known = service(ONE, datacenter(ONE, 10, datastores=read))
    await recorder_of(recording).record(Poll(known, START, 120.0))
    days = recording.of("vscope.filer.datastore.full.days")
    assert days == {stamp_ms(START, 120.0): pytest.approx(30.0)}


async def test_polls_are_recorded_in_the_background(monkeypatch: pytest.MonkeyPatch) -> None:
    recording = MemoryRecording()
    recorder = recorder_of(recording)
    real, calls = recorder.record, []

    async def sometimes(one: Poll) -> None:
        calls.append(one)
        if len(calls) == 1:
            raise ZeroDivisionError
        await real(one)

    monkeypatch.setattr(recorder, "record", sometimes)
    with capture_logs() as events:
        running = asyncio.create_task(recorder.run())
        for n in range(3):
            recorder.hear(poll(busy(), at=START + 120 * n))
        while len(recording.of(CPU) if recording.series else ()) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0)
        running.cancel()
    assert [event["event"] for event in events] == ["recorder_failed"]


async def test_at_the_end_what_was_heard_is_recorded() -> None:
    """Whether it waited, was just being written, or had failed before."""
    held = asyncio.Event()

    class Slow(MemoryRecording):
        async def write(self, batch: PointBatch, eras: Sequence[LabelEra] = ()) -> None:
            held.set()
            await asyncio.sleep(0.05)
            await super().write(batch, eras)

    recording = Slow()
    recorder = recorder_of(recording)
    running = asyncio.create_task(recorder.run())
    for cell in range(3):
        recorder.hear(poll(busy(), at=START + 120 * cell))
    await held.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert not recording.series
    await recorder.finish()
    assert list(recording.of(CPU)) == [stamp_ms(START + 120 * cell, 120.0) for cell in range(3)]
    assert recorder.state.lost_polls == 0


async def test_polls_that_nobody_takes_are_limited() -> None:
    recorder = recorder_of(MemoryRecording())
    for n in range(WAITING_POLLS + 3):
        recorder.hear(poll(busy(), at=START + 120 * n))
    assert recorder.state.lost_polls == 3


async def test_a_simulated_service_is_recorded_within_twenty_calls() -> None:
    clock = FakeTime(NOW)
    options = DemoOptions(vms=200, hosts=10, expired_service=True)
    with serve(create_simulator(options, clock=clock)) as base:
        async with (
            httpx.AsyncClient(base_url=base) as control,
            watching(demo_account(base), clock=clock) as (inventory, _),
        ):
            expires = {"expiration": NOW + 30 * 86_400}
            (await control.post("/_simulator/credential", json=expires)).raise_for_status()
            api = inventory._pollers[0]._api
            recording = MemoryRecording()
            recorder = recorder_of(
                recording, clock, expiries={"demo": ExpiryWatch(api, clock=clock)}
            )
            inventory.subscribe(recorder.hear)
            running = asyncio.create_task(recorder.run())
            heard = []
            inventory.subscribe(heard.append)
            for n in range(4):
                clock.now = NOW + 120 * n
                await control.delete("/_simulator/calls")
                await inventory.poll()
                while recording.writes < len(heard):  # noqa: ASYNC110
                    await asyncio.sleep(0.001)
                calls = (await control.get("/_simulator/calls")).json()
                if n:
                    assert calls["total"] <= 20, calls
            running.cancel()
    stamps = [stamp_ms(NOW + 120 * n, 120.0) for n in range(4)]
    assert list(recording.of("vscope.credential.expires", account="demo").values()) == [
        30 * 86_400 + NOW - stamp / 1000 for stamp in stamps
    ]
    assert list(recording.of(CPU, vm="vm-1254")) == stamps
    recorded = {key.metric for key in recording.series}
    days = "vscope.filer.datastore.full.days"
    assert recorded == {m.name for m in catalogue().values() if not m.unrecorded} - {days}
    vms = {dict(key.tags)["vm"] for key in recording.series if key.metric == AGE}
    assert len(vms) == 199  # the deleted one is not there any more


async def test_the_inventory_tells_of_every_attempt(upstream: Upstream) -> None:
    furnish(upstream)
    told: list[Poll] = []
    async with watching(upstream.account()) as (inventory, clock):
        inventory.subscribe(told.append)
        await inventory.poll()
        clock.now += 120
        upstream.fault("/1.0/dedicatedCloud/pcc-1", 403, {"class": "Client::Forbidden"}, times=99)
        upstream.credential_valid = False
        await inventory.poll()
        clock.now += 120
        await inventory.poll()
    assert [one.started_at for one in told] == [NOW, NOW + 120, NOW + 240]
    assert [one.service.state for one in told] == ["ok", "failed", "failed"]
    assert {one.interval_s for one in told} == {120}
    assert [len(one.service.datacenters[8].vms) for one in told] == [3, 3, 3]


async def test_a_service_of_two_accounts_is_told_of_once(upstream: Upstream) -> None:
    furnish(upstream)
    told: list[Poll] = []
    accounts = [upstream.account(name=name) for name in ("first", "second")]
    async with watching(*accounts) as (inventory, _):
        inventory.subscribe(told.append)
        await inventory.poll()
        await inventory.poll()
    assert [one.service.account for one in told] == ["first", "first"]
