"""The inventory: complete, cheap, immutable."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import httpx
import orjson
import pytest
from starlette.responses import JSONResponse
from structlog.testing import capture_logs

from bridge.demo.account import demo_account
from bridge.demo.options import DemoOptions
from bridge.demo.server import create_simulator
from bridge.ovh.errors import gist
from bridge.ovh.objects import (
    Cluster,
    Datacenter,
    Datastore,
    Host,
    Seen,
    Service,
    Snapshot,
    Task,
    Vm,
)
from bridge.ovh.poll import SLOW_S
from bridge.ovh.reading import _PARTS, UnreadableError, is_managed, read_object
from tests.ovh.upstream import FakeTime, Upstream, serve

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bridge.ovh.objects import ServiceInventory
    from bridge.settings import Account
from tests.ovh.watching import NOW, D, S, furnish, only_place, only_service, task, watching


async def test_everything_is_read(upstream: Upstream) -> None:
    furnish(upstream)
    upstream.tree[f"{S}/filer"] = [9]
    upstream.tree[f"{S}/filer/9"] = {"filerId": 9, "name": "global"}
    async with watching(upstream.account(name="eu")) as (inventory, _):
        assert inventory.snapshot == Snapshot()
        await inventory.poll()
        service, place = only_service(inventory), only_place(inventory)
        assert (service.name, service.account, service.state) == ("pcc-1", "eu", "ok")
        assert service.problem is None
        assert service.polled_at == NOW
        assert service.service == Seen(service.service.value, NOW)  # type: ignore[union-attr]
        assert service.datastores[9].value.name == "global"
        assert service.tasks[1].value.state == "done"
        assert place.label == "pcc-1_datacenter8"
        assert place.clusters[1].value.name == "Cluster1"
        assert [host.value.name for host in place.hosts.values()] == ["10.0.0.1", "10.0.0.2"]
        assert list(place.vms) == [1, 2, 3]
        assert place.datastores[1].value.space_used == 1.5
        assert inventory.problems() == ()


async def test_managed_and_deleted_objects_are_marked(upstream: Upstream) -> None:
    furnish(upstream, vms=2)
    upstream.tree[f"{D}/vm/1"]["powerState"] = "deleted"
    upstream.tree[f"{D}/vm/2"]["name"] = "backupServer1"
    upstream.tree[f"{D}/host/1"]["billingType"] = "freeSpare"
    upstream.tree[f"{D}/filer/1"]["isManagedByOvh"] = True
    async with watching(upstream.account()) as (inventory, _):
        await inventory.poll()
        place = only_place(inventory)
    assert (place.vms[1].deleted, place.vms[1].managed) == (True, False)
    assert (place.vms[2].deleted, place.vms[2].managed) == (False, True)
    assert place.hosts[1].managed
    assert not place.hosts[2].managed
    assert place.datastores[1].hidden


@pytest.mark.parametrize(
    ("name", "managed"),
    [
        ("private-gateway-1.pcc-1.pcc.ovh.net", True),
        ("backupServer2", True),
        ("backupProxy10", True),
        ("veeamproxy-3", True),
        ("l2lendpoint1.x", True),
        ("Z-VRA-172.16.0.1", True),
        ("backupServer-of-mine", False),
        ("my-private-gateway-1", False),
        ("web", False),
        (None, False),
    ],
)
def test_names_of_ovhclouds_own_machines(name: str | None, managed: bool) -> None:
    vm = read_object(Vm, {"vmId": 1, "moRef": "vm-1", "name": name})
    assert is_managed(vm) is managed


def test_one_odd_field_does_not_hide_an_object() -> None:
    vm = read_object(
        Vm,
        {"vmId": 1, "moRef": "vm-1", "cpuUsed": "many", "filers": [{}], "powerState": None,
         "memoryUsed": 5, "unheardOf": {}},
    )  # fmt: skip
    assert (vm.cpu_used, vm.filers, vm.power_state, vm.memory_used) == (None, None, "", 5)
    with pytest.raises(UnreadableError, match="moRef"):
        read_object(Vm, {"vmId": 1})


async def test_nameless_objects_get_the_usual_stand_in(upstream: Upstream) -> None:
    furnish(upstream)
    upstream.tree[f"{D}/host/1"]["name"] = None
    upstream.tree[f"{D}/filer/1"]["name"] = None
    async with watching(upstream.account()) as (inventory, _):
        await inventory.poll()
        place = only_place(inventory)
    assert place.hosts[1].value.name == "host1"
    assert place.datastores[1].value.name == "pcc-001"


async def test_vanished_objects_datacenters_and_services_are_dropped(upstream: Upstream) -> None:
    furnish(upstream)
    furnish(upstream, "pcc-2")
    async with watching(upstream.account()) as (inventory, clock):
        await inventory.poll()
        assert list(inventory.snapshot.services) == ["pcc-1", "pcc-2"]
        version = inventory.snapshot.version
        upstream.tree[f"{D}/vm"] = [1, 4]
        upstream.tree[f"{D}/vm/4"] = {"vmId": 4, "moRef": "vm-4"}
        upstream.tree["/dedicatedCloud"] = ["pcc-1"]
        upstream.tree["/dedicatedCloud/pcc-2/datacenter"] = []
        clock.now += SLOW_S + 1
        await inventory.poll()
        assert list(only_place(inventory).vms) == [1, 4]
        assert inventory.snapshot.version > version
        upstream.tree[f"{S}/datacenter"] = []
        clock.now += SLOW_S + 1
        await inventory.poll()
        assert only_service(inventory).datacenters == {}


async def test_object_that_vanishes_between_list_and_read(upstream: Upstream) -> None:
    furnish(upstream)
    del upstream.tree[f"{D}/vm/2"]
    async with watching(upstream.account()) as (inventory, _):
        await inventory.poll()
        assert list(only_place(inventory).vms) == [1, 3]
        assert only_service(inventory).state == "ok"


async def test_a_published_snapshot_never_changes(upstream: Upstream) -> None:
    furnish(upstream)
    async with watching(upstream.account()) as (inventory, _):
        await inventory.poll()
        kept = inventory.snapshot
        place = only_place(inventory)
        with pytest.raises(TypeError):
            place.vms[1] = None  # type: ignore[index]
        with pytest.raises(TypeError):
            kept.services["x"] = None  # type: ignore[index]
        upstream.tree[f"{D}/vm"] = []
        await inventory.poll()
        assert len(place.vms) == 3
        assert inventory.snapshot is not kept


class Simulated:
    """The simulated OVHcloud on a clock of its own, with or without batches."""

    def __init__(self, options: DemoOptions, clock: FakeTime) -> None:
        self.app = create_simulator(options, clock=clock)
        self.batches = True

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if not self.batches and any(name == b"x-ovh-batch" for name, _ in scope["headers"]):
            await JSONResponse({"message": "Invalid id"}, 400)(scope, receive, send)
        else:
            await self.app(scope, receive, send)


@pytest.fixture
def simulated() -> Iterator[tuple[str, Simulated, FakeTime]]:
    clock = FakeTime(NOW)
    app = Simulated(DemoOptions(vms=200, hosts=10, expired_service=True), clock)
    with serve(app) as base:
        yield base, app, clock


def generous(account: Account) -> Account:
    return account.model_copy(update={"calls_per_minute": 100_000})


async def test_simulated_service_costs_twenty_calls(
    simulated: tuple[str, Simulated, FakeTime],
) -> None:
    base, _, clock = simulated
    account = demo_account(base)
    async with watching(account, clock=clock) as (inventory, _):
        await inventory.poll()
        services = inventory.snapshot.services
        assert sorted(service.state for service in services.values()) == ["expired", "ok"]
        [ok] = [service for service in services.values() if service.state == "ok"]
        assert len(ok.datacenters) == 2
        assert sum(len(place.vms) for place in ok.datacenters.values()) >= 200
        assert sum(len(place.hosts) for place in ok.datacenters.values()) == 10
        assert ok.tasks
        assert inventory.interval_s == 120
        async with httpx.AsyncClient(base_url=base) as control:
            for _ in range(3):
                clock.now += 120
                await control.delete("/_simulator/calls")
                await inventory.poll()
                calls = (await control.get("/_simulator/calls")).json()
                assert calls["total"] <= 20, calls


@pytest.mark.parametrize("oauth2", [False, True])
async def test_with_and_without_batches_the_snapshot_is_the_same(
    simulated: tuple[str, Simulated, FakeTime], oauth2: bool
) -> None:
    base, app, _ = simulated
    taken = []
    for batches in (True, False):
        app.batches = batches
        # The simulator's clock stands still, so that live figures are equal.
        own = FakeTime(NOW)
        account = generous(demo_account(base, oauth2=oauth2))
        async with watching(account, clock=own) as (inventory, _):
            await inventory.poll()
            taken.append(dict(inventory.snapshot.services))
    batched, single = (_without_times(services) for services in taken)
    assert batched == single


def _without_times(services: dict[str, ServiceInventory]) -> Any:
    def plain(seen: Any) -> Any:
        return {key: replace(item, read_at=0.0) for key, item in seen.items()}

    return {
        name: (
            service.state,
            gist(service.problem),
            plain(service.datastores),
            plain(service.tasks),
            [
                (place.label, plain(place.clusters), plain(place.hosts), plain(place.vms),
                 plain(place.datastores))
                for place in service.datacenters.values()
            ],
        )
        for name, service in services.items()
    }  # fmt: skip


@pytest.mark.parametrize("mode", ["down", "html", "truncated", "wrong_type", "status", "reset"])
async def test_faults_of_the_simulator_pass_over(mode: str) -> None:
    clock = FakeTime(NOW)
    options = DemoOptions(vms=4, hosts=2, datacenters=1)
    with serve(create_simulator(options, clock=clock)) as base:
        async with (
            httpx.AsyncClient(base_url=base) as control,
            watching(generous(demo_account(base)), clock=clock) as (inventory, _),
        ):
            await inventory.poll()
            known = list(only_place(inventory).vms)
            for path in ("", "/vm", "/host", "/datacenter", "/globalTasks"):
                fault = {"target": "apiv6", "mode": mode, "path": path}
                (await control.post("/_simulator/faults", json=fault)).raise_for_status()
                clock.now += SLOW_S + 1
                await inventory.poll()
                assert only_service(inventory).state in {"partial", "failed"}
                assert inventory.problems()
                assert list(only_place(inventory).vms) == known
                await control.delete("/_simulator/faults")
                stamp = clock.now = clock.now + SLOW_S + 1
                await inventory.poll()
                assert only_service(inventory).state == "ok"
                assert min(seen.read_at for seen in only_place(inventory).vms.values()) >= stamp


async def test_rate_limit_of_the_simulator_is_never_met() -> None:
    clock = FakeTime(NOW)
    options = DemoOptions(vms=200, hosts=10, rate_limit_per_minute=60)
    with serve(create_simulator(options, clock=clock)) as base:
        async with watching(demo_account(base), clock=clock) as (inventory, _):
            for _ in range(3):
                await inventory.poll()
                assert inventory.problems() == ()


async def test_interval_stretches_to_the_rate_and_says_so_once(upstream: Upstream) -> None:
    furnish(upstream, vms=400)
    account = upstream.account(calls_per_minute=6)
    with capture_logs() as events:
        async with watching(account, interval_s=60) as (inventory, _):
            assert inventory.interval_s == 60
            await inventory.poll()
            first = inventory.interval_s
            await inventory.poll()
    # 18 calls or more at three quarters of six a minute.
    assert first >= 18 * 60 / 4.5
    assert inventory.interval_s >= 60
    assert [event["event"] for event in events].count("poll_interval_stretched") == 1


async def test_finished_tasks_are_read_once(upstream: Upstream) -> None:
    furnish(upstream)
    upstream.tree[f"{S}/globalTasks"] = [1, 2]
    upstream.tree[f"{S}/task/2"] = task(2, "doing", progress=10)
    async with watching(upstream.account()) as (inventory, _):
        await inventory.poll()
        upstream.calls.clear()
        upstream.tree[f"{S}/task/2"] = task(2, "doing", progress=20)
        await inventory.poll()
        assert [path for path in upstream.paths() if "/task/" in path] == [f"/1.0{S}/task/2"]
        assert only_service(inventory).tasks[2].value.progress == 20
        upstream.tree[f"{S}/task/2"] = task(2, "done")
        await inventory.poll()
        upstream.calls.clear()
        await inventory.poll()
        assert not [path for path in upstream.paths() if "/task/" in path]
        assert list(only_service(inventory).tasks) == [1, 2]
    asked = [call.query for call in upstream.calls if call.path.endswith("/globalTasks")]
    assert asked == ["lastModificationDate.from=2023-10-15T22%3A13%3A20%2B00%3A00"]


async def test_long_task_history_fills_up_over_several_polls(upstream: Upstream) -> None:
    furnish(upstream)
    upstream.tree[f"{S}/globalTasks"] = list(range(1, 301))
    for key in range(1, 301):
        upstream.tree[f"{S}/task/{key}"] = task(key, "done")
    async with watching(upstream.account()) as (inventory, _):
        await inventory.poll()
        assert list(only_service(inventory).tasks) == list(range(181, 301))
        await inventory.poll()
        await inventory.poll()
        assert len(only_service(inventory).tasks) == 300


async def test_old_tasks_are_dropped(upstream: Upstream) -> None:
    furnish(upstream)
    async with watching(upstream.account()) as (inventory, clock):
        await inventory.poll()
        upstream.tree[f"{S}/globalTasks"] = []
        clock.now += SLOW_S + 1
        await inventory.poll()
        assert only_service(inventory).tasks == {}


def test_what_is_kept_of_an_object_is_lean() -> None:
    """Tens of thousands of machines are kept, twice while they are read anew."""
    raw = {"vmId": 1, "moRef": "vm-1", "name": "web01", "powerState": "poweredOn",
           "backup": {"state": "ok"}, "filers": [{"name": "a"}, {"name": "b"}]}  # fmt: skip
    first, again = (read_object(Vm, orjson.loads(orjson.dumps(raw))) for _ in range(2))
    assert first == again
    assert first.filers is not None
    for one in (first, first.backup, *first.filers):
        assert one is not None
        assert one.model_fields_set == set()
    assert first.power_state is again.power_state


def test_every_part_of_an_object_is_kept_lean() -> None:
    for model in (Host, Datastore, Vm, Service, Datacenter, Cluster, Task):
        parts = {
            name
            for name, known in model.model_fields.items()
            if any(part in repr(known.annotation) for part in ("UnitValue", "Backup", "VmFiler"))
        }
        assert set(_PARTS.get(model.__name__, ())) == parts
