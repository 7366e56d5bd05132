"""Erlenmeyer's arithmetic, beyond what the captures and vectors show."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.demo.erlenmeyer import evaluate
from bridge.demo.erlenmeyer.buckets import percentile_index
from bridge.demo.erlenmeyer.request import RefusedError, parse_request
from bridge.demo.erlenmeyer.selectors import BackendError, InjectionError, literal, selector
from bridge.demo.erlenmeyer.times import parse_time
from tests.demo.lab import ListShelf, series

if TYPE_CHECKING:
    from collections.abc import Callable

BASE = 1_700_000_000


def ask(
    shelf: ListShelf, query: dict[str, Any], start: int = BASE, end: int = BASE + 60, **more: Any
) -> list[dict[str, Any]]:
    body = {"start": start, "end": end, "queries": [{"metric": "m", **query}], **more}
    return evaluate.run(shelf, parse_request(json.dumps(body).encode(), 2e9), 0)


def values(shelf: ListShelf, query: dict[str, Any], **more: Any) -> list[float]:
    (element,) = ask(shelf, query, **more)
    return list(element["dps"].values())


COUNTER = ListShelf(
    [series("m", {"h": "a"}, [(BASE + 10 * n, v) for n, v in enumerate([0, 5, 20, 3, 9])])]
)
PAIR = ListShelf(
    [
        series("m", {"h": "a", "x": "1"}, [(BASE + 10, 1.0), (BASE + 30, 3.0)]),
        series("m", {"h": "b", "x": "1"}, [(BASE + 20, 10.0), (BASE + 60, 50.0)]),
    ]
)
SUM = {"aggregator": "zimsum", "downsample": "10s-sum"}


def test_a_rate_comes_after_aggregation_and_loses_its_first_stamp() -> None:
    window = {"start": BASE - 10, "end": BASE + 40}
    assert values(COUNTER, {**SUM, "rate": True}, **window) == [0.5, 1.5, -1.7, 0.6]


def test_counter_alone_changes_nothing_and_dropping_resets_corrects_them() -> None:
    window = {"start": BASE - 10, "end": BASE + 40}
    counter = {**SUM, "rate": True, "rateOptions": {"counter": True}}
    assert values(COUNTER, counter, **window) == [0.5, 1.5, -1.7, 0.6]
    dropping = {**counter, "rateOptions": {"counter": True, "dropResets": True}}
    assert values(COUNTER, dropping, **window) == [0.5, 1.5, 0.3, 0.6]
    clamped = {**counter, "rateOptions": {"counter": True, "counterMax": 10}}
    assert values(COUNTER, clamped, **window) == [0.5, 0.5, -0.7, 0.6]
    zeroed = {**counter, "rateOptions": {"counter": True, "resetValue": 10}}
    assert values(COUNTER, zeroed, **window) == [0, 0.5, -0.5, 0.3]
    assert values(
        COUNTER, {**counter, "rateOptions": {"counter": True, "resetValue": 1}}, **window
    ) == [0.5, 1.5, -1.7, 0.6]


def test_raw_points_are_clamped_but_never_rated() -> None:
    query = {"aggregator": "none", "rate": True, "downsample": "nonsense"}
    assert values(COUNTER, query) == [0, 5, 20, 3, 9]
    options = {"rateOptions": {"counter": True, "counterMax": 6}}
    assert values(COUNTER, {**query, **options}) == [0, 5, 6, 3, 6]


@pytest.mark.parametrize(
    ("aggregator", "expected"),
    [
        ("zimsum", [1, 10, 3, 50]),
        ("count", [1, 1, 1, 1]),
        ("mimmin", [1, 10, 3, 50]),
        ("mimmax", [1, 10, 3, 50]),
        ("sum", [11, 12, 23, 33, 43, 53]),
        ("avg", [5.5, 6, 11.5, 16.5, 21.5, 26.5]),
        ("min", [1, 2, 3, 3, 3, 3]),
        ("max", [10, 10, 20, 30, 40, 50]),
        ("p50", [10, 10, 20, 30, 40, 50]),
        ("p99", [10, 10, 20, 30, 40, 50]),
    ],
)
def test_only_four_aggregators_leave_gaps(aggregator: str, expected: list[float]) -> None:
    assert values(PAIR, {"aggregator": aggregator, "downsample": "10s-avg"}) == expected


def test_fills_apply_to_each_series_before_they_are_merged() -> None:
    zero = {"aggregator": "avg", "downsample": "10s-avg-zero"}
    assert values(PAIR, zero) == [0.5, 5, 1.5, 0, 0, 25]
    assert ask(PAIR, {"aggregator": "sum", "downsample": "10s-avg-nan"}) == []
    counted = {"aggregator": "count", "downsample": "10s-avg-nan"}
    assert values(PAIR, counted) == [2] * 6


def test_the_deviation_is_the_sample_s() -> None:
    shelf = ListShelf([series("m", {}, [(BASE + n, v) for n, v in enumerate([2, 4, 9])])])
    (value,) = values(shelf, {"aggregator": "zimsum", "downsample": "0all-dev"}, start=BASE - 1)
    assert value == pytest.approx(np.std([2, 4, 9], ddof=1))


@pytest.mark.parametrize(("percent", "rank"), [(50.0, 6), (75.0, 8), (90.0, 10), (99.9, 10)])
def test_percentiles_are_stored_values(percent: float, rank: int) -> None:
    assert percentile_index(percent, np.array([10]))[0] == rank - 1


def test_without_downsampling_means_over_a_ladder_step() -> None:
    points = [(BASE + 60 * n, float(n)) for n in range(1440)]
    (element,) = ask(ListShelf([series("m", {}, points)]), {"aggregator": "avg"}, end=BASE + 86400)
    stamps = [int(stamp) for stamp in element["dps"]]
    assert set(np.diff(stamps)) == {600}
    assert stamps[-1] == BASE + 86400
    assert element["dps"][str(BASE + 86400)] == 1435.0


@pytest.mark.parametrize(
    ("range_s", "step_s"),
    [(1000, 1), (1001, 5), (86400, 600), (7 * 86400, 900), (10**9, 604800), (10**10, 604800)],
)
def test_the_ladder(range_s: int, step_s: int) -> None:
    assert evaluate.forced_span_us(0, range_s * 1_000_000) == step_s * 1_000_000


def test_groups_and_labels() -> None:
    grouped = ask(PAIR, {**SUM, "tags": {"h": "*"}})
    assert [(e["tags"], e["aggregateTags"]) for e in grouped] == [
        ({"h": "a", "x": "1"}, ["h"]),
        ({"h": "b", "x": "1"}, ["h"]),
    ]
    (merged,) = ask(PAIR, SUM)
    assert (merged["tags"], merged["aggregateTags"]) == ({"x": "1"}, [])
    assert len(ask(PAIR, {**SUM, "tags": {"h": "a | b"}})) == 2
    assert ask(PAIR, {**SUM, "tags": {"h": "a*"}}) == []


def test_filters_that_are_not_known_are_dropped_silently() -> None:
    unknown = {"type": "not_literal_or", "tagk": "h", "filter": "a", "groupBy": True}
    (element,) = ask(PAIR, {**SUM, "filters": [unknown]})
    assert element["tags"] == {"x": "1"}
    last_wins = [
        {"type": "literal_or", "tagk": "h", "filter": "a"},
        {"type": "literal_or", "tagk": "h", "filter": "b"},
    ]
    (element,) = ask(PAIR, {**SUM, "filters": last_wins})
    assert element["tags"]["h"] == "b"


def test_explicit_tags() -> None:
    assert ask(PAIR, {**SUM, "tags": {"h": "*"}, "explicitTags": True}) == []
    assert len(ask(PAIR, {**SUM, "tags": {"h": "*", "x": "*"}, "explicitTags": True})) == 2


def test_numbers_look_like_go_s() -> None:
    shelf = ListShelf([series("m", {}, [(BASE, 9.0), (BASE + 1, 8.5), (BASE + 2, 1e21)])])
    (element,) = ask(shelf, {"aggregator": "none"})
    assert json.dumps(list(element["dps"].values())) == "[9, 8.5, 1e+21]"


def test_the_fetch_limit_is_a_backend_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluate, "FETCH_LIMIT", 3)
    with pytest.raises(BackendError):
        ask(COUNTER, SUM)


@pytest.mark.parametrize(
    ("text", "matches", "not_matches"),
    [
        ("~172.17.*", ["172.17.86.51"], ["172.18.86.51"]),
        # The short cut looks for the longest run of letters and digits first.
        ("~web0?1", ["web01"], ["web1"]),
        ("~(web0?1)", ["web1", "web01"], ["web2"]),
        ("~web01|db", ["web01", "db"], ["web"]),
        ("~.*", ["", "x"], []),
        ("~w", [], ["web"]),
        ("=web*", ["web*"], ["web1"]),
        ("web", ["web"], ["web1"]),
    ],
)
def test_selectors(text: str, matches: list[str], not_matches: list[str]) -> None:
    made = selector(text)
    assert all(made.matches(value) for value in matches)
    assert not any(made.matches(value) for value in not_matches)


@pytest.mark.parametrize("text", ["a' b", "a'\tb", "a\nb", "a\rb", "a'\n"])
def test_text_that_would_run_as_code_is_noticed(text: str) -> None:
    with pytest.raises(InjectionError):
        literal(text)


def test_percent_escapes_are_data() -> None:
    assert literal("a%27%20b%0A'c") == "a' b\n'c"
    with pytest.raises(BackendError):
        literal("50%zz")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1346846400", 1346846400),
        ("1346846400.500", 1346846400),
        ("1346846400500", 1346846400),
        ("2012/09/05-12:00", 1346846400),
        ("2012/09/05 12:00:00", 1346846400),
        ("1h-ago", 1346842800),
        ("1n-ago", 1346846400 - 30 * 86400),
    ],
)
def test_times(text: str, expected: int) -> None:
    assert parse_time(text, 1346846400.0) == expected * 1_000_000


@pytest.mark.parametrize("text", ["now", "-5", "", "1.5", "2012-09-05", "2012/13/05", "1q-ago"])
def test_times_that_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"Invalid date|month"):
        parse_time(text, 0.0)


@pytest.mark.parametrize(
    "body",
    [
        b'{"queries":[{"metric":1,"aggregator":"sum"}]}',
        b'{"queries":[{"metric":"m","aggregator":"sum","filters":{}}]}',
        b'{"queries":[{"metric":"m","aggregator":"sum","explicitTags":1}]}',
        b'{"queries":[{"metric":"m","aggregator":"sum","downsample":5}]}',
        b'{"queries":{}}',
        b'{"start":true}',
        b'{"end":[1]}',
        b'{"end":NaN}',
        b'{"queries":[{"metric":"m","aggregator":"sum","rateOptions":{"counterMax":1e19}}]}',
        b"\xff",
    ],
)
def test_bodies_that_cannot_be_parsed(body: bytes) -> None:
    with pytest.raises(RefusedError, match=r"^can't parse query$"):
        parse_request(body, 0.0)


def test_fields_are_found_whatever_their_case() -> None:
    body = b'{"Start":5,"END":9,"Queries":[{"Metric":"m","aggregator":"sum","tags":{"a":null}}]}'
    request = parse_request(body, 0.0)
    assert (request.start_us, request.end_us) == (5_000_000, 9_000_000)
    assert request.queries[0].tags == {"a": ""}


PLAIN: dict[str, Callable[[list[float]], float]] = {
    "sum": sum,
    "count": len,
    "min": min,
    "max": max,
    "first": lambda found: found[0],
    "last": lambda found: found[-1],
}
POINTS = st.dictionaries(
    st.integers(0, 300), st.integers(-50, 50).map(float), min_size=1, max_size=40
)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(POINTS, min_size=1, max_size=4),
    st.integers(1, 60),
    st.integers(0, 100),
    st.integers(100, 320),
    st.sampled_from(["sum", "count", "min", "max", "first", "last"]),
)
def test_buckets_against_a_plain_model(
    stored: list[dict[int, float]], span: int, start: int, end: int, function: str
) -> None:
    shelf = ListShelf(
        series("m", {"n": str(n)}, [(BASE + s, v) for s, v in points.items()])
        for n, points in enumerate(stored)
    )
    plain = PLAIN[function]
    expected = []
    for points in stored:
        dps = {}
        for k in range(max(1, (end - start) // span)):
            stamp = end - k * span
            inside = [
                points[s] for s in sorted(points) if max(start, stamp - span + 1) <= s <= stamp
            ]
            if inside:
                dps[BASE + stamp] = plain(inside)
        expected.append(dps)

    found = ask(
        shelf,
        {"aggregator": "zimsum", "downsample": f"{span}s-{function}", "tags": {"n": "*"}},
        start=BASE + start,
        end=BASE + end,
    )

    answered = {int(e["tags"]["n"]): {int(s): v for s, v in e["dps"].items()} for e in found}
    assert answered == {n: dps for n, dps in enumerate(expected) if dps}
