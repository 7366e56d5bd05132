"""Every example of the documentation is what it says it is."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from bridge.catalog import catalogue
from bridge.doors.payload import LIVE_FIELDS, SERIES_FIELDS
from bridge.doors.variables import call_of_payload
from bridge.engine.calls import FUNCTIONS
from bridge.engine.functions import AGGREGATORS, DOWNSAMPLERS, FILLS
from bridge.engine.grammar import (
    LIVE_KINDS,
    LiveTarget,
    SeriesTarget,
    format_target,
    parse_target,
    parse_variable,
)
from bridge.errors import BadRequestError
from bridge.model import FilterKind
from bridge.ovh.live import live_rows
from bridge.ovh.objects import Snapshot

TEXT = (Path(__file__).parents[2] / "docs" / "query-language.md").read_text(encoding="utf-8")


def examples(kind: str) -> list[str]:
    blocks = re.findall(rf"^```{kind}\n(.*?)^```", TEXT, flags=re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    assert lines
    return lines


@pytest.mark.parametrize("text", examples("target"))
def test_targets_are_read_and_can_be_served(text: str) -> None:
    target = parse_target(text)
    assert parse_target(format_target(target)) == target
    if isinstance(target, LiveTarget):
        list(live_rows(Snapshot(), target.kind, target.filters))
        return
    assert isinstance(target, SeriesTarget)
    metric = catalogue()[target.metric]
    assert {flt.key for flt in target.filters} <= set(metric.all_labels)
    assert target.aggregator is None or target.aggregator in AGGREGATORS
    if target.downsample is not None:
        assert target.downsample.function in DOWNSAMPLERS
        assert target.downsample.fill in FILLS


@pytest.mark.parametrize("text", examples("variable"))
def test_variables_are_calls(text: str) -> None:
    call = parse_variable(text)
    assert call is not None
    assert call.name in FUNCTIONS
    if call.name in {"vms", "hosts"}:
        list(live_rows(Snapshot(), call.name.removesuffix("s"), call.filters()))


def test_json_variables_are_calls() -> None:
    for line in examples("json"):
        assert call_of_payload(json.loads(line)) is not None


@pytest.mark.parametrize("text", examples("refused"))
def test_refused_texts_are_refused_with_a_position(text: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        parse_target(text)
    assert caught.value.position is not None


def test_everything_there_is_has_its_word() -> None:
    words = {*FUNCTIONS, *LIVE_KINDS, *SERIES_FIELDS, *LIVE_FIELDS, *FILLS, *FilterKind}
    labels = {label for metric in catalogue().values() for label in metric.all_labels}
    for word in words | labels:
        assert re.search(rf"\b{word}\b", TEXT), word
