"""OpenTSDB's seven filters."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.engine.filters import compile_filter, match_all
from bridge.errors import BadRequestError
from bridge.model import FilterKind, TagFilter

VALUES = ["web01", "WEB02", "db1", "web01.lax", "", "a|b"]


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        (FilterKind.LITERAL_OR, "web01|db1", ["web01", "db1"]),
        (FilterKind.LITERAL_OR, "WEB01", []),
        (FilterKind.ILITERAL_OR, "Web01|web02", ["web01", "WEB02"]),
        (FilterKind.NOT_LITERAL_OR, "web01|db1", ["WEB02", "web01.lax", "", "a|b"]),
        (FilterKind.NOT_ILITERAL_OR, "WEB01", ["WEB02", "db1", "web01.lax", "", "a|b"]),
        (FilterKind.WILDCARD, "web*", ["web01", "web01.lax"]),
        (FilterKind.WILDCARD, "*01*", ["web01", "web01.lax"]),
        (FilterKind.WILDCARD, "*", VALUES),
        (FilterKind.IWILDCARD, "*WEB*", ["web01", "WEB02", "web01.lax"]),
        (FilterKind.REGEXP, "b0", ["web01", "web01.lax"]),
        (FilterKind.REGEXP, r"^web\d+$", ["web01"]),
    ],
)
def test_matches(kind: FilterKind, text: str, expected: list[str]) -> None:
    check = compile_filter(TagFilter("vm", kind, text))
    assert [value for value in VALUES if check(value)] == expected


@pytest.mark.parametrize(
    ("kind", "text", "words"),
    [
        (FilterKind.LITERAL_OR, "", "names no value"),
        (FilterKind.LITERAL_OR, "|", "names no value"),
        (FilterKind.REGEXP, "", "the filter on 'vm' is empty"),
        (FilterKind.WILDCARD, "web", r"has no '\*'"),
        (FilterKind.REGEXP, "(", "not a regular expression"),
        (FilterKind.REGEXP, "a{99999999999999999999}", "not a regular expression"),
    ],
)
def test_refuses(kind: FilterKind, text: str, words: str) -> None:
    with pytest.raises(BadRequestError, match=words):
        match_all([TagFilter("vm", kind, text)])({"vm": "a"})


def test_a_pattern_that_explodes_is_refused() -> None:
    check = compile_filter(TagFilter("vm", FilterKind.REGEXP, r"(?:a|aa)+(?:a|aa)+(?:a|aa)+$"))
    with pytest.raises(BadRequestError, match="takes too long"):
        check("a" * 4000 + "b")


def test_literals_on_one_key_are_a_union_and_all_else_is_anded() -> None:
    one = TagFilter("vm", FilterKind.LITERAL_OR, "a")
    two = TagFilter("vm", FilterKind.LITERAL_OR, "ab")
    star = TagFilter("vm", FilterKind.WILDCARD, "*b")
    assert match_all([one, two])({"vm": "a"})
    assert match_all([one, two])({"vm": "ab"})
    assert not match_all([one, two, star])({"vm": "a"})
    assert match_all([one, two, star])({"vm": "ab"})
    assert not match_all([TagFilter("host", FilterKind.NOT_LITERAL_OR, "x")])({"vm": "a"})


@given(st.text("ab*", min_size=1, max_size=8), st.text("abc", max_size=8))
def test_wildcards_equal_their_regular_expression(pattern: str, value: str) -> None:
    pattern += "*"
    expected = re.fullmatch(".*".join(re.escape(p) for p in pattern.split("*")), value, re.DOTALL)
    check = compile_filter(TagFilter("vm", FilterKind.WILDCARD, pattern))
    assert check(value) == bool(expected)
