"""What a bridge that had run for weeks would have recorded of the simulated fleet.

Performance comes from the same signals as OVHcloud's simulated history, on the grid of its
samples. States, counts and labels come from polls of the simulated objects at a few times,
run through the recorder's own code; between two of them they hold.
"""

from __future__ import annotations

from collections import defaultdict
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from bridge.catalog import catalogue
from bridge.demo import machines, objects
from bridge.demo.apiv6.credentials import KEY_LIFE_S
from bridge.demo.fleet import SERVICE, STEP_S
from bridge.demo.shelf import FleetShelf
from bridge.model import PointBatch, SeriesKey
from bridge.ovh.growth import GrowthWatch
from bridge.ovh.ledger import Ledger
from bridge.ovh.objects import (
    Cluster,
    Datacenter,
    DatacenterInventory,
    Datastore,
    Host,
    Poll,
    Seen,
    Service,
    ServiceInventory,
    Vm,
)
from bridge.ovh.reading import is_deleted, is_managed, read_object
from bridge.ovh.readings import readings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from bridge.demo.fleet import Fleet, Place
    from bridge.model import LabelEra, Recording, Source
    from bridge.ovh.objects import ObjectT

HOUR_S, DAY_S = 3_600, 86_400

#: Seconds between two recorded points, by how many seconds ago they were recorded.
GRID: tuple[tuple[int, int], ...] = (
    (2 * DAY_S, STEP_S),
    (8 * DAY_S, 2 * STEP_S),
    (10**9, 6 * STEP_S),
)

#: Seconds between two polls of the objects, likewise.
POLLS: tuple[tuple[int, int], ...] = ((4 * HOUR_S, 600), (2 * DAY_S, HOUR_S), (10**9, 6 * HOUR_S))


async def record_past(
    fleet: Fleet,
    recording: Recording,
    *,
    until: float,
    days: int,
    source: Source | None = None,
) -> None:
    """Record the weeks before ``until`` (epoch seconds).

    Args:
        fleet: Of what.
        recording: Where to.
        until: The end.
        days: How long before it the recording begins.
        source: The same recording, to be read: for the days until a datastore is full.
    """
    grid = np.array(list(_times(until, days, GRID)), dtype=np.int64)
    for batch in _performance(fleet, grid, until):
        await recording.write(batch)
    batch, eras = await _states(fleet, grid, until, days, GrowthWatch(source))
    await recording.write(batch, eras)


def _times(until: float, days: int, spacing: Sequence[tuple[int, int]]) -> Iterator[int]:
    """Yield times from ``days`` ago on, each a multiple of the spacing that holds there."""
    end = int(until)
    at = (end - days * DAY_S) // DAY_S * DAY_S
    while at <= end:
        yield at
        step = next(step for age, step in spacing if end - at <= age)
        at = (at // step + 1) * step


def _performance(fleet: Fleet, grid: NDArray[np.int64], until: float) -> Iterator[PointBatch]:
    """Yield what OVHcloud's history has as well, metric by metric."""
    shelf = FleetShelf(fleet, lambda: until)
    for name, metric in catalogue().items():
        if metric.live is not None and metric.ovhcloud:
            yield _batch(
                (SeriesKey(name, tuple(sorted(one.name.labels.items()))), one.stamps_us, one.values)
                for one in shelf.sampled(name, grid)
            )


async def _states(
    fleet: Fleet, grid: NDArray[np.int64], until: float, days: int, growth: GrowthWatch
) -> tuple[PointBatch, tuple[LabelEra, ...]]:
    """Return what only the recording has, and every era of labels."""
    own = {name for name, metric in catalogue().items() if not metric.ovhcloud}
    ledger = Ledger(growth=growth.kb_a_day)
    eras: dict[Any, LabelEra] = {}
    expires_ms = round((until + KEY_LIFE_S) * 1000)
    polled = list(_times(until, days, POLLS))
    seen: dict[SeriesKey, tuple[list[int], list[float]]] = defaultdict(lambda: ([], []))
    for at in polled:
        # The days before a day are the same all day long: they are read once.
        await growth.refresh((at - at % DAY_S) * 1000)
        poll = Poll(_service(fleet, at), float(at), float(STEP_S))
        found = list(readings(poll))
        for era in ledger.note(poll, found):
            eras[era.kind, era.datacenter, era.value, era.since_ms] = era
        for keys, figures in ledger.entries(poll, found, expires_ms=expires_ms):
            for key, value in zip(keys, figures, strict=True):
                if key.metric in own:
                    stamps, values = seen[key]
                    stamps.append(at)
                    values.append(value)
    times = np.array(polled, dtype=np.int64)
    lines = []
    for key, (stamps, values) in seen.items():
        kept, held = _held(np.array(stamps), np.array(values), times, grid)
        lines.append((key, kept * 1_000_000, held))
    return _batch(lines), tuple(eras.values())


def _held(
    stamps: NDArray[np.int64],
    values: NDArray[np.float64],
    polled: NDArray[np.int64],
    grid: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Let each value hold until the next poll, which may give none."""
    last_poll = polled[np.searchsorted(polled, grid, side="right") - 1]
    at = np.searchsorted(stamps, last_poll)
    at[at == len(stamps)] = 0
    given = stamps[at] == last_poll
    return grid[given], values[at[given]]


def _batch(
    lines: Iterable[tuple[SeriesKey, NDArray[np.int64], NDArray[np.float64]]],
) -> PointBatch:
    """Put series together; stamps are epoch microseconds."""
    lines = list(lines)
    counts = [len(stamps) for _, stamps, _ in lines]
    return PointBatch(
        tuple(key for key, _, _ in lines),
        np.repeat(np.arange(len(lines), dtype=np.int32), counts),
        np.concatenate([stamps for _, stamps, _ in lines]) // 1000,
        np.concatenate([values for _, _, values in lines]),
    )


def _service(fleet: Fleet, at: int) -> ServiceInventory:
    """Return the service as a poll at ``at`` would have found it."""

    def seen(model: type[ObjectT], raw: Mapping[str, Any]) -> Seen[ObjectT]:
        value = read_object(model, raw)
        return Seen(value, float(at), managed=is_managed(value), deleted=is_deleted(value))

    figures = machines.LiveFigures(fleet)

    def stores(place: int | None) -> dict[int, Seen[Datastore]]:
        return {
            store.filer_id: seen(Datastore, machines.store_object(fleet, store, at))
            for store in fleet.stores
            if store.datacenter_id == place
        }

    def inventory(place: Place) -> DatacenterInventory:
        ident = place.datacenter_id
        return DatacenterInventory(
            seen(Datacenter, objects.datacenter_object(place)),
            place.label,
            {key: seen(Cluster, objects.cluster_object(key, name)) for key, name in place.clusters},
            {
                host.host_id: seen(Host, machines.host_object(fleet, host, at))
                for host in fleet.hosts
                if host.datacenter_id == ident
            },
            {
                vm.vm_id: seen(Vm, machines.vm_object(fleet, vm, at, figures.of(index, at)))
                for index, vm in enumerate(fleet.vms)
                if vm.datacenter_id == ident
            },
            stores(ident),
        )

    return ServiceInventory(
        SERVICE,
        "demo",
        state="ok",
        polled_at=float(at),
        service=seen(Service, objects.service_object(fleet, SERVICE)),
        datacenters=MappingProxyType(
            {place.datacenter_id: inventory(place) for place in fleet.places}
        ),
        datastores=MappingProxyType(stores(None)),
    )
