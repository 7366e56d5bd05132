"""What a series is called: a person's names first, and unique within one answer.

No alias exists in the clients, so the whole legend comes from here (reference: grafana 0a,
"Legends").
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bridge.catalog import OBJECT_LABEL, Kind, Metric

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bridge.engine.grammar import SeriesTarget
    from bridge.model import Series

_PLACEHOLDER = re.compile(r"\{\{\s*([\w./-]+)\s*\}\}")


@dataclass(frozen=True, slots=True, eq=False)
class Named:
    """A series with what its title can be made of.

    Attributes:
        series: As the engine answered it.
        target: What was asked.
        metric: From the catalogue.
        function: The downsampling function in use.
        ref_id: The client's name of the query.
    """

    series: Series
    target: SeriesTarget
    metric: Metric
    function: str
    ref_id: str

    @property
    def alone(self) -> bool:
        """Whether each stored series is by itself."""
        return self.target.aggregator in {None, "none"}


def titles(answer: Sequence[Named]) -> list[str]:
    """Return a title for each series of one answer, all different."""
    several = len({one.metric.name for one in answer}) > 1
    return _distinct(answer, [_title(one, several=several) for one in answer])


def _title(one: Named, *, several: bool) -> str:
    name = _object_name(one) if one.alone else _group_name(one)
    if several and name:
        default = f"{name}: {one.metric.description}"
    else:
        default = name or one.metric.description
    if one.target.legend is None:
        return default
    tags = one.series.tags
    own = {
        "metric": one.metric.name,
        "description": one.metric.description,
        "aggregator": one.target.aggregator or "none",
        "name": default,
    }
    filled = _PLACEHOLDER.sub(
        lambda match: tags.get(match[1], own.get(match[1], "")), one.target.legend
    )
    return filled.strip() or default


def _object_name(one: Named) -> str:
    tags, label = one.series.tags, OBJECT_LABEL[one.metric.kind]
    name = _person_name(one.metric.kind, label, tags) or ", ".join(
        f"{key}={value}" for key, value in sorted(tags.items())
    )
    nic = tags.get("nicname")
    return f"{name} {nic}" if nic else name


def _group_name(one: Named) -> str:
    keys = dict.fromkeys(flt.key for flt in one.target.filters if flt.group_by)
    values = (_person_name(one.metric.kind, key, one.series.tags) for key in keys)
    return " ".join(value for value in values if value)


def _person_name(kind: Kind, label: str, tags: Mapping[str, str]) -> str:
    value = tags.get(label, "")
    if kind is Kind.VM and label == OBJECT_LABEL[kind]:
        return tags.get("vm_name", value)
    return value


def _distinct(answer: Sequence[Named], given: Sequence[str]) -> list[str]:
    """Add to titles that repeat what tells their series apart."""
    result = list(given)
    groups: dict[str, list[int]] = defaultdict(list)
    for index, title in enumerate(given):
        groups[title].append(index)
    for title, members in groups.items():
        if len(members) > 1:
            marks = _marks([answer[index] for index in members])
            for index, mark in zip(members, marks, strict=True):
                result[index] = f"{title} ({mark})" if mark else title
    return _numbered(result)


def _marks(members: Sequence[Named]) -> list[str]:
    """Return the shortest mark that tells all members apart, or all marks that help."""
    labels = dict.fromkeys(key for one in members for key in (*one.metric.all_labels,))
    labels |= dict.fromkeys(sorted({key for one in members for key in one.series.tags}))
    told: list[Callable[[Named], str]] = [
        lambda one, key=key: one.series.tags.get(key, "")  # type: ignore[misc]  # the default binds the loop's key
        for key in labels
    ]
    told += [
        lambda one: one.metric.description,
        lambda one: one.target.aggregator or "none",
        lambda one: one.function,
        lambda one: one.ref_id,
    ]
    columns = [[tell(one) for one in members] for tell in told]
    columns = [column for column in columns if len(set(column)) > 1]
    for column in columns:
        if len(set(column)) == len(members) and all(column):
            return column
    return [", ".join(filter(None, marks)) for marks in zip(*columns, strict=True)] or [""] * len(
        members
    )


def _numbered(given: Sequence[str]) -> list[str]:
    """Number what still repeats; a numbered title that exists already is passed over."""
    seen: set[str] = set()
    taken, counts = Counter(given), Counter[str]()
    result = []
    for title in given:
        unique = title
        while unique in seen or (unique != title and unique in taken):
            counts[title] += 1
            unique = f"{title} #{counts[title] + 1}"
        seen.add(unique)
        result.append(unique)
    return result
