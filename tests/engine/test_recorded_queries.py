"""Random queries with the answers of a real OpenTSDB 2.4.1 (captures: opentsdb-2.4, fuzz)."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from bridge.model import Downsample, FilterKind, Query, Rate, TagFilter, Window
from tests.engine import opentsdb_model
from tests.engine.memory import MemorySource, engine_over

CASES = json.loads((Path(__file__).parents[1] / "fixtures/opentsdb-2.4/fuzz.json").read_text())[
    "cases"
]

UNIT_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000}


def downsample(text: str | None) -> Downsample | None:
    if not text:
        return None
    interval, function, *fill = text.split("-")
    found = re.fullmatch(r"(\d+)(ms|s|m|h|all)", interval)
    assert found
    width = 0 if found[2] == "all" else int(found[1]) * UNIT_MS[found[2]]
    return Downsample(width, function, fill[0] if fill else "none")


def rate(sent: dict[str, Any]) -> Rate | None:
    if not sent.get("rate"):
        return None
    options = sent.get("rateOptions", {})
    return Rate(
        counter=options.get("counter", False),
        counter_max=options.get("counterMax", 0.0),
        reset_value=options.get("resetValue", 0.0),
        drop_resets=options.get("dropResets", False),
    )


def groups(case: dict[str, Any]) -> list[list[Any]]:
    series = [(s["tags"], [tuple(p) for p in s["points_ms"]]) for s in case["data"]]
    if case["request"]["queries"][0].get("tags"):
        return [[one] for one in series]
    return [series]


def modelled(case: dict[str, Any], *, stated: bool) -> list[Any]:
    request = case["request"]
    sent = request["queries"][0]
    return [
        opentsdb_model.query(
            group,
            request["start"],
            request["end"],
            sent["aggregator"],
            sent.get("downsample"),
            sent.get("rate", False),
            sent.get("rateOptions"),
            stated=stated,
        )
        for group in groups(case)
    ]


def close(one: list[Any], other: list[Any]) -> bool:
    flat = [[point for group in answer for point in group or ()] for answer in (one, other)]
    return len(flat[0]) == len(flat[1]) and all(
        a[0] == b[0] and (a[1] == pytest.approx(b[1], rel=1e-9, nan_ok=True))
        for a, b in zip(*flat, strict=True)
    )


def why_excluded(case: dict[str, Any]) -> str | None:
    """Whether a stated difference changes this answer, by the model with and without them."""
    if close(modelled(case, stated=False), modelled(case, stated=True)):
        return None
    if case["request"]["queries"][0].get("rate"):
        return "stated difference: no contamination of rates, doubles only"
    return "stated difference: doubles only"


COMPARED = [case for case in CASES if why_excluded(case) is None]


def test_how_many_are_compared() -> None:
    reasons = Counter(why_excluded(case) or "compared" for case in CASES)
    print(f"recorded OpenTSDB queries: {dict(reasons)}")
    assert sum(reasons.values()) == 1005
    assert reasons["compared"] == len(COMPARED) >= 750


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
        rate(sent),
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
