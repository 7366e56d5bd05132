"""The verified OpenTSDB vectors (fixture: vectors.json), through grammar and engine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bridge.engine.grammar import SeriesTarget, parse_target
from bridge.model import Query, Rate, Series, Window
from tests.engine.memory import MemorySource, engine_over

VECTORS = {
    vector["id"]: vector
    for vector in json.loads(
        (Path(__file__).parents[1] / "fixtures/opentsdb-2.4/vectors.json").read_text()
    )
    if vector["profile"] == "opentsdb"
}
T0 = 1_356_998_400_000
#: Held by the door that speaks OpenTSDB's HTTP: error bodies and parameters.
HTTP_ONLY = {"O26", "O27", "O28", "O30"}


async def ask(
    series: list[tuple[dict[str, str], list[tuple[int, float]]]],
    text: str,
    start: int = T0,
    end: int = T0 + 43_200_000,
    rate: Rate | None = None,
    timezone: str = "UTC",
) -> tuple[Series, ...]:
    target = parse_target(text)
    assert isinstance(target, SeriesTarget)
    query = Query(
        target.metric,
        Window(start, end),
        target.aggregator or "none",
        target.downsample,
        rate or target.rate,
        target.filters,
        target.explicit_tags,
        timezone,
    )
    return (await engine_over(MemorySource(series), target.metric).query(query)).series


def pairs(series: Series, base: int = 0, unit: int = 1) -> list[tuple[float, float]]:
    stamps = ((series.stamps_ms - base) / unit).tolist()
    return list(zip(stamps, series.values.tolist(), strict=True))


def approx(expected: list[Any]) -> Any:
    flat = [(float(t), float("nan") if v in ("NaN", None) else float(v)) for t, v in expected]
    return [(t, pytest.approx(v, rel=1e-9, nan_ok=True)) for t, v in flat]


def test_every_vector_is_run() -> None:
    run = {*TAGGED, "O11", "O12", "O14", "O15", "O16", "O18", "O19", "O20", "O22", "O23", "O24"}
    assert run | HTTP_ONLY == VECTORS.keys()
    print(f"OpenTSDB vectors: {len(run)} compared, {len(HTTP_ONLY)} are about HTTP")


TAGGED = ["O01", "O02", "O04", "O05", "O06", "O08", "O09", "O10a", "O10c"]


@pytest.mark.parametrize("number", TAGGED)
async def test_tags_and_groups(number: str) -> None:
    vector = VECTORS[number]
    data = vector["data"]
    at = T0 if data["ts"] == "T1" else data["ts"] * 1000
    stored = [
        (dict(pair.split("=") for pair in tags.split(",")), [(at, value)])
        for tags, value in data["series"]
    ]
    got = await ask(stored, vector["request"]["m"], at - 60_000, at + 60_000)
    actual = vector.get("actual_2_4_1", vector["expect"])
    expected = actual.get("series", [actual])
    values = [e["v"] if "v" in e else next(iter(e["dps"].values())) for e in expected]
    assert [
        (s.tags, list(s.aggregate_tags), pytest.approx(s.values.tolist(), rel=1e-9)) for s in got
    ] == [(e["tags"], e["aggregateTags"], [v]) for e, v in zip(expected, values, strict=True)]


@pytest.mark.parametrize("number", ["O11", "O12"])
async def test_interpolation(number: str) -> None:
    stored = [
        ({"vm": name}, [(T0 + t * 1000, float(v)) for t, v in VECTORS["O11"]["data"][key]])
        for name, key in (("a", "s1_rel_s"), ("b", "s2_rel_s"))
    ]
    vector = VECTORS[number]
    (got,) = await ask(stored, f"{vector['request']['aggregator']}:x")
    assert pairs(got, T0, 1000) == approx(vector["expect"]["dps_rel_s"])


async def test_downsampled_sum() -> None:
    data = VECTORS["O14"]["data"]
    stored = [
        ({"vm": key}, [(T0 + n * 10_000, float(v)) for n, v in enumerate(data[key])])
        for key in ("A_10s", "B_10s")
    ]
    (got,) = await ask(stored, VECTORS["O14"]["request"]["m"])
    assert pairs(got, T0, 1000) == approx(VECTORS["O14"]["expect"]["dps_rel_s"])


@pytest.mark.parametrize("fill", ["nan", "null", "zero", "none"])
async def test_fills(fill: str) -> None:
    vector = VECTORS["O15"]
    stored = [
        ({"vm": key}, [(T0 + t * 1000, float(v)) for t, v in vector["data"][key]]) for key in "AB"
    ]
    (got,) = await ask(stored, f"sum:10s-sum-{fill}:x", end=T0 + 60_000)
    expected = vector["actual_2_4_1"]["dps_rel_s" + ("" if fill == "nan" else f"_{fill}")]
    assert pairs(got, T0, 1000) == approx(expected)


@pytest.mark.parametrize(
    ("number", "prefix", "timezone"),
    [
        ("O16", "1000s-avg", "UTC"),
        ("O18", "0all-sum", "UTC"),
        ("O19", "1dc-sum", "America/Denver"),
        ("O20", "100ms-sum-nan", "UTC"),
    ],
)
async def test_one_series(number: str, prefix: str, timezone: str) -> None:
    vector = VECTORS[number]
    sent = vector["sent"]
    base = sent.get("base_ms", 0)
    data = vector["data"]["points_ms"] if number == "O16" else vector["data"]
    stored = [({"vm": "a"}, [(base + t, float(v)) for t, v in data])]
    (got,) = await ask(stored, f"sum:{prefix}:x", sent["start"], sent["end"], timezone=timezone)
    assert pairs(got, base) == approx(vector["expect"]["dps_ms"])


COUNTING = [({"host": "web01"}, [(T0 + 30_000 * n, float(n)) for n in range(1, 301)])]


async def test_rate() -> None:
    (got,) = await ask(COUNTING, VECTORS["O22"]["request"]["m"])
    expected = VECTORS["O22"]["actual_2_4_1"]
    assert len(got.values) == expected["count"]
    assert got.stamps_ms[0] == expected["first_ts"] * 1000
    assert set((got.stamps_ms[1:] - got.stamps_ms[:-1]).tolist()) == {expected["step"] * 1000}
    assert got.values == pytest.approx(expected["value"])


async def test_minutes() -> None:
    (got,) = await ask(COUNTING, VECTORS["O23"]["request"]["m"])
    expected = VECTORS["O23"]["actual_2_4_1"]
    assert len(got.values) == expected["count"]
    assert pairs(got, 0, 1000)[:3] == approx(expected["dps_first"])
    assert pairs(got, 0, 1000)[-1] == (expected["last_ts"], expected["last"])


@pytest.mark.parametrize("drop", [False, True])
async def test_counter(drop: bool) -> None:
    vector = VECTORS["O24"]
    stored = [({"vm": "a"}, [(T0 + t * 1000, float(v)) for t, v in vector["data"]["rel_s"]])]
    options = vector["request"]["rateOptions"]
    rate = Rate(options["counter"], options["counterMax"], options["resetValue"], drop)
    (got,) = await ask(stored, "sum:x", rate=rate)
    expected = vector["actual_2_4_1"]["with dropResets" if drop else "rates"]
    assert pairs(got, T0, 1000) == approx(expected)
