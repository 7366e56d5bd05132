"""The bridge itself: whether it reads, how fresh its figures are, what will expire."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dashboards.source import looks
from dashboards.source.boards import SERVICE, Board, Row, asked, services
from dashboards.source.panels import Value, lines, number, words
from dashboards.source.queries import Live, OpenTsdb
from dashboards.source.tables import Cell, live

if TYPE_CHECKING:
    from grafana_foundation_sdk.builders.dashboard import Panel

_LACKING = """\
What the bridge counts about itself (requests and their times, calls to OVHcloud and their
failures, the cache) is not in any of Grafana's datasources for the bridge: it is offered as text
for Prometheus, on `GET /metrics`, and has to be collected by one.
Here stands what can be asked through the datasources: who is read, how long ago, and what expires.
"""


def _oldest(kind: str, word: str) -> OpenTsdb:
    return OpenTsdb(
        metric=f"vscope.{kind}.sample.age",
        where=asked(SERVICE),
        by=("service",),
        aggregator="max",
        function="max",
        alias=f"{word}, $tag_service",
    )


def _age(title: str, kind: str) -> Panel:
    query = Live(kind=kind, columns=("age",), where=SERVICE)
    return number(title, query, Value(steps=looks.SAMPLE_AGE, decimals=0), calc="max", size=(4, 4))


BOARD = Board(
    uid="vscope-bridge",
    title="vScope: the bridge itself",
    description="Whether the bridge reads OVHcloud, how fresh its figures are, what will expire.",
    rows=[
        Row(
            "",
            [
                number(
                    "Complete reading",
                    Live(kind="service", columns=("poll_age",), where=SERVICE),
                    Value(steps=looks.SAMPLE_AGE, decimals=0),
                    calc="max",
                    size=(4, 4),
                    description="Time since OVHcloud was last read completely, the oldest.",
                ),
                _age("Oldest row: machines", "vm"),
                _age("Oldest row: hosts", "host"),
                _age("Oldest row: datastores", "filer"),
                _age("Oldest row: tasks", "task"),
                number(
                    "Credential expires in",
                    OpenTsdb(
                        metric="vscope.credential.expires", function="last", alias="$tag_account"
                    ),
                    Value(steps=looks.KEY_LEFT, decimals=0, none="never"),
                    calc="min",
                    size=(4, 4),
                ),
                live(
                    "Services",
                    "service",
                    Cell(name="name", title="Service"),
                    Cell(name="account", title="Account"),
                    Cell(name="poll_state", title="Reading", states=looks.POLL, width=110),
                    Cell(name="problem", title="Problem"),
                    Cell(name="state", title="OVHcloud says"),
                    Cell(name="poll_age", title="Read", steps=looks.SAMPLE_AGE, width=100),
                    Cell(name="vms", title="VMs", width=70),
                    Cell(name="hosts", title="Hosts", width=70),
                    Cell(name="datastores", title="Datastores", width=90),
                    where=[SERVICE],
                    size=(24, 6),
                ),
                lines(
                    "Oldest figures",
                    _oldest("vm", "Machines"),
                    _oldest("host", "Hosts"),
                    _oldest("filer.datastore", "Datastores"),
                    steps=looks.SAMPLE_AGE,
                    description="Age of the oldest figures at each time: rises while OVHcloud "
                    "gives none.",
                ),
                lines(
                    "Time until the credential expires",
                    OpenTsdb(
                        metric="vscope.credential.expires", function="last", alias="$tag_account"
                    ),
                    steps=looks.KEY_LEFT,
                ),
                words("What is not shown", _LACKING, size=(24, 4)),
            ],
        ),
    ],
    variables=[services()],
)
