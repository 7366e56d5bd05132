"""The metrics to choose from, by what they are measured on."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from bridge.catalog import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bridge.catalog import Metric

_TITLES: Mapping[Kind, str] = MappingProxyType(
    {
        Kind.VM: "Virtual machines",
        Kind.HOST: "Hosts",
        Kind.DATASTORE: "Datastores",
        Kind.ACCOUNT: "Accounts at OVHcloud",
        Kind.OTHER: "Others in the store",
    }
)


@dataclass(frozen=True, slots=True)
class Group:
    """Metrics of one kind, with a title for people."""

    title: str
    metrics: tuple[Metric, ...]


def grouped(metrics: Iterable[Metric]) -> tuple[Group, ...]:
    """Return the metrics by kind, virtual machines first, each once."""
    by_kind: dict[Kind, dict[str, Metric]] = {kind: {} for kind in _TITLES}
    for metric in metrics:
        by_kind[metric.kind].setdefault(metric.name, metric)
    return tuple(
        Group(_TITLES[kind], tuple(found.values())) for kind, found in by_kind.items() if found
    )


def start_query(metric: Metric) -> dict[str, str]:
    """Return the explorer's fields that show a metric at a glance.

    Machines are many, so they are shown by cluster; hosts and datastores each by itself, as
    are states, which have no mean.
    """
    fields = {"metric": metric.name}
    if metric.kind is Kind.VM and not metric.states:
        # Of ages the worst tells more than the mean.
        fields |= {"aggregator": "max" if metric.unit == "s" else "avg", "group_by": "cluster"}
    return fields
