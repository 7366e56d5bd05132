"""Which labels the inventory adds to stored series."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.catalog import ENRICHED_LABELS, OBJECT_LABEL, Kind
from bridge.errors import BadRequestError
from bridge.model import FilterKind, TagFilter
from bridge.ovh.labels import LabelCache, Labels
from bridge.ovh.objects import Snapshot
from tests.ovh.snapshots import (
    ONE,
    READ_AT,
    TWO,
    datacenter,
    seen,
    service,
    snapshot,
    two_services,
    vm,
)


def literal(key: str, text: str) -> TagFilter:
    return TagFilter(key, FilterKind.LITERAL_OR, text)


@pytest.fixture(scope="module")
def labels() -> Labels:
    return Labels(two_services())


def test_a_machine_gets_its_name_and_place(labels: Labels) -> None:
    tags = {"datacenter": f"{ONE}_datacenter10", "vm": "vm-1", "env": "prod"}
    assert labels.enrich(Kind.VM, tags) == {
        "datacenter": f"{ONE}_datacenter10",
        "vm": "vm-1",
        "env": "prod",
        "service": ONE,
        "vm_name": "web2",
        "cluster": "prod",
        "host_name": "172.16.0.1",
        "folder": "shop",
    }


def test_the_datacenter_decides_between_equal_morefs(labels: Labels) -> None:
    tags = {"datacenter": f"{TWO}_datacenter10", "vm": "vm-1"}
    assert labels.enrich(Kind.VM, tags)["vm_name"] == "mail1"


def test_the_service_decides_where_no_datacenter_is_stored(labels: Labels) -> None:
    assert labels.enrich(Kind.VM, {"vm": "vm-1", "servicename": TWO})["vm_name"] == "mail1"


def test_an_ambiguous_object_gets_only_what_all_have_in_common(labels: Labels) -> None:
    # vm-1 stands in both services, in clusters of the same name.
    assert labels.enrich(Kind.VM, {"vm": "vm-1"}) == {"vm": "vm-1", "cluster": "prod"}


def test_an_unambiguous_object_needs_no_datacenter(labels: Labels) -> None:
    assert labels.enrich(Kind.VM, {"vm": "vm-30"})["vm_name"] == "web10"


def test_an_object_of_another_datacenter_is_not_mistaken(labels: Labels) -> None:
    tags = {"datacenter": f"{ONE}_datacenter11", "vm": "vm-1"}
    assert labels.enrich(Kind.VM, tags) == {**tags, "service": ONE}


def test_an_unknown_datacenter_adds_nothing(labels: Labels) -> None:
    tags = {"datacenter": "pcc-9-9-9-9_datacenter1", "vm": "vm-1"}
    assert labels.enrich(Kind.VM, tags) == tags


def test_stored_tags_are_never_overridden(labels: Labels) -> None:
    tags = {"datacenter": f"{ONE}_datacenter10", "vm": "vm-1", "cluster": "as stored"}
    enriched = labels.enrich(Kind.VM, tags)
    assert enriched["cluster"] == "as stored"
    assert enriched["vm_name"] == "web2"


def test_a_host_and_its_nic_get_the_cluster(labels: Labels) -> None:
    tags = {"datacenter": f"{ONE}_datacenter10", "host": "172.16.0.2", "nicname": "vmnic0"}
    assert labels.enrich(Kind.HOST, tags) == {**tags, "service": ONE, "cluster": "lab"}


def test_a_datastore_gets_its_profile(labels: Labels) -> None:
    tags = {"datacenter": f"{TWO}_datacenter10", "datastore": "pcc-000001"}
    assert labels.enrich(Kind.DATASTORE, tags)["profile"] == "hdd"


@pytest.mark.parametrize(
    "datacenter_tag",
    [
        {},
        {"datacenter": f"{ONE}_datacenter10"},
        {"datacenter": f"{ONE}_datacenter11"},
        {"datacenter": "none of ours"},
        {"datacenter": "none of ours", "servicename": ONE},
    ],
)
def test_a_global_datastore_is_found_whatever_its_datacenter(
    labels: Labels, datacenter_tag: dict[str, str]
) -> None:
    tags = {"datastore": "ssd-000050", **datacenter_tag}
    enriched = labels.enrich(Kind.DATASTORE, tags)
    assert (enriched.get("service"), enriched.get("profile")) == (ONE, "global-ssd")


def test_a_global_datastore_of_another_service_is_not_mistaken(labels: Labels) -> None:
    tags = {"datastore": "ssd-000050", "datacenter": f"{TWO}_datacenter10"}
    assert "profile" not in labels.enrich(Kind.DATASTORE, tags)


@pytest.mark.parametrize(("moref", "name"), [("vm-8", "backupServer1"), ("vm-9", "old1")])
def test_history_of_hidden_machines_keeps_its_names(labels: Labels, moref: str, name: str) -> None:
    tags = {"datacenter": f"{ONE}_datacenter10", "vm": moref}
    assert labels.enrich(Kind.VM, tags)["vm_name"] == name


def test_a_living_machine_wins_over_its_deleted_twin() -> None:
    living = seen(vm(1, "new", mo_ref="vm-7"))
    deleted = seen(vm(2, "old", mo_ref="vm-7"), deleted=True, read_at=READ_AT + 60)
    for order in ([living, deleted], [deleted, living]):
        labels = Labels(snapshot(service(ONE, datacenter(ONE, 1, vms=order))))
        assert labels.enrich(Kind.VM, {"vm": "vm-7"})["vm_name"] == "new"


def test_without_inventory_tags_stay_as_stored() -> None:
    tags = {"vm": "vm-1", "datacenter": f"{ONE}_datacenter10", "servicename": ONE}
    assert Labels(Snapshot()).enrich(Kind.VM, tags) == tags


def test_a_series_without_the_object_label_stays_as_stored(labels: Labels) -> None:
    assert labels.enrich(Kind.VM, {"host": "172.16.0.1"}) == {"host": "172.16.0.1"}


def test_missing_and_empty_labels_are_left_out() -> None:
    labels = Labels(
        snapshot(service(ONE, datacenter(ONE, 1, vms=[vm(1, cluster_name="", folder_name=None)])))
    )
    assert labels.enrich(Kind.VM, {"vm": "vm-1"}) == {"vm": "vm-1", "service": ONE}


def test_candidates_match_names(labels: Labels) -> None:
    flt = TagFilter("vm_name", FilterKind.WILDCARD, "web*")
    assert labels.stored_candidates(Kind.VM, [flt]) == {"vm-1", "vm-2", "vm-20", "vm-30"}


def test_candidates_match_all_filters_and_unite_literals(labels: Labels) -> None:
    both = [literal("cluster", "lab"), literal("cluster", "prod"), literal("service", ONE)]
    assert labels.stored_candidates(Kind.VM, both) == {"vm-1", "vm-2", "vm-3", "vm-8", "vm-9"}


def test_no_filter_on_added_labels_means_no_narrowing(labels: Labels) -> None:
    assert labels.stored_candidates(Kind.VM, [literal("vm", "vm-1")]) is None
    # folder is a label of machines, not of hosts
    assert labels.stored_candidates(Kind.HOST, [literal("folder", "shop")]) is None


def test_filters_that_match_nothing_give_no_candidates(labels: Labels) -> None:
    assert labels.stored_candidates(Kind.VM, [literal("cluster", "none")]) == frozenset()


def test_datastore_candidates_include_global_ones(labels: Labels) -> None:
    flt = TagFilter("profile", FilterKind.REGEXP, "ssd$")
    assert labels.stored_candidates(Kind.DATASTORE, [flt]) == {"pcc-000001", "ssd-000050"}


def test_a_broken_filter_is_the_clients_fault(labels: Labels) -> None:
    with pytest.raises(BadRequestError, match="cluster"):
        labels.stored_candidates(Kind.VM, [TagFilter("cluster", FilterKind.REGEXP, "(")])


def test_labels_are_built_once_a_version() -> None:
    current = two_services()
    cache = LabelCache(lambda: current)
    first = cache.current()
    assert cache.current() is first
    assert first.enrich(Kind.VM, {"vm": "vm-3"})["vm_name"] == "test1"
    current = Snapshot(version=current.version + 1)
    assert cache.current() is not first
    assert cache.current().enrich(Kind.VM, {"vm": "vm-3"}) == {"vm": "vm-3"}


NAMES = st.sampled_from(["a", "b", "c", "", None])


@given(
    machines=st.lists(st.tuples(st.integers(1, 4), NAMES, NAMES, st.booleans()), max_size=8),
    moref=st.integers(1, 4),
    tags=st.fixed_dictionaries(
        {},
        optional={
            "datacenter": st.sampled_from([f"{ONE}_datacenter1", f"{ONE}_datacenter2", "x"]),
            "servicename": st.sampled_from([ONE, TWO]),
            "cluster": st.just("stored"),
        },
    ),
)
def test_every_added_label_is_true_and_a_candidate_is_never_missed(
    machines: list[tuple[int, str | None, str | None, bool]], moref: int, tags: dict[str, str]
) -> None:
    placed: dict[int, list[object]] = {1: [], 2: []}
    for number, (ref, name, cluster_name, deleted) in enumerate(machines):
        machine = vm(number, name, mo_ref=f"vm-{ref}", cluster_name=cluster_name)
        placed[1 + number % 2].append(seen(machine, deleted=deleted))
    inventory = service(ONE, datacenter(ONE, 1, vms=placed[1]), datacenter(ONE, 2, vms=placed[2]))
    labels = Labels(snapshot(inventory))
    stored = {"vm": f"vm-{moref}", **tags}
    enriched = labels.enrich(Kind.VM, stored)

    assert stored.items() <= enriched.items()
    added = {key: text for key, text in enriched.items() if key not in stored}
    assert set(added) <= set(ENRICHED_LABELS[Kind.VM])
    if set(added) - {"service"}:
        # Some machine of that moRef really carries all of the labels together.
        own = {key: text for key, text in added.items() if key in {"vm_name", "cluster"}}
        assert any(
            own.items() <= {"vm_name": name, "cluster": cluster_name}.items()
            for ref, name, cluster_name, _ in machines
            if ref == moref
        )
        for key, text in own.items():
            candidates = labels.stored_candidates(Kind.VM, [literal(key, text)])
            assert candidates is not None
            assert f"vm-{moref}" in candidates


def test_what_was_not_read_anew_is_taken_over() -> None:
    before = two_services()
    first = Labels(before)
    one = before.services[ONE]
    place = one.datacenters[10]
    moved = {
        key: replace(seen, value=seen.value.model_copy(update={"host_name": "elsewhere"}))
        for key, seen in place.vms.items()
    }
    read = replace(one, datacenters={**one.datacenters, 10: replace(place, vms=moved)})
    failed = replace(before.services[TWO], state="failed", problem="no way")
    after = replace(before, services={ONE: read, TWO: failed}, version=2)
    again, anew = Labels(after, before=first), Labels(after)
    assert again.parts[TWO] is first.parts[TWO]
    assert again.parts[ONE] is not first.parts[ONE]
    for kind in (Kind.VM, Kind.HOST, Kind.DATASTORE):
        for entry in [
            entry for part in anew.parts.values() for entry in part.shelves[kind].entries
        ]:
            named = {OBJECT_LABEL[kind]: entry.value}
            for place_tags in (
                {"datacenter": entry.datacenter} if entry.datacenter else {},
                {"servicename": entry.service},
                {},
            ):
                tags = {**named, **place_tags}
                assert again.enrich(kind, tags) == anew.enrich(kind, tags)
    assert (
        again.enrich(Kind.VM, {"vm": "vm-1", "datacenter": place.label})["host_name"] == "elsewhere"
    )
