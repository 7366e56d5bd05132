"""Filters on labels of the inventory, turned into filters on what a source has stored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from bridge.catalog import OBJECT_LABEL, SERVICE_LABELS, Kind
from bridge.errors import UnavailableError
from bridge.model import FilterKind, TagFilter

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from bridge.catalog import Metric
    from bridge.model import Window

#: The most object names pushed down as a list; more are filtered after the fetch.
MAX_PUSHED_NAMES = 200


class Enrichment(Protocol):
    """What the engine asks of the inventory."""

    @property
    def unread(self) -> tuple[str, ...]:
        """Services whose labels are not known yet."""

    def enrich(self, kind: Kind, tags: Mapping[str, str]) -> Mapping[str, str]:
        """Return the stored tags with the labels known of their object."""

    def history(
        self, kind: Kind, tags: Mapping[str, str], keys: Collection[str]
    ) -> Sequence[tuple[int, Mapping[str, str]]]:
        """Return stored tags and labels over time, each with the millisecond they hold from."""

    def stored_candidates(
        self, kind: Kind, filters: Sequence[TagFilter], window: Window | None = None
    ) -> frozenset[str] | None:
        """Return the object names that can match filters on enriched labels in a window."""


def push_down(
    metric: Metric,
    filters: Sequence[TagFilter],
    labels: Enrichment,
    window: Window | None = None,
) -> tuple[TagFilter, ...] | None:
    """Return the filters a source can apply, or None when nothing can match.

    Labels that change count as they were in the window, or as they are now.
    """
    enriched = set(metric.all_labels) - set(metric.labels)
    asked = sorted({flt.key for flt in filters} & enriched)
    if asked and labels.unread:
        raise UnavailableError(
            f"the label {asked[0]!r} comes from the inventory, which has not been read yet "
            f"for {', '.join(labels.unread)}"
        )
    pushed = [flt for flt in filters if flt.key not in enriched]
    candidates = labels.stored_candidates(
        metric.kind, [flt for flt in filters if flt.key in enriched], window
    )
    if candidates is None:
        return tuple(pushed)
    if not candidates:
        return None
    plain = all(
        name.replace("-", "").replace(".", "").replace("_", "").isalnum() for name in candidates
    )
    if plain and len(candidates) <= MAX_PUSHED_NAMES:
        names = "|".join(sorted(candidates))
        pushed.append(TagFilter(OBJECT_LABEL[metric.kind], FilterKind.LITERAL_OR, names))
    return tuple(pushed)


def unknown_labels(metric: Metric, filters: Sequence[TagFilter]) -> tuple[str, ...]:
    """Say which filtered keys no series of the metric has, where that explains no data."""
    unknown = sorted({flt.key for flt in filters} - set(metric.all_labels) - SERVICE_LABELS)
    if not unknown or metric.kind is Kind.OTHER:
        return ()
    return (
        (
            f"{metric.name} has no label {', '.join(map(repr, unknown))}; "
            f"it has {', '.join(metric.all_labels)}"
        ),
    )
