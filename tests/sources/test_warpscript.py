"""The scripts sent to Warp 10: what varies in them stays data, whatever it is."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bridge.demo.warp10.versions import Limits
from bridge.engine.filters import match_all
from bridge.errors import BadRequestError
from bridge.model import BucketFunction, BucketRequest, FilterKind, PointRequest, TagFilter
from bridge.sources.metrics_platform import MAX_LITERALS
from bridge.sources.warpscript import (
    BUCKETIZERS,
    BUCKETS,
    POINTS,
    bucket_parameters,
    point_parameters,
    selectors,
    written,
)
from tests.demo.lab import READ_TOKEN, ListShelf, series, warp10_app
from tests.servers import serving
from tests.warpscript import Gts, Machine, selected, words

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SCRIPTS = [BUCKETS.plain, BUCKETS.raised, POINTS.plain, POINTS.raised]
#: What has a meaning in a script, in a literal, in a selector or in a regular expression.
MARKS = [
    *("'", "' ", "'\n", "'\r\n", "\n", "\r", "\u2028", "\u0085", "\x00", "\t", '"', '" '),
    *("%27", "%", "%0A", "%zz", "<'", "<'\n", "\n'>", "'>", "<%", "%>", "[", "]", "{", "}"),
    *("//", "/*", "*/", "#", "$p", "STOP", " DROP ", "'x' DROP", "~", "=", "~.*", "(", ")", "|"),
    *("*", "\\", "\\E", "\\Q", "^", "$", ".", "?", "(?i)", "é", "日本", "😀", "\u202e"),
]
hostile = st.lists(st.sampled_from(MARKS) | st.text(max_size=4), min_size=1, max_size=6).map(
    "".join
)
kinds = st.sampled_from(list(FilterKind))
filters = st.lists(st.builds(TagFilter, hostile, kinds, hostile), max_size=3).map(tuple)
NOBODY = "no.such.metric"


def bucket_request(metric: str, filters: Sequence[TagFilter]) -> BucketRequest:
    functions = frozenset(BucketFunction)
    return BucketRequest(metric, tuple(filters), 0, 3_600_000, 300_000, functions)


def data_of(script: str) -> Any:
    first = script.partition("\n")[0]
    text = first[1:-1]
    return json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))


@given(metric=hostile, filters=filters, token=hostile, text=st.sampled_from(SCRIPTS))
@example("'\n'x' DROP\n", (), "'\nSTOP", BUCKETS.plain)
@example("a", (TagFilter("<'", FilterKind.LITERAL_OR, "'>\nSTOP|%27"),), "t", POINTS.raised)
def test_what_varies_cannot_become_code(
    metric: str, filters: tuple[TagFilter, ...], token: str, text: str
) -> None:
    request = bucket_request(metric, filters)
    try:
        parameters = {**bucket_parameters(request, sorted(request.functions)), "token": token}
    except BadRequestError:
        assert metric.startswith(("~", "="))
        return
    script = written(text, parameters).decode("ascii")
    first, *rest = words(script)
    blank, *constant = words("'x'\n" + text)
    assert rest == constant
    assert first.literal
    assert (first.line, blank.line) == (1, 1)
    assert script == f"'{first.text}'\n{text}"
    assert data_of(script) == parameters


@given(name=hostile, value=hostile)
@example("'\n'x' DROP\n", "'\nSTOP")
@example("%27", "%0A")
def test_a_hostile_name_finds_just_its_own_series(name: str, value: str) -> None:
    stored = [
        Gts("other", {"vm": value, ".app": "lab"}, ((5_000_000, 1.0),)),
        Gts(name, {"vm": "other", ".app": "lab"}, ((5_000_000, 2.0),)),
        Gts(name, {"vm": value, ".app": "lab"}, ((5_000_000, 3.0),)),
    ]
    literal = TagFilter("vm", FilterKind.LITERAL_OR, value)
    try:
        wanted = match_all((literal,))
        parameters = point_parameters(PointRequest(name, (literal,), 0, 10_000, 10))
    except BadRequestError:
        assert name.startswith(("~", "=")) or not value.strip("|")
        return
    script = written(POINTS.plain, {**parameters, "token": "t"}).decode()
    (found,) = json.loads(Machine(stored, {"t": ""}).run(script))
    expected = [2.0] * wanted({"vm": "other"}) + [3.0] * wanted({"vm": value})
    assert sorted(one["v"][0][1] for one in found) == expected


@pytest.fixture(scope="module")
def simulated() -> Iterator[tuple[httpx.Client, str]]:
    stored = [series("m", {"vm": f"vm-{n}"}, [(n, 1.0)]) for n in range(3)]
    app = warp10_app(ListShelf(stored), limits=Limits(buckets=10_000))
    with serving(app) as base, httpx.Client() as client:
        yield client, f"{base}/warp10/api/v0/exec"


@given(metric=hostile, filters=filters, text=st.sampled_from(SCRIPTS))
def test_the_simulator_takes_no_hostile_script_for_another(
    simulated: tuple[httpx.Client, str],
    metric: str,
    filters: tuple[TagFilter, ...],
    text: str,
) -> None:
    client, address = simulated
    request = bucket_request(metric, filters)
    try:
        parameters = bucket_parameters(request, sorted(request.functions))
    except BadRequestError:
        return
    script = written(text, {**parameters, "token": READ_TOKEN, "limit": 1000})
    answer = client.post(address, content=script)
    assert answer.status_code == 200, answer.text
    assert not any(one for one in answer.json()[0])


tags = st.dictionaries(st.sampled_from(["vm", "host", "a'b"]), hostile, max_size=3)
on_tags = st.lists(
    st.builds(TagFilter, st.sampled_from(["vm", "host", "a'b"]), kinds, hostile), max_size=3
)


@given(filters=on_tags, tags=tags, borrowed=st.data())
def test_a_selector_never_loses_a_series_that_matches(
    filters: list[TagFilter], tags: dict[str, str], borrowed: st.DataObject
) -> None:
    # Values out of the filters themselves, that some of them match.
    parts = [part for flt in filters for part in flt.text.replace("*", "|").split("|") if part]
    for key in tags:
        if parts and borrowed.draw(st.booleans()):
            tags[key] = borrowed.draw(st.sampled_from(parts))
    try:
        matches = match_all(filters)(tags)
    except BadRequestError:
        return
    if matches:
        assert all(selected(text, tags[key]) for key, text in selectors(filters).items())


def test_what_is_pushed_down() -> None:
    def one(kind: FilterKind, text: str) -> dict[str, str]:
        return selectors([TagFilter("vm", kind, text)])

    assert one(FilterKind.LITERAL_OR, "vm-1") == {"vm": "=vm-1"}
    assert one(FilterKind.LITERAL_OR, "~x") == {"vm": "=~x"}
    assert one(FilterKind.LITERAL_OR, "b.c|a") == {"vm": r"~(a|b\.c)"}
    assert one(FilterKind.WILDCARD, "web.*1") == {"vm": r"~((?s:web\..*1))"}
    assert one(FilterKind.WILDCARD, "*") == {}
    many = "|".join(f"vm-{n}" for n in range(MAX_LITERALS + 1))
    assert one(FilterKind.LITERAL_OR, many) == {}
    for kind in set(FilterKind) - {FilterKind.LITERAL_OR, FilterKind.WILDCARD}:
        assert one(kind, "vm-*") == {}
    union = [TagFilter("vm", FilterKind.LITERAL_OR, text) for text in ("a", "b|a")]
    assert selectors([*union, TagFilter("vm", FilterKind.WILDCARD, "a*")]) == {"vm": "~(a|b)"}


@pytest.mark.parametrize("metric", ["~.*", "=x", "~"])
def test_a_metric_name_with_a_meaning_of_its_own_is_refused(metric: str) -> None:
    with pytest.raises(BadRequestError, match="a meaning of its own") as caught:
        point_parameters(PointRequest(metric, (), 0, 1, 1))
    assert caught.value.position == 0


def test_half_a_character_is_refused() -> None:
    parameters = point_parameters(PointRequest("\ud800", (), 0, 1, 1))
    with pytest.raises(BadRequestError, match="half a character"):
        written(POINTS.plain, parameters)


def test_every_function_has_a_bucketizer() -> None:
    assert set(BUCKETIZERS) == set(BucketFunction)
    listed = {w.text for w in words("'x'\n" + BUCKETS.plain)}
    assert {f"bucketizer.{word}" for word in BUCKETIZERS.values()} <= listed
    assert set(BUCKETIZERS.values()) <= listed


def test_times_are_in_microseconds_and_inclusive_as_warp10_counts() -> None:
    buckets = bucket_parameters(
        BucketRequest(NOBODY, (), 600_000, 1_200_000, 300_000, frozenset(BucketFunction)), []
    )
    assert buckets["end"] == buckets["lastbucket"] == 1_199_999_999
    assert buckets["timespan"] == 600_000_000
    assert (buckets["bucketspan"], buckets["bucketcount"]) == (300_000_000, 2)
    points = point_parameters(PointRequest(NOBODY, (), 1_000, 2_000, 5))
    assert points["end"] == 2_000_999
    assert points["end"] - points["timespan"] == 999_999
