"""Several services of one simulated account."""

from __future__ import annotations

from bridge.app import open_bridge
from bridge.demo import DemoOptions, create_simulator, demo_account
from bridge.demo.fleet import SERVICE, build_fleets
from bridge.settings import given_settings
from tests.servers import serving

NOW = 1_795_420_800.0


def test_each_service_has_a_world_of_its_own() -> None:
    fleets = build_fleets(DemoOptions(vms=30, services=3), NOW)
    assert len(fleets) == 3
    assert next(iter(fleets)) == SERVICE
    assert len({fleet.seed for fleet in fleets.values()}) == 3
    for name, fleet in fleets.items():
        assert all(place.label.startswith(f"{name}_datacenter") for place in fleet.places)
    assert build_fleets(DemoOptions(vms=30), NOW)[SERVICE] == fleets[SERVICE]


async def test_the_bridge_reads_them_all() -> None:
    with serving(create_simulator(DemoOptions(vms=30, services=3))) as url:
        account = demo_account(url).model_copy(update={"calls_per_minute": 6_000})
        settings = given_settings(accounts=(account,), metrics_hosts=("127.0.0.1",))
        async with open_bridge(settings) as bridge:
            await bridge.inventory.poll()
            services = bridge.inventory.snapshot.services
    assert {service.state for service in services.values()} == {"ok"}
    used = set()
    for service in services.values():
        machines = [
            one.value for place in service.datacenters.values() for one in place.vms.values()
        ]
        assert len(machines) == 30
        used.add(sum(machine.cpu_used or 0 for machine in machines))
    assert len(used) == 3
