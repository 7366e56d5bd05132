"""Series by their labels: their order, their places, and what tells them apart."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bridge.engine.rosters import Roster, label_key, label_order

names = st.sampled_from(["cluster", "host", "vm", "service"])
tags = st.dictionaries(names, st.sampled_from(["a", "b", "c", "aa"]))
alike = st.lists(st.sampled_from(["a", "b", "c", "aa"]), min_size=4, max_size=4).map(
    lambda values: dict(zip(["vm", "cluster", "service", "host"], values, strict=True))
)
LAST = frozenset({"cluster", "host"})


def in_full(one: dict[str, str]) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    labels = sorted(one.items())
    return [pair for pair in labels if pair[0] not in LAST], labels


@given(st.lists(tags) | st.lists(alike))
def test_series_come_in_the_order_of_their_labels(series: list[dict[str, str]]) -> None:
    rows = label_order(series, last=LAST)
    assert [series[row] for row in rows] == sorted(series, key=in_full)


@given(tags, st.randoms())
def test_the_same_labels_are_one_key_in_whatever_order(one: dict[str, str], chance: object) -> None:
    pairs = list(one.items())
    chance.shuffle(pairs)  # type: ignore[attr-defined]
    assert label_key(dict(pairs)) == label_key(one)


@given(tags, tags)
def test_other_labels_are_another_key(one: dict[str, str], other: dict[str, str]) -> None:
    assert (label_key(one) == label_key(other)) is (one == other)


@given(st.lists(tags), st.lists(tags))
def test_a_roster_knows_where_each_series_stands(
    known: list[dict[str, str]], more: list[dict[str, str]]
) -> None:
    first = Roster.of(known)
    both = first.with_all(more)
    assert both.tags[: len(first.tags)] == first.tags
    assert len({label_key(one) for one in both.tags}) == len(both.tags)
    every = [*known, *more]
    assert [both.tags[row] for row in both.places(every)] == every
