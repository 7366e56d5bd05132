"""What surrounds the machines, as APIv6 objects (reference: ovh 1.2)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from bridge.demo.fleet import SERVICE
from bridge.demo.noise import key_of

if TYPE_CHECKING:
    from bridge.demo.fleet import Fleet, Place

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
