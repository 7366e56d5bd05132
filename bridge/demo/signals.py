"""What the simulated objects measure: value = f(seed, object, metric, time)."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from bridge.demo.fleet import HostRole
from bridge.demo.noise import key_of, smooth, white

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from bridge.demo.fleet import Fleet, HostSpec, StoreSpec, VmSpec

_DAY = 86400
_MEMORY, _WHITE, _SCALE, _SLOW, _QUICK, _READY = 11, 1, 2, 3, 4, 5
KB_PER_GB = 1024.0 * 1024.0


@dataclass(frozen=True, slots=True)
class _Shape:
    """How a load-driven metric follows an object's activity.

    Attributes:
        scale: Typical value at full activity.
        rest: Share of ``scale`` that remains at rest.
        power: Above 1 the metric peaks later than the activity.
        jitter: Relative size of the noise from sample to sample.
        spread: Objects differ by a factor of up to ``exp(spread)``.
    """

    scale: float
    rest: float = 0.04
    power: float = 1.4
    jitter: float = 0.25
    spread: float = 1.6


_SHAPES: Mapping[str, _Shape] = MappingProxyType(
    {
        "vscope.vm.mem.tps": _Shape(180.0, rest=0.7, power=1.0, jitter=0.02),
        "vscope.vm.net.rx": _Shape(900.0),
        "vscope.vm.net.tx": _Shape(700.0),
        "vscope.vm.net.packetsrx": _Shape(850.0),
        "vscope.vm.net.packetstx": _Shape(760.0),
        "vscope.vm.disk.io.read": _Shape(70.0, jitter=0.5),
        "vscope.vm.disk.io.write": _Shape(110.0, jitter=0.4),
        "vscope.vm.disk.bandwidth.read": _Shape(2600.0, jitter=0.6),
        "vscope.vm.disk.bandwidth.write": _Shape(1900.0, jitter=0.4),
        "vscope.vm.disk.latency.read": _Shape(4.0, rest=0.2, power=2.0, spread=0.8),
        "vscope.vm.disk.latency.write": _Shape(3.0, rest=0.2, power=2.0, spread=0.8),
        "vscope.host.mem.tps": _Shape(2400.0, rest=0.8, power=1.0, jitter=0.02),
        "vscope.host.net.tx": _Shape(5200.0, spread=1.2),
        "vscope.host.net.rx": _Shape(6100.0, spread=1.2),
        "vscope.host.net.packetstx": _Shape(5000.0, spread=1.2),
        "vscope.host.net.packetsrx": _Shape(5600.0, spread=1.2),
    }
)


def _activity(
    keys: NDArray[np.uint64], stamps: NDArray[np.int64], offset: float = 0.0
) -> NDArray[np.float64]:
    """Return how busy each object is, in [0.01, 1]: a day, a week and chance."""
    peak = 13.0 + 5.0 * white(keys, 21, np.zeros(1, dtype=np.int64))
    hours = (stamps % _DAY) / 3600.0
    day = 0.5 + 0.5 * np.cos((hours - peak) * (2.0 * np.pi / 24.0))
    # 1 January 1970 was a Thursday; day 5 and 6 are the weekend.
    weekend = (stamps // _DAY + 3) % 7 >= 5
    busy = day * np.where(weekend, 0.45, 1.0)
    base = 0.06 + 0.2 * white(keys, 22, np.zeros(1, dtype=np.int64))
    drift = 0.34 * (smooth(keys, _SLOW, stamps, 3 * 3600) - 0.5)
    ripple = 0.22 * (smooth(keys, _QUICK, stamps, 1500) - 0.5)
    level: NDArray[np.float64] = np.clip(base + 0.55 * busy + drift + ripple + offset, 0.01, 1.0)
    return level


def _jitter(
    keys: NDArray[np.uint64], channel: int, stamps: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return noise in [-0.5, 0.5) that is new with every second."""
    noise: NDArray[np.float64] = white(keys, channel, stamps) - 0.5
    return noise


def _shaped(
    metric: str, keys: NDArray[np.uint64], stamps: NDArray[np.int64]
) -> NDArray[np.float64]:
    shape = _SHAPES[metric]
    channel = key_of(metric) & 0xFFFF
    factor = np.exp(shape.spread * (white(keys, channel, np.zeros(1, dtype=np.int64)) - 0.6))
    level = shape.rest + (1.0 - shape.rest) * _activity(keys, stamps) ** shape.power
    values: NDArray[np.float64] = (
        shape.scale * factor * level * (1.0 + shape.jitter * _jitter(keys, channel + 1, stamps))
    )
    return values


def _keys(specs: Sequence[VmSpec] | Sequence[HostSpec] | Sequence[StoreSpec]) -> NDArray[np.uint64]:
    return np.array([spec.key for spec in specs], dtype=np.uint64)


def vm_values(
    fleet: Fleet, metric: str, vms: Sequence[VmSpec], stamps: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return the values of one VM metric.

    Args:
        fleet: The world.
        metric: A ``vscope.vm.*`` name.
        vms: The machines, one row each.
        stamps: Epoch seconds, shape ``(len(vms), m)``.

    Returns:
        Values in the metric's unit, rounded to two decimals; NaN where there is no sample.
    """
    keys = _keys(vms)
    starved = np.array([[vm.part == "starved"] for vm in vms])
    jitter = _jitter(keys, key_of(metric) & 0xFFFF, stamps)
    if metric == "vscope.vm.cpu.usage.perc":
        load = 88.0 * _activity(keys, stamps) ** 1.5 + 6.0 * jitter
        values = np.clip(np.where(starved, 96.0 + 5.0 * jitter, load), 0.3, 100.0)
    elif metric == "vscope.vm.mem.usage.perc":
        base = 25.0 + 45.0 * white(keys, _MEMORY, np.zeros(1, dtype=np.int64))
        slow = 14.0 * (smooth(keys, _MEMORY + 1, stamps, 12 * 3600) - 0.5)
        values = np.clip(base + slow + 9.0 * _activity(keys, stamps) + 0.8 * jitter, 1.0, 99.5)
    elif metric == "vscope.vm.cpu.ready":
        # Per cent of the 20 s sampling interval and processor; 5 and more is felt by users.
        share = 0.15 + 1.6 * _activity(keys, stamps) ** 2 + 0.3 * jitter
        queue = 7.0 + 9.0 * smooth(keys, _READY, stamps, 2400) + jitter
        vcpus = np.array([[vm.vcpus] for vm in vms])
        values = np.where(starved, queue, np.clip(share, 0.02, None)) * 200.0 * vcpus
    else:
        values = _shaped(metric, keys, stamps)
    return np.where(_vm_alive(fleet, vms, stamps), np.round(values, 2), np.nan)


def _vm_alive(fleet: Fleet, vms: Sequence[VmSpec], stamps: NDArray[np.int64]) -> NDArray[np.bool_]:
    alive = (stamps >= fleet.born) & np.ones(stamps.shape, dtype=bool)
    for row, vm in enumerate(vms):
        if vm.part == "ordinary":
            continue
        line = stamps[row]
        if vm.part == "dying":
            alive[row] &= line < fleet.death
        elif vm.part == "deleted":
            alive[row] &= line < fleet.deletion
        elif vm.part == "gappy":
            alive[row] &= ~outage(line)
        elif vm.part in {"silent", "off", "suspended"}:
            alive[row] = False
    return alive


def outage(stamps: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Tell when the machine with gaps is out: 35 minutes out of every four hours."""
    within = stamps % (4 * 3600)
    out: NDArray[np.bool_] = (within >= 6000) & (within < 8100)
    return out


def host_values(
    fleet: Fleet,
    metric: str,
    hosts: Sequence[HostSpec],
    stamps: NDArray[np.int64],
    nics: Sequence[int] | None = None,
) -> NDArray[np.float64]:
    """Return the values of one host metric, one row a host (and network card).

    Args:
        fleet: The world.
        metric: A ``vscope.host.*`` name.
        hosts: The hosts, one row each (repeated for each card).
        stamps: Epoch seconds, shape ``(len(hosts), m)``.
        nics: Card numbers, one a row, for ``vscope.host.net.*``.
    """
    keys = _keys(hosts)
    idle = np.array([[host.role is HostRole.SPARE] for host in hosts])
    emptied = np.array([[host.role is HostRole.MAINTENANCE] for host in hosts])
    idle = idle | (emptied & (stamps >= fleet.maintenance))
    jitter = _jitter(keys, key_of(metric) & 0xFFFF, stamps)
    if metric == "vscope.host.cpu.usage.perc":
        load = 6.0 + 74.0 * _activity(keys, stamps) ** 1.2 + 3.0 * jitter
        values = np.where(idle, 1.1 + 0.6 * jitter, np.clip(load, 0.5, 100.0))
    elif metric == "vscope.host.mem.usage.perc":
        base = 38.0 + 30.0 * white(keys, _MEMORY, np.zeros(1, dtype=np.int64))
        slow = 10.0 * (smooth(keys, _MEMORY + 1, stamps, 12 * 3600) - 0.5)
        values = np.where(idle, 4.36 + 0.04 * jitter, np.clip(base + slow + 0.3 * jitter, 1, 99))
    else:
        if nics is not None:
            keys = np.array(
                [key_of(host.key, nic) for host, nic in zip(hosts, nics, strict=True)],
                dtype=np.uint64,
            )
        values = _shaped(metric, keys, stamps) * np.where(idle, 0.01, 1.0)
    return np.where(stamps >= fleet.born, np.round(values, 2), np.nan)


def store_used_gb(
    fleet: Fleet, stores: Sequence[StoreSpec], stamps: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return the used space of datastores in GB, shape of ``stamps``; one fills up."""
    keys = _keys(stores)
    size = np.array([[float(store.size_gb)] for store in stores])
    filling = np.array([[store.filling] for store in stores])
    base = 0.35 + 0.35 * white(keys, 31, np.zeros(1, dtype=np.int64))
    tide = 0.05 * (smooth(keys, 32, stamps, 5 * _DAY) - 0.5)
    nightly = 0.006 * smooth(keys, 33, stamps, 6 * 3600)
    growth = 0.9 + 0.011 * (stamps - fleet.anchor) / _DAY + nightly
    share = np.where(filling, np.clip(growth, 0.08, 0.997), base + tide + nightly)
    return np.round(size * share, 3)


def store_values(
    fleet: Fleet, metric: str, stores: Sequence[StoreSpec], stamps: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return the values of one datastore metric (kB or per cent), one row a datastore."""
    used = store_used_gb(fleet, stores, stamps)
    if metric == "vscope.filer.datastore.diskspace.used":
        values = used * KB_PER_GB
    else:
        size = np.array([[float(store.size_gb)] for store in stores])
        values = np.round(100.0 * used / size, 4)
    return np.where(stamps >= fleet.born, values, np.nan)
