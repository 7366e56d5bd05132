"""The samples of a snapshot, for Prometheus: every object that was read lately.

Objects that OVHcloud manages itself and deleted ones are left out, as in live tables. What
was read too long ago is left out as well: a sample has no age that anybody could see.

Samples come in blocks, a column for each family: going down a column costs half of what
going along each object does.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bridge.ovh.families import (
    CLUSTER_INFO,
    DATACENTER_INFO,
    IDENTITY,
    KINDED,
    SERVICE_INFO,
    SERVICE_POLL,
    SERVICE_READ,
    SERVICE_TASKS,
    SERVICE_UP,
    Family,
)
from bridge.ovh.measures import DATASTORES
from bridge.ovh.readings import by_name, placed

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from bridge.ovh.families import Exposed, Kinded, Pairs
    from bridge.ovh.objects import Seen, ServiceInventory

    #: Family, its labels besides the identity, and a value for each object, None where unknown.
    Column = tuple[Family, Pairs, Sequence[float | None]]

#: What a service can be, so that a state that is not is a 0 and no gap.
POLL_STATES = ("warming", "ok", "partial", "expired", "failed")

#: Decimals kept of a value in base units: no finer than a nanosecond.
DECIMALS = 9

#: Objects of one block: a column of it is written within a millisecond.
BLOCK = 250


@dataclass(frozen=True, slots=True)
class Block:
    """Some objects of one kind with their samples.

    Attributes:
        identities: The labels that each has in every sample.
        columns: Their samples, computed while they are gone through.
        info: A family of names, and the labels that each object has in it.
        oldest: The earliest reading of them, epoch seconds; None where age does not matter.
    """

    identities: Sequence[Pairs]
    columns: Iterable[Column] = ()
    info: tuple[Family, Sequence[Pairs]] | None = None
    oldest: float | None = None


def is_fresh(service: ServiceInventory, *, since: float) -> bool:
    """Whether objects of a service are shown at all.

    Args:
        service: The service.
        since: Epoch seconds; what was read before is too old.
    """
    return (
        service.state != "expired" and service.polled_at is not None and service.polled_at >= since
    )


def blocks(service: ServiceInventory, kinds: Collection[str], *, since: float) -> Iterator[Block]:
    """Yield the service itself, then its objects of some kinds while they are fresh.

    Args:
        service: The service.
        kinds: Keys of ``IDENTITY``; the service itself is always there.
        since: Epoch seconds; what was read before is too old.
    """
    fresh = is_fresh(service, since=since)
    yield _service(service, fresh=fresh)
    if not fresh:
        return
    yield from _places(service, kinds)
    shown = {kinded.how.kind: kinded for kinded in KINDED if kinded.how.kind in kinds}
    taken: set[tuple[str, str]] = set()
    for datacenter, how, objects in placed(service):
        kinded = shown.get(how.kind)
        if kinded is None:
            continue
        lately = (seen for seen in objects if not seen.hidden and seen.read_at >= since)
        found = list(by_name(how, lately).items())
        if how is DATASTORES:
            # A global one may be called like one of its home; a series is told once.
            found = [(name, seen) for name, seen in found if (datacenter, name) not in taken]
            taken.update((datacenter, name) for name, _ in found)
        for start in range(0, len(found), BLOCK):
            yield _block(kinded, (service.name, datacenter), found[start : start + BLOCK])


def _identity(kind: str, *values: str) -> Pairs:
    return tuple(pair for pair in zip(IDENTITY[kind], values, strict=True) if pair[1])


def _block(
    kinded: Kinded[Any], place: tuple[str, str], found: Sequence[tuple[str, Seen[Any]]]
) -> Block:
    values = [seen.value for _, seen in found]
    info = kinded.info
    return Block(
        [_identity(kinded.how.kind, *place, name) for name, _ in found],
        _columns(kinded, values),
        (info, [_named(info, kinded.names(value)) for value in values]),
        min(seen.read_at for _, seen in found),
    )


def _columns(kinded: Kinded[Any], values: Sequence[Any]) -> Iterator[Column]:
    answers = kinded.how.answers
    running = [value if answers(value) else None for value in values]
    for one in kinded.exposed:
        read = one.measure.value
        # None of these values depends on when it is looked at.
        numbers = [
            None if value is None else read(value, 0.0)
            for value in (running if one.measure.measured else values)
        ]
        yield from _scaled(one, numbers)


def _scaled(one: Exposed[Any], numbers: Sequence[float | None]) -> Iterator[Column]:
    times, per = one.times, one.per
    if one.states:
        codes = {code for _, code in one.states}
        # A code that stands for no result is none of the states.
        known = [number if number in codes else None for number in numbers]
        for pair, code in one.states:
            held = [None if number is None else float(number == code) for number in known]
            yield one.family, pair, held
    elif times == per:
        yield one.family, (), numbers
    else:
        yield (
            one.family,
            (),
            [
                None if number is None else round(number * times / per, DECIMALS)
                for number in numbers
            ],
        )


def _named(info: Family, values: tuple[str | None, ...]) -> Pairs:
    """Return the labels that are known: an empty one is the same as none."""
    return tuple([(name, text) for name, text in zip(info.more, values, strict=True) if text])


def _service(service: ServiceInventory, *, fresh: bool) -> Block:
    seen = service.service
    columns: list[Column] = [
        (SERVICE_UP, (), [float(fresh)]),
        (SERVICE_READ, (), [service.polled_at]),
    ]
    columns += [
        (SERVICE_POLL, (("state", state),), [float(state == service.state)])
        for state in POLL_STATES
    ]
    if fresh:
        tasks = Counter(task.value.state for task in service.tasks.values())
        columns += [
            (SERVICE_TASKS, (("state", state),), [float(count)])
            for state, count in sorted(tasks.items())
        ]
    names: tuple[str | None, ...] = (service.account, None, None, None)
    if seen is not None:
        value = seen.value
        names = (service.account, value.description, value.location, value.commercial_range)
    return Block(
        [_identity("service", service.name)],
        columns,
        (SERVICE_INFO, [_named(SERVICE_INFO, names)]),
    )


def _places(service: ServiceInventory, kinds: Collection[str]) -> Iterator[Block]:
    """Yield datacenters and clusters, which are read so rarely that they have no age."""
    for datacenter in service.datacenters.values():
        place = (service.name, datacenter.label)
        if "datacenter" in kinds:
            value = datacenter.datacenter.value
            names = (value.name, value.description, value.commercial_name, value.version)
            yield Block(
                [_identity("datacenter", *place)],
                info=(DATACENTER_INFO, [_named(DATACENTER_INFO, names)]),
            )
        if "cluster" in kinds:
            # Names may repeat, and a series may not.
            clusters = {seen.value.name: seen.value for seen in datacenter.clusters.values()}
            yield Block(
                [_identity("cluster", *place, name) for name in clusters],
                info=(
                    CLUSTER_INFO,
                    [
                        _named(CLUSTER_INFO, (one.drs_status, one.drs_mode, one.ha_status))
                        for one in clusters.values()
                    ],
                ),
            )
