"""What the tests of the inventory share."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from bridge.ovh.api import OvhApi
from bridge.ovh.inventory import Inventory
from tests.ovh.upstream import FakeTime, Upstream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from bridge.ovh.objects import DatacenterInventory, ServiceInventory
    from bridge.settings import Account

NOW = 1_700_000_000.0
S = "/dedicatedCloud/pcc-1"
D = f"{S}/datacenter/8"


def furnish(upstream: Upstream, name: str = "pcc-1", *, vms: int = 3) -> None:
    """Put one service with one datacenter into the tree."""
    service = f"/dedicatedCloud/{name}"
    place = f"{service}/datacenter/8"
    tree = upstream.tree
    tree["/dedicatedCloud"] = [*tree.get("/dedicatedCloud", []), name]
    tree[service] = {"serviceName": name, "description": None, "location": "rbx"}
    tree[f"{service}/datacenter"] = [8]
    tree[place] = {"datacenterId": 8, "name": "datacenter8"}
    tree[f"{place}/cluster"] = [1]
    tree[f"{place}/cluster/1"] = {"clusterId": 1, "name": "Cluster1"}
    tree[f"{place}/host"] = [1, 2]
    for key in (1, 2):
        tree[f"{place}/host/{key}"] = {"hostId": key, "name": f"10.0.0.{key}", "cpuUsed": 100}
    tree[f"{place}/vm"] = list(range(1, vms + 1))
    for key in range(1, vms + 1):
        tree[f"{place}/vm/{key}"] = {"vmId": key, "moRef": f"vm-{key}", "name": f"web{key}"}
    tree[f"{place}/filer"] = [1]
    tree[f"{place}/filer/1"] = {"filerId": 1, "name": "pcc-001", "spaceUsed": 1.5}
    tree[f"{service}/filer"] = []
    tree[f"{service}/globalTasks"] = [1]
    tree[f"{service}/task/1"] = task(1, "done")


def task(key: int, state: str, **more: Any) -> dict[str, Any]:
    return {
        "taskId": key, "name": "t", "state": state, "executionDate": "2023-11-14T00:00:00+00:00",
        **more,
    }  # fmt: skip


@asynccontextmanager
async def watching(
    *accounts: Account, clock: FakeTime | None = None, interval_s: float = 120, **more: Any
) -> AsyncIterator[tuple[Inventory, FakeTime]]:
    clock = clock or FakeTime(NOW)
    apis = [OvhApi(account, clock=clock, sleep=clock.sleep) for account in accounts]
    named = {account.name: (account, api) for account, api in zip(accounts, apis, strict=True)}
    try:
        yield Inventory(named, poll_interval_s=interval_s, clock=clock, **more), clock
    finally:
        for api in apis:
            await api.close()


def only_service(inventory: Inventory) -> ServiceInventory:
    [service] = inventory.snapshot.services.values()
    return service


def only_place(inventory: Inventory) -> DatacenterInventory:
    [place] = only_service(inventory).datacenters.values()
    return place
