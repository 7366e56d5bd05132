"""What a metric is: its kind of object, its labels, its unit."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class Kind(StrEnum):
    """What a metric is measured on."""

    DATASTORE = "datastore"
    HOST = "host"
    VM = "vm"
    ACCOUNT = "account"
    OTHER = "other"


#: The stored label that names the object.
OBJECT_LABEL: Mapping[Kind, str] = MappingProxyType(
    {
        Kind.DATASTORE: "datastore",
        Kind.HOST: "host",
        Kind.VM: "vm",
        Kind.ACCOUNT: "account",
        Kind.OTHER: "",
    }
)

#: Labels the inventory adds to stored series (see ``bridge.ovh.labels``).
ENRICHED_LABELS: Mapping[Kind, tuple[str, ...]] = MappingProxyType(
    {
        Kind.DATASTORE: ("service", "profile"),
        Kind.HOST: ("service", "cluster"),
        Kind.VM: ("service", "vm_name", "cluster", "host_name", "folder"),
        Kind.ACCOUNT: (),
        Kind.OTHER: (),
    }
)

#: Enriched labels that may change while the object lives; an answer shows them only when
#: the query groups or filters by them.
CHANGING_LABELS = frozenset({"cluster", "host_name", "folder"})


@dataclass(frozen=True, slots=True)
class Metric:
    """One vScope metric.

    Attributes:
        name: As it is stored.
        kind: What it is measured on.
        description: One line for a person.
        unit: A Grafana unit id (``percent`` is 0 to 100, ``kbytes`` is KiB, ``KBs`` is
            kB/s, ``pps`` packets/s, ``iops`` operations/s, ``ms``, ``s``, ``d`` days,
            ``none``).
        labels: Stored labels, most significant first.
        live: The APIv6 field (or formula) this is recorded from; None where APIv6 has none.
        guide: Whether OVHcloud's guide lists it.
        ovhcloud: Whether OVHcloud's own history has it.
        states: What each value means, for a state written as a number.
    """

    name: str
    kind: Kind
    description: str
    unit: str
    labels: tuple[str, ...]
    live: str | None
    guide: bool = True
    ovhcloud: bool = True
    states: tuple[tuple[int, str], ...] = ()

    @property
    def all_labels(self) -> tuple[str, ...]:
        """Stored labels, then those the inventory adds."""
        return self.labels + ENRICHED_LABELS[self.kind]

    @property
    def unrecorded(self) -> str | None:
        """Say why the bridge does not record this metric; None where it does."""
        if self.live is not None or self.kind is Kind.OTHER:
            return None
        return (
            f"{self.name} is not offered by OVHcloud's API, so it is not recorded; "
            "only OVHcloud's own history has it"
        )

    def absence(self, reason: str) -> str | None:
        """Say that nobody has this metric here; None for one that every history can have.

        Args:
            reason: Why it was not given.
        """
        own = self.unrecorded or self.not_at_ovhcloud
        return own if own is None or reason == own else f"{own} ({reason})"

    @property
    def not_at_ovhcloud(self) -> str | None:
        """Say why OVHcloud's own history does not have this metric; None where it does."""
        if self.ovhcloud:
            return None
        return (
            f"{self.name} exists only where the bridge has recorded it (setting history_dir); "
            "OVHcloud's own history does not have it"
        )


def uncatalogued(name: str) -> Metric:
    """Return what is known of a metric outside the catalogue: its name."""
    return Metric(name, Kind.OTHER, name, "none", (), None, guide=False)
