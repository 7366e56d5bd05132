"""Which series become one line, and which labels that line carries."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from bridge.catalog import CHANGING_LABELS
from bridge.engine.rosters import label_order

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from bridge.model import Query

    Line = tuple[NDArray[np.int64], NDArray[np.float64]]
    Labelled = tuple[Mapping[str, str], Line]


def group(query: Query, selected: Sequence[Labelled]) -> list[list[Labelled]]:
    """Return the members of each line, in a stable order; ``none`` keeps all apart."""
    if query.aggregator == "none":
        order = label_order([tags for tags, _ in selected], last=CHANGING_LABELS)
        return [[selected[at]] for at in order]
    keys = sorted({flt.key for flt in query.filters if flt.group_by})
    groups: dict[tuple[str, ...], list[Labelled]] = defaultdict(list)
    for member in selected:
        groups[tuple(member[0][key] for key in keys)].append(member)
    return [groups[values] for values in sorted(groups)]


def common_tags(
    members: Sequence[Mapping[str, str]], hidden: frozenset[str]
) -> tuple[dict[str, str], tuple[str, ...]]:
    """Split keys into those with one value and those with several (reference: opentsdb 1a)."""
    if len(members) == 1:
        return {key: value for key, value in members[0].items() if key not in hidden}, ()
    seen: dict[str, set[str]] = defaultdict(set)
    for tags in members:
        for key, value in tags.items():
            if key not in hidden:
                seen[key].add(value)
    common = {key: next(iter(values)) for key, values in seen.items() if len(values) == 1}
    return common, tuple(sorted(key for key, values in seen.items() if len(values) > 1))
