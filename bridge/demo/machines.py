"""Hosts, datastores and virtual machines as APIv6 objects (reference: ovh 1.2).

Live values are the newest sample of the history, rounded to whole MHz and MB.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from bridge.demo.fleet import HostRole
from bridge.demo.noise import fraction_of
from bridge.demo.objects import iso
from bridge.demo.shelf import newest_sample
from bridge.demo.signals import host_values, store_used_gb, vm_values

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bridge.demo.fleet import Fleet, HostSpec, StoreSpec, VmSpec

_READY_INTERVAL_MS = 20_000.0
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday")
#: Live fields that are the metric itself.
_PLAIN = {
    "netRx": "vscope.vm.net.rx",
    "netTx": "vscope.vm.net.tx",
    "netPacketRx": "vscope.vm.net.packetsrx",
    "netPacketTx": "vscope.vm.net.packetstx",
    "readPerSecond": "vscope.vm.disk.io.read",
    "writePerSecond": "vscope.vm.disk.io.write",
    "readRate": "vscope.vm.disk.bandwidth.read",
    "writeRate": "vscope.vm.disk.bandwidth.write",
    "readLatency": "vscope.vm.disk.latency.read",
    "writeLatency": "vscope.vm.disk.latency.write",
}
_FIGURES = (
    "vscope.vm.cpu.usage.perc",
    "vscope.vm.mem.usage.perc",
    "vscope.vm.cpu.ready",
    "vscope.vm.mem.tps",
    *_PLAIN.values(),
)


class LiveFigures:
    """The newest sample of every VM, computed for the whole fleet at once.

    Args:
        fleet: The world.
    """

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._second: int | None = None
        self._columns: dict[str, list[float]] = {}

    def of(self, index: int, now: float) -> Mapping[str, float | None]:
        """Return the figures of the VM at ``index`` by metric; None where there is none."""
        if self._second != int(now):
            fleet = self._fleet
            stamps = np.array([[newest_sample(vm.key, now)] for vm in fleet.vms], dtype=np.int64)
            self._columns = {
                metric: vm_values(fleet, metric, fleet.vms, stamps)[:, 0].tolist()
                for metric in _FIGURES
            }
            self._second = int(now)
        found = {metric: column[index] for metric, column in self._columns.items()}
        return {metric: None if math.isnan(value) else value for metric, value in found.items()}


def _living(fleet: Fleet, vm: VmSpec, now: float) -> bool:
    """Whether a machine counts as running on its host."""
    if vm.part in {"off", "suspended", "deleted"}:
        return False
    return vm.part != "dying" or now < fleet.death


def host_object(fleet: Fleet, host: HostSpec, now: float) -> dict[str, Any]:
    """Return ``dedicatedCloud.Host`` at ``now``."""
    stamps = np.array([[newest_sample(host.key, now)]], dtype=np.int64)
    cpu = float(host_values(fleet, "vscope.host.cpu.usage.perc", [host], stamps)[0, 0])
    memory = float(host_values(fleet, "vscope.host.mem.usage.perc", [host], stamps)[0, 0])
    guests = [vm for vm in fleet.vms if fleet.host_of(vm, now) is host and _living(fleet, vm, now)]
    maintained = host.role is HostRole.MAINTENANCE and now >= fleet.maintenance
    booted = fleet.anchor - 86400 * (20 + int(180 * fraction_of(host.key, "boot")))
    return {
        "billingType": "freeSpare" if host.role is HostRole.SPARE else "monthly",
        "clusterName": host.cluster,
        "connectionState": "connected",
        "cpu": {"unit": "GHz", "value": round(host.cpu_max / 1000, 1)},
        "cpuMax": host.cpu_max,
        "cpuMaxCore": host.core_mhz,
        "cpuNum": host.cores,
        "cpuUsed": round(cpu / 100 * host.cpu_max),
        "hostId": host.host_id,
        "inMaintenance": maintained,
        "memoryUsed": round(memory / 100 * host.ram_gb * 1024, 2),
        "name": host.name,
        "parentHostId": None,
        "profile": f"PREMIER-{host.ram_gb}",
        "profileCode": f"premier{host.ram_gb}",
        "rack": f"RBX2A{host.host_id % 90:02d}",
        "ram": {"unit": "GB", "value": host.ram_gb},
        "resourceName": None,
        "state": "delivered",
        "uptime": int(now) - booted,
        "vmTotal": len(guests),
        "vmVcpuTotal": sum(vm.vcpus for vm in guests),
    }


def store_object(fleet: Fleet, store: StoreSpec, now: float) -> dict[str, Any]:
    """Return ``dedicatedCloud.Filer`` at ``now``; all space in GB."""
    stamps = np.array([[newest_sample(store.key, now)]], dtype=np.int64)
    used = float(store_used_gb(fleet, [store], stamps)[0, 0])
    over = 1.15 + 0.4 * fraction_of(store.key, "overcommit")
    return {
        "activeNode": "master",
        "billingType": "monthly",
        "connectionState": "online",
        "filerId": store.filer_id,
        "fullProfile": f"{store.profile} ({store.size_gb} GB)",
        "isManagedByOvh": store.managed,
        "master": f"{store.name}-a.example.net",
        "name": store.name,
        "profile": store.profile,
        "resourceName": None,
        "size": {"unit": "GB", "value": store.size_gb},
        "slave": f"{store.name}-b.example.net",
        "spaceFree": round(store.size_gb - used, 3),
        "spaceProvisionned": round(used * over, 3),
        "spaceUsed": used,
        "state": "delivered",
        "vmTotal": sum(vm.store is store for vm in fleet.vms if vm.part != "deleted"),
    }


def _power(fleet: Fleet, vm: VmSpec, now: float) -> str:
    if vm.part == "dying" and now >= fleet.death:
        return "poweredOff"
    if vm.part == "deleted" and now >= fleet.deletion:
        return "deleted"
    return {"off": "poweredOff", "suspended": "suspended"}.get(vm.part, "poweredOn")


def _live(vm: VmSpec, figures: Mapping[str, float | None]) -> dict[str, Any]:
    """Return the performance fields; all null when there is no newest sample."""
    cpu, memory = figures["vscope.vm.cpu.usage.perc"], figures["vscope.vm.mem.usage.perc"]
    ready, tps = figures["vscope.vm.cpu.ready"], figures["vscope.vm.mem.tps"]
    share = None if ready is None else 100 * ready / _READY_INTERVAL_MS / vm.vcpus
    return {
        "cpuUsed": None if cpu is None else round(cpu / 100 * vm.cpu_max),
        "cpuReady": ready,
        "cpuReadyPercent": None if share is None else round(share, 3),
        "memoryUsed": None if memory is None else round(memory / 100 * vm.ram_mb),
        "memoryTps": None if tps is None else str(tps),
        **{name: figures[metric] for name, metric in _PLAIN.items()},
    }


def _backup(vm: VmSpec, now: float) -> dict[str, Any] | None:
    """Return the nightly backup job; one VM's last runs have failed."""
    if vm.part in {"deleted", "off", "managed", "suspended"} or vm.vm_id % 4 == 3:
        return None
    # Jobs start at 22:00 UTC and spread over the night.
    night = (int(now) - 22 * 3600 - vm.vm_id % 7200) // 86400 * 86400 + 22 * 3600
    night += vm.vm_id % 7200
    failed = vm.part == "failed backup"
    good = night - 3 * 86400 if failed else night
    minutes = 12 + vm.vm_id % 40
    return {
        "allocatedDisk": float(20 + 10 * vm.vcpus),
        "backupDays": list(_WEEKDAYS),
        "backupRepositoryId": 601,
        "encryption": False,
        "lastCreationTime": iso(night),
        "lastDuration": {"unit": "minutes", "value": 2 if failed else minutes},
        "lastResult": "failed" if failed else "success",
        "lastSuccessfulCreationTime": iso(good),
        "lastSuccessfulDuration": {"unit": "minutes", "value": minutes},
        "offerType": "classic",
        "restorePoints": [
            {
                "creationTime": iso(good - 86400 * back),
                "isCorrupted": False,
                "restorePointId": vm.vm_id * 100 + back,
                "size": {"unit": "GB", "value": 6 + vm.vm_id % 9},
                "type": "incremental" if back else "full",
            }
            for back in range(2)
        ],
        "retentionTime": 7,
        "state": "delivered",
    }


def _network(vm: VmSpec) -> dict[str, Any]:
    number = vm.vm_id
    return {
        "allowGuestControl": True,
        "backing": {
            "carpState": None,
            "deviceName": None,
            "portGroupKey": "dvportgroup-31",
            "portKey": str(number % 512),
            "portKeySecurityPolicy": None,
            "switchUuid": "50 1c 5a 6f 7e 83 19 2a-11 0b 9c 7d 00 4f 2e 61",
            "type": "DVS",
            "useAutoDetect": None,
            "valueMoref": "dvportgroup-31",
        },
        "connected": True,
        "controler": "vmxnet3",
        "label": "Network adapter 1",
        "macAddress": f"00:50:56:{number >> 16 & 255:02x}:{number >> 8 & 255:02x}:"
        f"{number & 255:02x}",
        "startConnected": True,
        "status": "ok",
    }


def vm_object(
    fleet: Fleet, vm: VmSpec, now: float, figures: Mapping[str, float | None]
) -> dict[str, Any]:
    """Return ``dedicatedCloud.Vm`` at ``now`` with its :class:`LiveFigures`."""
    power = _power(fleet, vm, now)
    running = power == "poweredOn" and vm.part != "silent"
    gone = power == "deleted"
    disk_mb = 1024.0 * (20 + 10 * vm.vcpus)
    return {
        "backup": _backup(vm, now),
        "cdroms": None if gone else [{"connected": False, "iso": None}],
        "clusterName": vm.cluster,
        "cpuMax": float(vm.cpu_max),
        "cpuNum": vm.vcpus,
        "filers": None
        if gone
        else [
            {
                "committed": round(disk_mb * 0.6, 1),
                "disks": [{"capacity": disk_mb, "id": "2000"}],
                "name": vm.store.name,
            }
        ],
        "folderName": vm.folder,
        "guestOsFamily": vm.guest,
        "hostName": None if gone else fleet.host_of(vm, now).name,
        "license": "windows 2019 Standard" if "2019" in vm.guest else None,
        "memoryMax": vm.ram_mb,
        "moRef": vm.mo_ref,
        "name": vm.name,
        "networks": None if gone else [_network(vm)],
        "powerState": power,
        "roleFt": None,
        "snapshotNum": 2 if vm.vm_id % 11 == 4 else 0,
        "stateFt": "notConfigured",
        "vmId": vm.vm_id,
        "vmwareTools": "guestToolsRunning" if running else "guestToolsNotRunning",
        "vmwareToolsVersion": "guestToolsNeedUpgrade" if vm.vm_id % 6 == 2 else "guestToolsCurrent",
        **_live(vm, figures),
    }
