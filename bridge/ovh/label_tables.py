"""Where the labels of objects are looked up: tables over everything that is there now.

A table is put together of parts, one for each service, and a part is kept until its service has
been read anew: with many services, some are read every few seconds.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeVar

from bridge.catalog import Kind

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence

    from bridge.ovh.objects import Datastore, Host, OvhObject, Seen, ServiceInventory, Vm

_NOTHING: Mapping[str, str] = MappingProxyType({})
_KeyT = TypeVar("_KeyT", bound="Hashable")
_ObjectT = TypeVar("_ObjectT", bound="OvhObject")


@dataclass(frozen=True, slots=True)
class Entry:
    """One object: how the store names it, and the labels to add.

    ``datacenter`` is None for a global datastore, which is mounted on every datacenter of
    its service.
    """

    service: str
    datacenter: str | None
    value: str
    labels: Mapping[str, str]


class Shelf:
    """The entries of one kind in one service, by place; the last of a place is the one to trust."""

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self.entries = tuple(entries)
        self.in_datacenter: dict[tuple[str, str], Mapping[str, str]] = {}
        self.mounted: dict[tuple[str, str], Mapping[str, str]] = {}
        for entry in self.entries:
            if entry.datacenter is None:
                self.mounted[entry.service, entry.value] = entry.labels
            else:
                self.in_datacenter[entry.datacenter, entry.value] = entry.labels


@dataclass(frozen=True, slots=True)
class Part:
    """What one service adds to the tables.

    Attributes:
        service: As it was read.
        shelves: Its entries, by kind.
    """

    service: ServiceInventory
    shelves: Mapping[Kind, Shelf]


def part_of(service: ServiceInventory, before: Part | None = None) -> Part:
    """Return a service's part: the earlier one, if nothing has been read since."""
    if (
        before is not None
        and before.service.datacenters is service.datacenters
        and before.service.datastores is service.datastores
    ):
        return before
    return Part(service, {kind: Shelf(_entries(service, kind)) for kind in Kind})


class Table:
    """The entries of one kind, by every key a lookup may have.

    Args:
        shelves: Of all services.
    """

    def __init__(self, shelves: Sequence[Shelf]) -> None:
        self._shelves = shelves
        self.in_datacenter: dict[tuple[str, str], Mapping[str, str]] = {}
        self._mounted: dict[tuple[str, str], Mapping[str, str]] = {}
        for shelf in shelves:
            self.in_datacenter |= shelf.in_datacenter
            self._mounted |= shelf.mounted

    @property
    def entries(self) -> Iterator[Entry]:
        """All of them."""
        return chain.from_iterable(shelf.entries for shelf in self._shelves)

    def by_datacenter(
        self, value: str, datacenter: str, service: str | None
    ) -> Mapping[str, str] | None:
        """Find an object of one datacenter, or a global one of its service."""
        found = self.in_datacenter.get((datacenter, value))
        if found is not None:
            return found
        if service is not None:
            return self._mounted.get((service, value))
        return self._mounted_anywhere.get(value)

    def by_service(self, value: str, service: str | None) -> Mapping[str, str]:
        """Find what all objects of this name have in common, in one service or in all."""
        if service is not None:
            return self._in_service.get((service, value), _NOTHING)
        return self._anywhere.get(value, _NOTHING)

    # Few questions lack the datacenter: what answers those is made when the first one comes.

    @cached_property
    def _mounted_anywhere(self) -> dict[str, Mapping[str, str]]:
        return _agreed((e.value, e.labels) for e in self.entries if e.datacenter is None)

    @cached_property
    def _in_service(self) -> dict[tuple[str, str], Mapping[str, str]]:
        return _agreed(((e.service, e.value), e.labels) for e in self._best)

    @cached_property
    def _anywhere(self) -> dict[str, Mapping[str, str]]:
        return _agreed((e.value, e.labels) for e in self._best)

    @cached_property
    def _best(self) -> tuple[Entry, ...]:
        """One object per place, so that a deleted twin does not blur the living one."""
        return tuple({(e.service, e.datacenter, e.value): e for e in self.entries}.values())


def _agreed(
    labelled: Iterable[tuple[_KeyT, Mapping[str, str]]],
) -> dict[_KeyT, Mapping[str, str]]:
    """Group by key and keep only the labels all of a group have in common."""
    groups: dict[_KeyT, list[Mapping[str, str]]] = defaultdict(list)
    for key, labels in labelled:
        groups[key].append(labels)
    agreed: dict[_KeyT, Mapping[str, str]] = {}
    for key, (first, *others) in groups.items():
        agreed[key] = (
            {k: v for k, v in first.items() if all(o.get(k) == v for o in others)}
            if others
            else first
        )
    return agreed


def _entries(service: ServiceInventory, kind: Kind) -> Iterator[Entry]:
    name = service.name
    for datacenter in service.datacenters.values():
        label = datacenter.label
        match kind:
            case Kind.VM:
                yield from (_vm(name, label, vm) for vm in _newest_last(datacenter.vms))
            case Kind.HOST:
                yield from (_host(name, label, host) for host in _newest_last(datacenter.hosts))
            case Kind.DATASTORE:
                yield from _datastores(name, label, datacenter.datastores)
    if kind is Kind.DATASTORE:
        yield from _datastores(name, None, service.datastores)


def _newest_last(seen: Mapping[int, Seen[_ObjectT]]) -> list[_ObjectT]:
    """Order twins: a deleted object may share its moRef or name with its successor."""
    ordered = sorted(seen.values(), key=lambda one: (not one.deleted, one.read_at))
    return [one.value for one in ordered]


def _vm(service: str, datacenter: str, vm: Vm) -> Entry:
    return _entry(service, datacenter, vm.mo_ref, vm_labels(vm))


def _host(service: str, datacenter: str, host: Host) -> Entry:
    return _entry(service, datacenter, host.name, host_labels(host))


def _datastores(
    service: str, datacenter: str | None, stores: Mapping[int, Seen[Datastore]]
) -> Iterator[Entry]:
    for store in _newest_last(stores):
        yield _entry(service, datacenter, store.name, datastore_labels(store))


def vm_labels(vm: Vm) -> Mapping[str, str | None]:
    """Return the labels a virtual machine adds to its series."""
    return {
        "vm_name": vm.name,
        "cluster": vm.cluster_name,
        "host_name": vm.host_name,
        "folder": vm.folder_name,
    }


def host_labels(host: Host) -> Mapping[str, str | None]:
    """Return the labels a host adds to its series."""
    return {"cluster": host.cluster_name}


def datastore_labels(store: Datastore) -> Mapping[str, str | None]:
    """Return the labels a datastore adds to its series."""
    return {"profile": store.profile}


def _entry(
    service: str, datacenter: str | None, value: str, labels: Mapping[str, str | None]
) -> Entry:
    known = {"service": service} | {key: text for key, text in labels.items() if text}
    return Entry(service, datacenter, value, MappingProxyType(known))
