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
from bridge.model import FilterKind, Query, Window
from bridge.ovh.live import live_rows
from bridge.ovh.objects import Snapshot
from tests.engine.memory import MemorySource, engine_over

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


def table(heading: str) -> list[list[str]]:
    """The rows of the table whose header begins with a text."""
    lines = TEXT.splitlines()
    at = next(n for n, line in enumerate(lines) if line.startswith(f"| {heading} |"))
    rows = []
    for line in lines[at + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def test_every_metric_is_described_as_the_catalogue_says() -> None:
    described = {
        name.strip("`"): (unit, labels, text)
        for heading in ("metric", "recorded metric")
        for name, unit, labels, text in table(heading)
    }
    assert described == {
        metric.name: (
            metric.unit,
            ", ".join(metric.labels),
            metric.description + (" (not recorded)" if metric.unrecorded else ""),
        )
        for metric in catalogue().values()
    }
    assert [row[0].strip("`") for row in table("recorded metric")] == [
        metric.name for metric in catalogue().values() if not metric.ovhcloud
    ]


def stored(*values: float | None) -> MemorySource:
    points = [(n * 1000, value) for n, value in enumerate(values) if value is not None]
    return MemorySource([({"vm": "vm-1"}, points)])


async def ask(text: str, source: MemorySource, end_ms: int = 3_000) -> list[float]:
    target = parse_target(text)
    assert isinstance(target, SeriesTarget)
    query = Query(
        target.metric,
        Window(0, end_ms),
        target.aggregator or "none",
        target.downsample,
        target.rate,
    )
    answer = await engine_over(source, target.metric).query(query)
    return [value for series in answer.series for value in series.values.tolist()]


def test_every_function_is_in_the_table() -> None:
    assert [row[0].strip("`") for row in table("function")] == sorted(AGGREGATORS, key=str.lower)


@pytest.mark.parametrize("row", table("function"), ids=lambda row: row[0])
async def test_functions_give_what_the_table_says(row: list[str]) -> None:
    name = row[0].strip("`")
    if name == "none":
        assert row[2] == "not accepted"
        with pytest.raises(BadRequestError, match="downsampling function"):
            await ask("sum:4s-none:x", stored(1, 2, 4, 8))
        return
    source = stored(1, 2, 4, 8)
    assert await ask(f"sum:4s-{name}:x", source) == [pytest.approx(float(row[2]), rel=1e-9)]
    assert source.fetches == [{"buckets": "buckets", "raw points": "points"}[row[3]]]


@pytest.mark.parametrize("row", table("function"), ids=lambda row: row[0])
async def test_between_points_series_contribute_what_the_table_says(row: list[str]) -> None:
    name = row[0].strip("`")
    if name == "none":
        assert row[4] == "-"
        return
    gappy = MemorySource([({"vm": "a"}, [(0, 10.0), (2000, 30.0)]), ({"vm": "b"}, [(1000, 5.0)])])
    biggest = 1.7976931348623157e308
    contributed = {
        "on the straight line": 20.0,
        "0": 0.0,
        "its last value": 10.0,
        "the largest number": biggest,
        "the smallest number": -biggest,
    }[row[4]]
    whole = MemorySource([({"vm": "a"}, [(1000, contributed)]), ({"vm": "b"}, [(1000, 5.0)])])
    assert (await ask(f"{name}:x", gappy, 2000))[1] == (await ask(f"{name}:x", whole, 2000))[0]


@pytest.mark.parametrize("row", table("fill"), ids=lambda row: row[0])
async def test_fills_give_what_the_table_says(row: list[str]) -> None:
    fill = row[0].strip("`")
    expected = [float(text) for text in row[2].split(",")]
    got = await ask(f"sum:1s-sum-{fill}:x", stored(1, None, 3), 2000)
    assert got == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rate", [2.0, -2.0]),
        ("rate{counter,1000}", [2.0, 998.0]),
        ("rate{counter,1000,50}", [2.0, 0.0]),
        ("rate{dropcounter}", [2.0]),
    ],
)
async def test_rates_are_as_described(text: str, expected: list[float]) -> None:
    assert f"`{text}`" in TEXT
    assert await ask(f"sum:{text}:x", stored(1, 3, 1)) == expected
