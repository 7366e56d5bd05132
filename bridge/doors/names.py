"""Names to choose from: label keys and values, from the history and from the inventory.

The history knows what has data, the inventory what exists now and how people call it. A
list of choices must never fail or hang because the history does: Grafana's dropdowns have
no way to show it (reference: grafana 1.3). It is then made from the inventory alone.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from bridge.catalog import OBJECT_LABEL, Kind, Metric, uncatalogued
from bridge.engine.filters import match_all
from bridge.errors import BadRequestError, BridgeError
from bridge.offload import in_slices
from bridge.ovh.choices import Choice
from bridge.ovh.live import live_rows
from bridge.ovh.order import natural_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from bridge.doors.doorway import Doorway
    from bridge.model import TagFilter
    from bridge.ovh.objects import Snapshot

_log = structlog.get_logger(__name__)

#: Most choices in one list; more freeze the browser.
MAX_CHOICES = 1_000


def label_keys(doorway: Doorway) -> tuple[str, ...]:
    """Return the labels of all metrics, the stored ones first."""
    metrics = doorway.engine.metrics().values()
    stored = dict.fromkeys(key for metric in metrics for key in metric.labels)
    return tuple(stored | dict.fromkeys(key for metric in metrics for key in metric.all_labels))


async def find_metrics(
    doorway: Doorway, text: str, *, limit: int = MAX_CHOICES
) -> tuple[Metric, ...]:
    """Return metrics that hold a text in name or description, the catalogue's first.

    Args:
        doorway: The engine.
        text: Any part, whatever the case; beyond the catalogue the name's beginning.
        limit: Most metrics from beyond the catalogue.
    """
    wanted = text.casefold()
    known = doorway.engine.metrics()
    found = [
        metric
        for name, metric in sorted(known.items())
        if wanted in name.casefold() or wanted in metric.description.casefold()
    ]
    try:
        async with asyncio.timeout(doorway.limits.options_s):
            stored = await doorway.engine.metric_names(text, limit)
    except (BridgeError, TimeoutError) as error:
        reason = error.message if isinstance(error, BridgeError) else "no answer in time"
        _log.warning("lookup_failed", metric=text, reason=reason)
        stored = ()
    return (*found, *(uncatalogued(name) for name in stored if name not in known))


def known_metric(doorway: Doorway, name: str) -> Metric | None:
    """Return a metric that can be asked for; None where there is none of that name."""
    try:
        return doorway.engine.require_metric(name)
    except BadRequestError:
        return None


async def metric_labels(doorway: Doorway, name: str) -> tuple[str, ...]:
    """Return the labels of a metric; outside the catalogue, those its series have now."""
    metric = known_metric(doorway, name)
    if metric is None:
        return ()
    if metric.kind is not Kind.OTHER:
        return metric.all_labels
    return tuple(sorted({key for tags in await _lookup(doorway, name, ()) for key in tags}))


async def series_labels(
    doorway: Doorway, metric: Metric, filters: Sequence[TagFilter] = ()
) -> tuple[Mapping[str, str], ...]:
    """Return the labels of a metric's series, for those that match the filters.

    Where the history tells none, they are those of the objects that exist now.

    Raises:
        BadRequestError: A filter cannot be compiled.
    """
    matches = match_all(filters)
    known = await _lookup(doorway, metric.name, tuple(filters))
    return known or tuple(filter(matches, _objects(doorway.snapshot(), metric.kind)))


async def label_values(
    doorway: Doorway, metric: Metric, key: str, filters: Sequence[TagFilter] = ()
) -> tuple[Choice, ...]:
    """Return the values of a metric's label, for series that match the filters.

    Raises:
        BadRequestError: A filter cannot be compiled.
    """
    match_all(filters)
    series = await _lookup(doorway, metric.name, tuple(filters))
    known = _named(metric.kind, key, series)
    return known or inventory_values(doorway.snapshot(), metric.kind, key, filters)


async def values_of_all(doorway: Doorway, metric: Metric) -> dict[str, tuple[Choice, ...]]:
    """Return the values of each of a metric's labels, from one look-up.

    Outside the catalogue the labels are those its series have now.
    """
    series = await _lookup(doorway, metric.name, ())
    keys = metric.all_labels or tuple(sorted({key for tags in series for key in tags}))
    snapshot, kind = doorway.snapshot(), metric.kind
    found = (_named(kind, key, series) or inventory_values(snapshot, kind, key) for key in keys)
    return dict(zip(keys, await in_slices(found, 0), strict=True))


async def all_values(doorway: Doorway, key: str) -> tuple[Choice, ...]:
    """Return the values of a label over all metrics: history and inventory together."""
    representatives = _representatives(doorway.engine.metrics().values(), key)
    found = await asyncio.gather(*(_lookup(doorway, metric.name, ()) for metric in representatives))
    choices: dict[str, Choice] = {}
    for metric, series in zip(representatives, found, strict=True):
        kind = metric.kind
        both = (*inventory_values(doorway.snapshot(), kind, key), *_named(kind, key, series))
        for choice in both:
            choices.setdefault(choice.value, choice)
    return _sorted(choices.values())


def inventory_values(
    snapshot: Snapshot, kind: Kind, key: str, filters: Iterable[TagFilter] = ()
) -> tuple[Choice, ...]:
    """Return the values of a label among the objects that exist now."""
    matches = match_all(filters)
    return _named(kind, key, [labels for labels in _objects(snapshot, kind) if matches(labels)])


def find_values(
    doorway: Doorway, text: str, *, limit: int | None = MAX_CHOICES
) -> tuple[Choice, ...]:
    """Return label values of objects that exist now and hold a text, whatever the case."""
    wanted = text.casefold()
    snapshot = doorway.snapshot()
    found = {
        value
        for kind in Kind
        for labels in _objects(snapshot, kind)
        for value in labels.values()
        if wanted in value.casefold()
    }
    return _sorted(Choice(value, value) for value in found)[:limit]


async def _lookup(
    doorway: Doorway, metric: str, filters: tuple[TagFilter, ...]
) -> tuple[Mapping[str, str], ...]:
    """Ask the history for a metric's series; none when it cannot say in time."""
    try:
        async with asyncio.timeout(doorway.limits.options_s):
            return await doorway.engine.lookup(metric, filters)
    except BadRequestError:
        raise
    except (BridgeError, TimeoutError) as error:
        reason = error.message if isinstance(error, BridgeError) else "no answer in time"
        _log.warning("lookup_failed", metric=metric, reason=reason)
        return ()


def _representatives(metrics: Iterable[Metric], key: str) -> list[Metric]:
    """Return one metric of each set of labels that has the key."""
    found: dict[tuple[str, ...], Metric] = {}
    for metric in metrics:
        if key in metric.all_labels:
            found.setdefault(metric.labels, metric)
    return list(found.values())


def _named(kind: Kind, key: str, series: Iterable[Mapping[str, str]]) -> tuple[Choice, ...]:
    """Make choices of a label's values; a machine is shown by its name."""
    by_name = kind is Kind.VM and key == OBJECT_LABEL[kind]
    texts: dict[str, str] = {}
    for labels in series:
        value = labels.get(key)
        if value:
            texts.setdefault(value, labels.get("vm_name", value) if by_name else value)
    return _sorted(Choice(text, value) for value, text in texts.items())


def _sorted(choices: Iterable[Choice]) -> tuple[Choice, ...]:
    return tuple(sorted(choices, key=lambda one: (natural_key(one.text), one.value)))


def _objects(snapshot: Snapshot, kind: Kind) -> Iterator[dict[str, str]]:
    """Yield the labels of every object of a kind, as its series carry them."""
    if kind is Kind.ACCOUNT:
        accounts = {service.account for service in snapshot.services.values()}
        yield from ({"account": name} for name in sorted(accounts))
        return
    table = {Kind.DATASTORE: "filer", Kind.HOST: "host", Kind.VM: "vm"}.get(kind)
    if table is None:
        return
    for row in live_rows(snapshot, table):
        value = row.value
        places = [row.datacenter] if row.datacenter else row.service.datacenters.values()
        labels: dict[str, str | None] = {"service": row.service.name}
        match kind:
            case Kind.VM:
                labels |= {
                    "vm": value.mo_ref,
                    "vm_name": value.name,
                    "cluster": value.cluster_name,
                    "host_name": value.host_name,
                    "folder": value.folder_name,
                }
            case Kind.HOST:
                labels |= {"host": value.name, "cluster": value.cluster_name}
            case Kind.DATASTORE:
                labels |= {"datastore": value.name, "profile": value.profile}
        for place in places:
            both = {**labels, "datacenter": place.label}
            yield {key: text for key, text in both.items() if text}
