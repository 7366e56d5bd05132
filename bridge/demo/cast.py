"""Who the simulated virtual machines are: the stories first, then ordinary ones."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

Part = Literal[
    "ordinary",
    "dying",
    "gappy",
    "starved",
    "moving",
    "failed backup",
    "silent",
    "off",
    "suspended",
    "deleted",
    "managed",
]

#: Name and story of the first machines, so that a small fleet has them as well.
LEADING_CAST: tuple[tuple[str, Part], ...] = (
    ("web-01", "ordinary"),
    ("erp-db-02", "dying"),
    ("batch-03", "starved"),
    ("app-01", "moving"),
    ("fax-gateway", "gappy"),
    ("files-01", "failed backup"),
    ("firewall-appliance", "silent"),
    ("old-intranet", "deleted"),
    ("private-gateway-1.pcc-37-187-228-180.pcc.ovh.com", "managed"),
    ("backupProxy1", "managed"),
    ("template-windows-2022", "off"),
    ("build-lab-07", "suspended"),
)

FOLDERS: Mapping[str, str] = MappingProxyType(
    {
        "ordinary": "Production",
        "starved": "Batch",
        "gappy": "Legacy",
        "dying": "ERP",
        "off": "Templates",
        "suspended": "Lab",
        "managed": "OVH",
    }
)

GUESTS = (
    "debian11_64Guest",
    "ubuntu64Guest",
    "windows2019srv_64Guest",
    "centos8_64Guest",
    "windows2022srvNext_64Guest",
)

_ORDINARY = ("web", "app", "db", "cache", "mail", "ldap", "queue", "search", "ci", "vpn")


def ordinary_name(number: int) -> str:
    """Return the name of machine ``number``; no two machines share one."""
    return f"{_ORDINARY[number % len(_ORDINARY)]}-{10 + number // len(_ORDINARY):02d}"
