"""The recording in the running bridge, on a real store and over a simulated OVHcloud."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from bridge import recording as module
from bridge.app import create_app
from bridge.catalog import catalogue
from bridge.demo.account import demo_account
from bridge.demo.fleet import build_fleet
from bridge.demo.options import DemoOptions
from bridge.demo.server import create_simulator
from bridge.engine.engine import Engine
from bridge.model import (
    Downsample,
    FilterKind,
    PointRequest,
    Query,
    TagFilter,
    Window,
)
from bridge.ovh.labels import LabelCache
from bridge.ovh.recorder import Recorder
from bridge.settings import given_settings
from bridge.sources.history import History
from bridge.sources.recorded import recorded
from tests.ovh.upstream import FakeTime
from tests.ovh.watching import watching
from tests.servers import serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from bridge.settings import Settings

CPU, AGE = "vscope.vm.cpu.usage.perc", "vscope.vm.sample.age"
ALL = Window(0, 4_000_000_000_000)


@pytest.fixture(scope="module")
def simulator() -> Iterator[str]:
    with serving(create_simulator(DemoOptions(vms=6, hosts=3, datacenters=1))) as url:
        yield url


def settings_of(simulator: str, folder: Path, **more: Any) -> Settings:
    account = demo_account(simulator).model_copy(update={"calls_per_minute": 6_000})
    return given_settings(accounts=(account,), history_dir=folder, poll_interval_s=1, **more)


def figures(url: str) -> dict[str, float]:
    lines = httpx.get(f"{url}/metrics").text.splitlines()
    return {
        name: float(value)
        for name, value in (line.rsplit(" ", 1) for line in lines if line[:1] != "#")
    }


def ready(url: str) -> bool:
    return httpx.get(f"{url}/readyz").status_code == 200


def reasons(url: str) -> list[str]:
    found: list[str] = httpx.get(f"{url}/readyz").json()["reasons"]
    return found


def live_machines(url: str) -> int:
    body = {"targets": [{"refId": "A", "target": "live:vm"}]}
    return len(httpx.post(f"{url}/query", json=body).json()[0]["rows"])


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


async def stored(folder: Path, metric: str) -> dict[str, list[int]]:
    """The stamps of each series of a metric, by the object it is measured on."""
    async with History(folder) as history:
        found = await history.points(PointRequest(metric, (), 0, ALL.end_ms, 10**6))
    return {one.tags["vm"]: one.stamps_ms.tolist() for one in found}


async def test_a_running_bridge_records_and_continues_after_a_restart(
    simulator: str, tmp_path: Path
) -> None:
    settings = settings_of(simulator, tmp_path / "history")
    for runs in (1, 2):
        with serving(create_app(settings), lifespan="on") as url:
            until(lambda: figures(url).get("vscope_bridge_recording_points_total", 0) > 300)
            now = figures(url)
            assert now['vscope_bridge_recording_state{state="recording"}'] == 1
            assert now["vscope_bridge_recording_polls_lost_total"] == 0
            written = now["vscope_bridge_recording_written_timestamp_seconds"]
            assert abs(time.time() - written) < 60
            assert reasons(url) == []
        found = await stored(tmp_path / "history", AGE)
        assert len(found) == 6
        assert all(stamp % 1_000 == 0 for stamps in found.values() for stamp in stamps)
        assert all(len(stamps) >= 2 * runs for stamps in found.values())


async def test_a_recording_in_use_is_told_and_taken_when_free(
    simulator: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RETRY_S", 0.05)
    settings = settings_of(simulator, tmp_path)
    other = History(tmp_path)
    await other.open()
    with serving(create_app(settings), lifespan="on") as url:
        until(lambda: ready(url))
        [reason] = reasons(url)
        assert "nothing is recorded" in reason
        assert "in use by" in reason
        assert figures(url)['vscope_bridge_recording_state{state="closed"}'] == 1
        assert live_machines(url) == 6
        await other.close()
        until(lambda: figures(url)['vscope_bridge_recording_state{state="recording"}'] == 1)
        assert reasons(url) == []
    assert await stored(tmp_path, CPU)


async def test_a_recording_that_cannot_be_opened_stops_nothing(
    simulator: str, tmp_path: Path
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    with serving(create_app(settings_of(simulator, blocked)), lifespan="on") as url:
        until(lambda: ready(url))
        until(lambda: any("nothing is recorded" in reason for reason in reasons(url)))
    assert blocked.read_text() == "no folder"


async def test_a_mistake_in_maintenance_does_not_end_recording(
    simulator: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RETRY_S", 0.01)
    failed = 0

    async def fails(_: History) -> None:
        nonlocal failed
        failed += 1
        raise ZeroDivisionError

    monkeypatch.setattr(History, "run_maintenance", fails)
    with serving(create_app(settings_of(simulator, tmp_path)), lifespan="on") as url:
        until(lambda: failed > 2)
        until(lambda: figures(url).get("vscope_bridge_recording_points_total", 0) > 0)
    assert await stored(tmp_path, AGE)


async def test_recording_can_be_switched_off(simulator: str, tmp_path: Path) -> None:
    settings = settings_of(simulator, tmp_path, record=False)
    with serving(create_app(settings), lifespan="on") as url:
        until(lambda: ready(url))
        until(lambda: figures(url)['vscope_bridge_recording_state{state="waiting"}'] == 1)
    assert await stored(tmp_path, CPU) == {}


async def test_a_machine_that_moves_counts_where_it_was(tmp_path: Path) -> None:
    """Half a day of a service whose machine app-01 changes hosts every six hours."""
    start, interval_s = 1_700_006_400.0 + 300, 1_800.0
    clock = FakeTime(start)
    options = DemoOptions(vms=8, hosts=8, datacenters=1)
    fleet = build_fleet(options, start)
    mover = next(vm for vm in fleet.vms if vm.part == "moving")
    with serving(create_simulator(options, clock=clock)) as url:
        account = demo_account(url).model_copy(update={"calls_per_minute": 100_000})
        async with (
            History(tmp_path) as history,
            watching(account, clock=clock, interval_s=interval_s) as (inventory, _),
        ):
            recorder = Recorder(history, history, {}, clock=clock, steady=clock)
            polls: list[Any] = []
            inventory.subscribe(polls.append)
            for n in range(30):
                clock.now = start + n * interval_s
                await inventory.poll()
                await recorder.record(polls[-1])
            labels = LabelCache(lambda: inventory.snapshot, lambda: recorder.eras)
            engine = Engine(
                recorded(history, catalogue()),
                catalogue(),
                labels.current,
                source_step_ms=round(interval_s * 1000),
                max_points=100_000,
                max_series=100,
            )
            window = Window(round(start) * 1000 - 600_000, round(clock.now) * 1000)
            by_host = (
                TagFilter("host_name", FilterKind.WILDCARD, "*", group_by=True),
                TagFilter("vm_name", FilterKind.LITERAL_OR, mover.name),
            )
            hourly = Downsample(3_600_000, "max")
            answer = await engine.query(Query(CPU, window, "none", hourly, filters=by_host))
            whole = await engine.query(Query(CPU, window, "none", hourly, filters=by_host[1:]))
            counted = await engine.query(
                Query(AGE, window, "count", Downsample(1_800_000, "max"), filters=by_host[:1])
            )
            restarted = Recorder(history, history, {}, clock=clock, steady=clock)
            assert await restarted.open()
            assert restarted.eras == recorder.eras
    got = {
        (int(stamp), float(value), series.tags["host_name"])
        for series in answer.series
        for stamp, value in zip(series.stamps_ms, series.values, strict=True)
    }
    [line] = whole.series
    # An hour belongs to where the machine was when it began, as far as polls can tell.
    assert got == {
        (int(stamp), float(value), fleet.host_of(mover, stamp / 1000).name)
        for stamp, value in zip(line.stamps_ms, line.values, strict=True)
    }
    assert len({series.tags["host_name"] for series in answer.series}) == 2
    assert len(answer.series) == 2
    assert all("host_name" not in series.tags for series in whole.series)
    # On every host, at every poll, as many machines as were there.
    for series in counted.series:
        for stamp, value in zip(series.stamps_ms, series.values, strict=True):
            there = [
                vm for vm in fleet.vms
                if vm.part != "deleted"
                and fleet.host_of(vm, stamp / 1000 + 300).name == series.tags["host_name"]
            ]  # fmt: skip
            assert value == len(there), (series.tags["host_name"], stamp)
