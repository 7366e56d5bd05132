"""Targets and variables as people write them, case by case."""

from __future__ import annotations

import pytest

from bridge.engine.grammar import (
    LiveTarget,
    SeriesTarget,
    parse_downsample,
    parse_filter,
    parse_rate,
    parse_target,
)
from bridge.errors import BadRequestError
from bridge.model import Downsample, FilterKind, Rate, TagFilter


@pytest.mark.parametrize(
    ("text", "kind", "expression"),
    [
        ("*", FilterKind.WILDCARD, "*"),
        (".*", FilterKind.WILDCARD, "*"),
        (r"\.\*", FilterKind.WILDCARD, "*"),
        ("(web01|*)", FilterKind.WILDCARD, "*"),
        ("web01", FilterKind.LITERAL_OR, "web01"),
        (" web01 ", FilterKind.LITERAL_OR, "web01"),
        (r"web\.01", FilterKind.LITERAL_OR, "web.01"),
        ("a|b", FilterKind.LITERAL_OR, "a|b"),
        ("a | b", FilterKind.LITERAL_OR, "a|b"),
        (r"(a\.1|b\/2)", FilterKind.LITERAL_OR, "a.1|b/2"),
        ("{a,b}", FilterKind.LITERAL_OR, "a|b"),
        ("web(01|02).prod", FilterKind.LITERAL_OR, "web01.prod|web02.prod"),
        ("(a|b)-(1|2)", FilterKind.LITERAL_OR, "a-1|a-2|b-1|b-2"),
        ("web(|-old)", FilterKind.LITERAL_OR, "web|web-old"),
        ("((a|b)|c)", FilterKind.LITERAL_OR, "a|b|c"),
        ("a|a|b", FilterKind.LITERAL_OR, "a|b"),
        ("a||b", FilterKind.LITERAL_OR, "a|b"),
        ("web (old)", FilterKind.LITERAL_OR, "web (old)"),
        (r"web \(old\)", FilterKind.LITERAL_OR, "web (old)"),
        ("web {x}", FilterKind.LITERAL_OR, "web {x}"),
        ("(web01)", FilterKind.LITERAL_OR, "web01"),
        ("dom\\web", FilterKind.LITERAL_OR, "dom\\web"),
        ("dom\\\\web", FilterKind.LITERAL_OR, "dom\\web"),
        ("été, hiver", FilterKind.LITERAL_OR, "été, hiver"),
        ("web*", FilterKind.IWILDCARD, "web*"),
        (r"web\*", FilterKind.IWILDCARD, "web*"),
        ("web*|db*", FilterKind.REGEXP, "^(?i:web.*|db.*)$"),
        (r"a\|b", FilterKind.REGEXP, r"^(?:a\|b)$"),
        ("literal_or(a|b)", FilterKind.LITERAL_OR, "a|b"),
        ("literal_or((a|b))", FilterKind.LITERAL_OR, "a|b"),
        ("literal_or(web*)", FilterKind.LITERAL_OR, "web*"),
        ("LITERAL_OR(a)", FilterKind.LITERAL_OR, "a"),
        ("iliteral_or(A|b)", FilterKind.ILITERAL_OR, "A|b"),
        ("not_literal_or(a|b)", FilterKind.NOT_LITERAL_OR, "a|b"),
        ("not_iliteral_or((a|b))", FilterKind.NOT_ILITERAL_OR, "a|b"),
        (r"not_iliteral_or(a\|b)", FilterKind.REGEXP, r"^(?!(?i:a\|b)$)"),
        ("wildcard(Web*)", FilterKind.WILDCARD, "Web*"),
        ("iwildcard(web*)", FilterKind.IWILDCARD, "web*"),
        ("wildcard((web*|db*))", FilterKind.REGEXP, "^(?:web.*|db.*)$"),
        ("regexp(^web(0|1)\\.x[)]$)", FilterKind.REGEXP, "^web(0|1)\\.x[)]$"),
        ("regexp((a|b))", FilterKind.REGEXP, "(a|b)"),
        ("regexp(a,b{2})", FilterKind.REGEXP, "a,b{2}"),
    ],
)
def test_values(text: str, kind: FilterKind, expression: str) -> None:
    assert parse_filter("k", text) == (TagFilter("k", kind, expression),)


@pytest.mark.parametrize(
    ("text", "position", "words"),
    [
        ("", 0, "expected a value"),
        ("|", 0, "expected a value"),
        ("literal_or()", 0, "expected a value"),
        ("regexp()", 0, "expected a value"),
        ("literl_or(a)", 0, "literal_or"),
        ("(a", 0, "not closed"),
        ("a)", 1, "without"),
        ("a}", 1, "without"),
        ("(a}", 2, "expected ')'"),
        ("regexp(a", 6, "not closed"),
        ("literal_or(a", 10, "not closed"),
        ("literal_or(a) b", 14, "'b'"),
        ("(a|b)" * 20, 65, "too many"),
        ("(" * 40, 32, "deeper"),
    ],
)
def test_values_that_cannot_be_read(text: str, position: int, words: str) -> None:
    with pytest.raises(
        BadRequestError, match=words.replace("(", r"\(").replace(")", r"\)")
    ) as caught:
        parse_filter("k", text)
    assert caught.value.position == position


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("5m-avg", Downsample(300_000, "avg")),
        ("5m-max-zero", Downsample(300_000, "max", "zero")),
        ("500ms-squareSum-NaN", Downsample(500, "squareSum", "nan")),
        ("1n-sum", Downsample(30 * 86_400_000, "sum")),
        ("1y-sum", Downsample(365 * 86_400_000, "sum")),
        ("0all-sum", Downsample(0, "sum")),
        ("1dc-avg", Downsample(86_400_000, "avg", calendar=True, count=1, unit="d")),
        ("2wc-p99-null", Downsample(2 * 604_800_000, "p99", "null", True, 2, "w")),
        ("1m-avg-", Downsample(60_000, "avg")),
        ("1m-", Downsample(60_000, "avg")),
        ("1m--", Downsample(60_000, "avg")),
        ("1m", Downsample(60_000, "avg")),
    ],
)
def test_downsamplings(text: str, spec: Downsample) -> None:
    assert parse_downsample(text) == spec


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("", 0),
        ("avg", 0),
        ("0m-avg", 0),
        ("1.5m-avg", 0),
        ("1M-avg", 1),
        ("5-avg", 0),
        ("1q-avg", 1),
        ("101y-avg", 0),
        ("99999999999999999999d-avg", 0),
        ("0allc-avg", 0),
        ("1m-a!b", 3),
        ("1m-avg-scalar", 7),
        ("1m-avg-none-x", 7),
    ],
)
def test_downsamplings_that_cannot_be_read(text: str, position: int) -> None:
    with pytest.raises(BadRequestError) as caught:
        parse_downsample(text)
    assert caught.value.position == position


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("rate", Rate()),
        ("rate{}", Rate()),
        ("rate{counter}", Rate(counter=True)),
        ("rate{counter,100}", Rate(counter=True, counter_max=100)),
        ("rate{counter,,5}", Rate(counter=True, reset_value=5)),
        ("rate{ counter , 1e3 , 0 }", Rate(counter=True, counter_max=1000)),
        ("rate{dropcounter}", Rate(counter=True, drop_resets=True)),
    ],
)
def test_rates(text: str, rate: Rate) -> None:
    assert parse_rate(text) == rate


@pytest.mark.parametrize(
    "text",
    [
        "",
        "rates",
        "rate{",
        "rate{x}",
        "rate{counter,x}",
        "rate{counter,-1}",
        "rate{counter,inf}",
        "rate{counter,1,2,3}",
    ],
)
def test_rates_that_cannot_be_read(text: str) -> None:
    with pytest.raises(BadRequestError):
        parse_rate(text)


def test_first_braces_group_and_second_only_filter() -> None:
    target = parse_target("m{a=*}{a=x,b=y}")
    assert target == SeriesTarget(
        "m",
        filters=(
            TagFilter("a", FilterKind.WILDCARD, "*", group_by=True),
            TagFilter("a", FilterKind.LITERAL_OR, "x"),
            TagFilter("b", FilterKind.LITERAL_OR, "y"),
        ),
    )
    assert parse_target("m{}{b=y}") == SeriesTarget(
        "m", filters=(TagFilter("b", FilterKind.LITERAL_OR, "y"),)
    )


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("  m  ", SeriesTarget("m")),
        (r"vscope\.vm\.x", SeriesTarget("vscope.vm.x")),
        ("m as x", SeriesTarget("m", legend="x")),
        ("m{} AS  a as b ", SeriesTarget("m", legend="a as b")),
        (r"m as a\.b \{\{vm\}\} c\\d", SeriesTarget("m", legend="a.b {{vm}} c\\d")),
        ("rate", SeriesTarget("rate")),
        ("rate:rate", SeriesTarget("rate", rate=Rate())),
        (
            "squareSum: 5m-max: m",
            SeriesTarget("m", "squareSum", Downsample(300_000, "max")),
        ),
        ("live:VM", LiveTarget("vm")),
        ("live:datastore{}", LiveTarget("filer")),
        ("live:task{hidden=TRUE}", LiveTarget("task", show_hidden=True)),
    ],
)
def test_targets(text: str, target: SeriesTarget | LiveTarget) -> None:
    assert parse_target(text) == target


@pytest.mark.parametrize(
    ("text", "position", "words"),
    [
        ("", 0, "metric"),
        ("avg:", 4, "metric"),
        ("(a|b)", 0, "metric"),
        ("m(a|b)", 1, "one metric"),
        ("m x", 2, "legend"),
        ("m as ", 5, "legend"),
        ("m{a}", 3, "'='"),
        ("m{a=1,b}", 7, "pipe"),
        ("m{=1}", 2, "label"),
        ("m{a=1", 1, "not closed"),
        ("m{a=1,", 1, "not closed"),
        ("m{a=1}{b=2}{c=3}", 11, "legend"),
        ("avg:sum:m", 4, "twice"),
        ("rate:rate:m", 5, "twice"),
        ("a-b:m", 0, "aggregator"),
        ("rate{nope}:m", 5, "counter"),
        ("avg:1m-avg-scalar:m", 11, "fill"),
        ("avg:live:vm", 4, "stands alone"),
        ("live:", 5, "the end"),
        ("live:vm{cpu=}", 12, "value"),
        ("live:vm{}{}", 9, "the end"),
        ("live:vm as x", 8, "the end"),
        ("live:vm{hidden=maybe}", 15, "true"),
    ],
)
def test_targets_that_cannot_be_read(text: str, position: int, words: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        parse_target(text)
    assert words in caught.value.message
    assert caught.value.position == position
