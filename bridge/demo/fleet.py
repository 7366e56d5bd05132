"""The simulated company: what exists, where it runs and what happens to it.

Everything is a function of the options and of one moment, the anchor (the clock when the
simulator was made, rounded down to the hour). Stories either repeat (outages, moves) or
hang on the anchor (a death three hours before it), so that they show in a 6 to 24 h view
and stored history never changes afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from bridge.demo.cast import FOLDERS, GUESTS, LEADING_CAST, ordinary_name
from bridge.demo.noise import fraction_of, key_of

if TYPE_CHECKING:
    from bridge.demo.cast import Part
    from bridge.demo.options import DemoOptions

#: The service of OVHcloud's guide.
SERVICE = "pcc-37-187-228-180"
EXPIRED_SERVICE = "pcc-147-135-35-53"
#: Seconds between two samples of OVHcloud's history.
STEP_S = 300
_DATACENTER_IDS = (869, 1145)
_MOVE_EVERY_S = 6 * 3600


class HostRole(StrEnum):
    """What is special about a host."""

    ORDINARY = "ordinary"
    MAINTENANCE = "maintenance"
    SPARE = "spare"


@dataclass(frozen=True, slots=True)
class Place:
    """A virtual datacenter."""

    datacenter_id: int
    name: str
    description: str
    commercial_name: str
    clusters: tuple[tuple[int, str], ...]
    label: str


@dataclass(frozen=True, slots=True)
class HostSpec:
    """An ESXi host: speed in MHz over all cores, memory in GB."""

    host_id: int
    name: str
    datacenter_id: int
    cluster: str
    cores: int
    core_mhz: int
    ram_gb: int
    role: HostRole
    key: int

    @property
    def cpu_max(self) -> int:
        """MHz of all cores together."""
        return self.cores * self.core_mhz


@dataclass(frozen=True, slots=True)
class StoreSpec:
    """A datastore; ``datacenter_id`` is None for a global one. Size in GB."""

    filer_id: int
    name: str
    datacenter_id: int | None
    size_gb: int
    profile: str
    filling: bool
    managed: bool
    key: int


@dataclass(frozen=True, slots=True)
class VmSpec:
    """A virtual machine. ``homes`` are the hosts it may be found on, in order."""

    vm_id: int
    mo_ref: str
    name: str
    datacenter_id: int
    cluster: str
    homes: tuple[HostSpec, ...]
    store: StoreSpec
    folder: str
    guest: str
    vcpus: int
    ram_mb: int
    part: Part
    key: int

    @property
    def cpu_max(self) -> int:
        """MHz of all virtual processors together."""
        return self.vcpus * self.homes[0].core_mhz


@dataclass(frozen=True, slots=True)
class Fleet:
    """All objects of the main service, and the moments the stories hang on."""

    seed: int
    anchor: int
    born: int
    places: tuple[Place, ...]
    hosts: tuple[HostSpec, ...]
    stores: tuple[StoreSpec, ...]
    vms: tuple[VmSpec, ...]

    @property
    def death(self) -> int:
        """Epoch second at which the dying VM stops."""
        return self.anchor - 3 * 3600

    @property
    def deletion(self) -> int:
        """Epoch second at which the deleted VM was removed."""
        return self.anchor - 5 * 86400

    @property
    def maintenance(self) -> int:
        """Epoch second at which the host in maintenance was emptied."""
        return self.anchor - 2 * 3600

    def host_of(self, vm: VmSpec, stamp: float) -> HostSpec:
        """Return where a VM runs: it moves on a schedule, or when its host is emptied."""
        if vm.part == "moving" and len(vm.homes) > 1:
            return vm.homes[int(stamp // _MOVE_EVERY_S) % 2]
        home = vm.homes[0]
        if home.role is HostRole.MAINTENANCE and stamp >= self.maintenance and len(vm.homes) > 1:
            return vm.homes[1]
        return home


def _places(options: DemoOptions, service: str) -> tuple[Place, ...]:
    towns = ("Roubaix production", "Gravelines recovery", "Strasbourg test")
    places = []
    for number in range(options.datacenters):
        if number < len(_DATACENTER_IDS):
            ident = _DATACENTER_IDS[number]
        else:
            ident = _DATACENTER_IDS[-1] + 100 * (number - 1)
        clusters = ((310 + 10 * number, "Cluster1"), (311 + 10 * number, "Cluster2"))
        places.append(
            Place(
                datacenter_id=ident,
                name=f"datacenter{ident}",
                description=towns[number % len(towns)],
                commercial_name="PREMIER" if number % 2 == 0 else "ESSENTIALS",
                clusters=clusters if number == 0 else clusters[:1],
                label=f"{service}_datacenter{ident}",
            )
        )
    return tuple(places)


def _host_role(number: int, count: int) -> HostRole:
    """Return the role of host ``number`` of ``count`` in its datacenter."""
    if count >= 4 and number == count - 1:
        return HostRole.SPARE
    if count >= 3 and number == count // 2:
        return HostRole.MAINTENANCE
    return HostRole.ORDINARY


def _hosts(options: DemoOptions, places: tuple[Place, ...]) -> tuple[HostSpec, ...]:
    hosts = []
    # The first datacenter is the bigger one; the others share what is left.
    main = options.hosts if len(places) == 1 else max(1, (2 * options.hosts + 2) // 3)
    for number in range(options.hosts):
        side = 0 if number < main else 1 + (number - main) % (len(places) - 1)
        place = places[side]
        cluster = place.clusters[number % len(place.clusters)][1]
        big = number % 3 == 2
        hosts.append(
            HostSpec(
                host_id=4001 + number,
                name=f"172.17.{86 + side + number // 200}.{51 + number % 200}",
                datacenter_id=place.datacenter_id,
                cluster=cluster,
                cores=32 if big else 16,
                core_mhz=2600 if big else 3200,
                ram_gb=512 if big else 256,
                role=_host_role(number, main if side == 0 else 1),
                key=key_of(options.seed, "host", number),
            )
        )
    return tuple(hosts)


def _stores(options: DemoOptions, places: tuple[Place, ...]) -> tuple[StoreSpec, ...]:
    first, *others = (place.datacenter_id for place in places)
    plan: list[tuple[str, int | None, int, str, bool]] = [
        ("pcc-000443", first, 6144, "2016-6T-HA-NFS", False),
        ("pcc-000444", first, 3072, "2016-3T-HA-NFS", False),
        ("ssd-001858", first, 1200, "2018-1T-SSD", False),
        ("pcc-000990", first, 2048, "2016-2T-HA-NFS", True),
    ]
    for number, ident in enumerate(others):
        plan += [
            (f"pcc-{510 + 10 * number:06d}", ident, 3072, "2016-3T-HA-NFS", False),
            (f"ssd-{1902 + 10 * number:06d}", ident, 1200, "2018-1T-SSD", False),
        ]
    plan.append(("pcc-000700", None, 12288, "2016-12T-HA-NFS", False))
    return tuple(
        StoreSpec(
            filer_id=7001 + number,
            name=name,
            datacenter_id=ident,
            size_gb=size,
            profile=profile,
            filling=name == "pcc-000444",
            managed=managed,
            key=key_of(options.seed, "datastore", name),
        )
        for number, (name, ident, size, profile, managed) in enumerate(plan)
    )


def _homes(number: int, part: Part, hosts: tuple[HostSpec, ...]) -> tuple[HostSpec, ...]:
    """Return where a machine runs, and where else it may go: inside its own cluster."""
    unusable = {HostRole.SPARE} if part != "moving" else {HostRole.SPARE, HostRole.MAINTENANCE}
    usable = [host for host in hosts if host.role not in unusable] or list(hosts)
    start = number % len(usable)
    home = usable[start]
    mates = [
        host
        for host in (*usable[start + 1 :], *usable[:start])
        if (host.datacenter_id, host.cluster) == (home.datacenter_id, home.cluster)
        and host.role is HostRole.ORDINARY
    ]
    return (home, *mates[:1])


def _vm(
    options: DemoOptions,
    number: int,
    hosts: tuple[HostSpec, ...],
    stores: tuple[StoreSpec, ...],
) -> VmSpec:
    if number < len(LEADING_CAST):
        name, part = LEADING_CAST[number]
    else:
        name, part = ordinary_name(number), "ordinary"
    key = key_of(options.seed, "vm", number)
    homes = _homes(number, part, hosts)
    home = homes[0]
    place = None if number % 9 == 8 else home.datacenter_id
    shelf = [s for s in stores if s.datacenter_id == place and not s.managed]
    vcpus = (2, 4, 2, 8, 4, 1)[int(6 * fraction_of(options.seed, "vcpus", number))]
    return VmSpec(
        vm_id=5001 + number,
        mo_ref=f"vm-{1254 + number + number // 7}",
        name=name,
        datacenter_id=home.datacenter_id,
        cluster=home.cluster,
        homes=homes,
        store=shelf[number % len(shelf)],
        folder=FOLDERS[part] if part in FOLDERS else FOLDERS["ordinary"],
        guest=GUESTS[number % len(GUESTS)],
        vcpus=vcpus,
        ram_mb=2048 * vcpus * (1 + number % 2),
        part=part,
        key=key,
    )


def build_fleet(options: DemoOptions, now: float, service: str = SERVICE) -> Fleet:
    """Build the world of one service; ``now`` (epoch seconds) fixes the anchor of its stories."""
    anchor = int(now) // 3600 * 3600
    places = _places(options, service)
    hosts = _hosts(options, places)
    stores = _stores(options, places)
    return Fleet(
        seed=options.seed,
        anchor=anchor,
        born=anchor - options.history_days * 86400,
        places=places,
        hosts=hosts,
        stores=stores,
        vms=tuple(_vm(options, number, hosts, stores) for number in range(options.vms)),
    )


def build_fleets(options: DemoOptions, now: float) -> dict[str, Fleet]:
    """Build the worlds of all services, by name; the main one comes first."""
    fleets = {SERVICE: build_fleet(options, now)}
    for number in range(1, options.services):
        name = f"pcc-37-187-{229 + number // 250}-{number % 250}"
        seed = key_of(options.seed, "service", number) % 2**31
        fleets[name] = build_fleet(replace(options, seed=seed), now, name)
    return fleets
