"""Random queries with the answers of a real OpenTSDB 2.4.1 (captures: opentsdb-2.4, fuzz)."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from bridge.engine.functions import AGGREGATORS, DOWNSAMPLERS
from bridge.model import Downsample, FilterKind, Query, TagFilter, Window
from tests.engine.memory import MemorySource, engine_over

CASES = json.loads(
    (Path(__file__).parents[1] / "fixtures/opentsdb-2.4/fuzz.json").read_text()
)["cases"]

UNIT_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000}


def downsample(text: str | None) -> Downsample | None:
    if not text:
        return None
    interval, function, *fill = text.split("-")
    found = re.fullmatch(r"(\d+)(ms|s|m|h|all)", interval)
    assert found
    width = 0 if found[2] == "all" else int(found[1]) * UNIT_MS[found[2]]
    return Downsample(width, function, fill[0] if fill else "none")


def why_excluded(case: dict[str, Any]) -> str | None:
    query = case["request"]["queries"][0]
    spec = downsample(query.get("downsample"))
    if query.get("rate"):
        return "rate is not served"
    if query["aggregator"] not in AGGREGATORS or (spec and spec.function not in DOWNSAMPLERS):
        return "function is not served"
    values = [value for series in case["data"] for _, value in series["points_ms"]]
    if spec is None and any(isinstance(value, int) for value in values):
        return "integer arithmetic differs on purpose"
    return None


COMPARED = [case for case in CASES if why_excluded(case) is None]


def test_how_many_are_compared() -> None:
    reasons = Counter(why_excluded(case) or "compared" for case in CASES)
    print(dict(reasons))
    assert sum(reasons.values()) == 1005
    assert reasons["compared"] >= 150


@pytest.mark.parametrize("number", range(len(COMPARED)))
async def test_answer_equals_opentsdb(number: int) -> None:
    case = COMPARED[number]
    sent = case["request"]["queries"][0]
    source = MemorySource([(s["tags"], s["points_ms"]) for s in case["data"]])
    query = Query(
        sent["metric"],
        Window(case["request"]["start"], case["request"]["end"]),
        sent["aggregator"],
        downsample(sent.get("downsample")),
        filters=tuple(
            TagFilter(key, FilterKind.WILDCARD, text, group_by=True)
            for key, text in sent.get("tags", {}).items()
        ),
    )
    answer = await engine_over(source, sent["metric"]).query(query)
    got = {
        tuple(sorted(series.tags.items())): (
            list(series.aggregate_tags),
            dict(zip(series.stamps_ms.tolist(), series.values.tolist(), strict=True)),
        )
        for series in answer.series
    }
    expected = {
        tuple(sorted(element["tags"].items())): (
            sorted(element["aggregateTags"]),
            {
                int(t): float("nan") if v in ("NaN", None) else float(v)
                for t, v in element["dps"].items()
            },
        )
        for element in case["answer"]
        if element["dps"]
    }
    assert got.keys() == expected.keys(), sent
    for tags, (aggregated, dps) in expected.items():
        assert got[tags][0] == aggregated
        assert got[tags][1] == pytest.approx(dps, rel=1e-9, nan_ok=True), sent
