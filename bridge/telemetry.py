"""What an operator sees of the parts behind the doors, read at the moment it is asked for."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.registry import Collector

from bridge import __version__
from bridge.recording import RECORDING_STATES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from prometheus_client.core import Metric

    from bridge.app import Bridge
    from bridge.ovh.objects import ServiceInventory

#: Seconds between two looks at how late the event loop is.
TICK_S = 0.5

#: What a service or a token can be, so that a state that is not is a 0 and no gap.
SERVICE_STATES = ("warming", "ok", "partial", "expired", "failed")
TOKEN_STATES = ("unknown", "offered", "not offered", "failed")


def new_registry() -> CollectorRegistry:
    """Return a registry with the figures of the process."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    return registry


class LoopLag:
    """How late the event loop is: what every request waits at least.

    Args:
        registry: Where the figure is kept.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._late = Histogram(
            "vscope_bridge_event_loop_lag_seconds",
            "How much later than due the event loop got to a timer.",
            buckets=(0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0),
            registry=registry,
        )

    async def run(self) -> None:
        """Look for ever."""
        while True:
            due = time.perf_counter() + TICK_S
            await asyncio.sleep(TICK_S)
            self._late.observe(max(time.perf_counter() - due, 0.0))


class BridgeCollector(Collector):
    """The state of inventory, accounts, tokens and upstreams.

    Args:
        bridge: Whose parts are shown.
    """

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge

    def collect(self) -> Iterator[Metric]:
        """Read every figure."""
        yield InfoMetricFamily(
            "vscope_bridge", "The bridge itself.", value={"version": __version__}
        )
        yield from self._services(self._bridge.inventory.snapshot.services)
        calls = CounterMetricFamily(
            "vscope_bridge_ovh_calls",
            "Calls to OVHcloud's APIv6, repeats included.",
            None,
            ["account"],
        )
        for name, api in self._bridge.apis.items():
            calls.add_metric([name], api.calls)
        yield calls
        expiries = GaugeMetricFamily(
            "vscope_bridge_credential_expiry_timestamp_seconds",
            "When a credential of OVHcloud expires, epoch seconds; known while polls are recorded.",
            None,
            ["account"],
        )
        for name, expiry in self._bridge.expiries.items():
            if expiry.expires_ms is not None:
                expiries.add_metric([name], expiry.expires_ms / 1000)
        yield expiries
        yield GaugeMetricFamily(
            "vscope_bridge_poll_interval_seconds",
            "Seconds between two polls of the inventory, stretched where the limit demands it.",
            self._bridge.inventory.interval_s,
        )
        yield _states(
            "vscope_bridge_token_state",
            "Whether OVHcloud offers its history: 1 for the state that holds.",
            {name: keeper.state for name, keeper in self._bridge.keepers.items()},
            TOKEN_STATES,
        )
        circuits = GaugeMetricFamily(
            "vscope_bridge_upstream_left_alone",
            "1 while a host of OVHcloud's history keeps failing and is not asked.",
            None,
            ["host"],
        )
        for host, is_open in self._bridge.upstream.circuits().items():
            circuits.add_metric([host], float(is_open))
        yield circuits
        yield from self._recording()

    def _recording(self) -> Iterator[Metric]:
        recorder, recording = self._bridge.recorder, self._bridge.recording
        if recorder is None or recording is None:
            return
        state = recorder.state
        states = GaugeMetricFamily(
            "vscope_bridge_recording_state",
            "Whether polls are recorded: 1 for the state that holds.",
            None,
            ["state"],
        )
        for one in RECORDING_STATES:
            states.add_metric([one], float(one == recording.state))
        yield states
        yield CounterMetricFamily(
            "vscope_bridge_recording_points", "Points recorded since the start.", state.points
        )
        yield CounterMetricFamily(
            "vscope_bridge_recording_polls_lost",
            "Polls that could not be recorded since the start.",
            state.lost_polls,
        )
        yield GaugeMetricFamily(
            "vscope_bridge_recording_polls_waiting",
            "Polls that wait in memory until recording works again.",
            state.waiting_polls,
        )
        if state.written_ms is not None:
            yield GaugeMetricFamily(
                "vscope_bridge_recording_written_timestamp_seconds",
                "Stamp of the poll recorded last, epoch seconds.",
                state.written_ms / 1000,
            )

    def _services(self, services: Mapping[str, ServiceInventory]) -> Iterator[Metric]:
        yield _states(
            "vscope_bridge_service_state",
            "How the last poll of a service ended: 1 for the state that holds.",
            {name: service.state for name, service in services.items()},
            SERVICE_STATES,
        )
        polled = GaugeMetricFamily(
            "vscope_bridge_service_polled_timestamp_seconds",
            "When a service was last read, epoch seconds.",
            None,
            ["service"],
        )
        objects = GaugeMetricFamily(
            "vscope_bridge_objects", "Objects of the inventory.", None, ["service", "kind"]
        )
        for name, service in services.items():
            if service.polled_at is not None:
                polled.add_metric([name], service.polled_at)
            places = service.datacenters.values()
            counts = {
                "datacenter": len(places),
                "host": sum(len(place.hosts) for place in places),
                "vm": sum(len(place.vms) for place in places),
                "datastore": len(service.datastores) + sum(len(p.datastores) for p in places),
            }
            for kind, count in counts.items():
                objects.add_metric([name, kind], count)
        yield polled
        yield objects


def _states(
    name: str, text: str, states: Mapping[str, str], known: tuple[str, ...]
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, None, ["service", "state"])
    for service, holds in states.items():
        for state in known:
            family.add_metric([service, state], float(state == holds))
    return family
