"""The simulated world: deterministic, continuous, full of stories."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from bridge.catalog import Kind, catalogue
from bridge.demo import machines
from bridge.demo.erlenmeyer.selectors import selector
from bridge.demo.fleet import HostRole, build_fleet
from bridge.demo.noise import smooth
from bridge.demo.options import DemoOptions
from bridge.demo.shelf import FetchLimitError, FleetShelf, newest_sample, phase_of
from bridge.demo.tasks import all_tasks, task_object

if TYPE_CHECKING:
    from collections.abc import Callable

    from bridge.demo.fleet import VmSpec
    from bridge.demo.shelf import StoredSeries

NOW = 1_795_400_123.0
HOUR, DAY = 3600, 86400
FLEET = build_fleet(DemoOptions(), NOW)
SHELF = FleetShelf(FLEET, lambda: NOW)
LIMIT = 10_000_000
CPU = "vscope.vm.cpu.usage.perc"


def read(
    metric: str, start: float, end: float, shelf: FleetShelf = SHELF, **labels: str
) -> dict[str, StoredSeries]:
    selectors = {key: selector("=" + value) for key, value in labels.items()}
    found = shelf.select(selector("=" + metric), selectors, int(start * 1e6), int(end * 1e6), LIMIT)
    return {str(sorted(series.name.labels.items())): series for series in found}


def one(metric: str, start: float, end: float, **labels: str) -> StoredSeries:
    (series,) = read(metric, start, end, SHELF, **labels).values()
    return series


def live(vm: VmSpec) -> dict[str, Any]:
    figures = machines.LiveFigures(FLEET).of(FLEET.vms.index(vm), NOW)
    return machines.vm_object(FLEET, vm, NOW, figures)


SERVED = {name for name, metric in catalogue().items() if metric.ovhcloud}


def vm_of(part: str) -> VmSpec:
    return next(vm for vm in FLEET.vms if vm.part == part)


@pytest.mark.parametrize("metric", sorted(SERVED))
def test_every_metric_has_history_with_the_guide_s_labels(metric: str) -> None:
    found = read(metric, NOW - 2 * HOUR, NOW).values()

    assert found
    for series in found:
        labels = series.name.labels
        assert set(labels) == {*catalogue()[metric].labels, "env", "servicename", "servicetype"}
        assert (labels["env"], labels["servicetype"]) == ("prod", "vscope")
        assert labels["datacenter"].startswith(f"{labels['servicename']}_datacenter")
        assert np.isfinite(series.values).all()
        assert (series.values >= 0).all()
        if metric.endswith("perc"):
            assert (series.values <= 100).all()
    if "nicname" in catalogue()[metric].labels:
        assert {series.name.labels["nicname"] for series in found} == {
            "vmnic0",
            "vmnic1",
            "vmnic2",
            "vmnic3",
        }


@pytest.mark.parametrize("metric", sorted(SERVED))
def test_a_window_is_a_slice_of_any_wider_one(metric: str) -> None:
    wide = read(metric, NOW - 3 * DAY, NOW)
    start, end = NOW - 2 * DAY + 17, NOW - 5 * HOUR - 41
    narrow = read(metric, start, end)

    for name, series in narrow.items():
        stamps = wide[name].stamps_us
        inside = (stamps >= start * 1e6) & (stamps <= end * 1e6)
        assert np.array_equal(series.stamps_us, stamps[inside])
        assert np.array_equal(series.values, wide[name].values[inside])


def test_the_same_options_and_clock_are_the_same_world() -> None:
    again = FleetShelf(build_fleet(DemoOptions(), NOW), lambda: NOW)
    other = FleetShelf(build_fleet(DemoOptions(seed=2), NOW), lambda: NOW)
    mine = read(CPU, NOW - DAY, NOW)

    theirs = read(CPU, NOW - DAY, NOW, again)
    assert all(np.array_equal(mine[name].values, theirs[name].values) for name in mine)
    changed = read(CPU, NOW - DAY, NOW, other)
    assert not all(
        np.array_equal(mine[name].values, changed[name].values) for name in mine.keys() & changed
    )


def test_history_does_not_change_when_time_goes_on() -> None:
    clock = [NOW]
    shelf = FleetShelf(build_fleet(DemoOptions(), NOW), lambda: clock[0])
    before = read(CPU, NOW - DAY, NOW, shelf)
    clock[0] += 7 * HOUR
    after = read(CPU, NOW - DAY, NOW, shelf)

    assert before.keys() == after.keys()
    assert all(np.array_equal(before[name].values, after[name].values) for name in before)
    later = read(CPU, NOW, clock[0], shelf)
    assert max(series.stamps_us[-1] for series in later.values()) / 1e6 > clock[0] - 300


def test_each_object_has_its_own_phase_of_a_300_s_step() -> None:
    found = read(CPU, NOW - 2 * HOUR, NOW).values()
    steady = [s for s in found if (np.diff(s.stamps_us) == 300_000_000).all()]
    phases = {int(series.stamps_us[0] // 1_000_000 % 300) for series in steady}

    assert len(steady) > 50
    assert len(phases) > 30
    assert all(0 <= phase_of(vm.key) < 300 for vm in FLEET.vms)


def test_nothing_is_younger_than_the_clock_or_older_than_the_history() -> None:
    fleet = build_fleet(DemoOptions(history_days=3), NOW)
    shelf = FleetShelf(fleet, lambda: NOW)
    found = read(CPU, 0, NOW + DAY, shelf).values()

    assert max(series.stamps_us[-1] for series in found) <= NOW * 1e6
    assert fleet.born <= min(series.stamps_us[0] for series in found) / 1e6 < fleet.born + 300
    assert not read(CPU, fleet.born - 10 * DAY, fleet.born - 1, shelf)


def test_slow_noise_has_no_jumps() -> None:
    keys = np.arange(5, dtype=np.uint64)
    stamps = np.tile(np.arange(1_700_000_000, 1_700_000_000 + 4 * HOUR, 10), (5, 1))
    noise = smooth(keys, 1, stamps, HOUR)

    # At most 1 in an hour, and half as steep again in the middle of it.
    assert np.abs(np.diff(noise, axis=1)).max() < 1.6 * 10 / HOUR
    assert (np.ptp(noise, axis=1) > 0.1).all()
    assert noise.min() >= 0
    assert noise.max() < 1


def test_days_and_nights_and_weekends_differ() -> None:
    midnight = NOW // DAY * DAY
    monday = midnight - ((midnight // DAY + 3) % 7) * DAY - 7 * DAY
    week = read(CPU, monday, monday + 7 * DAY).values()

    def mean(low: float, high: float) -> float:
        parts = [s.values[(s.stamps_us >= low * 1e6) & (s.stamps_us < high * 1e6)] for s in week]
        return float(np.concatenate(parts).mean())

    tuesday = monday + DAY
    assert mean(tuesday + 13 * HOUR, tuesday + 17 * HOUR) > 2 * mean(tuesday, tuesday + 5 * HOUR)
    saturday = monday + 5 * DAY
    assert mean(tuesday, tuesday + DAY) > 1.2 * mean(saturday, saturday + DAY)
    mixed = np.concatenate([series.values for series in week])
    assert (mixed != np.round(mixed)).mean() > 0.9


def test_the_dying_vm_stops_three_hours_ago() -> None:
    vm = vm_of("dying")
    series = one(CPU, NOW - DAY, NOW, vm=vm.mo_ref)

    assert 2.9 * HOUR < NOW - series.stamps_us[-1] / 1e6 < 4.2 * HOUR
    assert live(vm)["powerState"] == "poweredOff"
    assert live(vm)["cpuUsed"] is None


def test_the_gappy_vm_has_outages_in_every_view() -> None:
    stamps = one(CPU, NOW - 6 * HOUR, NOW, vm=vm_of("gappy").mo_ref).stamps_us

    assert np.diff(stamps).max() >= 2_100_000_000
    assert live(vm_of("gappy"))["powerState"] == "poweredOn"


def test_the_starved_vm_waits_for_its_processors() -> None:
    vm = vm_of("starved")
    assert live(vm)["cpuReadyPercent"] > 5
    ordinary = [live(other)["cpuReadyPercent"] for other in FLEET.vms if other.part == "ordinary"]
    assert max(ordinary) < 3
    assert one(CPU, NOW - 6 * HOUR, NOW, vm=vm.mo_ref).values.min() > 90


def test_one_datastore_fills_up_over_weeks() -> None:
    metric = "vscope.filer.datastore.diskspace.used.perc"
    rises = {}
    for series in read(metric, NOW - 28 * DAY, NOW).values():
        rises[series.name.labels["datastore"]] = series.values[-1] - series.values[0]

    filling = next(store.name for store in FLEET.stores if store.filling)
    assert rises.pop(filling) > 20
    assert all(abs(rise) < 8 for rise in rises.values())


def test_a_host_is_emptied_for_maintenance() -> None:
    host = next(host for host in FLEET.hosts if host.role is HostRole.MAINTENANCE)
    found = machines.host_object(FLEET, host, NOW)

    assert found["inMaintenance"] is True
    assert found["vmTotal"] == 0
    before = machines.host_object(FLEET, host, FLEET.maintenance - 60)
    assert before["inMaintenance"] is False
    assert before["vmTotal"] > 0
    values = one("vscope.host.cpu.usage.perc", NOW - 6 * HOUR, NOW, host=host.name).values
    assert values[:20].mean() > 4 * values[-10:].mean()


def test_a_vm_moves_and_stays_in_its_cluster() -> None:
    vm = vm_of("moving")
    homes = {FLEET.host_of(vm, NOW - hours * HOUR) for hours in range(12)}

    assert len(homes) == 2
    assert {host.cluster for host in homes} == {vm.cluster}
    assert {host.role for host in homes} == {HostRole.ORDINARY}


def test_the_other_stories() -> None:
    assert live(vm_of("failed backup"))["backup"]["lastResult"] == "failed"
    assert live(vm_of("deleted"))["powerState"] == "deleted"
    assert live(vm_of("silent"))["powerState"] == "poweredOn"
    assert live(vm_of("silent"))["netRx"] is None
    assert live(vm_of("off"))["powerState"] == "poweredOff"
    assert live(vm_of("suspended"))["powerState"] == "suspended"
    assert sum(vm.part == "managed" for vm in FLEET.vms) == 2
    assert sum(host.role is HostRole.SPARE for host in FLEET.hosts) == 1
    global_store = next(store for store in FLEET.stores if store.datacenter_id is None)
    assert machines.store_object(FLEET, global_store, NOW)["vmTotal"] > 0


def test_tasks_cover_thirty_days_with_a_maintenance_and_running_work() -> None:
    tasks = [task_object(task, NOW) for task in all_tasks(FLEET, NOW).values()]
    oldest = min(task.begin for task in all_tasks(FLEET, NOW).values())

    assert 28 * DAY < NOW - oldest < 31 * DAY
    assert {"done", "doing", "error", "todo"} <= {task["state"] for task in tasks}
    windows = [task for task in tasks if task["maintenanceDateFrom"]]
    assert len(windows) == 3
    assert all(task["maintenanceDateFrom"] < task["maintenanceDateTo"] for task in windows)
    running = [task for task in tasks if task["state"] == "doing"]
    assert all(task["endDate"] is None and task["progress"] < 100 for task in running)


@pytest.mark.parametrize(
    ("metric", "formula"),
    [
        (CPU, lambda vm: 100 * vm["cpuUsed"] / vm["cpuMax"]),
        ("vscope.vm.mem.usage.perc", lambda vm: 100 * vm["memoryUsed"] / vm["memoryMax"]),
        ("vscope.vm.cpu.ready", lambda vm: vm["cpuReady"]),
        ("vscope.vm.net.rx", lambda vm: vm["netRx"]),
        ("vscope.vm.net.tx", lambda vm: vm["netTx"]),
        ("vscope.vm.net.packetsrx", lambda vm: vm["netPacketRx"]),
        ("vscope.vm.net.packetstx", lambda vm: vm["netPacketTx"]),
        ("vscope.vm.disk.io.read", lambda vm: vm["readPerSecond"]),
        ("vscope.vm.disk.io.write", lambda vm: vm["writePerSecond"]),
        ("vscope.vm.disk.bandwidth.read", lambda vm: vm["readRate"]),
        ("vscope.vm.disk.bandwidth.write", lambda vm: vm["writeRate"]),
        ("vscope.vm.disk.latency.read", lambda vm: vm["readLatency"]),
        ("vscope.vm.disk.latency.write", lambda vm: vm["writeLatency"]),
    ],
)
def test_live_vms_agree_with_their_newest_sample(
    metric: str, formula: Callable[[dict[str, Any]], float]
) -> None:
    compared = 0
    for vm in FLEET.vms:
        found = live(vm)
        if found["cpuUsed"] is None:
            continue
        stored = one(metric, newest_sample(vm.key, NOW), NOW, vm=vm.mo_ref).values[-1]
        # Half a MHz or MB is lost where APIv6 has whole numbers.
        slack = 100 * 0.5 / min(vm.cpu_max, vm.ram_mb) if metric.endswith("perc") else 0.0
        assert formula(found) == pytest.approx(stored, abs=slack + 1e-9)
        compared += 1
    assert compared > 50


def test_live_hosts_and_datastores_agree_with_their_newest_sample() -> None:
    for host in FLEET.hosts:
        found = machines.host_object(FLEET, host, NOW)
        cpu = one("vscope.host.cpu.usage.perc", NOW - 300, NOW, host=host.name).values[-1]
        memory = one("vscope.host.mem.usage.perc", NOW - 300, NOW, host=host.name).values[-1]
        assert 100 * found["cpuUsed"] / found["cpuMax"] == pytest.approx(cpu, abs=0.01)
        ram = found["ram"]["value"] * 1024
        assert 100 * found["memoryUsed"] / ram == pytest.approx(memory, abs=0.01)
    for store in FLEET.stores:
        found = machines.store_object(FLEET, store, NOW)
        used = "vscope.filer.datastore.diskspace.used"
        stored = one(used, NOW - 300, NOW, datastore=store.name).values[-1]
        assert found["spaceUsed"] * 1024 * 1024 == pytest.approx(stored)
        share = one(used + ".perc", NOW - 300, NOW, datastore=store.name).values[-1]
        total = found["spaceUsed"] + found["spaceFree"]
        assert 100 * found["spaceUsed"] / total == pytest.approx(share, abs=1e-3)


def test_a_fetch_over_the_limit_is_refused() -> None:
    with pytest.raises(FetchLimitError):
        SHELF.select(selector("=" + CPU), {}, 0, int(NOW * 1e6), 1000)


def test_newest_points_are_found_however_old() -> None:
    found = {
        series.name.labels["vm"]: series.stamps_us[-1] / 1e6
        for series in SHELF.last(selector("=" + CPU), {})
    }

    assert NOW - found[vm_of("ordinary").mo_ref] < 300
    assert found[vm_of("dying").mo_ref] < FLEET.death
    assert found[vm_of("deleted").mo_ref] < FLEET.deletion
    assert vm_of("silent").mo_ref not in found


@pytest.mark.parametrize("vms", [1, 5, 60, 2000])
def test_fleets_of_any_size(vms: int) -> None:
    options = DemoOptions(vms=vms, hosts=max(1, vms // 30), datacenters=1 + (vms > 1))
    fleet = build_fleet(options, NOW)
    shelf = FleetShelf(fleet, lambda: NOW)

    found = read(CPU, NOW - HOUR, NOW, shelf)

    assert len(fleet.vms) == vms
    assert 1 <= len(found) <= vms
    served = {row.metric for row in shelf.names(selector("~.*"), {})}
    assert served == SERVED
    assert {catalogue()[name].kind for name in served} == {Kind.DATASTORE, Kind.HOST, Kind.VM}


def test_an_empty_fleet_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        DemoOptions(vms=0)
