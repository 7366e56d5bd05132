"""The fleet as APIv6 objects (reference: ovh 1.2), live values taken from the history."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from bridge.demo.fleet import SERVICE, HostRole
from bridge.demo.noise import fraction_of, key_of
from bridge.demo.shelf import newest_sample
from bridge.demo.signals import host_values, store_used_gb, vm_values

if TYPE_CHECKING:
    from bridge.demo.fleet import Fleet, HostSpec, Place, StoreSpec, VmSpec

_READY_INTERVAL_MS = 20_000.0
_WEEKDAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday"]
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
USERS = ((9001, "admin"), (9002, "admin-audit"), (9003, "grafana"), (9004, "backup"))


def iso(stamp: float) -> str:
    """Return an epoch second the way APIv6 writes a datetime."""
    return datetime.fromtimestamp(int(stamp), UTC).isoformat()


def service_object(fleet: Fleet, name: str) -> dict[str, Any]:
    """Return ``dedicatedCloud.dedicatedCloudWithIAM``."""
    host = f"{name}.ovh.com"
    ident = f"{key_of(fleet.seed, name):016x}{key_of(name, 'urn'):016x}"
    return {
        "advancedSecurity": False,
        "bandwidth": "1000",
        "billingType": "monthly",
        "canMigrateToVCD": False,
        "certifiedInterfaceUrl": f"https://{host}/secure",
        "commercialRange": "2016v7",
        "description": "Simulated VMware on OVHcloud",
        "generation": "2.0",
        "iam": {
            "displayName": name,
            "id": f"{ident[:8]}-{ident[8:12]}-{ident[12:16]}-{ident[16:20]}-{ident[20:]}",
            "tags": {},
            "urn": f"urn:v1:eu:resource:pccVMware:{name}",
        },
        "location": "rbx2a",
        "managementInterface": "vcsa",
        "productReference": "EPCC",
        "serviceName": name,
        "servicePackName": None,
        "spla": True,
        "sslV3": None,
        "state": "delivered",
        "userAccessPolicy": "filtered",
        "userLimitConcurrentSession": 50,
        "userLogoutPolicy": "first",
        "userSessionTimeout": 0,
        "vScopeUrl": f"https://{host}/vScope/",
        "version": {"build": "22837322", "major": "8.0", "minor": "U2"},
        "webInterfaceUrl": f"https://{host}/",
    }


def service_infos(fleet: Fleet, name: str, *, expired: bool) -> dict[str, Any]:
    """Return ``services.Service``."""
    today = datetime.fromtimestamp(fleet.anchor, UTC).date()
    expiration = today + timedelta(days=-9 if expired else 21)
    return {
        "canDeleteAtExpiration": True,
        "contactAdmin": "xx12345-ovh",
        "contactBilling": "xx12345-ovh",
        "contactTech": "xx12345-ovh",
        "creation": (today - timedelta(days=1600)).isoformat(),
        "domain": name,
        "engagedUpTo": None,
        "expiration": expiration.isoformat(),
        "possibleRenewPeriod": [1],
        "renew": {
            "automatic": not expired,
            "deleteAtExpiration": False,
            "forced": False,
            "manualPayment": False,
            "period": 1,
        },
        "renewalType": "automaticV2016",
        "serviceId": 48_151_623 if expired else 48_151_622,
        "status": "expired" if expired else "ok",
    }


def datacenter_object(place: Place) -> dict[str, Any]:
    """Return ``dedicatedCloud.Datacenter``."""
    return {
        "commercialName": place.commercial_name,
        "commercialRangeName": "2016v7",
        "datacenterId": place.datacenter_id,
        "description": place.description,
        "horizonViewName": None,
        "isRemovable": False,
        "name": place.name,
        "version": "8.0",
    }


def cluster_object(cluster_id: int, name: str) -> dict[str, Any]:
    """Return ``dedicatedCloud.Cluster``."""
    return {
        "autoscale": None,
        "clusterId": cluster_id,
        "drsMode": "fullyAutomated",
        "drsStatus": "enabled",
        "evcMode": "intel-cascadelake",
        "haStatus": "enabled",
        "name": name,
        "vmwareClusterId": f"domain-c{cluster_id}",
    }


def backup_object() -> dict[str, Any]:
    """Return the datacenter's ``dedicatedCloud.Backup``."""
    return {
        "backupDurationInReport": True,
        "backupOffer": "classic",
        "backupSizeInReport": True,
        "diskSizeInReport": True,
        "encryption": False,
        "fullDayInReport": False,
        "hostname": "backupServer1",
        "mailAddress": "ops@example.com",
        "replicationZone": None,
        "restorePointInReport": True,
        "scheduleHour": "22:00:00",
        "state": "enabled",
        "vmwareVmId": "vm-1201",
    }


def user_object(user_id: int, login: str) -> dict[str, Any]:
    """Return ``dedicatedCloud.User``."""
    admin = login == "admin"
    return {
        "activationState": "enabled",
        "activeDirectoryId": None,
        "activeDirectoryType": None,
        "canManageIpFailOvers": admin,
        "canManageNetwork": admin,
        "canManageRights": admin,
        "email": f"{login}@example.com",
        "encryptionRight": False,
        "firstName": None,
        "fullAdminRo": login == "admin-audit",
        "identityProviderId": None,
        "identityProviderType": None,
        "isEnableManageable": not admin,
        "isTokenValidator": admin,
        "lastName": None,
        "login": f"{login}@{SERVICE}",
        "name": login,
        "nsxRight": False,
        "phoneNumber": None,
        "receiveAlerts": admin,
        "state": "delivered",
        "type": "user",
        "userId": user_id,
    }


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


def _live(fleet: Fleet, vm: VmSpec, now: float) -> dict[str, Any]:
    """Return the performance fields; all null when there is no newest sample."""
    stamps = np.array([[newest_sample(vm.key, now)]], dtype=np.int64)

    def newest(metric: str) -> float | None:
        value = float(vm_values(fleet, metric, [vm], stamps)[0, 0])
        return None if np.isnan(value) else value

    cpu, memory = newest("vscope.vm.cpu.usage.perc"), newest("vscope.vm.mem.usage.perc")
    ready = newest("vscope.vm.cpu.ready")
    tps = newest("vscope.vm.mem.tps")
    return {
        "cpuUsed": None if cpu is None else round(cpu / 100 * vm.cpu_max),
        "cpuReady": ready,
        "cpuReadyPercent": None
        if ready is None
        else round(100 * ready / _READY_INTERVAL_MS / vm.vcpus, 3),
        "memoryUsed": None if memory is None else round(memory / 100 * vm.ram_mb),
        "memoryTps": None if tps is None else str(tps),
        **{name: newest(metric) for name, metric in _PLAIN.items()},
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


def vm_object(fleet: Fleet, vm: VmSpec, now: float) -> dict[str, Any]:
    """Return ``dedicatedCloud.Vm`` at ``now``."""
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
        **_live(fleet, vm, now),
    }


def robot_object(name: str) -> dict[str, Any]:
    """Return ``dedicatedCloud.Robot``."""
    return {
        "criticity": "info",
        "description": "Watches the hosts' hardware",
        "enabled": True,
        "name": name,
        "type": "monitoring",
    }


def repository_object(now: float) -> dict[str, Any]:
    """Return ``dedicatedCloud.BackupRepository``."""
    return {
        "lastSuccessfulReplicationDate": iso(now // 86400 * 86400 - 3600),
        "replication": "disabled",
        "replicationZone": None,
        "repositoryId": 601,
        "repositoryName": "BackupRepository-1",
        "syncStatus": "ok",
    }


def vrops_object() -> dict[str, Any]:
    """Return ``dedicatedCloud.Vrops`` of a service without the option."""
    return {
        "state": "disabled",
        "upgrades": None,
        "url": None,
        "vROpsPublicIP": None,
        "version": None,
    }
