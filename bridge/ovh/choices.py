"""Template variables: names people know, values the metrics are stored under.

Pure functions of a snapshot. Each takes filters whose key is ignored, so that a list of
values (a Grafana variable with several chosen) narrows the next variable. Values are
unique; a text that several values share gets its value added.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bridge.engine.filters import compile_filter
from bridge.model import FilterKind
from bridge.ovh.live import live_rows
from bridge.ovh.order import natural_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from bridge.model import TagFilter
    from bridge.ovh.fields import Row
    from bridge.ovh.objects import DatacenterInventory, ServiceInventory, Snapshot

_NEGATIVE = frozenset({FilterKind.NOT_LITERAL_OR, FilterKind.NOT_ILITERAL_OR})


@dataclass(frozen=True, slots=True)
class Choice:
    """One choice of a template variable.

    Attributes:
        text: What a person reads.
        value: What queries use: a metric label's value.
    """

    text: str
    value: str


def services(snapshot: Snapshot, *, show_hidden: bool = False) -> tuple[Choice, ...]:
    """Return the services: description, value the service name."""
    rows = live_rows(snapshot, "service", show_hidden=show_hidden)
    return _choices((row.value.description or row.service.name, row.service.name) for row in rows)


def datacenters(
    snapshot: Snapshot, services: TagFilter | None = None, *, show_hidden: bool = False
) -> tuple[Choice, ...]:
    """Return the datacenters: name, value the stored ``datacenter`` label.

    Args:
        snapshot: The inventory.
        services: Narrows by service name or description.
        show_hidden: Whether hidden ones are included.

    Raises:
        BadRequestError: The filter cannot be compiled.
    """
    wanted = _any_name(services)
    rows = live_rows(snapshot, "datacenter", show_hidden=show_hidden)
    return _choices(
        (row.value.name or f"datacenter{row.value.datacenter_id}", row.datacenter.label)
        for row in rows
        if row.datacenter is not None and wanted([_service_names(row.service)])
    )


def clusters(
    snapshot: Snapshot,
    datacenters: TagFilter | None = None,
    *,
    filters: Sequence[TagFilter] = (),
    show_hidden: bool = False,
) -> tuple[Choice, ...]:
    """Return the clusters by name; one of a name that repeats stands for all.

    Args:
        snapshot: The inventory.
        datacenters: Narrows by the datacenter's label, name or id.
        filters: On columns of the kind's live table.
        show_hidden: Whether hidden ones are included.

    Raises:
        BadRequestError: A filter is on an unknown column or cannot be compiled.
    """
    return _named(snapshot, "cluster", datacenters, filters, show_hidden=show_hidden)


def hosts(
    snapshot: Snapshot,
    datacenters: TagFilter | None = None,
    *,
    filters: Sequence[TagFilter] = (),
    show_hidden: bool = False,
) -> tuple[Choice, ...]:
    """Return the hosts by name; arguments and errors as ``clusters``."""
    return _named(snapshot, "host", datacenters, filters, show_hidden=show_hidden)


def datastores(
    snapshot: Snapshot,
    datacenters: TagFilter | None = None,
    *,
    filters: Sequence[TagFilter] = (),
    show_hidden: bool = False,
) -> tuple[Choice, ...]:
    """Return the datastores by name; arguments and errors as ``clusters``.

    A global datastore is mounted on every datacenter of its service and appears with any
    of them.
    """
    return _named(snapshot, "filer", datacenters, filters, show_hidden=show_hidden)


def vms(
    snapshot: Snapshot,
    datacenters: TagFilter | None = None,
    *,
    filters: Sequence[TagFilter] = (),
    show_hidden: bool = False,
) -> tuple[Choice, ...]:
    """Return the virtual machines: name, value the moRef; otherwise as ``clusters``.

    Machines of different services may share a moRef. A query for that moRef reads all of
    them, so they are one choice that names them all.
    """
    rows = _placed(snapshot, "vm", datacenters, filters, show_hidden=show_hidden)
    return _choices((row.value.name or row.value.mo_ref, row.value.mo_ref) for row in rows)


def _named(
    snapshot: Snapshot,
    kind: str,
    datacenters: TagFilter | None,
    filters: Sequence[TagFilter],
    *,
    show_hidden: bool,
) -> tuple[Choice, ...]:
    rows = _placed(snapshot, kind, datacenters, filters, show_hidden=show_hidden)
    return _choices((row.value.name, row.value.name) for row in rows)


def _placed(
    snapshot: Snapshot,
    kind: str,
    datacenters: TagFilter | None,
    filters: Sequence[TagFilter],
    *,
    show_hidden: bool,
) -> Iterable[Row[Any]]:
    wanted = _any_name(datacenters)
    # Whole datacenters first: looking at every machine takes its time.
    within = {place.label for _, place in snapshot.datacenters() if wanted([_names(place)])}
    rows = live_rows(snapshot, kind, filters, show_hidden=show_hidden, within=within)
    return (row for row in rows if row.datacenter is not None or wanted(_mounted(row)))


def _service_names(service: ServiceInventory) -> tuple[str, ...]:
    seen = service.service
    return service.name, seen.value.description if seen else ""


def _names(place: DatacenterInventory) -> tuple[str, ...]:
    value = place.datacenter.value
    return place.label, value.name, str(value.datacenter_id)


def _mounted(row: Row[Any]) -> list[tuple[str, ...]]:
    """Return the names of every datacenter that a global datastore is mounted on."""
    return [_names(place) for place in row.service.datacenters.values()]


def _any_name(flt: TagFilter | None) -> Callable[[Iterable[tuple[str, ...]]], bool]:
    """Match a filter against any of the names of any of several places.

    A negative filter must hold for every name of a place: ``not dc1`` leaves out the
    datacenter called dc1 although its label is another text.
    """
    if flt is None:
        return lambda _: True
    matches = compile_filter(flt)
    quantifier = all if flt.kind in _NEGATIVE else any
    return lambda places: any(
        quantifier(matches(name) for name in names if name) for names in places
    )


def _choices(named: Iterable[tuple[str, str]]) -> tuple[Choice, ...]:
    """Merge equal values, tell equal texts apart, sort for people."""
    texts: dict[str, set[str]] = defaultdict(set)
    for text, value in named:
        if value:
            texts[value].add(text or value)
    joined = {
        value: " / ".join(sorted(names, key=natural_key)) if len(names) > 1 else min(names)
        for value, names in texts.items()
    }
    shared = Counter(joined.values())
    told = (
        Choice(f"{text} ({value})" if shared[text] > 1 and text != value else text, value)
        for value, text in joined.items()
    )
    return tuple(sorted(told, key=lambda choice: (natural_key(choice.text), choice.value)))
