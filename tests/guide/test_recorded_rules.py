"""The alert rules on recorded metrics, over a recording with something wrong for each.

The recording is a real store, filled by the recorder from polls of an hour; the rules are
evaluated over the OpenTSDB door as Grafana's server does.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
import pytest
from starlette.applications import Starlette

from bridge.catalog import DISKSPACE_USED, catalogue
from bridge.doors import opentsdb
from bridge.doors.doorway import Doorway, Limits
from bridge.doors.http import EXCEPTION_HANDLERS
from bridge.engine.engine import Engine
from bridge.model import PointBatch, SeriesKey
from bridge.ovh.labels import LabelCache
from bridge.ovh.objects import Backup, Poll
from bridge.ovh.recorder import Recorder
from bridge.sources.history import History
from bridge.sources.recorded import recorded
from tests.guide.evaluation import evaluate
from tests.guide.test_alert_rules import FILE_OF, Rule
from tests.ovh.snapshots import (
    ONE,
    TWO,
    datacenter,
    datastore,
    gigabytes,
    host,
    seen,
    service,
    snapshot,
    vm,
)
from tests.servers import serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bridge.ovh.objects import Datastore, ServiceInventory, Vm

#: The moment of the evaluation, and the polls before it.
NOW = 1_795_420_800.0
POLLS = [NOW - 60 - 120 * n for n in reversed(range(40))]
DAY_S = 86_400.0
RULES = {rule.uid: rule for rule in FILE_OF["vscope-recording"].groups[0].rules}
#: What fires for each rule: a label, and its values.
FIRING = {
    "vscope-rec-vm-silent": ("vm_name", {"silent"}),
    "vscope-rec-host-disconnected": ("host", {"lost", "mute"}),
    "vscope-rec-datastore-full-soon": ("datastore", {"filling"}),
    "vscope-rec-backup-failed": ("vm_name", {"failed"}),
    "vscope-rec-backup-old": ("vm_name", {"failed", "weekend"}),
    "vscope-rec-credential-expires": ("account", {"default"}),
    "vscope-rec-datacenter-unread": ("datacenter", {f"{TWO}_datacenter20"}),
}


@dataclass
class Expiry:
    """An account whose key ends in some days."""

    expires_ms: int | None

    async def refresh(self) -> None:
        """Nothing is asked."""


def machines(at: float) -> list[Vm]:
    values = {"cpu_used": 100, "cpu_max": 1000.0}

    def backup(result: str, days: float) -> Backup:
        return Backup(last_result=result, last_successful_creation_time=NOW - days * DAY_S)  # type: ignore[arg-type]

    return [
        vm(1, "well", **values, backup=backup("success", 0.5)),
        # It gave values until half an hour ago.
        vm(2, "silent", **(values if at < NOW - 1800 else {})),
        vm(3, "off", power_state="poweredOff"),
        vm(4, "suspended", power_state="suspended"),
        vm(5, "pausing", **(values if at < NOW - 700 or at > NOW - 300 else {})),
        vm(6, "failed", **values, backup=backup("failed", 6)),
        vm(7, "weekend", **values, backup=backup("success", 4.5)),
        vm(8, "warned", **values, backup=backup("warning", 1)),
    ]


def stores() -> list[Datastore]:
    space = {"space_used": 900.0, "space_free": 100.0, "connection_state": "online"}
    return [datastore(1, "filling", **space), datastore(2, "steady", **space)]


def main_service(at: float) -> ServiceInventory:
    measured = {"cpu_used": 10, "cpu_max": 100, "ram": gigabytes(1), "memory_used": 100.0}
    hosts = [
        host(1, "fine", connection_state="connected", **measured),
        host(2, "lost", connection_state="disconnected"),
        host(3, "mute", connection_state="notResponding"),
    ]
    place = datacenter(
        ONE, 10,
        hosts=[seen(one, read_at=at) for one in hosts],
        vms=[seen(one, read_at=at) for one in machines(at)],
        datastores=[seen(one, read_at=at) for one in stores()],
    )  # fmt: skip
    return service(ONE, place)


def other_service(at: float) -> ServiceInventory:
    """It could be read until forty minutes ago."""
    reached = at < NOW - 2400
    read_at = at if reached else NOW - 2500
    measured = {"cpu_used": 10, "cpu_max": 100, "connection_state": "connected"}
    place = datacenter(TWO, 20, hosts=[seen(host(9, "far", **measured), read_at=read_at)])
    known = service(TWO, place, account="other")
    return known if reached else replace(known, state="failed", problem="out of reach")


def weeks(name: str, gb_a_day: float) -> PointBatch:
    """Hourly used space of three weeks, up to 900 GB now."""
    tags = (("datacenter", f"{ONE}_datacenter10"), ("datastore", name), ("servicename", ONE))
    hours = np.arange(1, 22 * 24)
    used = (900.0 - gb_a_day * hours / 24) * 1024.0**2
    stamps = round(NOW) * 1000 - hours * 3_600_000
    zeros = np.zeros(len(hours), dtype=np.int32)
    return PointBatch((SeriesKey(DISKSPACE_USED, tags),), zeros, stamps, used)


async def fill(folder: Path) -> None:
    expiries: Any = {
        "default": Expiry(round((NOW + 5 * DAY_S) * 1000)),
        "other": Expiry(round((NOW + 100 * DAY_S) * 1000)),
    }
    async with History(folder) as history:
        await history.write(weeks("filling", 10.0))
        await history.write(weeks("steady", 0.01))
        recorder = Recorder(history, history, expiries, clock=lambda: NOW, steady=lambda: NOW)
        for at in POLLS:
            for one in (main_service(at), other_service(at)):
                await recorder.record(Poll(one, at, 120.0))
        assert recorder.state.state == "recording"


@pytest.fixture(scope="module")
def bridge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("recording")
    asyncio.run(fill(folder))
    history = History(folder)
    known = snapshot(main_service(POLLS[-1]), other_service(POLLS[-1]))
    engine = Engine(
        recorded(history, catalogue()),
        catalogue(),
        LabelCache(lambda: known).current,
        source_step_ms=120_000,
        max_points=100_000,
        max_series=1_000,
    )
    doorway = Doorway(engine, lambda: known, Limits(), clock=lambda: NOW)
    asyncio.run(history.open())
    app = Starlette(routes=opentsdb.routes(doorway), exception_handlers=EXCEPTION_HANDLERS)
    with serving(app) as url:
        yield url
    asyncio.run(history.close())


@pytest.mark.parametrize("newest", [False, True], ids=["9.4", "newest"])
@pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule.uid)
def test_rules_fire_for_what_is_wrong_and_for_nothing_else(
    bridge: str, rule: Rule, newest: bool
) -> None:
    with httpx.Client(timeout=30) as client:
        instances = evaluate(client, bridge, rule, now=NOW, newest=newest)
    key, wrong = FIRING[rule.uid]
    assert {one.labels[key] for one in instances if one.fires} == wrong
    assert len(instances) > len(wrong)
    for instance in instances:
        assert set(instance.labels) >= rule.labels_named
        assert set(instance.values) >= rule.values_named
        assert None not in instance.values.values()
        # A machine that moves keeps its alert.
        assert not {"cluster", "host_name", "folder"} & set(instance.labels)


def test_every_rule_has_something_to_fire_for() -> None:
    assert set(FIRING) == set(RULES)
    assert {rule.isPaused for rule in RULES.values()} == {False}
