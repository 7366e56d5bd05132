"""A dashboard put together: rows of panels, variables, links to the others, annotations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.models import dashboard as model

from dashboards.source.datasources import INFINITY
from dashboards.source.queries import NOTHING, Live, QueryTarget

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dashboards.source.queries import Query

TAG = "vscope"
_ALL = "$__all"


@dataclass(frozen=True)
class Row:
    """Panels under a heading; the first heading of a dashboard is usually left out."""

    title: str
    panels: Sequence[build.Panel]


@dataclass(frozen=True, kw_only=True)
class Board:
    """One dashboard.

    Attributes:
        uid: Its identifier, which links and alert rules name.
        title: Its title.
        description: What it answers.
        rows: Its panels.
        variables: In the order of their dependence.
        annotations: Drawn over every graph.
        since: Start of its time range.
    """

    uid: str
    title: str
    description: str
    rows: Sequence[Row]
    variables: Sequence[build.QueryVariable] = ()
    annotations: Sequence[build.AnnotationQuery] = ()
    since: str = "now-24h"

    def build(self) -> model.Dashboard:
        """Return the dashboard as Grafana reads it; panels are numbered from 1."""
        made = (
            build.Dashboard(self.title)
            .uid(self.uid)
            .description(self.description)
            .tags([TAG])
            .editable()
            .tooltip(model.DashboardCursorSync.CROSSHAIR)
            .time(self.since, "now")
            .refresh("1m")
            .timezone("browser")
            .variables(list(self.variables))
            .annotations([_builtin(), *self.annotations])
            .links([_others()])
        )
        number = 0
        for row in self.rows:
            if row.title:
                number += 1
                made.with_row(build.Row(row.title).id(number))
            for panel in row.panels:
                number += 1
                made.with_panel(panel.id(number))
        return made.build()


def _builtin() -> build.AnnotationQuery:
    """Return Grafana's own annotations, which every dashboard has."""
    return (
        build.AnnotationQuery()
        .name("Annotations & Alerts")
        .datasource(model.DataSourceRef("grafana", "-- Grafana --"))
        .icon_color("rgba(0, 211, 255, 1)")
        .enable(enable=True)
        .hide(hide=True)
        .type("dashboard")
    )


def _others() -> build.DashboardLink:
    return (
        build.DashboardLink("vScope")
        .type(model.DashboardLinkType.DASHBOARDS)
        .tags([TAG])
        .as_dropdown(as_dropdown=True)
        .include_vars(include_vars=True)
        .keep_time(keep_time=True)
        .icon("external link")
    )


def annotation(name: str, query: Query, colour: str) -> build.AnnotationQuery:
    """Return events drawn over every graph of a dashboard."""
    return (
        build.AnnotationQuery()
        .name(name)
        .datasource(query.datasource)
        .icon_color(colour)
        .enable(enable=True)
        .target(QueryTarget(query.lettered("Anno")))
    )


def events(where: Mapping[str, str] = NOTHING) -> tuple[build.AnnotationQuery, ...]:
    """Return OVHcloud's tasks, and the windows in which it announced maintenance."""
    told = {"name": "title", "description": "text", "state": "tags"}
    tasks = Live(
        kind="task",
        columns=("executed_at", "ended_at", *told),
        renamed={"executed_at": "time", "ended_at": "timeEnd", **told},
        where=where,
        form="dataframe",
    )
    planned = Live(
        kind="task",
        columns=("maintenance_from", "maintenance_to", *told),
        renamed={"maintenance_from": "time", "maintenance_to": "timeEnd", **told},
        where={**where, "maintenance_from": "*"},
        form="dataframe",
    )
    return annotation("Tasks", tasks, "blue"), annotation("Maintenance", planned, "orange")


def variable(
    name: str,
    label: str,
    query: dict[str, object],
    datasource: model.DataSourceRef,
    *,
    several: bool,
) -> build.QueryVariable:
    """Return a variable whose values are asked when the dashboard loads.

    Args:
        name: As queries write it.
        label: As people read it.
        query: As its datasource saves it.
        datasource: Whom to ask.
        several: Whether several or all values can be chosen; all are, at first.
    """
    made = (
        build.QueryVariable(name)
        .label(label)
        .datasource(datasource)
        .query(query)
        .refresh(model.VariableRefresh.ON_DASHBOARD_LOAD)
        .sort(model.VariableSort.DISABLED)
        .multi(multi=several)
        .include_all(include_all=several)
    )
    if several:
        made.current(model.VariableOption(selected=True, text=["All"], value=[_ALL]))
    return made


def choice(
    name: str,
    label: str,
    kind: str,
    *,
    value: str,
    text: str = "name",
    where: Mapping[str, str] = NOTHING,
    several: bool = False,
) -> build.QueryVariable:
    """Return a variable over the rows of a live table: names are shown, identifiers sent."""
    columns = (text, value) if text != value else (value,)
    renamed = {text: "__text", value: "__value"} if text != value else {}
    rows = Live(
        kind=kind, columns=columns, renamed=renamed, where=where, ref_id="variable"
    ).to_json()
    query: dict[str, object] = {
        "refId": "variable",
        "queryType": "infinity",
        "query": "",
        "infinityQuery": rows,
    }
    return variable(name, label, query, INFINITY, several=several)


#: Filters of live tables by the variables above them; several values come as a group.
SERVICE: Mapping[str, str] = {"service": "${service:regex}"}
PLACE: Mapping[str, str] = {**SERVICE, "datacenter": "${datacenter:regex}"}
CLUSTER: Mapping[str, str] = {**PLACE, "cluster": "${cluster:regex}"}
HOST: Mapping[str, str] = {**PLACE, "host": "${host:regex}"}
VM: Mapping[str, str] = {**PLACE, "vm": "${vm:regex}"}
DATASTORE: Mapping[str, str] = {**SERVICE, "datastore": "${datastore:regex}"}


def asked(where: Mapping[str, str]) -> dict[str, str]:
    """Return the same filters as OpenTSDB queries write them."""
    return {label: text.replace("${", "$").replace(":regex}", "") for label, text in where.items()}


def services() -> build.QueryVariable:
    """Return the services."""
    return choice("service", "Service", "service", value="service", several=True)


def places() -> list[build.QueryVariable]:
    """Return services, their datacenters, and the clusters of those."""
    datacenters = choice(
        "datacenter", "Datacenter", "datacenter", value="datacenter", where=SERVICE, several=True
    )
    clusters = choice("cluster", "Cluster", "cluster", value="cluster", where=PLACE, several=True)
    return [services(), datacenters, clusters]
