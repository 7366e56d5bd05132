"""Ad hoc filters narrow every target."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.doors.conftest import panel
from tests.doors.stand import CPU
from tests.doors.test_http import assert_union

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx

    Post = Callable[[str, Any], httpx.Response]


def flt(key: Any, operator: Any, value: Any = "", **more: Any) -> dict[str, Any]:
    return {"key": key, "operator": operator, "value": value, **more}


def machines(post: Post, target: str, *filters: Any, **more: Any) -> list[str]:
    """Return the names of the machines that are left."""
    response = post("/query", panel(target, adhocFilters=list(filters), **more))
    assert response.status_code == 200, response.text
    names = []
    for element in response.json():
        if "datapoints" in element:
            names.append(element["title"])
        else:
            at = [column["text"] for column in element["columns"]].index("name")
            names += [row[at] for row in element["rows"]]
    return sorted(names)


@pytest.mark.parametrize("target", [CPU, "live:vm{hidden=true}"])
@pytest.mark.parametrize(
    ("filters", "left"),
    [
        ([flt("vm", "=", "vm-101")], ["web01"]),
        ([flt("vm", "!=", "vm-101")], ["db.main (old)", "gone", "web02"]),
        ([flt("vm_name", "=", "db.main (old)")], ["db.main (old)"]),
        ([flt("vm_name", "=", "web*")], []),
        ([flt("vm_name", "=", "(web01|web02)")], []),
        ([flt("vm_name", "=", "a|b")], []),
        ([flt("vm_name", "!=", "a|web01")], ["db.main (old)", "gone", "web01", "web02"]),
        ([flt("vm_name", "=~", "^web")], ["web01", "web02"]),
        ([flt("vm_name", "=~", "b")], ["db.main (old)", "web01", "web02"]),
        ([flt("vm_name", "!~", "^web")], ["db.main (old)", "gone"]),
        ([flt("vm_name", "!~", "(?i)WEB")], ["db.main (old)", "gone"]),
        ([flt("vm_name", "!~", "1$")], ["db.main (old)", "gone", "web02"]),
        ([flt("vm", "=|", values=["vm-101", "vm-103"])], ["db.main (old)", "web01"]),
        ([flt("vm", "!=|", values=["vm-101", "vm-103"])], ["gone", "web02"]),
        ([flt("vm", "=|", "vm-101")], ["web01"]),
        ([flt("vm", "=", "vm-101"), flt("vm", "=", "vm-102")], []),
        ([flt("vm", "=", "vm-101"), flt("vm", "=", "vm-101", condition="")], ["web01"]),
        ([flt("vm", "=", "vm-101"), flt("cluster", "=", "prod")], ["web01"]),
        ([flt("vm", "=", "vm-101"), flt("cluster", "=", "test")], []),
        ([flt("zone", "=", "a")], []),
        ([flt("zone", "!=", "a")], []),
        ([flt("vm", "=", "")], []),
        ([flt("vm", "!=", "")], ["db.main (old)", "gone", "web01", "web02"]),
        ([flt("vm", "=~", "")], ["db.main (old)", "gone", "web01", "web02"]),
        ([flt("", "=", "x")], ["db.main (old)", "gone", "web01", "web02"]),
        ([{"key": "vm", "value": "vm-101"}], ["web01"]),
        ([], ["db.main (old)", "gone", "web01", "web02"]),
    ],
)
def test_operators(post: Post, target: str, filters: list[Any], left: list[str]) -> None:
    assert machines(post, target, *filters) == left


def test_a_filter_narrows_what_the_target_names_itself(post: Post) -> None:
    """Two exact filters on one key would be a union for OpenTSDB; here both must match."""
    both = f"{CPU}{{vm=vm-101|vm-102}}"
    assert machines(post, both, flt("vm", "=", "vm-102")) == ["web02"]
    assert machines(post, both, flt("vm", "=", "vm-103")) == []
    assert machines(post, f"max:{both}", flt("vm", "=", "vm-102")) == ["web02"]
    live = "live:vm{vm=vm-101|vm-102}"
    assert machines(post, live, flt("vm", "=", "vm-102")) == ["web02"]
    assert machines(post, live, flt("vm", "=", "vm-103")) == []
    assert machines(post, "live:vm{name=web01}", flt("vm_name", "=", "web02")) == []


def test_both_places_count(post: Post) -> None:
    left = machines(post, CPU, flt("cluster", "=", "prod"), filters=[flt("vm", "!=", "vm-101")])
    assert left == ["web02"]


def test_comparisons_are_for_numbers_of_live_tables(post: Post) -> None:
    assert machines(post, "live:vm", flt("vcpus", ">", "2")) == ["db.main (old)", "web02"]
    assert machines(post, "live:vm", flt("vcpus", "<", 4)) == ["web01"]
    assert machines(post, "live:vm", flt("nothing", "<", "4")) == []


@pytest.mark.parametrize(
    ("target", "one", "field"),
    [
        (CPU, flt("vm", ">", "1"), "operator"),
        (CPU, flt("vm", "~", "1"), "operator"),
        (CPU, flt("vm", ["="], "1"), "operator"),
        (CPU, flt(["vm"], "=", "1"), "key"),
        (CPU, flt("vm", "=", {"a": 1}), "value"),
        ("live:vm", flt("name", ">", "1"), "operator"),
        ("live:vm", flt("vcpus", ">", "many"), "value"),
    ],
)
def test_what_cannot_be_done_is_said(post: Post, target: str, one: Any, field: str) -> None:
    error = assert_union(post("/query", panel(target, filters=[one])), 400)
    assert error["field"] == f"filters[0].{field}"


def test_a_broken_pattern_is_the_clients_fault(post: Post) -> None:
    error = assert_union(post("/query", panel(CPU, filters=[flt("vm", "=~", "(")])), 400)
    assert "regular expression" in error["message"]
