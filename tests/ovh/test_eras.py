"""Labels over time: the book of eras, and what the inventory's labels make of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.catalog import Kind
from bridge.model import FilterKind, LabelEra, TagFilter, Window
from bridge.ovh.eras import EraBook
from bridge.ovh.labels import EVER_MS, LabelCache, Labels
from bridge.ovh.objects import Snapshot
from tests.ovh.snapshots import ONE, datacenter, host, service, snapshot, two_services, vm

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bridge.ovh.eras import LabelPairs, ObjectKey

PLACE = f"{ONE}_datacenter10"
WEB: ObjectKey = (Kind.VM, PLACE, "vm-1")
TAGS = {"datacenter": PLACE, "vm": "vm-1"}


def pairs(**labels: str) -> LabelPairs:
    return tuple(sorted(labels.items()))


def literal(key: str, text: str) -> TagFilter:
    return TagFilter(key, FilterKind.LITERAL_OR, text)


def test_an_era_begins_with_the_first_sight_and_ends_with_a_change() -> None:
    book = EraBook()
    first, second = pairs(host_name="h1"), pairs(host_name="h2")
    assert book.note(100, [(WEB, first)]) == (LabelEra(*WEB, first, 100),)
    assert book.note(200, [(WEB, first)]) == ()
    changed = (LabelEra(*WEB, first, 100, 300), LabelEra(*WEB, second, 300))
    assert book.note(300, [(WEB, second)]) == changed
    assert book.eras[WEB] == changed
    assert EraBook(reversed(changed)).eras == book.eras


def test_a_change_within_one_cell_or_before_the_last_replaces() -> None:
    book = EraBook()
    book.note(100, [(WEB, pairs(host_name="h1"))])
    [replaced] = book.note(100, [(WEB, pairs(host_name="h2"))])
    assert replaced == LabelEra(*WEB, pairs(host_name="h2"), 100)
    [replaced] = book.note(50, [(WEB, pairs(host_name="h3"))])
    assert replaced == LabelEra(*WEB, pairs(host_name="h3"), 100)


def test_a_published_book_never_changes() -> None:
    book = EraBook()
    book.note(100, [(WEB, pairs(host_name="h1"))])
    kept = book.eras
    book.note(200, [(WEB, pairs(host_name="h2"))])
    assert len(kept[WEB]) == 1
    with pytest.raises(TypeError):
        kept[WEB] = ()  # type: ignore[index]


@given(
    st.lists(
        st.tuples(st.integers(0, 20), st.dictionaries(st.integers(0, 2), st.sampled_from("ab"))),
        max_size=12,
    )
)
def test_what_is_stored_is_what_is_known(polls: list[tuple[int, dict[int, str]]]) -> None:
    """A store in which an era replaces one of the same object and start holds the book."""
    book = EraBook()
    stored: dict[tuple[ObjectKey, int], LabelEra] = {}
    last: dict[int, str] = {}
    for stamp, seen in polls:
        found = [((Kind.VM, PLACE, f"vm-{n}"), pairs(host_name=h)) for n, h in seen.items()]
        for era in book.note(stamp, found):
            stored[(era.kind, era.datacenter, era.value), era.since_ms] = era
        last |= seen
    assert EraBook(stored.values()).eras == book.eras
    for (_, _, value), eras in book.eras.items():
        assert eras[-1].labels == pairs(host_name=last[int(value.removeprefix("vm-"))])
        assert [era.until_ms for era in eras] == [*(era.since_ms for era in eras[1:]), None]


def moved(today: Mapping[str, str | None], *eras: tuple[int, Mapping[str, str]]) -> Labels:
    """One machine, what the inventory says of it now, and what it said since when."""
    book = EraBook()
    for since, labels in eras:
        book.note(since, [(WEB, pairs(**labels))])
    names = {"vm_name": "name", "host_name": "host_name", "cluster": "cluster_name",
             "folder": "folder_name"}  # fmt: skip
    fields = {names[key]: text for key, text in today.items()}
    known = snapshot(service(ONE, datacenter(ONE, 10, vms=[vm(1, **fields)])))  # type: ignore[arg-type]
    return Labels(known, book.eras)


NOW = {"vm_name": "web", "host_name": "h2", "cluster": "prod"}
MOVED = moved(
    NOW,
    (100, {"vm_name": "web", "host_name": "h1", "cluster": "prod"}),
    (200, {"vm_name": "web", "host_name": "h2", "cluster": "prod"}),
)


def test_before_the_first_era_today_s_labels_apply() -> None:
    spans = MOVED.history(Kind.VM, TAGS, {"host_name"})
    assert [(since, labels["host_name"]) for since, labels in spans] == [
        (EVER_MS, "h2"), (100, "h1"), (200, "h2"),
    ]  # fmt: skip
    assert all(labels["vm_name"] == "web" and labels["service"] == ONE for _, labels in spans)


def test_a_label_that_did_not_change_cuts_nothing() -> None:
    [(since, labels)] = MOVED.history(Kind.VM, TAGS, {"cluster"})
    assert since == EVER_MS
    assert labels["cluster"] == "prod"
    assert labels["host_name"] == "h2"
    assert len(MOVED.history(Kind.VM, TAGS, {"vm"})) == 1


def test_stored_tags_are_never_overridden() -> None:
    tags = {**TAGS, "host_name": "as stored"}
    assert MOVED.history(Kind.VM, tags, {"host_name"}) == ((EVER_MS, MOVED.enrich(Kind.VM, tags)),)


def test_a_renamed_machine_has_today_s_name_all_along() -> None:
    labels = moved(
        {"vm_name": "new", "host_name": "h1"},
        (100, {"vm_name": "old", "host_name": "h1"}),
        (200, {"vm_name": "new", "host_name": "h1"}),
    )
    [(_, only)] = labels.history(Kind.VM, TAGS, {"host_name", "cluster"})
    assert only["vm_name"] == "new"
    window = Window(0, 1_000)
    assert labels.stored_candidates(Kind.VM, [literal("vm_name", "new")], window) == {"vm-1"}
    assert labels.stored_candidates(Kind.VM, [literal("vm_name", "old")], window) == set()


@pytest.mark.parametrize(
    ("window", "on_h1", "on_h2"),
    [
        (Window(0, 50), False, True),
        (Window(0, 100), True, True),
        # What has the label now may come too: the filter is applied once more.
        (Window(100, 199), True, True),
        (Window(150, 200), True, True),
        (Window(200, 900), False, True),
        (None, False, True),
    ],
)
def test_candidates_had_the_label_at_some_time_in_the_window(
    window: Window | None, on_h1: bool, on_h2: bool
) -> None:
    found = [
        bool(MOVED.stored_candidates(Kind.VM, [literal("host_name", name)], window))
        for name in ("h1", "h2")
    ]
    assert found == [on_h1, on_h2]


def test_candidates_match_all_filters_at_the_same_time() -> None:
    labels = moved(
        {"host_name": "h2", "cluster": "b"},
        (100, {"host_name": "h1", "cluster": "a"}),
        (200, {"host_name": "h2", "cluster": "b"}),
    )
    window = Window(0, 1_000)
    mixed = [literal("host_name", "h1"), literal("cluster", "b")]
    assert labels.stored_candidates(Kind.VM, mixed, window) == set()
    assert labels.stored_candidates(
        Kind.VM, [literal("host_name", "h1"), literal("cluster", "a")], window
    ) == {"vm-1"}


def test_an_object_that_is_gone_keeps_its_last_labels() -> None:
    book = EraBook()
    book.note(100, [(WEB, pairs(vm_name="old-intranet", cluster="prod"))])
    gone_service = "pcc-10-0-0-9_datacenter3"
    book.note(100, [((Kind.HOST, gone_service, "h1"), pairs(cluster="c"))])
    labels = Labels(snapshot(service(ONE, datacenter(ONE, 10))), book.eras)
    assert labels.enrich(Kind.VM, TAGS) == {
        **TAGS, "service": ONE, "vm_name": "old-intranet", "cluster": "prod",
    }  # fmt: skip
    tags = {"datacenter": gone_service, "host": "h1"}
    assert labels.enrich(Kind.HOST, tags) == {**tags, "service": "pcc-10-0-0-9", "cluster": "c"}
    for window in (None, Window(0, 10)):
        by_cluster = labels.stored_candidates(Kind.VM, [literal("cluster", "prod")], window)
        assert by_cluster == {"vm-1"}
        by_name = labels.stored_candidates(Kind.VM, [literal("vm_name", "old-intranet")], window)
        assert by_name == {"vm-1"}


def test_a_host_that_changes_its_cluster_is_cut_too() -> None:
    key = (Kind.HOST, PLACE, "172.16.0.1")
    book = EraBook()
    book.note(100, [(key, pairs(cluster="a"))])
    book.note(200, [(key, pairs(cluster="b"))])
    known = snapshot(service(ONE, datacenter(ONE, 10, hosts=[host(1, cluster_name="b")])))
    spans = Labels(known, book.eras).history(
        Kind.HOST, {"datacenter": PLACE, "host": "172.16.0.1"}, {"cluster"}
    )
    assert [labels["cluster"] for _, labels in spans] == ["b", "a", "b"]


def test_without_eras_all_is_as_the_inventory_says() -> None:
    labels = Labels(two_services())
    for value in ("vm-1", "vm-3", "vm-404"):
        tags = {"datacenter": PLACE, "vm": value}
        assert labels.history(Kind.VM, tags, {"cluster"}) == (
            (EVER_MS, labels.enrich(Kind.VM, tags)),
        )


def test_the_cache_follows_snapshots_and_eras() -> None:
    book = EraBook()
    known = [Snapshot()]
    cache = LabelCache(lambda: known[0], lambda: book.eras)
    first = cache.current()
    assert cache.current() is first
    book.note(100, [(WEB, pairs(cluster="prod"))])
    assert cache.current().enrich(Kind.VM, TAGS)["cluster"] == "prod"
    known[0] = snapshot(
        service(ONE, datacenter(ONE, 10, vms=[vm(1, "web", cluster_name="lab")])), version=2
    )
    assert cache.current().enrich(Kind.VM, TAGS)["cluster"] == "lab"
    assert cache.current() is cache.current()
