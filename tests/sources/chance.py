"""Random machines and random queries about them, for comparisons of several sources."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest

from bridge.engine.functions import AGGREGATORS, DOWNSAMPLERS
from bridge.engine.grammar import parse_downsample
from bridge.model import BucketFunction, FilterKind, Query, Rate, TagFilter, Window

if TYPE_CHECKING:
    from random import Random

    from bridge.model import Answer

#: Series as (tags, {seconds since the epoch: value}).
Stored = list[tuple[dict[str, str], dict[float, float]]]
#: An answer by tags and stamps, or the error in words.
Table = dict[tuple[Any, ...], dict[int, float]] | str

BASE = 1_700_000_000 - 1_700_000_000 % 3600
LABELS = ("vm", "host", "role")
NAMES = ("web01", "WEB01", "web02", "db1", "a.b")
TEXTS = [
    *((FilterKind.LITERAL_OR, text) for text in ("web01", "web01|db1|a.b", "none|web02")),
    *((FilterKind.ILITERAL_OR, text) for text in ("WEB01|Web02", "a.b")),
    *((FilterKind.NOT_LITERAL_OR, text) for text in ("web01", "a.b|none")),
    *((FilterKind.NOT_ILITERAL_OR, text) for text in ("WEB01|A.B",)),
    *((FilterKind.WILDCARD, text) for text in ("*", "w*", "*1", "*e*0*", "a.*")),
    *((FilterKind.IWILDCARD, text) for text in ("*", "W*")),
    *((FilterKind.REGEXP, text) for text in ("^w", "0[12]", ".")),
]
INTERVALS = ("10s", "30s", "1m", "5m", "15m", "1h", "2h", "1d", "7m", "25m", "500ms", "1s", "0all")
CALENDARS = ("1hc", "1dc", "15mc")


def some_series(chance: Random, *, whole_seconds: bool) -> Stored:
    """Up to six machines: whole ones, dying ones, such with gaps, a single point."""
    found: dict[tuple[tuple[str, str], ...], dict[float, float]] = {}
    for _ in range(chance.randint(1, 6)):
        tags = {label: chance.choice(NAMES) for label in LABELS if chance.random() < 0.7}
        tags = tags or {"vm": "web01"}
        step = chance.choice([30, 60, 61, 300])
        at: float = BASE + chance.randint(0, 4_000)
        if not whole_seconds:
            at += chance.choice([0.25, 0.5, 0.999, 0.001])
        points = {}
        for _ in range(chance.choice([1, 20, 60, 120])):
            if chance.random() < 0.9:
                # Broken numbers that single precision holds: OpenTSDB stores them as they are.
                points[at] = chance.randint(-1_600, 3_200) / 32 + 1 / 64
            at += step if chance.random() < 0.97 else chance.randint(700, 4_000)
        if points:
            found[tuple(sorted(tags.items()))] = points
    return [(dict(tags), points) for tags, points in sorted(found.items())]


def some_query(chance: Random, metric: str, *, rates: bool = True) -> Query:
    """Most of them have an answer."""
    start = BASE * 1000 + chance.choice([-3_600_000, 0, 1, 300_000, 1_799_999, 5_000_000])
    length = chance.choice([20_000_000, 9_000_000, 3_600_000, 599_999, 1])
    downsample = None
    if chance.random() < 0.75:
        interval = chance.choice(INTERVALS if chance.random() < 0.9 else CALENDARS)
        function = chance.choice([*BucketFunction, *BucketFunction, *sorted(DOWNSAMPLERS)])
        fill = chance.choice(["", "", "-none", "-nan", "-zero"])
        if interval in {"500ms", "1s"}:
            fill = ""  # filled, that is a million buckets
        downsample = parse_downsample(f"{interval}-{function}{fill}")
    filters = tuple(
        TagFilter(
            chance.choice(["vm", "vm", "host", "role", "nothing"]),
            *chance.choice(TEXTS),
            group_by=chance.random() < 0.6,
        )
        for _ in range(chance.choice([0, 0, 1, 1, 2]))
    )
    rate = None
    if rates and chance.random() < 0.25:
        rate = chance.choice([Rate(), Rate(True, 100.0, 5.0), Rate(True, 0.0, 0.0, True)])
    return Query(
        metric,
        Window(start, start + length),
        chance.choice([*sorted(AGGREGATORS), "none", "none", "none", "avg"]),
        downsample,
        rate,
        filters,
        bool(filters) and chance.random() < 0.15,
        chance.choice(["UTC", "Asia/Kolkata"]),
    )


def table(answer: Answer) -> Table:
    return {
        (tuple(sorted(one.tags.items())), one.aggregate_tags): dict(
            zip(one.stamps_ms.tolist(), one.values.tolist(), strict=True)
        )
        for one in answer.series
    }


def assert_same(found: Table, expected: Table, what: object) -> None:
    """Values are compared but for the order in which sums were added."""
    if isinstance(expected, str) or isinstance(found, str):
        assert found == expected, what
        return
    assert sorted(found) == sorted(expected), what
    for key, line in expected.items():
        assert list(found[key]) == list(line), what
        for stamp, value in line.items():
            got = found[key][stamp]
            if math.isnan(value):
                assert math.isnan(got), (what, stamp)
            else:
                assert got == pytest.approx(value, rel=1e-9, abs=1e-7), (what, stamp)
