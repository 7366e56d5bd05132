"""How the objects of each live table are shown, and which graph belongs to one."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

from bridge.engine.lexemes import exactly, format_filter

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bridge.ovh.fields import Cell


@dataclass(frozen=True, slots=True)
class Kind:
    """One live table.

    Attributes:
        title: Its name for people.
        main: Columns shown at first.
        filters: Columns with a field to filter by.
        metric: What the graph of an object shows; empty for objects without one.
        labels: Columns whose cells are that metric's labels of the same name.
        combining: The graph's other fields.
    """

    title: str
    main: tuple[str, ...]
    filters: tuple[str, ...]
    metric: str = ""
    labels: tuple[str, ...] = ()
    combining: Mapping[str, str] = field(default_factory=dict)


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "vm": Kind(
            "Virtual machines",
            (
                *("name", "power_state", "cluster", "host_name", "vcpus", "cpu_usage_percent"),
                *("cpu_ready_ms", "mem_usage_percent", "disk_committed_gb", "snapshots", "age"),
            ),
            ("service", "datacenter_name", "cluster", "host_name", "power_state"),
            "vscope.vm.cpu.usage.perc",
            ("datacenter", "vm"),
        ),
        "host": Kind(
            "Hosts",
            (
                *("name", "connection_state", "in_maintenance", "cluster", "cpu_usage_percent"),
                *("mem_usage_percent", "vcpus_per_core", "vms", "uptime", "age"),
            ),
            ("service", "datacenter_name", "cluster", "connection_state"),
            "vscope.host.cpu.usage.perc",
            ("datacenter", "host"),
        ),
        "filer": Kind(
            "Datastores",
            (
                *("name", "connection_state", "profile", "used_percent", "used_gb", "free_gb"),
                *("capacity_gb", "overcommit_percent", "vms", "age"),
            ),
            ("service", "datacenter_name", "profile", "connection_state"),
            "vscope.filer.datastore.diskspace.used.perc",
            ("datacenter", "datastore"),
        ),
        "datacenter": Kind(
            "Datacenters",
            (
                *("name", "service", "clusters", "hosts", "vms", "cpu_usage_percent"),
                *("mem_usage_percent", "used_percent", "overcommit_percent", "age"),
            ),
            ("service",),
            "vscope.host.cpu.usage.perc",
            ("datacenter",),
        ),
        "cluster": Kind(
            "Clusters",
            (
                *("name", "datacenter_name", "hosts", "vms", "cpu_usage_percent"),
                *("mem_usage_percent", "vcpus_per_core", "drs_mode", "ha_status", "age"),
            ),
            ("service", "datacenter_name"),
            "vscope.host.cpu.usage.perc",
            ("datacenter", "cluster"),
        ),
        "service": Kind(
            "Services",
            (
                *("name", "description", "poll_state", "location", "datacenters", "hosts"),
                *("vms", "cpu_usage_percent", "mem_usage_percent", "used_percent", "poll_age"),
            ),
            ("account", "poll_state", "location"),
            "vscope.host.cpu.usage.perc",
            ("service",),
            {"aggregator": "avg", "group_by": "cluster"},
        ),
        "task": Kind(
            "Tasks",
            (
                *("name", "state", "progress", "datacenter_name", "host", "datastore"),
                *("executed_at", "ended_at", "duration"),
            ),
            ("service", "state", "ended"),
        ),
    }
)

_WORDS: Mapping[str, str] = MappingProxyType(
    {
        "cpu": "CPU",
        "vm": "VM",
        "vms": "VMs",
        "id": "ID",
        "iops": "IOPS",
        "os": "OS",
        "drs": "DRS",
        "ha": "HA",
        "evc": "EVC",
        "vcpus": "vCPUs",
        "percent": "%",
        "net": "network",
        "mem": "memory",
        "rx": "received",
        "tx": "sent",
        # The cells carry these units.
        **dict.fromkeys(("gb", "mb", "ms", "mhz"), ""),
    }
)


def heading(column: str) -> str:
    """Return a column's name as people write it: ``cpu_usage_percent`` is CPU usage %."""
    text = " ".join(filter(None, (_WORDS.get(word, word) for word in column.split("_"))))
    return text[:1].upper() + text[1:] if text[:2] != "vC" else text


def graph_of(kind: str, cells: Mapping[str, Cell]) -> dict[str, str]:
    """Return the explorer's fields for one object; empty where no metric is about it."""
    shape = KINDS[kind]
    if not shape.metric:
        return {}
    labels = {key: cells.get(key) for key in shape.labels}
    return {
        "metric": shape.metric,
        **{
            key: format_filter(exactly(key, [str(cell)]))
            for key, cell in labels.items()
            if cell is not None
        },
        **shape.combining,
    }
