"""Datastores: how full, how much is promised, how fast they grow, when they are full."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dashboards.source import looks
from dashboards.source.boards import (
    DATASTORE,
    SERVICE,
    Board,
    Row,
    asked,
    choice,
    events,
    services,
)
from dashboards.source.panels import Value, lines, number
from dashboards.source.queries import Live, OpenTsdb
from dashboards.source.tables import Cell, hidden, live

if TYPE_CHECKING:
    from grafana_foundation_sdk.builders.dashboard import Panel

_ASKED = asked(DATASTORE)


def _now(title: str, column: str, value: Value) -> Panel:
    return number(title, Live(kind="filer", columns=(column,), where=DATASTORE), value)


def _own(
    metric: str, alias: str = "$tag_datastore", *, function: str = "last", interval: str = ""
) -> OpenTsdb:
    return OpenTsdb(
        metric=f"vscope.filer.datastore.{metric}",
        where=_ASKED,
        alias=alias,
        function=function,
        interval=interval,
    )


BOARD = Board(
    uid="vscope-datastore",
    title="vScope: datastore",
    description="How full a datastore is, how much of it is promised, and when it will be full.",
    since="now-30d",
    rows=[
        Row(
            "",
            [
                _now("Used", "used_percent", Value(steps=looks.FILL, decimals=1)),
                _now("Free", "free_gb", Value(steps=looks.PLAIN, decimals=1)),
                _now("Capacity", "capacity_gb", Value(steps=looks.PLAIN, decimals=1)),
                _now("Promised", "overcommit_percent", Value(steps=looks.OVERCOMMIT, decimals=0)),
                number(
                    "Days until full",
                    _own("full.days"),
                    Value(steps=looks.DAYS_LEFT, decimals=0),
                    description="By the trend of the recorded weeks; 3650 is not in sight.",
                ),
                _now("Virtual machines", "vms", Value(steps=looks.PLAIN)),
                _now("Connection", "connection_state", Value(states=looks.CONNECTION)),
                _now("Profile", "profile", Value(steps=looks.PLAIN)),
                lines(
                    "Fill",
                    _own("diskspace.used.perc", function="avg"),
                    steps=looks.FILL,
                    top=100,
                ),
                lines(
                    "Space",
                    _own("diskspace.used", "Used"),
                    _own("diskspace.provisioned", "Promised"),
                    _own("diskspace.capacity", "Capacity"),
                    calcs=("lastNotNull",),
                ),
                lines(
                    "Growth by day",
                    _own("diskspace.used", function="diff", interval="1d"),
                    bars=True,
                    description="Space used at the end of each day (UTC) less that at its start.",
                ),
                lines(
                    "Forecast: days until full",
                    _own("full.days"),
                    unit="none",
                    description="As it stood at each time; falling faster than the days pass, "
                    "growth gathers pace.",
                ),
                lines(
                    "Overcommit",
                    _own("diskspace.overcommit.perc", function="avg"),
                    steps=looks.OVERCOMMIT,
                ),
                lines("Virtual machines over time", _own("vms")),
            ],
        ),
        Row(
            "Tables",
            [
                live(
                    "All datastores of the service",
                    "filer",
                    Cell(name="name", title="Datastore", link=looks.DATASTORE_PAGE),
                    Cell(name="used_percent", title="Used", steps=looks.FILL, bar=True),
                    Cell(name="free_gb", title="Free", width=90),
                    Cell(
                        name="overcommit_percent",
                        title="Promised",
                        steps=looks.OVERCOMMIT,
                        width=90,
                    ),
                    Cell(name="vms", title="VMs", width=60),
                    *hidden("service", "datastore"),
                    where=[SERVICE],
                    by="used_percent",
                    size=(12, 9),
                ),
                live(
                    "Virtual machines on it",
                    "vm",
                    Cell(name="name", title="Virtual machine", link=looks.VM_PAGE),
                    Cell(name="disk_committed_gb", title="Taken", width=100),
                    Cell(name="snapshots", title="Snapshots", steps=looks.SNAPSHOTS, width=100),
                    Cell(name="datastores", title="Datastores"),
                    *hidden("service", "datacenter", "vm"),
                    where=[{**SERVICE, "datastores": "*${datastore}*"}],
                    by="disk_committed_gb",
                    size=(12, 9),
                    description="Taken is what a machine has on all its datastores together.",
                ),
            ],
        ),
    ],
    variables=[
        services(),
        choice("datastore", "Datastore", "filer", value="datastore", where=SERVICE),
    ],
    annotations=events(SERVICE),
)
