"""One poll of a service, taken apart: what each object gives to the recording.

Objects that OVHcloud manages itself (gateways, backup proxies, spares) are recorded like all
others: vScope shows them, and they take their share of hosts and datastores. Of a deleted
virtual machine nothing is recorded any more; its series end.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from bridge.catalog import OBJECT_LABEL, Kind
from bridge.ovh.grid import stamp_ms
from bridge.ovh.measures import DATASTORES, HOSTS, VMS, ObjectT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from bridge.ovh.eras import LabelPairs, ObjectKey
    from bridge.ovh.measures import Recorded
    from bridge.ovh.objects import Datastore, Poll, Seen, ServiceInventory

    Tags = tuple[tuple[str, str], ...]

#: The metric that tells how old an object's last performance values are.
SAMPLE_AGE: Mapping[Kind, str] = MappingProxyType(
    {
        Kind.VM: "vscope.vm.sample.age",
        Kind.HOST: "vscope.host.sample.age",
        Kind.DATASTORE: "vscope.filer.datastore.sample.age",
    }
)


@dataclass(frozen=True, slots=True)
class Reading:
    """What one poll found of one object.

    Attributes:
        key: The object.
        tags: Of its series, sorted by key.
        labels: The labels it adds to its series, sorted by key; None when it could not be
            read in this poll.
        values: By metric; no more than were read in this poll.
        sampled: Whether any performance value is among them.
    """

    key: ObjectKey
    tags: Tags
    labels: LabelPairs | None
    values: Mapping[str, float]
    sampled: bool


def readings(poll: Poll) -> Iterator[Reading]:
    """Yield a reading of every object known of the service, each once."""
    for datacenter, how, objects in placed(poll.service):
        yield from _each(poll, datacenter, how, objects)


def placed(
    service: ServiceInventory,
) -> Iterator[tuple[str, Recorded[Any], Iterable[Seen[Any]]]]:
    """Yield the objects of a service by place and kind: ``datacenter`` tag, how, which."""
    for datacenter in service.datacenters.values():
        yield datacenter.label, HOSTS, datacenter.hosts.values()
        yield datacenter.label, VMS, datacenter.vms.values()
        yield datacenter.label, DATASTORES, datacenter.datastores.values()
    yield home_of_globals(service), DATASTORES, _globals(service)


def by_name(how: Recorded[ObjectT], objects: Iterable[Seen[ObjectT]]) -> dict[str, Seen[ObjectT]]:
    """Return what stands for each name; where names repeat, the object that was read last."""
    return {how.name(seen.value): seen for seen in sorted(objects, key=_read_at)}


def _read_at(seen: Seen[Any]) -> float:
    return seen.read_at


def home_of_globals(service: ServiceInventory) -> str:
    """Return the ``datacenter`` tag of global datastores, empty where there is none.

    A global datastore is mounted on every datacenter. Nobody outside of OVHcloud knows how
    its own history labels it (reference: ovh 7, point 7). Here it is recorded once, in the
    datacenter of the lowest id: a series for each datacenter would count its space several
    times, and one without the tag would be missing wherever a datacenter is asked for.
    """
    if not service.datacenters:
        return ""
    return service.datacenters[min(service.datacenters)].label


def _globals(service: ServiceInventory) -> Iterator[Seen[Datastore]]:
    own = {key for datacenter in service.datacenters.values() for key in datacenter.datastores}
    return (seen for key, seen in service.datastores.items() if key not in own)


def _each(
    poll: Poll, datacenter: str, how: Recorded[ObjectT], objects: Iterable[Seen[ObjectT]]
) -> Iterator[Reading]:
    stamp_s = stamp_ms(poll.started_at, poll.interval_s) / 1000
    left = (seen for seen in objects if not seen.deleted)
    for name, seen in by_name(how, left).items():
        key = (how.kind, datacenter, name)
        tags = tags_of(key, poll.service.name)
        if seen.read_at < poll.started_at:
            yield Reading(key, tags, None, {}, sampled=False)
            continue
        answers = how.answers(seen.value)
        # One container for all values: a tuple for each would keep the collector busy.
        values: dict[str, float] = {}
        sampled = False
        for measure in how.measures:
            if measure.measured and not answers:
                continue
            value = measure.value(seen.value, stamp_s)
            if value is not None:
                values[measure.metric] = value
                sampled = sampled or measure.measured
        labels = tuple(sorted((k, text) for k, text in how.labels(seen.value).items() if text))
        yield Reading(key, tags, labels, values, sampled)


def tags_of(key: ObjectKey, service: str) -> Tags:
    """Return the tags of an object's series, as OVHcloud stores them (reference: ovh 2.1).

    All of them: a series must look the same wherever its points come from, or the labels of
    an alert would change with the source that has the hour.
    """
    kind, datacenter, name = key
    tags = {
        "datacenter": datacenter,
        "env": "prod",
        "servicename": service,
        "servicetype": "vscope",
        OBJECT_LABEL[kind]: name,
    }
    return tuple(sorted(pair for pair in tags.items() if pair[1]))
