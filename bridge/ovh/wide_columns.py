"""The columns of the live tables of clusters, datacenters, services and tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bridge.ovh.fields import flag, freshness, moment, number, place, text
from bridge.ovh.figures import added, epoch_ms, percent, ratio

if TYPE_CHECKING:
    from bridge.ovh.fields import Field, Row, ValueT
    from bridge.ovh.objects import Cluster, Datacenter, Service, Task


def _compute() -> tuple[Field[ValueT], ...]:
    """Make the columns that add up hosts and virtual machines."""
    return (
        number("hosts", "none", "Hosts", lambda r: r.totals.hosts),
        number(
            "hosts_in_maintenance",
            "none",
            "Hosts in maintenance mode",
            lambda r: r.totals.hosts_in_maintenance,
        ),
        number(
            "hosts_disconnected",
            "none",
            "Hosts not connected",
            lambda r: r.totals.hosts_disconnected,
        ),
        number("vms", "none", "Virtual machines", lambda r: r.totals.vms),
        number(
            "vms_powered_on",
            "none",
            "Virtual machines powered on",
            lambda r: r.totals.vms_powered_on,
        ),
        number(
            "cpu_usage_percent",
            "percent",
            "Processor usage of all hosts",
            lambda r: percent(r.totals.cpu_used, r.totals.cpu_max),
        ),
        number("cpu_used_mhz", "rotmhz", "Processor in use", lambda r: r.totals.cpu_used),
        number("cpu_max_mhz", "rotmhz", "Processor maximum", lambda r: r.totals.cpu_max),
        number("cores", "none", "Physical cores", lambda r: r.totals.cores),
        number("vcpus", "none", "Virtual processors", lambda r: r.totals.vcpus),
        number(
            "vcpus_per_core",
            "none",
            "Virtual processors promised for each core",
            lambda r: ratio(r.totals.vcpus, r.totals.cores),
        ),
        number(
            "mem_usage_percent",
            "percent",
            "Memory usage of all hosts",
            lambda r: percent(r.totals.mem_used, r.totals.mem_max),
        ),
        number("mem_used_mb", "mbytes", "Memory in use", lambda r: r.totals.mem_used),
        number("mem_max_mb", "mbytes", "Memory", lambda r: r.totals.mem_max),
    )


def _space() -> tuple[Field[ValueT], ...]:
    """Make the columns that add up datastores."""
    return (
        number("datastores", "none", "Datastores", lambda r: r.totals.datastores),
        number(
            "capacity_gb",
            "gbytes",
            "Used and free space together",
            lambda r: added(r.totals.space_used, r.totals.space_free),
        ),
        number("used_gb", "gbytes", "Space used", lambda r: r.totals.space_used),
        number("free_gb", "gbytes", "Space free", lambda r: r.totals.space_free),
        number(
            "provisioned_gb",
            "gbytes",
            "Space promised to virtual machines",
            lambda r: r.totals.space_provisioned,
        ),
        number(
            "used_percent",
            "percent",
            "Space used, of used and free",
            lambda r: percent(r.totals.space_used, added(r.totals.space_used, r.totals.space_free)),
        ),
        number(
            "overcommit_percent",
            "percent",
            "Space promised, of the capacity; above 100 more is promised than there is",
            lambda r: percent(r.totals.space_provisioned, r.totals.space_provisioned_of),
        ),
    )


CLUSTER: tuple[Field[Cluster], ...] = (
    text("name", "Name of the cluster", lambda r: r.value.name or f"cluster{r.value.cluster_id}"),
    text("cluster", "The label 'cluster' (the name)", lambda r: r.value.name),
    number("id", None, "OVHcloud's clusterId", lambda r: r.value.cluster_id),
    *place(),
    text("drs_mode", "Load balancing between hosts: how", lambda r: r.value.drs_mode),
    text("drs_status", "Load balancing between hosts: on or off", lambda r: r.value.drs_status),
    text("ha_status", "High availability", lambda r: r.value.ha_status),
    text("evc_mode", "Processor compatibility mode", lambda r: r.value.evc_mode),
    *_compute(),
    *freshness(),
)

DATACENTER: tuple[Field[Datacenter], ...] = (
    text(
        "name",
        "Name of the datacenter",
        lambda r: r.value.name or f"datacenter{r.value.datacenter_id}",
    ),
    number("id", None, "OVHcloud's datacenterId", lambda r: r.value.datacenter_id),
    *place(),
    text("description", "Description", lambda r: r.value.description),
    text("commercial_name", "Commercial name", lambda r: r.value.commercial_name),
    text("commercial_range", "Commercial range", lambda r: r.value.commercial_range_name),
    text("version", "VMware version", lambda r: r.value.version),
    number(
        "clusters",
        "none",
        "Clusters",
        lambda r: sum(not c.hidden for c in r.datacenter.clusters.values()) if r.datacenter else 0,
    ),
    *_compute(),
    *_space(),
    *freshness(),
)


def _clusters(row: Row[Service]) -> int:
    return sum(
        not cluster.hidden
        for datacenter in row.service.datacenters.values()
        for cluster in datacenter.clusters.values()
    )


SERVICE: tuple[Field[Service], ...] = (
    text("name", "Name of the service", lambda r: r.service.name),
    text("service", "Service name, the label 'service'", lambda r: r.service.name),
    text("description", "Description given in the control panel", lambda r: r.value.description),
    text("account", "Credential of the bridge it is read with", lambda r: r.service.account),
    text("poll_state", "warming, ok, partial, expired, failed", lambda r: r.service.state),
    text("problem", "What is wrong with the last poll", lambda r: r.service.problem),
    text("state", "OVHcloud's state of the service", lambda r: r.value.state),
    text("location", "Where it stands", lambda r: r.value.location),
    text("commercial_range", "Commercial range", lambda r: r.value.commercial_range),
    text("generation", "Generation", lambda r: r.value.generation),
    text("web_interface", "Address of its web interface", lambda r: r.value.web_interface_url),
    number("datacenters", "none", "Datacenters", lambda r: len(r.service.datacenters)),
    number("clusters", "none", "Clusters", _clusters),
    *_compute(),
    *_space(),
    number(
        "poll_age", "s", "Time since its last complete poll", lambda r: r.age(r.service.polled_at)
    ),
    *freshness(),
)


def _host_name(row: Row[Task]) -> str | None:
    if row.datacenter is None or row.value.host_id is None:
        return None
    seen = row.datacenter.hosts.get(row.value.host_id)
    return None if seen is None else seen.value.name


def _datastore_name(row: Row[Task]) -> str | None:
    if row.value.filer_id is None:
        return None
    own = row.datacenter.datastores if row.datacenter else {}
    seen = own.get(row.value.filer_id) or row.service.datastores.get(row.value.filer_id)
    return None if seen is None else seen.value.name


def _duration(row: Row[Task]) -> float | None:
    started, ended = epoch_ms(row.value.execution_date), epoch_ms(row.value.end_date)
    if started is None:
        return None
    end = row.now if ended is None else ended / 1000
    # A task that starts in the future has not lasted yet.
    return max(0.0, round(end - started / 1000, 3))


TASK: tuple[Field[Task], ...] = (
    text("name", "Name of the task", lambda r: r.value.name),
    number("id", None, "OVHcloud's taskId", lambda r: r.value.task_id),
    *place(),
    text("host", "Host it is about", _host_name),
    text("datastore", "Datastore it is about", _datastore_name),
    text("type", "Type of the task", lambda r: r.value.type),
    text("state", "todo, doing, done, error, canceled, ...", lambda r: r.value.state),
    flag("ended", "Whether it has ended", lambda r: r.value.end_date is not None),
    number("progress", "percent", "Progress", lambda r: r.value.progress),
    text("description", "What it is doing", lambda r: r.value.description),
    text("created_by", "Who started it", lambda r: r.value.created_by),
    moment("executed_at", "Start", lambda r: r.value.execution_date),
    moment("ended_at", "End", lambda r: r.value.end_date),
    moment("modified_at", "Last change", lambda r: r.value.last_modification_date),
    moment("maintenance_from", "Earliest start", lambda r: r.value.maintenance_date_from),
    moment("maintenance_to", "Latest start", lambda r: r.value.maintenance_date_to),
    number("duration", "s", "Time from start to end, or until now", _duration),
    number(
        "idle",
        "s",
        "Time since its last change",
        lambda r: r.age(r.value.last_modification_date),
    ),
    *freshness(),
)
