"""The shipped alert rules: their format, and what they do over the demo."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from pydantic import ValidationError

from bridge.catalog import catalogue
from tests.contract.recordings import recorded
from tests.guide.evaluation import EvaluationError, body_of, evaluate
from tests.guide.provisioning import (
    Alerting,
    InfinityModel,
    OpenTsdbModel,
    Rule,
    ThresholdModel,
    read_yaml,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.guide.conftest import Demo

FILES = sorted((Path(__file__).parents[2] / "provisioning" / "alerting").glob("*.yaml"))
FILE_OF = {path.stem: Alerting.model_validate(read_yaml(path.read_text())) for path in FILES}
EVERY_RULE = [rule for file in FILE_OF.values() for group in file.groups for rule in group.rules]
#: On metrics that OVHcloud's own history has; the others are in test_recorded_rules.
RULES = [
    rule
    for file in ("vscope-opentsdb", "vscope-infinity")
    for group in FILE_OF[file].groups
    for rule in group.rules
]
BY_UID = {rule.uid: rule for rule in RULES}
#: Rules with something in the demo that makes them fire, and what.
FIRING = {
    "vscope-ots-datastore-full": ("datastore", "pcc-000444"),
    "vscope-inf-datastore-full": ("datastore", "pcc-000444"),
    "vscope-ots-cpu-ready": ("vm_name", "batch-03"),
    "vscope-inf-cpu-ready": ("vm_name", "batch-03"),
    "vscope-inf-cpu-ready-live": ("vm_name", "batch-03"),
}


# --- the files ---------------------------------------------------------------------------


def test_both_datasources_have_the_same_rules() -> None:
    assert set(FILE_OF) == {"vscope-opentsdb", "vscope-infinity", "vscope-recording"}
    names = [
        {rule.uid.partition("-")[2].partition("-")[2] for rule in FILE_OF[file].groups[0].rules}
        for file in ("vscope-opentsdb", "vscope-infinity")
    ]
    assert names[1] - names[0] == {"cpu-ready-live"}
    assert names[0] <= names[1]
    assert len({rule.uid for rule in EVERY_RULE}) == len(EVERY_RULE)
    assert len({rule.title for rule in EVERY_RULE}) == len(EVERY_RULE)


def test_nobody_is_told_everything_twice() -> None:
    for file, paused in (("vscope-opentsdb", False), ("vscope-infinity", True)):
        assert {rule.isPaused for rule in FILE_OF[file].groups[0].rules} == {paused}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_each_file_says_what_was_not_tried(path: Path) -> None:
    header = " ".join(path.read_text().partition("apiVersion")[0].replace("#", " ").split())
    assert "has not been loaded by a running Grafana yet" in header


@pytest.mark.parametrize("rule", EVERY_RULE, ids=lambda rule: rule.uid)
def test_rules_ask_for_metrics_there_are(rule: Rule) -> None:
    for query in rule.data:
        match query.model:
            case OpenTsdbModel(metric=name):
                labels = catalogue()[name].all_labels
                assert {one.tagk for one in query.model.filters} <= set(labels)
            case InfinityModel():
                given = {one.key: one.value for one in query.model.url_options.params}
                assert given.get("metric", next(iter(catalogue()))) in catalogue()
    assert rule.labels["severity"] in {"warning", "critical"}


def broken(text: str, before: str, after: str) -> Any:
    assert before in text
    return read_yaml(text.replace(before, after, 1))


@pytest.mark.parametrize(
    ("file", "before", "after"),
    [
        ("opentsdb", "execErrState: Error\n", "\n"),
        ("opentsdb", "execErrState: Error", "execErrState: Failed"),
        ("opentsdb", "reducer: max", "reducer: last"),
        ("opentsdb", "mode: dropNN", "mode: ''"),
        ("opentsdb", "downsampleFillPolicy: none", "fillPolicy: none"),
        ("opentsdb", "for: 15m", "for: 15m\n        forr: 1m"),
        ("opentsdb", "for: 15m", "for: 15"),
        ("opentsdb", "for: 15m", "for: 90s"),
        ("opentsdb", "condition: C", "condition: B"),
        ("opentsdb", "expression: A", "expression: C"),
        ("opentsdb", "uid: vscope-opentsdb}", "uid: vscope}"),
        ("opentsdb", "datasourceUid: vscope-opentsdb", "datasourceUid: vscope-infinity"),
        ("opentsdb", "source: vscope", "source: $vscope"),
        ("opentsdb", "{{ $labels.datastore }}", "${datastore}"),
        ("opentsdb", "intervalMs: 60000", "intervalMs: '60000'"),
        ("opentsdb", "intervalMs: 60000", "intervalMs: 60000\n              counterMax: 1000"),
        ("infinity", "parser: backend", "parser: simple"),
        ("infinity", "url: /rows", "url: /query"),
    ],
)
def test_the_format_is_held(file: str, before: str, after: str) -> None:
    text = (FILES[0].parent / f"vscope-{file}.yaml").read_text()
    with pytest.raises((ValidationError, ValueError)):
        Alerting.model_validate(broken(text, before, after))


def test_the_request_is_the_one_grafana_was_recorded_to_send() -> None:
    sent = recorded("opentsdb-go-alert-filters")["request"]["body"]
    rule = BY_UID["vscope-ots-cpu-ready"].model_copy(deep=True)
    query = rule.data[0]
    assert isinstance(query.model, OpenTsdbModel)
    query.model.metric, query.model.downsampleInterval = "vm.cpu.usage", "1m"
    query.model.filters = query.model.filters[1:]
    assert body_of(query, now=sent["end"] / 1000, newest=False) == sent


# --- over the demo -------------------------------------------------------------------------


@pytest.mark.parametrize("newest", [False, True], ids=["9.4", "newest"])
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.uid)
def test_rules_fire_for_what_is_wrong_and_for_nothing_else(
    demo: Demo, rule: Rule, newest: bool
) -> None:
    instances = evaluate(demo.client, demo.url, rule, now=time.time(), newest=newest)
    assert len(instances) >= 7
    for instance in instances:
        assert set(instance.labels) >= rule.labels_named
        assert all(instance.labels[name] for name in rule.labels_named)
        assert set(instance.values) >= rule.values_named
        assert None not in {instance.values[name] for name in rule.values_named}
        assert not {"cluster", "host_name", "folder"} & set(instance.labels)
    firing = [one.labels for one in instances if one.fires]
    if rule.uid in FIRING:
        key, value = FIRING[rule.uid]
        assert [labels[key] for labels in firing] == [value]
    else:
        assert firing == []


@pytest.fixture
def always() -> Iterator[Any]:
    """Make copies of rules that fire for everything that has data."""

    def lowered(uid: str) -> Rule:
        rule = BY_UID[uid].model_copy(deep=True)
        threshold = rule.data[-1].model
        assert isinstance(threshold, ThresholdModel)
        threshold.conditions[0].evaluator.params[0] = -1
        return rule

    return lowered


@pytest.mark.parametrize("uid", ["vscope-ots-cpu-ready", "vscope-inf-cpu-ready"])
def test_a_dead_machine_does_not_fire_from_stale_data(demo: Demo, always: Any, uid: str) -> None:
    now = time.time()
    rule = always(uid)
    firing = {one.labels["vm_name"] for one in evaluate(demo.client, demo.url, rule, now=now)}
    assert "batch-03" in firing
    assert "erp-db-02" not in firing
    # It is known, and had data until it died; the front end itself still draws it.
    rule.data[0].relativeTimeRange.from_ = 12 * 3600
    rule.data[0].relativeTimeRange.to = 6 * 3600
    before = {one.labels["vm_name"] for one in evaluate(demo.client, demo.url, rule, now=now)}
    assert "erp-db-02" in before


@pytest.mark.parametrize("uid", ["vscope-ots-cpu-ready", "vscope-inf-cpu-ready"])
def test_a_failing_upstream_is_an_error_and_never_no_data(demo: Demo, uid: str) -> None:
    faults = f"{demo.ovh_url}/_simulator/faults"
    now = time.time()
    rule = BY_UID[uid]
    for target in ("opentsdb", "warp10"):
        fault = {"target": target, "mode": "status", "status": 500}
        httpx.post(faults, json=fault).raise_for_status()
    try:
        with pytest.raises(EvaluationError, match=r"50[24]"):
            # Another hour each time: an answer may be remembered as long as it is fresh.
            evaluate(demo.client, demo.url, rule, now=now - 40 * 86_400)
    finally:
        httpx.delete(faults).raise_for_status()
    assert evaluate(demo.client, demo.url, rule, now=now)


def test_machines_without_the_figure_would_fire_without_the_filter(demo: Demo) -> None:
    """Why the live rule filters: Grafana takes an unknown number for NaN, which fires."""
    rule = BY_UID["vscope-inf-cpu-ready-live"].model_copy(deep=True)
    model = rule.data[0].model
    assert isinstance(model, InfinityModel)
    model.url_options.params[0].value = "live:vm"
    firing = [one for one in evaluate(demo.client, demo.url, rule, now=time.time()) if one.fires]
    assert {one.labels["vm_name"] for one in firing} > {"batch-03"}
    assert any(one.values["A"] is None for one in firing)


def test_thresholds_in_titles_and_words_are_those_of_the_rules() -> None:
    for rule in EVERY_RULE:
        threshold = rule.data[-1].model
        assert isinstance(threshold, ThresholdModel)
        (limit,) = threshold.conditions[0].evaluator.params
        words = rule.annotations["description"] + rule.title
        assert re.search(rf"\b{limit}\b", words), (rule.uid, json.dumps(words))
