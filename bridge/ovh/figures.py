"""Figures computed from live objects (reference: ovh 1.4 and 2.2).

What cannot be computed, because a field is null or would divide by zero, is None, never 0:
a zero would look like a measurement.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bridge.ovh.objects import Datastore, Host, Seen, UnitValue, Vm

#: Megabytes in one unit of ``Host.ram``; OVHcloud writes GB in practice.
_MEGABYTES = {"mb": 1.0, "mo": 1.0, "gb": 1024.0, "go": 1024.0, "tb": 1048576.0, "to": 1048576.0}


def finite(value: float | None) -> float | None:
    """Return the number, or None for NaN and infinities (they are not JSON)."""
    return value if value is not None and math.isfinite(value) else None


def percent(part: float | None, whole: float | None) -> float | None:
    """Return ``100 * part / whole``; None when either is missing or the whole is not positive."""
    if part is None or whole is None or whole <= 0:
        return None
    return finite(100.0 * part / whole)


def ratio(part: float | None, whole: float | None) -> float | None:
    """Return ``part / whole``; None when either is missing or the whole is not positive."""
    if part is None or whole is None or whole <= 0:
        return None
    return finite(part / whole)


def added(*parts: float | None) -> float | None:
    """Return the sum; None when any part is missing."""
    total = 0.0
    for part in parts:
        if part is None:
            return None
        total += part
    return finite(total)


def megabytes(amount: UnitValue | None) -> float | None:
    """Return a quantity of memory in MB; None for a unit that is not known."""
    if amount is None:
        return None
    factor = _MEGABYTES.get(amount.unit.strip().lower())
    return None if factor is None else finite(amount.value * factor)


def epoch_ms(moment: datetime | None) -> int | None:
    """Return epoch milliseconds; a time without zone is read as UTC."""
    if moment is None:
        return None
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return round(aware.timestamp() * 1000)


def age_s(moment: datetime | float | None, now: float) -> float | None:
    """Return the seconds since ``moment`` (epoch seconds or a time), at least 0."""
    if isinstance(moment, datetime):
        stamp = epoch_ms(moment)
        moment = None if stamp is None else stamp / 1000
    return None if moment is None else max(0.0, round(now - moment, 3))


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over the objects of a cluster, datacenter or service; hidden ones do not count.

    A pair that makes a percentage (used and max) counts only objects that know both, so
    that one silent host does not make the others look idle. None: no object knows both.
    """

    hosts: int = 0
    hosts_in_maintenance: int = 0
    hosts_disconnected: int = 0
    vms: int = 0
    vms_powered_on: int = 0
    vcpus: int | None = None
    cores: int | None = None
    cpu_used: float | None = None
    cpu_max: float | None = None
    mem_used: float | None = None
    mem_max: float | None = None
    datastores: int = 0
    space_used: float | None = None
    space_free: float | None = None
    space_provisioned: float | None = None
    space_provisioned_of: float | None = None


def totals(
    hosts: Iterable[Seen[Host]], vms: Iterable[Seen[Vm]], datastores: Iterable[Seen[Datastore]]
) -> Totals:
    """Add up what is not hidden."""
    host_list = [seen.value for seen in hosts if not seen.hidden]
    vm_list = [seen.value for seen in vms if not seen.hidden]
    store_list = [seen.value for seen in datastores if not seen.hidden]
    cpu_used, cpu_max = _paired((host.cpu_used, host.cpu_max) for host in host_list)
    mem_used, mem_max = _paired((host.memory_used, megabytes(host.ram)) for host in host_list)
    vcpus, cores = _paired((host.vm_vcpu_total, host.cpu_num) for host in host_list)
    used, free = _paired((store.space_used, store.space_free) for store in store_list)
    provisioned, provisioned_of = _paired(
        (store.space_provisionned, added(store.space_used, store.space_free))
        for store in store_list
    )
    return Totals(
        hosts=len(host_list),
        hosts_in_maintenance=sum(host.in_maintenance is True for host in host_list),
        hosts_disconnected=sum(
            host.connection_state not in {None, "connected"} for host in host_list
        ),
        vms=len(vm_list),
        vms_powered_on=sum(vm.power_state == "poweredOn" for vm in vm_list),
        vcpus=None if vcpus is None else round(vcpus),
        cores=None if cores is None else round(cores),
        cpu_used=cpu_used,
        cpu_max=cpu_max,
        mem_used=mem_used,
        mem_max=mem_max,
        datastores=len(store_list),
        space_used=used,
        space_free=free,
        space_provisioned=provisioned,
        space_provisioned_of=provisioned_of,
    )


def _paired(
    pairs: Iterable[tuple[float | None, float | None]],
) -> tuple[float | None, float | None]:
    known = [(a, b) for a, b in pairs if a is not None and b is not None]
    if not known:
        return None, None
    return finite(sum(a for a, _ in known)), finite(sum(b for _, b in known))
