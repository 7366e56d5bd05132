"""The columns of the live tables of virtual machines, hosts and datastores.

Field meanings and units: reference ovh 1.2 to 1.4. Formulas: reference ovh 1.4 and 2.2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bridge.ovh.fields import flag, freshness, moment, number, place, text
from bridge.ovh.figures import added, megabytes, percent, ratio
from bridge.ovh.objects import Backup

if TYPE_CHECKING:
    from bridge.ovh.fields import Field, Row
    from bridge.ovh.objects import Datastore, Host, Vm


_NO_BACKUP = Backup()


def _backup(row: Row[Vm]) -> Backup:
    return row.value.backup or _NO_BACKUP


def _committed_gb(row: Row[Vm]) -> float | None:
    if row.value.filers is None:
        return None
    return sum(filer.committed for filer in row.value.filers) / 1024


def _datastore_names(row: Row[Vm]) -> str:
    return ", ".join(sorted({filer.name for filer in row.value.filers or ()}))


VM: tuple[Field[Vm], ...] = (
    text("name", "Name of the virtual machine", lambda r: r.value.name or r.value.mo_ref),
    text("vm", "moRef, the label 'vm'", lambda r: r.value.mo_ref),
    number("id", None, "OVHcloud's vmId", lambda r: r.value.vm_id),
    *place(),
    text("cluster", "Cluster", lambda r: r.value.cluster_name),
    text("host_name", "Host it runs on", lambda r: r.value.host_name),
    text("folder", "Folder", lambda r: r.value.folder_name),
    text("guest_os", "Guest system VMware is configured for", lambda r: r.value.guest_os_family),
    text("power_state", "poweredOn, poweredOff, suspended, deleted", lambda r: r.value.power_state),
    number(
        "cpu_usage_percent",
        "percent",
        "Processor usage, of its maximum",
        lambda r: percent(r.value.cpu_used, r.value.cpu_max),
    ),
    number("cpu_used_mhz", "rotmhz", "Processor in use", lambda r: r.value.cpu_used),
    number("cpu_max_mhz", "rotmhz", "Processor maximum", lambda r: r.value.cpu_max),
    number("vcpus", "none", "Virtual processors", lambda r: r.value.cpu_num),
    number("cpu_ready_ms", "ms", "Ready but not scheduled", lambda r: r.value.cpu_ready),
    number(
        "cpu_ready_percent",
        "percent",
        "Ready but not scheduled, share of time",
        lambda r: r.value.cpu_ready_percent,
    ),
    number(
        "mem_usage_percent",
        "percent",
        "Memory usage, of its size",
        lambda r: percent(r.value.memory_used, r.value.memory_max),
    ),
    number("mem_used_mb", "mbytes", "Memory in use", lambda r: r.value.memory_used),
    number("mem_max_mb", "mbytes", "Memory size", lambda r: r.value.memory_max),
    number("net_rx", "KBs", "Network, received", lambda r: r.value.net_rx),
    number("net_tx", "KBs", "Network, sent", lambda r: r.value.net_tx),
    number("net_packets_rx", "pps", "Packets received", lambda r: r.value.net_packet_rx),
    number("net_packets_tx", "pps", "Packets sent", lambda r: r.value.net_packet_tx),
    number("disk_read_iops", "iops", "Disk reads", lambda r: r.value.read_per_second),
    number("disk_write_iops", "iops", "Disk writes", lambda r: r.value.write_per_second),
    number("disk_read_rate", "KBs", "Disk read bandwidth", lambda r: r.value.read_rate),
    number("disk_write_rate", "KBs", "Disk write bandwidth", lambda r: r.value.write_rate),
    number("disk_read_latency_ms", "ms", "Disk read latency", lambda r: r.value.read_latency),
    number("disk_write_latency_ms", "ms", "Disk write latency", lambda r: r.value.write_latency),
    text("datastores", "Datastores in use, separated by commas", _datastore_names),
    number("disk_committed_gb", "gbytes", "Space taken on all datastores", _committed_gb),
    number("snapshots", "none", "Snapshots", lambda r: r.value.snapshot_num),
    text("tools", "VMware Tools, running or not", lambda r: r.value.vmware_tools),
    text("tools_version", "VMware Tools, current or not", lambda r: r.value.vmware_tools_version),
    text("backup_state", "State of its backup job", lambda r: _backup(r).state),
    text("backup_offer", "Backup offer", lambda r: _backup(r).offer_type),
    text("backup_result", "Last result", lambda r: _backup(r).last_result),
    moment(
        "backup_last",
        "Last backup, whatever its result",
        lambda r: _backup(r).last_creation_time,
    ),
    moment(
        "backup_last_success",
        "Last successful backup",
        lambda r: _backup(r).last_successful_creation_time,
    ),
    number(
        "backup_age",
        "s",
        "Time since the last successful backup",
        lambda r: r.age(_backup(r).last_successful_creation_time),
    ),
    *freshness(),
)

HOST: tuple[Field[Host], ...] = (
    text("name", "Name of the host", lambda r: r.value.name or f"host{r.value.host_id}"),
    text("host", "Stored label 'host' (the name, an IP address)", lambda r: r.value.name),
    number("id", None, "OVHcloud's hostId", lambda r: r.value.host_id),
    *place(),
    text("cluster", "Cluster", lambda r: r.value.cluster_name),
    text("profile", "Profile in the commercial range", lambda r: r.value.profile),
    text("rack", "Rack", lambda r: r.value.rack),
    text("billing_type", "monthly, hourly, freeSpare", lambda r: r.value.billing_type),
    text("state", "OVHcloud's state of the host", lambda r: r.value.state),
    text(
        "connection_state",
        "connected, disconnected, notResponding",
        lambda r: r.value.connection_state,
    ),
    flag("in_maintenance", "In maintenance mode", lambda r: r.value.in_maintenance),
    number(
        "cpu_usage_percent",
        "percent",
        "Processor usage, of its maximum",
        lambda r: percent(r.value.cpu_used, r.value.cpu_max),
    ),
    number("cpu_used_mhz", "rotmhz", "Processor in use", lambda r: r.value.cpu_used),
    number("cpu_max_mhz", "rotmhz", "Processor maximum", lambda r: r.value.cpu_max),
    number("cores", "none", "Physical cores", lambda r: r.value.cpu_num),
    number("vcpus", "none", "Virtual processors of its machines", lambda r: r.value.vm_vcpu_total),
    number(
        "vcpus_per_core",
        "none",
        "Virtual processors promised for each core",
        lambda r: ratio(r.value.vm_vcpu_total, r.value.cpu_num),
    ),
    number(
        "mem_usage_percent",
        "percent",
        "Memory usage, of all it has",
        lambda r: percent(r.value.memory_used, megabytes(r.value.ram)),
    ),
    number("mem_used_mb", "mbytes", "Memory in use", lambda r: r.value.memory_used),
    number("mem_max_mb", "mbytes", "Memory", lambda r: megabytes(r.value.ram)),
    number("vms", "none", "Virtual machines on it", lambda r: r.value.vm_total),
    number("uptime", "s", "Time since it started", lambda r: r.value.uptime),
    *freshness(),
)


def _capacity_gb(row: Row[Datastore]) -> float | None:
    """Used and free space: what clients take for the total, not ``size``."""
    return added(row.value.space_used, row.value.space_free)


FILER: tuple[Field[Datastore], ...] = (
    text("name", "Name of the datastore", lambda r: r.value.name or f"pcc-00{r.value.filer_id}"),
    text("datastore", "Stored label 'datastore' (the name)", lambda r: r.value.name),
    number("id", None, "OVHcloud's filerId", lambda r: r.value.filer_id),
    *place(),
    flag("global", "Mounted on all datacenters of the service", lambda r: r.datacenter is None),
    text("profile", "Commercial profile", lambda r: r.value.profile),
    text("full_profile", "Profile, for people", lambda r: r.value.full_profile),
    text("billing_type", "monthly, hourly, freeSpare", lambda r: r.value.billing_type),
    text("state", "OVHcloud's state of the datastore", lambda r: r.value.state),
    text("connection_state", "online, offline", lambda r: r.value.connection_state),
    text("active_node", "master, slave", lambda r: r.value.active_node),
    number("capacity_gb", "gbytes", "Used and free space together", _capacity_gb),
    number("used_gb", "gbytes", "Space used", lambda r: r.value.space_used),
    number("free_gb", "gbytes", "Space free", lambda r: r.value.space_free),
    number(
        "provisioned_gb",
        "gbytes",
        "Space promised to virtual machines",
        lambda r: r.value.space_provisionned,
    ),
    number(
        "used_percent",
        "percent",
        "Space used, of used and free",
        lambda r: percent(r.value.space_used, _capacity_gb(r)),
    ),
    number(
        "free_percent",
        "percent",
        "Space free, of used and free",
        lambda r: percent(r.value.space_free, _capacity_gb(r)),
    ),
    number(
        "overcommit_percent",
        "percent",
        "Space promised, of the capacity; above 100 more is promised than there is",
        lambda r: percent(r.value.space_provisionned, _capacity_gb(r)),
    ),
    number("vms", "none", "Virtual machines on it", lambda r: r.value.vm_total),
    *freshness(),
)
