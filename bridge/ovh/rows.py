"""Every object of a snapshot as a row that knows where it stands."""

from __future__ import annotations

from functools import cache
from itertools import chain
from typing import TYPE_CHECKING, Any

from bridge.ovh.fields import Row
from bridge.ovh.figures import totals
from bridge.ovh.objects import Service

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from bridge.ovh.figures import Totals
    from bridge.ovh.objects import DatacenterInventory, Seen, ServiceInventory, Snapshot


def rows_of(
    snapshot: Snapshot,
    kind: str,
    now: float,
    *,
    service: Callable[[str], bool] = lambda _: True,
    place: Callable[[str], bool] = lambda _: True,
) -> Iterator[Row[Any]]:
    """Yield every object of one kind, hidden ones too, in no particular order.

    Args:
        snapshot: The inventory.
        kind: The kind.
        now: Epoch seconds, for ages.
        service: Leaves out services by name, with all that is in them.
        place: Leaves out what stands in datacenters with these labels.
    """
    for name, one in snapshot.services.items():
        if service(name):
            yield from _service_rows(one, kind, now, place)


def _service_rows(
    service: ServiceInventory, kind: str, now: float, wanted: Callable[[str], bool]
) -> Iterator[Row[Any]]:
    match kind:
        case "service":
            yield _service_row(service, now)
        case "task":
            for task in service.tasks.values():
                place = service.datacenters.get(task.value.datacenter_id or -1)
                yield _row(task, service, place, now)
        case _:
            if kind == "filer":
                yield from (_row(seen, service, None, now) for seen in service.datastores.values())
            for datacenter in service.datacenters.values():
                if wanted(datacenter.label):
                    yield from _datacenter_rows(kind, service, datacenter, now)


def _datacenter_rows(
    kind: str, service: ServiceInventory, place: DatacenterInventory, now: float
) -> Iterator[Row[Any]]:
    match kind:
        case "vm":
            yield from (_row(seen, service, place, now) for seen in place.vms.values())
        case "host":
            yield from (_row(seen, service, place, now) for seen in place.hosts.values())
        case "filer":
            yield from (_row(seen, service, place, now) for seen in place.datastores.values())
        case "cluster":
            yield from _cluster_rows(service, place, now)
        case "datacenter":
            seen = place.datacenter
            sums = cache(
                lambda: totals(place.hosts.values(), place.vms.values(), place.datastores.values())
            )
            yield Row(seen.value, service, place, seen.read_at, seen.hidden, now, sums)


def _cluster_rows(
    service: ServiceInventory, place: DatacenterInventory, now: float
) -> Iterator[Row[Any]]:
    hosts = cache(lambda: _by_cluster(place.hosts.values()))
    vms = cache(lambda: _by_cluster(place.vms.values()))

    def sums_of(name: str) -> Callable[[], Totals]:
        return cache(lambda: totals(hosts().get(name, ()), vms().get(name, ()), ()))

    for seen in place.clusters.values():
        sums = sums_of(seen.value.name)
        yield Row(seen.value, service, place, seen.read_at, seen.hidden, now, sums)


def _by_cluster(objects: Iterable[Seen[Any]]) -> dict[str | None, list[Seen[Any]]]:
    found: dict[str | None, list[Seen[Any]]] = {}
    for seen in objects:
        found.setdefault(seen.value.cluster_name, []).append(seen)
    return found


def _service_row(service: ServiceInventory, now: float) -> Row[Service]:
    places = service.datacenters.values()
    sums = cache(
        lambda: totals(
            chain.from_iterable(place.hosts.values() for place in places),
            chain.from_iterable(place.vms.values() for place in places),
            chain(
                service.datastores.values(),
                chain.from_iterable(place.datastores.values() for place in places),
            ),
        )
    )
    seen = service.service
    if seen is None:
        unread = Service(service_name=service.name)
        return Row(unread, service, None, read_at=None, hidden=False, now=now, sums=sums)
    return Row(seen.value, service, None, seen.read_at, seen.hidden, now, sums)


def _row(
    seen: Seen[Any], service: ServiceInventory, place: DatacenterInventory | None, now: float
) -> Row[Any]:
    return Row(seen.value, service, place, seen.read_at, seen.hidden, now)
