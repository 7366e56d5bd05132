"""simPod's payload beside a target says the same as the target's text would."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.catalog import catalogue
from bridge.doors.payload import Wanted, apply_payload
from bridge.engine.grammar import parse_target
from bridge.errors import BadRequestError

CPU = "vscope.vm.cpu.usage.perc"
METRICS = catalogue()


def read(text: str, payload: Any) -> Wanted:
    return apply_payload(parse_target(text), payload, METRICS.__getitem__)


@pytest.mark.parametrize("payload", [None, {}, ""])
def test_nothing_adds_nothing(payload: Any) -> None:
    assert read(CPU, payload) == Wanted(parse_target(CPU))


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        ({"vm": "vm-101"}, f"{CPU}{{}}{{vm=vm-101}}"),
        ({"vm": ["vm-101", "vm-102"]}, f"{CPU}{{}}{{vm=vm-101|vm-102}}"),
        ({"vm": "(vm-101|vm-102)"}, f"{CPU}{{}}{{vm=vm-101|vm-102}}"),
        ({"vm": ["(vm-101|vm-102)", "vm-x"]}, f"{CPU}{{}}{{vm=vm-101|vm-102|vm-x}}"),
        ({"vm_name": r"db\.main \(old\)"}, f"{CPU}{{}}{{vm_name=literal_or(db.main \\(old\\))}}"),
        ({"vm_name": "db.main (old)"}, f"{CPU}{{}}{{vm_name=literal_or(db.main \\(old\\))}}"),
        ({"vm_name": "a, b"}, f"{CPU}{{}}{{vm_name=literal_or(a, b)}}"),
        ({"vm": "web*"}, f"{CPU}{{}}{{vm=web*}}"),
        ({"vm": "regexp(^a,b)"}, f"{CPU}{{}}{{vm=regexp(^a,b)}}"),
        ({"vm": ""}, CPU),
        ({"vm": []}, CPU),
        ({"vm": [""]}, CPU),
        ({"vm": None}, CPU),
        ({"aggregator": "avg"}, f"avg:{CPU}"),
        ({"aggregator": "avg", "group_by": "cluster"}, f"avg:{CPU}{{cluster=*}}"),
        (
            {"aggregator": "avg", "group_by": ["cluster", "vm"], "vm": ["a", "b"]},
            f"avg:{CPU}{{vm=a|b,cluster=*}}",
        ),
        ({"downsample": "5m"}, f"5m-avg:{CPU}"),
        ({"downsample": "5m-max-zero"}, f"5m-max-zero:{CPU}"),
        ({"downsample": "5m", "function": "max", "fill": "zero"}, f"5m-max-zero:{CPU}"),
        ({"downsample": "5m-max", "fill": "nan"}, f"5m-max-nan:{CPU}"),
        ({"downsample": "1dc", "function": "sum"}, f"1dc-sum:{CPU}"),
        ({"rate": "rate{counter}"}, f"rate{{counter}}:{CPU}"),
        ({"legend": "{{vm_name}} now"}, f"{CPU} as {{{{vm_name}}}} now"),
        ({"explicit_tags": "true"}, f"explicit_tags:{CPU}"),
        ({"explicit_tags": False}, CPU),
        ({"format": "ts"}, CPU),
        ({"format": ""}, CPU),
        ({"downsample": "auto"}, CPU),
    ],
)
def test_fields_say_what_text_would(payload: Any, text: str) -> None:
    assert read(CPU, payload) == Wanted(parse_target(text))


def test_text_and_payload_add_up() -> None:
    wanted = read(f"avg:{CPU}{{cluster=*}}", {"vm": "vm-101", "rate": "rate", "explicit_tags": ""})
    assert wanted.target == parse_target(f"avg:rate:{CPU}{{cluster=*}}{{vm=vm-101}}")


def test_a_function_without_an_interval_leaves_the_step_open() -> None:
    wanted = read(CPU, {"function": "max", "fill": "zero", "format": "table"})
    assert wanted == Wanted(parse_target(CPU), "max", "zero", table=True)


def test_live_tables_have_their_columns() -> None:
    wanted = read("live:vm", {"cluster": ["prod"], "hidden": "true", "vm_name": "a"})
    assert wanted.target == parse_target("live:vm{cluster=prod,vm_name=a,hidden=true}")


@pytest.mark.parametrize(
    ("text", "payload", "field", "words"),
    [
        (CPU, {"vms": "a"}, "payload", ["'vms'", "vm", "aggregator"]),
        (CPU, {"flag": "true", "vm2": "a"}, "payload", ["'flag'", "'vm2'", "vm"]),
        (CPU, {"nicname": "a"}, "payload", ["'nicname'"]),
        (CPU, {"vm": {"a": 1}}, "payload.vm", ["object"]),
        (CPU, {"vm": [["a"]]}, "payload.vm", ["list"]),
        (CPU, {"vm": "(a|b"}, "payload.vm", ["not closed"]),
        (CPU, {"vm": ["regexp(a)", "b"]}, "payload.vm", ["only value"]),
        (CPU, {"aggregator": "avgg"}, "payload.aggregator", ["avg"]),
        (CPU, {"function": "nope"}, "payload.function", ["avg"]),
        (CPU, {"fill": "nope"}, "payload.fill", ["zero"]),
        (CPU, {"downsample": "5"}, "payload.downsample", ["5m"]),
        (CPU, {"downsample": "5m-max", "function": "avg"}, "payload.downsample", ["names"]),
        (CPU, {"downsample": "5m-max-nan", "fill": "zero"}, "payload.downsample", ["names"]),
        (CPU, {"rate": "yes"}, "payload.rate", ["rate"]),
        (CPU, {"explicit_tags": "maybe"}, "payload.explicit_tags", ["true"]),
        (CPU, {"group_by": "zone"}, "payload.group_by", ["'zone'", "cluster"]),
        (CPU, {"format": "csv"}, "payload.format", ["table"]),
        (f"avg:{CPU}", {"aggregator": "max"}, "payload.aggregator", ["text"]),
        (f"5m-avg:{CPU}", {"fill": "zero"}, "payload.fill", ["text"]),
        (f"{CPU} as x", {"legend": "y"}, "payload.legend", ["text"]),
        ("live:vm", {"aggregator": "avg"}, "payload", ["'aggregator'", "hidden"]),
        ("live:vm", {"hidden": "maybe"}, "payload.hidden", ["true"]),
        (CPU, ["vm"], "payload", ["list"]),
    ],
)
def test_what_is_wrong_is_named(text: str, payload: Any, field: str, words: list[str]) -> None:
    with pytest.raises(BadRequestError) as caught:
        read(text, payload)
    assert caught.value.field == field
    assert all(word in caught.value.message for word in words)
