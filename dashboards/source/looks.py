"""How values look: thresholds, texts for states, and the addresses of pages.

Thresholds are where people act: CPU ready 3 and 5 % (reference ovh 6), the rest VMware's own
alarm definitions or what its administrators use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from grafana_foundation_sdk.models import dashboard as model

from dashboards.source.queries import METRICS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    #: From which value on a colour holds; the first holds from the smallest on.
    Steps = Sequence[tuple[float | None, str]]
    #: A value as text, and how it is shown: words and colour.
    States = Mapping[str, tuple[str, str]]

GREEN, YELLOW, RED, BLUE, GREY = "green", "yellow", "red", "blue", "gray"


def rising(warning: float, alarm: float) -> Steps:
    """Return thresholds of a value that is bad when it is high."""
    return ((None, GREEN), (warning, YELLOW), (alarm, RED))


def falling(alarm: float, warning: float) -> Steps:
    """Return thresholds of a value that is bad when it is low."""
    return ((None, RED), (alarm, YELLOW), (warning, GREEN))


PLAIN: Steps = ((None, BLUE),)
ANY_IS_BAD: Steps = ((None, GREEN), (1, RED))
ANY_IS_ODD: Steps = ((None, GREEN), (1, YELLOW))
CPU = rising(75, 90)
MEMORY = rising(80, 90)
READY = rising(3, 5)
LATENCY = rising(20, 50)
FILL = rising(75, 85)
OVERCOMMIT = rising(100, 150)
DAYS_LEFT = falling(30, 90)
VCPUS_PER_CORE = rising(4, 6)
SNAPSHOTS = rising(1, 3)
BACKUP_AGE = rising(26 * 3600, 50 * 3600)
SAMPLE_AGE = rising(600, 1800)
KEY_LEFT = falling(7 * 86_400, 30 * 86_400)

POWER: States = {
    "poweredOn": ("on", GREEN),
    "poweredOff": ("off", GREY),
    "suspended": ("suspended", YELLOW),
    "deleted": ("deleted", GREY),
}
CONNECTION: States = {
    "connected": ("connected", GREEN),
    "disconnected": ("disconnected", RED),
    "notResponding": ("not responding", RED),
    "online": ("online", GREEN),
    "offline": ("offline", RED),
}
MAINTENANCE: States = {"true": ("yes", YELLOW), "false": ("no", GREEN)}
POLL: States = {
    "ok": ("ok", GREEN),
    "partial": ("partly", YELLOW),
    "warming": ("first reading", BLUE),
    "expired": ("expired", GREY),
    "failed": ("failed", RED),
}
TASK: States = {
    "done": ("done", GREEN),
    "doing": ("running", BLUE),
    "todo": ("planned", BLUE),
    "error": ("error", RED),
    "canceled": ("cancelled", GREY),
}

#: Colours of the words in which the catalogue explains a state.
_COLOURS = {
    "on": GREEN,
    "online": GREEN,
    "connected": GREEN,
    "in service": GREEN,
    "running": GREEN,
    "success": GREEN,
    "suspended": YELLOW,
    "in maintenance": YELLOW,
    "warning": YELLOW,
    "not running": YELLOW,
    "off": GREY,
    "none or unknown": GREY,
    "offline": RED,
    "disconnected": RED,
    "notResponding": RED,
    "failed": RED,
}


def coded(metric: str) -> States:
    """Return the words of a metric that is a state written as a number."""
    return {str(value): (word, _COLOURS[word]) for value, word in METRICS[metric].states}


def thresholds(steps: Steps) -> model.ThresholdsConfig:
    """Return thresholds as the dashboard has them."""
    return model.ThresholdsConfig(
        mode=model.ThresholdsMode.ABSOLUTE,
        steps=[model.Threshold(value=value, color=colour) for value, colour in steps],
    )


def mappings(states: States) -> list[model.ValueMapping]:
    """Return texts and colours for values as the dashboard has them."""
    if not states:
        return []
    results = {
        value: model.ValueMappingResult(text=text, color=colour, index=index)
        for index, (value, (text, colour)) in enumerate(states.items())
    }
    return [model.ValueMap(results)]


def page(uid: str, **values: str) -> str:
    """Return the address of a dashboard with variables filled in and the time range kept.

    Args:
        uid: Of the dashboard.
        values: Variable to text; ``All`` or a field of the row, ``${__data.fields.vm}``.
    """
    filled = "".join(f"var-{name}={text}&" for name, text in values.items())
    return f"/d/{uid}?{filled}${{__url_time_range}}"


def _cell(name: str) -> str:
    return f"${{__data.fields.{name}}}"


#: Where rows of live tables lead to.
VM_PAGE = page(
    "vscope-vm",
    service=_cell("service"),
    datacenter=_cell("datacenter"),
    cluster="All",
    host="All",
    vm=_cell("vm"),
)
HOST_PAGE = page(
    "vscope-host",
    service=_cell("service"),
    datacenter=_cell("datacenter"),
    cluster="All",
    host=_cell("host"),
)
VMS_HOST_PAGE = HOST_PAGE.replace(_cell("host"), _cell("host_name"))
DATASTORE_PAGE = page("vscope-datastore", service=_cell("service"), datastore=_cell("datastore"))
CLUSTER_PAGE = page(
    "vscope-fleet",
    service=_cell("service"),
    datacenter=_cell("datacenter"),
    cluster=_cell("cluster"),
)
SERVICE_PAGE = page("vscope-fleet", service=_cell("service"), datacenter="All", cluster="All")
