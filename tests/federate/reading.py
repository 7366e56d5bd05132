"""Expositions as the official parsers read them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text

from bridge.doors.exposition import Exposition
from bridge.ovh.exposed import blocks
from bridge.ovh.families import FAMILIES, IDENTITY

if TYPE_CHECKING:
    from collections.abc import Collection

    from bridge.ovh.objects import ServiceInventory

    #: Value by name and labels.
    Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def exposition(
    *services: ServiceInventory, since: float, kinds: Collection[str] = tuple(IDENTITY)
) -> Exposition:
    made = Exposition(FAMILIES)
    for service in services:
        for _ in made.add(blocks(service, kinds, since=since)):
            pass
    return made


def whole(made: Exposition, *, openmetrics: bool) -> str:
    return b"".join(made.text(openmetrics=openmetrics)).decode()


def samples(text: str, *, openmetrics: bool) -> Samples:
    """Parse; no series may be told twice."""
    found: Samples = {}
    for family in (read_openmetrics if openmetrics else read_text)(text):
        for sample in family.samples:
            assert sample.timestamp is None
            key = sample.name, frozenset(sample.labels.items())
            assert key not in found, key
            found[key] = sample.value
    return found


def of(found: Samples, name: str, **labels: str) -> dict[frozenset[tuple[str, str]], float]:
    """The values of one name whose labels include these, by the other labels."""
    wanted = frozenset(labels.items())
    return {
        having - wanted: value
        for (named, having), value in found.items()
        if named == name and having >= wanted
    }


def one(found: Samples, name: str, **labels: str) -> float:
    [value] = of(found, name, **labels).values()
    return value
