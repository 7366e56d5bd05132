"""Filters, groups and tags of answers against a plain reading of the rules (opentsdb 1a)."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import BadRequestError
from bridge.model import FilterKind, Query, TagFilter, Window
from tests.engine.memory import MemorySource, engine_over

NAMES = st.sampled_from(["web01", "WEB01", "web02", "db1", "w"])
tags = st.dictionaries(st.sampled_from(["host", "dc", "role"]), NAMES, min_size=1)
filters = st.builds(
    TagFilter,
    st.sampled_from(["host", "dc", "role", "nothing"]),
    st.sampled_from(list(FilterKind)),
    st.sampled_from(["web01", "web01|db1", "WEB01", "w*", "*", "*1*", "^w", "0[12]"]),
    st.booleans(),
)


def accepts(flt: TagFilter, value: str) -> bool:
    """One filter, as OpenTSDB's documentation words it."""
    options = flt.text.split("|")
    folded = [option.lower() for option in options]
    pattern = ".*".join(re.escape(part) for part in flt.text.split("*"))
    return {
        FilterKind.LITERAL_OR: value in options,
        FilterKind.ILITERAL_OR: value.lower() in folded,
        FilterKind.NOT_LITERAL_OR: value not in options,
        FilterKind.NOT_ILITERAL_OR: value.lower() not in folded,
        FilterKind.WILDCARD: re.fullmatch(pattern, value) is not None,
        FilterKind.IWILDCARD: re.fullmatch(pattern, value, re.IGNORECASE) is not None,
        FilterKind.REGEXP: flt.kind is FilterKind.REGEXP and re.search(flt.text, value) is not None,
    }[flt.kind]


def selected(series: dict[str, str], asked: tuple[TagFilter, ...], *, explicit: bool) -> bool:
    literals = [flt for flt in asked if flt.kind is FilterKind.LITERAL_OR]
    others = [flt for flt in asked if flt.kind is not FilterKind.LITERAL_OR]
    return (
        all(flt.key in series for flt in asked)
        and all(accepts(flt, series[flt.key]) for flt in others)
        and all(
            any(accepts(flt, series[key]) for flt in literals if flt.key == key)
            for key in {flt.key for flt in literals}
        )
        and (not explicit or series.keys() == {flt.key for flt in asked})
    )


def expected(
    stored: list[dict[str, str]], asked: tuple[TagFilter, ...], *, explicit: bool
) -> list[tuple[dict[str, str], list[str], float]]:
    keys = sorted({flt.key for flt in asked if flt.group_by})
    groups: dict[tuple[str, ...], list[tuple[dict[str, str], float]]] = {}
    for number, series in enumerate(stored):
        if selected(series, asked, explicit=explicit):
            groups.setdefault(tuple(series[k] for k in keys), []).append((series, 2.0**number))
    answers = []
    for _, members in sorted(groups.items()):
        seen: dict[str, set[str]] = {}
        for series, _ in members:
            for key, value in series.items():
                seen.setdefault(key, set()).add(value)
        common = {key: next(iter(values)) for key, values in seen.items() if len(values) == 1}
        differing = sorted(key for key, values in seen.items() if len(values) > 1)
        answers.append((common, differing, sum(value for _, value in members)))
    return answers


@given(
    st.lists(tags, max_size=6, unique_by=lambda found: tuple(sorted(found.items()))),
    st.lists(filters, max_size=3).map(tuple),
    st.booleans(),
)
def test_answers_are_the_groups_of_what_matches(
    stored: list[dict[str, str]], asked: tuple[TagFilter, ...], explicit: bool
) -> None:
    explicit = explicit and bool(asked)
    source = MemorySource([(series, [(1000, 2.0**n)]) for n, series in enumerate(stored)])
    query = Query("m", Window(0, 2000), "sum", filters=asked, explicit_tags=explicit)

    def ask() -> Any:
        return asyncio.run(engine_over(source, "m").query(query))

    if any(
        flt.kind in (FilterKind.WILDCARD, FilterKind.IWILDCARD) and "*" not in flt.text
        for flt in asked
    ) or any(flt.kind is FilterKind.REGEXP and flt.text.startswith("*") for flt in asked):
        with pytest.raises(BadRequestError):
            ask()
        return
    got = [(s.tags, list(s.aggregate_tags), s.values[0]) for s in ask().series]
    assert got == expected(stored, asked, explicit=explicit)
