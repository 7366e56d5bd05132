"""Labels that the inventory adds to stored series.

The store knows a virtual machine by its moRef and a datacenter by
``{serviceName}_datacenter{id}`` (reference: ovh 2.1); people know names, clusters and
folders. Stored tags are never overridden, and what the inventory does not know is left out.

Labels that say where an object is (``CHANGING_LABELS``) hold for a time. A machine's name
does not: whatever it was called then, ``vm_name`` is its name today, over the whole of its
series. People look for a machine by the name it has now, and a message must name the machine
they will find. A rename thus never cuts a series in two.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from bridge.catalog import CHANGING_LABELS, ENRICHED_LABELS, OBJECT_LABEL, Kind
from bridge.engine.filters import match_all
from bridge.ovh.label_tables import Part, Table, part_of
from bridge.ovh.objects import Snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from bridge.model import LabelEra, TagFilter, Window
    from bridge.ovh.eras import ObjectKey

    Eras = Mapping[ObjectKey, tuple[LabelEra, ...]]
    #: Labels, each with the epoch millisecond from which they hold.
    History = tuple[tuple[int, Mapping[str, str]], ...]

_NOTHING: Mapping[str, str] = MappingProxyType({})
_NO_ERAS: Eras = MappingProxyType({})
#: Before anything that can be asked for.
EVER_MS = -(2**62)


class Labels:
    """The labels known in one snapshot; each lookup is O(1), building it O(objects read anew).

    Hidden objects (OVHcloud's own, deleted ones) are part of it: history exists for them.
    So are objects of which only eras are left, with the labels they had last.

    Attributes:
        version: The snapshot's.
        unread: Services whose objects have not been read yet, so that a filter on an
            enriched label cannot be answered for them.
        parts: What each service adds.

    Args:
        snapshot: What is there now.
        eras: The labels of objects over time.
        before: The labels of an earlier snapshot: of services that have not been read since,
            everything is taken over.
    """

    def __init__(
        self, snapshot: Snapshot, eras: Eras = _NO_ERAS, before: Labels | None = None
    ) -> None:
        self.version = snapshot.version
        self.unread = tuple(
            service.name
            for service in snapshot.services.values()
            if service.polled_at is None and service.state != "expired"
        )
        self._eras = eras
        self._unsettled: dict[Kind, tuple[tuple[str, str], ...]] = {}
        earlier = before.parts if before is not None else {}
        self.parts: Mapping[str, Part] = {
            name: part_of(service, earlier.get(name)) for name, service in snapshot.services.items()
        }
        self._tables = {
            kind: Table([part.shelves[kind] for part in self.parts.values()]) for kind in Kind
        }
        self._service_of = {dc.label: service.name for service, dc in snapshot.datacenters()}

    def enrich(self, kind: Kind, tags: Mapping[str, str]) -> Mapping[str, str]:
        """Return the stored tags and the labels known today.

        A ``datacenter`` tag decides between objects that share a name; without one the
        ``servicename`` tag does. Where several objects remain possible, only the labels on
        which all of them agree are added.
        """
        added = self._known(kind, tags)
        return {**added, **tags} if added else tags

    def history(self, kind: Kind, tags: Mapping[str, str], keys: Collection[str]) -> History:
        """Return the stored tags and labels over time, ascending; the first hold from ever.

        Before the first era today's labels apply: nothing tells where the object was.

        Args:
            kind: What the series is measured on.
            tags: Its stored tags.
            keys: The changing labels of interest; a change of any other one splits nothing.
        """
        today = self.enrich(kind, tags)
        eras = self._eras_of(kind, tags)
        moving = [key for key in keys if key in CHANGING_LABELS and key not in tags]
        if not eras or not moving:
            return ((EVER_MS, today),)
        staying = {key: text for key, text in today.items() if key not in moving}
        spans = [(EVER_MS, today)]
        for era in eras:
            labels = staying | {key: text for key, text in era.labels if key in moving}
            if labels != spans[-1][1]:
                spans.append((era.since_ms, labels))
        return tuple(spans)

    def stored_candidates(
        self, kind: Kind, filters: Sequence[TagFilter], window: Window | None = None
    ) -> frozenset[str] | None:
        """Return the object-label values whose enriched labels match the filters.

        Filters on other keys are ignored. Object names repeat between services, so a
        source narrowed to these values may answer a few series too many: the filters must
        be applied once more to the enriched tags.

        Args:
            kind: What the series are measured on.
            filters: They must match at the same time.
            window: Labels match that held at any time in it; None means today's.

        Returns:
            moRefs, host names or datastore names; None when no filter is on an enriched
            label of this kind.

        Raises:
            BadRequestError: A filter cannot be compiled.
        """
        own = [flt for flt in filters if flt.key in ENRICHED_LABELS[kind]]
        if not own:
            return None
        matches = match_all(own)
        table = self._tables[kind]
        found = {entry.value for entry in table.entries if matches(entry.labels)}
        keys = CHANGING_LABELS.intersection(flt.key for flt in own)
        for datacenter, value in self._unsettled_of(kind):
            if value not in found:
                tags = {"datacenter": datacenter, OBJECT_LABEL[kind]: value}
                spans = self.history(kind, tags, keys)
                if any(matches(labels) for labels in _during(spans, window)):
                    found.add(value)
        return frozenset(found)

    def _unsettled_of(self, kind: Kind) -> tuple[tuple[str, str], ...]:
        """Return the objects whose labels were ever others than the inventory's, by place."""
        known = self._unsettled.get(kind)
        if known is None:
            today = self._tables[kind].in_datacenter
            known = self._unsettled[kind] = tuple(
                (datacenter, value)
                for (of_kind, datacenter, value), eras in self._eras.items()
                if of_kind is kind
                and (len(eras) > 1 or not _same(eras[0], today.get((datacenter, value))))
            )
        return known

    def _known(self, kind: Kind, tags: Mapping[str, str]) -> Mapping[str, str]:
        value = tags.get(OBJECT_LABEL[kind])
        if value is None:
            return _NOTHING
        table = self._tables[kind]
        datacenter = tags.get("datacenter")
        service = tags.get("servicename")
        if datacenter is None:
            return table.by_service(value, service)
        owner = self._service_of.get(datacenter)
        found = table.by_datacenter(value, datacenter, owner or service)
        if found is not None:
            return found
        # The object is gone; where eras tell its last labels, or its service is certain,
        # that is known all the same.
        eras = self._eras_of(kind, tags)
        if owner is None and eras:
            owner = service or datacenter.rpartition("_datacenter")[0]
        last = dict(eras[-1].labels) if eras else {}
        return {"service": owner, **last} if owner else last

    def _eras_of(self, kind: Kind, tags: Mapping[str, str]) -> tuple[LabelEra, ...]:
        key = (kind, tags.get("datacenter", ""), tags.get(OBJECT_LABEL[kind], ""))
        return self._eras.get(key, ())


def _same(era: LabelEra, today: Mapping[str, str] | None) -> bool:
    return (
        today is not None
        and all(today.get(key) == text for key, text in era.labels)
        and len(today) == len(era.labels) + ("service" in today)
    )


def _during(spans: History, window: Window | None) -> list[Mapping[str, str]]:
    """Return the labels that hold at any time in the window; without one, the last ones."""
    if window is None:
        return [spans[-1][1]]
    ends = [since_ms for since_ms, _ in spans[1:]] + [window.end_ms + 1]
    return [
        labels
        for (since_ms, labels), until_ms in zip(spans, ends, strict=True)
        if since_ms <= window.end_ms and until_ms > window.start_ms
    ]


class LabelCache:
    """Gives the labels of the newest snapshot and eras, building them once for each.

    Args:
        snapshot: Gives the snapshot that holds now.
        eras: Gives the eras that are known now.
    """

    def __init__(
        self, snapshot: Callable[[], Snapshot], eras: Callable[[], Eras] = lambda: _NO_ERAS
    ) -> None:
        self._snapshot = snapshot
        self._eras = eras
        self._seen: tuple[Snapshot, Eras] | None = None
        self._labels = Labels(Snapshot())

    def current(self) -> Labels:
        """Return the labels of the snapshot and the eras that hold now."""
        snapshot, eras = self._snapshot(), self._eras()
        seen = self._seen
        if seen is None or eras is not seen[1] or snapshot.version != seen[0].version:
            self._labels = Labels(snapshot, eras, self._labels)
        self._seen = snapshot, eras
        return self._labels
