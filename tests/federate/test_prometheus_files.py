"""The scrape configuration and the alert rules against what the bridge really shows."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families as read_text

from bridge.doors.federate import PARAMETERS
from bridge.ovh.families import IDENTITY

if TYPE_CHECKING:
    from tests.federate.conftest import Shown

FOLDER = Path(__file__).parents[2] / "provisioning" / "prometheus"
FILES = {path.stem: yaml.safe_load(path.read_text()) for path in FOLDER.glob("rules/*.yml")}
RULES = {
    rule["alert"]: rule
    for file in FILES.values()
    for group in file["groups"]
    for rule in group["rules"]
}
#: Added by Prometheus itself.
TARGET = {"job", "instance"}
SELECTOR = re.compile(r"\b((?:vscope|process)_\w+|up)\b(?:\{([^}]*)\})?")
MATCHER = re.compile(r"(\w+)(=~|!~|!=|=)\"([^\"]*)\"")


class Known:
    """Families and the labels of their samples."""

    def __init__(self, *texts: str) -> None:
        self.labels: dict[str, list[dict[str, str]]] = defaultdict(list)
        self.names = {"up"}
        self.labels["up"].append({})
        for text in texts:
            for family in read_text(text):
                counter = f"{family.name}_total" if family.type == "counter" else family.name
                self.names |= {family.name, counter}
                for sample in family.samples:
                    self.names.add(sample.name)
                    self.labels[sample.name].append(sample.labels)


@pytest.fixture(scope="module")
def known(shown: Shown) -> Known:
    return Known(shown.live, shown.figures)


def test_there_are_rules_on_both() -> None:
    assert set(FILES) == {"vscope-live", "vscope-bridge"}
    count = sum(len(group["rules"]) for file in FILES.values() for group in file["groups"])
    assert len(RULES) == count >= 30
    text = {name: (FOLDER / f"rules/{name}.yml").read_text() for name in FILES}
    assert "vscope_bridge_" not in text["vscope-live"]
    assert not re.search(r"vscope_(?!bridge)\w+_", text["vscope-bridge"])


@pytest.mark.parametrize("name", RULES)
def test_every_metric_label_and_value_exists(name: str, known: Known) -> None:
    rule = RULES[name]
    selectors = SELECTOR.findall(rule["expr"])
    assert selectors
    offered = set(TARGET)
    for metric, matchers in selectors:
        assert metric in known.names, metric
        having = known.labels[metric]
        assert having, f"the demo has no {metric}"
        offered |= {key for labels in having for key in labels}
        for key, operator, wanted in MATCHER.findall(matchers):
            if key in TARGET:
                assert wanted in {"vscope", "vscope-bridge"}
                continue
            values = {labels[key] for labels in having if key in labels}
            assert values, (metric, key)
            if operator == "=":
                assert wanted in values, (metric, key)
            if operator == "=~" and "|" in wanted:
                assert set(wanted.split("|")) <= values, (metric, key)
    for listed in re.findall(r"(?:on|by|group_left|unless on|and on)\s*\(([^()]*)\)", rule["expr"]):
        assert set(filter(None, map(str.strip, listed.split(",")))) <= offered | {"le"}
    told = " ".join(rule["annotations"].values())
    assert set(re.findall(r"\$labels\.(\w+)", told)) <= offered


@pytest.mark.parametrize("name", RULES)
def test_every_rule_says_what_it_means(name: str) -> None:
    rule = RULES[name]
    assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
    assert re.fullmatch(r"Vscope(Bridge)?[A-Z]\w+", name)
    assert rule["labels"]["severity"] in {"info", "warning", "critical"}
    assert rule["annotations"]["summary"]
    # A bool result would hide which object is meant.
    assert " bool " not in rule["expr"]


def test_states_named_in_rules_are_shown_even_when_they_do_not_hold(known: Known) -> None:
    states = {labels["state"] for labels in known.labels["vscope_service_poll_state"]}
    assert states == {"warming", "ok", "partial", "expired", "failed"}


def test_the_scrape_configuration() -> None:
    config: dict[str, Any] = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
    jobs = {job["job_name"]: job for job in config["scrape_configs"]}
    assert jobs["vscope"]["metrics_path"] == "/federate"
    assert jobs["vscope"]["honor_labels"] is True
    assert jobs["vscope-bridge"]["metrics_path"] == "/metrics"
    [pattern] = config["rule_files"]
    assert len(list(FOLDER.glob(pattern))) == len(FILES)
    # What stands there as a comment works as well.
    text = (FOLDER / "prometheus.yml").read_text()
    params = yaml.safe_load(
        re.sub(
            r"(?m)^ *# (?=params:|  service:|  kind:)", "", text.partition("narrow it.\n")[2]
        ).partition("\n\n")[0]
    )
    assert set(params["params"]) == set(PARAMETERS)
    assert set(params["params"]["kind"]) <= set(IDENTITY)
