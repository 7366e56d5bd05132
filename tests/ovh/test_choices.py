"""Template variables: what people read, and the values queries use."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import BadRequestError
from bridge.model import FilterKind, TagFilter
from bridge.ovh import choices
from bridge.ovh.choices import Choice
from bridge.ovh.objects import Snapshot
from bridge.ovh.order import natural_key
from tests.ovh.snapshots import (
    ONE,
    TWO,
    datacenter,
    datastore,
    host,
    seen,
    service,
    snapshot,
    two_services,
    vm,
)

if TYPE_CHECKING:
    from collections.abc import Callable


def any_of(text: str, kind: FilterKind = FilterKind.LITERAL_OR) -> TagFilter:
    return TagFilter("", kind, text)


def texts(found: tuple[Choice, ...]) -> list[str]:
    return [choice.text for choice in found]


def test_services_by_description() -> None:
    assert choices.services(two_services()) == (Choice(TWO, TWO), Choice("Shop", ONE))


def test_services_that_were_never_read_are_there() -> None:
    inventory = snapshot(service(ONE, service=None, state="warming", polled_at=None))
    assert choices.services(inventory) == (Choice(ONE, ONE),)


def test_datacenters_of_one_name_are_told_apart() -> None:
    assert choices.datacenters(two_services()) == (
        Choice("Lyon", f"{ONE}_datacenter11"),
        Choice(f"Paris ({ONE}_datacenter10)", f"{ONE}_datacenter10"),
        Choice(f"Paris ({TWO}_datacenter10)", f"{TWO}_datacenter10"),
    )


@pytest.mark.parametrize(
    ("flt", "expected"),
    [
        (any_of(ONE), ["Lyon", "Paris"]),
        (any_of("Shop"), ["Lyon", "Paris"]),
        (any_of(TWO), ["Paris"]),
        (any_of("pcc-10-*", FilterKind.WILDCARD), ["Lyon", "Paris", "Paris"]),
        (any_of("Shop", FilterKind.NOT_LITERAL_OR), ["Paris"]),
        (any_of("elsewhere"), []),
    ],
)
def test_datacenters_of_a_service(flt: TagFilter, expected: list[str]) -> None:
    found = choices.datacenters(two_services(), flt)
    assert [text.split(" ")[0] for text in texts(found)] == expected


def test_a_datacenter_without_a_name_gets_its_default_one() -> None:
    inventory = snapshot(service(ONE, datacenter(ONE, 7, "")))
    assert texts(choices.datacenters(inventory)) == ["datacenter7"]


def test_clusters_of_one_name_are_one_choice() -> None:
    assert choices.clusters(two_services()) == (Choice("lab", "lab"), Choice("prod", "prod"))


@pytest.mark.parametrize(
    ("flt", "expected"),
    [
        (any_of(f"{ONE}_datacenter10"), ["test1", "web2", "web10"]),
        (any_of("Lyon"), ["web2"]),
        (any_of("11"), ["web2"]),
        (any_of(f"Lyon|{TWO}_datacenter10"), ["mail1", "web2", "web10"]),
        (any_of("paris", FilterKind.ILITERAL_OR), ["mail1 / web2", "test1", "web10", "web10"]),
        (any_of("*", FilterKind.WILDCARD),
         ["mail1 / web2", "test1", "web2", "web10", "web10"]),
        (any_of("Paris", FilterKind.NOT_LITERAL_OR), ["web2"]),
        (any_of(f"{ONE}_datacenter10|Lyon", FilterKind.NOT_LITERAL_OR), ["mail1", "web10"]),
    ],
)  # fmt: skip
def test_machines_of_a_datacenter_by_label_name_or_id(flt: TagFilter, expected: list[str]) -> None:
    found = choices.vms(two_services(), flt)
    assert [text.split(" (")[0] for text in texts(found)] == expected


def test_machines_of_one_name_are_told_apart() -> None:
    found = choices.vms(snapshot(service(ONE, datacenter(ONE, 1, vms=[vm(2, "a"), vm(1, "a")]))))
    assert found == (Choice("a (vm-1)", "vm-1"), Choice("a (vm-2)", "vm-2"))


def test_machines_that_share_a_moref_are_one_choice_with_all_names() -> None:
    # A query for vm-1 without a datacenter reads both.
    assert Choice("mail1 / web2", "vm-1") in choices.vms(two_services())
    assert Choice("mail1", "vm-1") in choices.vms(two_services(), any_of(f"{TWO}_datacenter10"))


def test_machines_without_a_name_are_called_by_their_moref() -> None:
    inventory = snapshot(service(ONE, datacenter(ONE, 1, vms=[vm(5)])))
    assert choices.vms(inventory) == (Choice("vm-5", "vm-5"),)


def test_machines_narrowed_by_columns() -> None:
    filters = [
        TagFilter("cluster", FilterKind.LITERAL_OR, "prod"),
        TagFilter("vm_name", FilterKind.WILDCARD, "web*"),
        TagFilter("service", FilterKind.LITERAL_OR, ONE),
    ]
    assert choices.vms(two_services(), filters=filters) == (
        Choice("web2", "vm-1"),
        Choice("web10", "vm-2"),
    )


def test_unknown_columns_are_refused() -> None:
    with pytest.raises(BadRequestError, match="power_state"):
        choices.vms(two_services(), filters=[TagFilter("powerstate", FilterKind.LITERAL_OR, "x")])


def test_hidden_machines_on_demand() -> None:
    paris = any_of(f"{ONE}_datacenter10")
    assert texts(choices.vms(two_services(), paris, show_hidden=True)) == [
        "backupServer1",
        "old1",
        "test1",
        "web2",
        "web10",
    ]


def test_hosts_in_natural_order() -> None:
    inventory = snapshot(
        service(ONE, datacenter(ONE, 1, hosts=[host(10), host(9), seen(host(1), managed=True)]))
    )
    assert choices.hosts(inventory) == (
        Choice("172.16.0.9", "172.16.0.9"),
        Choice("172.16.0.10", "172.16.0.10"),
    )
    assert len(choices.hosts(inventory, show_hidden=True)) == 3


def test_global_datastores_appear_with_every_datacenter_of_their_service() -> None:
    lyon = choices.datastores(two_services(), any_of("Lyon"))
    assert texts(lyon) == ["ssd-000050"]
    other = choices.datastores(two_services(), any_of(f"{TWO}_datacenter10"))
    assert texts(other) == ["pcc-000001"]
    ssd = TagFilter("profile", FilterKind.WILDCARD, "*ssd")
    assert texts(choices.datastores(two_services(), filters=[ssd])) == ["pcc-000001", "ssd-000050"]


@pytest.mark.parametrize(
    "choose",
    [
        choices.services,
        choices.datacenters,
        choices.clusters,
        choices.hosts,
        choices.vms,
        choices.datastores,
    ],
)
def test_nothing_known_means_no_choices(choose: Callable[[Snapshot], object]) -> None:
    assert choose(Snapshot()) == ()


NAMES = st.one_of(st.none(), st.text(alphabet="ab12 ", max_size=3))


@given(st.lists(st.tuples(st.integers(1, 6), NAMES), max_size=12))
def test_values_are_unique_complete_and_in_order(machines: list[tuple[int, str | None]]) -> None:
    rows = [vm(at, name, mo_ref=f"vm-{ref}") for at, (ref, name) in enumerate(machines)]
    found = choices.vms(
        snapshot(
            service(ONE, datacenter(ONE, 1, vms=rows[::2])),
            service(TWO, datacenter(TWO, 1, vms=rows[1::2], datastores=[datastore(1)])),
        )
    )
    values = [choice.value for choice in found]
    assert sorted(values) == sorted({f"vm-{ref}" for ref, _ in machines})
    assert all(
        natural_key(first.text) <= natural_key(second.text) for first, second in pairwise(found)
    )
    for ref, name in machines:
        (choice,) = [one for one in found if one.value == f"vm-{ref}"]
        assert (name or f"vm-{ref}") in choice.text


@pytest.mark.parametrize(
    ("smaller", "bigger"),
    [("web2", "web10"), ("Web2", "web3"), ("a", "a1"), ("a07", "a8"), ("9" * 5000, "1" * 5001)],
)
def test_natural_order(smaller: str, bigger: str) -> None:
    assert natural_key(smaller) < natural_key(bigger)
