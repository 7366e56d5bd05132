"""The target grammar: what is written is read back, and nothing breaks the reader."""

from __future__ import annotations

import string
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bridge.engine import grammar
from bridge.engine.filters import compile_filter
from bridge.engine.grammar import (
    Call,
    LiveTarget,
    SeriesTarget,
    format_target,
    parse_downsample,
    parse_filter,
    parse_rate,
    parse_target,
    parse_variable,
)
from bridge.engine.parts import UNITS_MS, format_downsample, format_rate
from bridge.errors import BadRequestError
from bridge.model import Downsample, FilterKind, Rate, TagFilter
from bridge.ovh import live

if TYPE_CHECKING:
    from collections.abc import Callable

CHARACTERS = st.characters(codec="utf-8", exclude_characters="|")
TEXTS = st.text(CHARACTERS, min_size=1, max_size=12)
NAMES = st.text(string.ascii_letters + string.digits + "._-/é", min_size=1, max_size=12).filter(
    lambda name: name.lower() not in {"live", "rate"}
)
PATTERNS = st.sampled_from(["^web.*", "a|b", "(x|y)z", "[)]", r"\)", "[^]a]+", "a,b", "{2}", "é$"])


@st.composite
def filters(draw: st.DrawFn, *, group_by: bool | None = None) -> TagFilter:
    key = draw(NAMES)
    kind = draw(st.sampled_from(list(FilterKind)))
    if kind is FilterKind.REGEXP:
        text = draw(PATTERNS)
    elif kind in {FilterKind.WILDCARD, FilterKind.IWILDCARD}:
        text = draw(TEXTS) + "*" + draw(TEXTS) if draw(st.booleans()) else "*"
    else:
        text = "|".join(draw(st.lists(TEXTS, min_size=1, max_size=4, unique=True)))
    grouped = draw(st.booleans()) if group_by is None else group_by
    return TagFilter(key, kind, text, group_by=grouped)


@st.composite
def downsamples(draw: st.DrawFn) -> Downsample:
    function = draw(st.sampled_from(["avg", "max", "sum", "p99", "ep99r7"]))
    fill = draw(st.sampled_from(["none", "nan", "null", "zero"]))
    count, unit = draw(st.integers(1, 99)), draw(st.sampled_from(sorted(UNITS_MS)))
    shape = draw(st.sampled_from(["all", "calendar", "plain"]))
    if shape == "all":
        return Downsample(0, function, fill)
    width = count * UNITS_MS[unit]
    if shape == "calendar":
        return Downsample(width, function, fill, calendar=True, count=count, unit=unit)
    return Downsample(width, function, fill)


NUMBERS = st.floats(0, allow_infinity=False, allow_nan=False)
RATES = st.just(Rate()) | st.builds(
    Rate,
    counter=st.just(value=True),
    counter_max=NUMBERS,
    reset_value=NUMBERS,
    drop_resets=st.booleans(),
)
LEGENDS = st.text(min_size=1, max_size=30).map(str.strip).filter(bool)


@st.composite
def series_targets(draw: st.DrawFn) -> SeriesTarget:
    grouped = draw(st.lists(filters(group_by=True), max_size=3))
    others = draw(st.lists(filters(group_by=False), max_size=3))
    return SeriesTarget(
        draw(NAMES),
        aggregator=draw(st.none() | st.sampled_from(["none", "avg", "p99", "zimsum"])),
        downsample=draw(st.none() | downsamples()),
        rate=draw(st.none() | RATES),
        filters=(*grouped, *others),
        explicit_tags=draw(st.booleans()),
        legend=draw(st.none() | LEGENDS),
    )


@st.composite
def live_targets(draw: st.DrawFn) -> LiveTarget:
    named = filters(group_by=False).filter(lambda flt: flt.key != "hidden")
    return LiveTarget(
        draw(st.sampled_from(grammar.LIVE_KINDS)),
        tuple(draw(st.lists(named, max_size=3))),
        show_hidden=draw(st.booleans()),
    )


@given(series_targets() | live_targets())
def test_a_written_target_is_read_back(target: SeriesTarget | LiveTarget) -> None:
    assert parse_target(format_target(target)) == target


@given(downsamples())
def test_a_written_downsampling_is_read_back(spec: Downsample) -> None:
    assert parse_downsample(format_downsample(spec)) == spec


@given(RATES)
def test_a_written_rate_is_read_back(rate: Rate) -> None:
    assert parse_rate(format_rate(rate)) == rate


@given(st.data())
def test_prefix_parts_may_stand_in_any_order(data: st.DataObject) -> None:
    parts = ["avg", "explicit_tags", "rate{counter,,3}", "5m-max-zero"]
    shuffled = data.draw(st.permutations(parts))
    assert parse_target(":".join([*shuffled, "m"])) == parse_target(":".join([*parts, "m"]))


#: Text near enough to the grammar to reach every branch of it.
PIECES = st.lists(
    st.sampled_from(
        [
            *"(){}[]|,=:*\\ .-",
            *("avg:", "rate", "rate{", "live:", "vm", "regexp(", "literal_or(", "wildcard("),
            *("5m", "-avg", "1m-avg-:", "explicit_tags:", " as ", "web01", "{{vm}}", "0all"),
            *("vms(", "tag_values(", "hidden=", "true", "counter", "\\.", "\n", "é"),
        ]
    ),
    max_size=30,
).map("".join)


def refusal(read: Callable[[str], object], text: str) -> BadRequestError | None:
    try:
        read(text)
    except BadRequestError as error:
        return error
    return None


def read_filter(text: str) -> object:
    return parse_filter("key", text)


@pytest.mark.parametrize(
    "read", [parse_target, parse_variable, parse_downsample, parse_rate, read_filter]
)
@given(text=st.text(max_size=60) | PIECES)
@example(text="")
@example(text="rate{")
@example(text="a{b=regexp([")
@example(text="\\")
@settings(max_examples=300)
def test_any_text_is_read_or_refused_with_a_position(
    read: Callable[[str], object], text: str
) -> None:
    error = refusal(read, text)
    if error is not None:
        assert error.message
        assert error.position is not None
        assert 0 <= error.position <= len(text)


@pytest.mark.parametrize(
    "text",
    [
        "a{b=" + "(" * 50_000,
        "a{b=" + "(x" * 30 + ")" * 30 + "}",
        "a{b=" + "(a|b)" * 40_000 + "}",
        "a{b=" + "(a|a)" * 40_000 + "}",
        "a{b=" + "(" + "|".join(map(str, range(9_000))) + ")" + "(x)" * 20_000 + "}",
        "a{b=" + "x" * 100_000 + "(" + "|".join(map(str, range(9_000))) + ")}",
        "a{b=" + "|" * 200_000 + "}",
        "a{b=" + "\\" * 200_001 + "}",
        "a{b=regexp(" + "[" * 200_000 + ")}",
        "a:" * 100_000,
        "9" * 200_000 + "m-avg:a",
        "a{" + "b=c," * 50_000 + "b=c}",
        "a{" + ("b=" + "(a|b)" * 13 + ",") * 3_000 + "b=c}",
        "vms(" + ("b=" + "(a|b)" * 13 + ",") * 3_000 + "b=c)",
        "a" + " " * 200_000 + "b",
        "vms(" + "a," * 100_000,
        "x" * 1_000_000,
    ],
)
def test_hostile_text_costs_no_more_than_reading_it(text: str) -> None:
    """Would hang or exhaust memory, and hit the time limit of the test run, were it not so."""
    for reader in (parse_target, parse_variable):
        error = refusal(reader, text)
        if error is not None:
            assert error.position is not None
            assert error.position <= len(text)


def escape_as_grafana(text: str) -> str:
    """Grafana's escapeRegex (reference: grafana 1.3)."""
    return "".join("\\" + char if char in "\\^$*+?.()|[]{}/" else char for char in text)


#: What a variable's value may be: a comma ends a value, and a star is a wildcard.
CHOSEN = (
    st.text(st.characters(codec="utf-8", exclude_characters=",*"), min_size=1, max_size=12)
    .map(str.strip)
    .filter(lambda text: bool(text) and text != ".+")
)


@given(st.lists(CHOSEN, min_size=1, max_size=5, unique=True), st.text(max_size=8))
def test_what_grafana_interpolates_matches_exactly_the_chosen_values(
    chosen: list[str], other: str
) -> None:
    escaped = [escape_as_grafana(text) for text in chosen]
    inserted = escaped[0] if len(escaped) == 1 else f"({'|'.join(escaped)})"
    target = parse_target(f"m{{vm={inserted}}}")
    assert isinstance(target, SeriesTarget)
    matches = compile_filter(target.filters[0])
    assert all(matches(text) for text in chosen)
    assert matches(other) == (other in chosen)


def test_the_kinds_of_live_tables_are_those_there_are() -> None:
    assert grammar.LIVE_KINDS == live.LIVE_KINDS


def test_a_call_is_no_target_and_a_target_no_call() -> None:
    assert parse_variable("vscope.vm.cpu.usage.perc") is None
    assert parse_variable("metrics of (a|b)") is None
    assert parse_variable(" vms ") == Call("vms")
    assert parse_variable("tag_names") is None
