"""Which labels each object carried, and when.

A virtual machine moves between hosts, clusters and folders, and is renamed. An era is a span
in which an object carried one set of labels. The book outlives the objects: what OVHcloud no
longer lists keeps its last labels.
"""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from bridge.model import LabelEra

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bridge.catalog import Kind

    #: Kind, ``datacenter`` tag and object label's value.
    ObjectKey = tuple[Kind, str, str]
    LabelPairs = tuple[tuple[str, str], ...]


class EraBook:
    """The eras of all objects.

    Attributes:
        eras: By object, ascending; replaced as a whole by every change, never altered.

    Args:
        eras: What is stored already, in any order.
    """

    def __init__(self, eras: Iterable[LabelEra] = ()) -> None:
        book: dict[ObjectKey, list[LabelEra]] = {}
        for era in sorted(eras, key=lambda era: era.since_ms):
            book.setdefault((era.kind, era.datacenter, era.value), []).append(era)
        self.eras: Mapping[ObjectKey, tuple[LabelEra, ...]] = MappingProxyType(
            {key: tuple(of_object) for key, of_object in book.items()}
        )

    def note(
        self, stamp_ms: int, seen: Iterable[tuple[ObjectKey, LabelPairs]]
    ) -> tuple[LabelEra, ...]:
        """Take note of the labels that objects carry at ``stamp_ms``.

        Returns:
            The eras to store: those that begin, and those that end with it.
        """
        changed: dict[ObjectKey, tuple[LabelEra, ...]] = {}
        to_store: list[LabelEra] = []
        for key, labels in seen:
            known = changed.get(key) or self.eras.get(key, ())
            if known and known[-1].labels == labels:
                continue
            if not known:
                turned = [LabelEra(*key, labels, stamp_ms)]
            elif stamp_ms <= known[-1].since_ms:
                # Twice in one cell of the grid, or the clock went back: no time to split.
                turned = [replace(known[-1], labels=labels)]
            else:
                turned = [replace(known[-1], until_ms=stamp_ms), LabelEra(*key, labels, stamp_ms)]
            to_store += turned
            changed[key] = (*known[:-1], *turned)
        if changed:
            self.eras = MappingProxyType({**self.eras, **changed})
        return tuple(to_store)
