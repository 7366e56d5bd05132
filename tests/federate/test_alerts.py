"""The alert rules, evaluated by Prometheus' own engine over what the demo shows.

The world is the demo as it is, as if it had been so for some days. Each story changes it.
"""

from __future__ import annotations

import json
import subprocess
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client.parser import text_string_to_metric_families as read_text

from tests.federate.test_prometheus_files import RULES, SELECTOR
from tests.federate.test_promtool import RULES as FILES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.federate.conftest import Shown

pytestmark = pytest.mark.timeout(900)
DAY_S = 86_400
NAMES = {metric for rule in RULES.values() for metric, _ in SELECTOR.findall(rule["expr"])}
SERVICE = "pcc-37-187-228-180"
#: What fires in the demo at any time, and on what.
ALWAYS = {
    "VscopeDatastoreFull": {"pcc-000444"},
    "VscopeMachineWaitsForProcessor": {"batch-03"},
    "VscopeMachineBackupFailed": {"files-01"},
    "VscopeHostInMaintenance": {"172.17.86.54"},
    "VscopeMachineSilent": {"firewall-appliance"},
    "VscopeMachineSnapshotOld": {"app-14", "db-15", "vpn-11", "web-13"},
}


@dataclass(frozen=True)
class Story:
    """Something happens.

    Attributes:
        metric: What changes ...
        value: ... to this, or ends (None) ...
        having: ... where it has these labels.
        before: What it was until then, where it was another value.
        age_s: Since when it is so.
        named: A label of the alert, and its value.
        flaps: Whether it was both values in turns.
        but: Labels that it has instead.
    """

    metric: str
    value: float | None
    having: dict[str, str]
    named: tuple[str, str]
    before: float | None = None
    age_s: int = 3600
    flaps: bool = False
    but: dict[str, str] = field(default_factory=dict)


STORE, HOST = {"datastore": "pcc-000443"}, {"host": "172.17.86.51"}
WEB = {"vm": "vm-1254"}
WEB_NAMED = ("vm_name", "web-01")
BRIDGE = ("instance", "127.0.0.1:8080")
LAG = "vscope_bridge_event_loop_lag_seconds_bucket"
NOW = int(time.time())
STORIES: dict[str, Story] = {
    "VscopeDatastoreFull": Story(
        "vscope_datastore_used_ratio", 0.851, STORE,
        ("datastore", "pcc-000443"),
    ),
    "VscopeDatastoreFullSoon": Story(
        "vscope_datastore_used_bytes", 6.5e12, STORE,
        ("datastore", "pcc-000443"), before=5e12, age_s=3 * DAY_S,
    ),
    "VscopeDatastoreOffline": Story(
        "vscope_datastore_online", 0, STORE,
        ("datastore", "pcc-000443"),
    ),
    "VscopeHostNotConnected": Story(
        "vscope_host_connection_state", 0, {**HOST, "state": "connected"},
        ("host", "172.17.86.51"),
    ),
    "VscopeHostInMaintenance": Story(
        "vscope_host_in_maintenance", 1, HOST,
        ("host", "172.17.86.51"),
    ),
    "VscopeHostMemory": Story(
        "vscope_host_memory_usage_ratio", 0.91, HOST,
        ("host", "172.17.86.51"),
    ),
    "VscopeHostProcessor": Story(
        "vscope_host_cpu_usage_ratio", 0.91, HOST,
        ("host", "172.17.86.51"),
    ),
    "VscopeMachineWaitsForProcessor": Story("vscope_vm_cpu_ready_ratio", 0.06, WEB, WEB_NAMED),
    "VscopeMachineDiskSlow": Story("vscope_vm_disk_write_latency_seconds", 0.03, WEB, WEB_NAMED),
    "VscopeMachineSilent": Story("vscope_vm_cpu_usage_ratio", None, WEB, WEB_NAMED),
    "VscopeMachineSnapshotOld": Story("vscope_vm_snapshots", 1, WEB, WEB_NAMED, age_s=4 * DAY_S),
    "VscopeMachineBackupFailed": Story(
        "vscope_vm_backup_state", 1, {**WEB, "state": "failed"},
        WEB_NAMED,
    ),
    "VscopeMachineBackupOld": Story(
        "vscope_vm_backup_last_success_timestamp_seconds", NOW - 5 * DAY_S, WEB,
        WEB_NAMED,
    ),
    "VscopeNoData": Story("vscope_service_up", None, {}, ("", "")),
    "VscopeServiceNotRead": Story("vscope_service_up", 0, {}, ("service", SERVICE)),
    "VscopeServiceReadInPart": Story(
        "vscope_service_poll_state", 1, {"state": "partial"},
        ("service", SERVICE),
    ),
    "VscopeServiceExpired": Story(
        "vscope_service_poll_state", 1, {"state": "expired"},
        ("service", SERVICE),
    ),
    "VscopeBridgeDown": Story("up", 0, {"job": "vscope-bridge"}, BRIDGE),
    "VscopeBridgeRestarts": Story("process_start_time_seconds", NOW - 60, {}, BRIDGE, flaps=True),
    "VscopeBridgeServiceNotPolled": Story(
        "vscope_bridge_service_polled_timestamp_seconds", NOW - 600, {},
        ("service", SERVICE),
    ),
    "VscopeBridgeServiceFails": Story(
        "vscope_bridge_service_state", 1, {"state": "failed"},
        ("service", SERVICE),
    ),
    "VscopeBridgePollsStretched": Story("vscope_bridge_poll_interval_seconds", 720, {}, BRIDGE),
    "VscopeBridgeRecordingFails": Story(
        "vscope_bridge_recording_state", 1, {"state": "failing"},
        BRIDGE,
    ),
    "VscopeBridgeRecordingStalls": Story(
        "vscope_bridge_recording_written_timestamp_seconds", NOW - 600, {},
        BRIDGE,
    ),
    "VscopeBridgePollsLost": Story(
        "vscope_bridge_recording_polls_lost_total", 1, {},
        BRIDGE, before=0, age_s=600,
    ),
    "VscopeBridgeEventLoopLate": Story(LAG, 1000, {"le": "+Inf"}, BRIDGE, before=100, age_s=300),
    "VscopeBridgeErrors": Story(
        "vscope_bridge_http_requests_total", 1000, {"door": "rows"},
        BRIDGE, before=1, age_s=300, but={"code": "503"},
    ),
    "VscopeBridgeTokenFails": Story(
        "vscope_bridge_token_state", 1, {"state": "failed"},
        ("service", SERVICE),
    ),
    "VscopeBridgeUpstreamLeftAlone": Story(
        "vscope_bridge_upstream_left_alone", 1, {},
        ("host", "127.0.0.1"),
    ),
    "VscopeBridgeCredentialExpires": Story(
        "vscope_bridge_credential_expiry_timestamp_seconds", NOW + 13 * DAY_S, {},
        ("account", "demo"),
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def series(shown: Shown) -> list[dict[str, Any]]:
    return [*stored(shown.live, "vscope"), *stored(shown.figures, "vscope-bridge")]


def stored(text: str, job: str) -> Iterator[dict[str, Any]]:
    """What Prometheus would have stored, for four days already."""
    target = {"job": job, "instance": "127.0.0.1:8080"}
    yield {"labels": {"__name__": "up", **target}, "value": 1, "age_s": 4 * DAY_S}
    for family in read_text(text):
        for sample in family.samples:
            if sample.name in NAMES:
                labels = {**target, **sample.labels, "__name__": sample.name}
                yield {"labels": labels, "value": sample.value, "age_s": 4 * DAY_S}


def fired(program: Path, series: list[dict[str, Any]]) -> list[dict[str, Any]]:
    done = subprocess.run(
        [str(program), "fire", *map(str, FILES)],
        input=json.dumps({"now": NOW, "series": series}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def test_there_is_a_story_for_every_rule() -> None:
    assert set(STORIES) == set(RULES)


def test_what_fires_in_the_demo(promcheck: Path, series: list[dict[str, Any]]) -> None:
    found: dict[str, set[str]] = {}
    for alert in fired(promcheck, series):
        labels = alert["labels"]
        name = labels.get("vm_name") or labels.get("datastore") or labels.get("host", "")
        found.setdefault(alert["alert"], set()).add(name)
    for alert_name, names in ALWAYS.items():
        assert found[alert_name] >= names, alert_name
    # Machines have their ups and downs over the day; the readings and the bridge have none.
    steady = ("VscopeBridge", "VscopeService", "VscopeNoData")
    assert [one for one in found if one.startswith(steady)] == []


@pytest.mark.parametrize("name", STORIES)
def test_a_rule_fires_on_its_story(
    name: str, promcheck: Path, series: list[dict[str, Any]]
) -> None:
    story = STORIES[name]
    changed, touched = [], 0
    for one in series:
        labels = one["labels"]
        if labels["__name__"] != story.metric or not story.having.items() <= labels.items():
            changed.append(one)
            continue
        touched += 1
        if story.value is not None:
            before = one["value"] if story.before is None else story.before
            told = {"value": story.value, "age_s": story.age_s, "before": before}
            changed.append({**one, **told, "flaps": story.flaps, "labels": {**labels, **story.but}})
    assert touched, "the story is about nothing"
    label, value = story.named
    alerts = [alert for alert in fired(promcheck, changed) if alert["alert"] == name]
    assert any(alert["labels"].get(label, "") == value for alert in alerts), alerts
