"""Live tables over HTTP: filters, order, pages, and what is taken along."""

from __future__ import annotations

import csv
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from bridge.doors.page.objects import KINDS, heading
from bridge.doors.page.units import MISSING
from bridge.ovh.live import LIVE_KINDS, live_columns
from bridge.ovh.objects import Seen, Snapshot, Vm
from tests.doors.page.reading import Command, Element, query_of, read
from tests.doors.page.test_explore import HTML, snippets
from tests.doors.stand import DC1, NOW, SERVICE, make_app, small_company
from tests.servers import serving

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx

    Get = Callable[..., Element]


def rows(root: Element) -> list[list[str]]:
    return [
        [cell.text for cell in row.children if isinstance(cell, Element)]
        for row in root.one("table", class_="live").one("tbody").all("tr")
    ]


def names(root: Element) -> list[str]:
    return [row[0] for row in rows(root)]


@pytest.mark.parametrize("kind", LIVE_KINDS)
def test_every_table_has_its_page(page: Get, kind: str) -> None:
    columns = {column.name for column in live_columns(kind)}
    assert {*KINDS[kind].main, *KINDS[kind].filters} <= columns
    root = page("/live", kind=kind)
    assert rows(root)
    assert root.one("h1").text == "Live tables"
    (tab,) = [
        one for one in root.one("nav", class_="tabs").all("a") if "aria-current" in one.attributes
    ]
    assert tab.text == KINDS[kind].title
    everything = page("/live", kind=kind, columns="all")
    headings = everything.one("table", class_="live").one("thead").all("th")
    assert len(list(headings)) == len(columns)
    for link in root.one("table", class_="live").one("tbody").all("a"):
        page("/" + link.attributes["href"])


def test_hidden_objects_are_asked_for(page: Get) -> None:
    assert "gone" not in names(page("/live"))
    root = page("/live", hidden="true")
    assert "gone" in names(root)
    assert snippets(root)["Target text"] == "live:vm{hidden=true}"


def test_filters(page: Get) -> None:
    assert names(page("/live", search="WEB")) == ["web01", "web02"]
    assert names(page("/live", search="(old)")) == ["db.main (old)"]
    assert names(page("/live", cluster="test")) == ["db.main (old)"]
    assert names(page("/live", cluster="prod|test", host_name="*.51")) == ["web01", "web02"]
    assert names(page("/live", vm="vm-102")) == ["web02"]
    assert names(page("/live", kind="task", ended="false")) == ["addFiler"]
    root = page("/live", cluster="nowhere")
    assert "Nothing matches" in root.text
    # A filter without a field of its own gets one, so that it can be seen and changed.
    vm = page("/live", vm="vm-102").one("input", name="vm")
    assert vm.attributes["value"] == "vm-102"


def test_an_object_leads_to_its_graph(page: Get) -> None:
    table = page("/live", cluster="test").one("table", class_="live").one("tbody")
    query = dict(query_of(table.one("a").attributes["href"]))
    assert query == {"metric": "vscope.vm.cpu.usage.perc", "datacenter": DC1, "vm": "vm-103"}
    graph = page("/" + table.one("a").attributes["href"])
    assert graph.one("table", id="legend-table").one("tbody").one("th").text == "db.main (old)"


def test_orders(page: Get) -> None:
    assert names(page("/live", sort="vcpus")) == ["web01", "web02", "db.main (old)"]
    assert names(page("/live", sort="-vcpus")) == ["db.main (old)", "web02", "web01"]
    assert names(page("/live", sort="name")) == ["db.main (old)", "web01", "web02"]
    root = page("/live", sort="-vcpus")
    assert root.one("th", aria_sort="descending").text == "vCPUs"
    link = root.one("th", aria_sort="descending").one("a").attributes["href"]
    assert dict(query_of(link))["sort"] == "vcpus"
    # What is not known comes last in either direction, and is no error.
    tasks = [page("/live", kind="task", sort=sort) for sort in ("ended_at", "-ended_at", "host")]
    assert [names(root)[-1] for root in tasks[:2]] == ["addFiler", "addFiler"]
    assert rows(tasks[0])[-1][7] == MISSING


@pytest.mark.parametrize(
    ("asked", "place", "words"),
    [
        ({"cpu": "1"}, "cpu", "has no column 'cpu'"),
        ({"cluster": "regexp(("}, "cluster", "not closed"),
        ({"cluster": "regexp([)"}, "cluster", ""),
        ({"sort": "speed"}, "", "no column 'speed' to sort by"),
        ({"tz": "Nowhere"}, "", "no such timezone"),
    ],
)
def test_what_is_wrong_is_said(page: Get, asked: dict[str, str], place: str, words: str) -> None:
    root = page("/live", 400, **asked)
    if place:
        field = root.one("input", name=place)
        assert field.attributes["aria-invalid"] == "true"
        text = root.one("p", id=field.attributes["aria-describedby"]).text
    else:
        text = root.one("p", role="alert").text
    assert text
    assert words in text


@pytest.mark.parametrize(
    "asked",
    [{"kind": "vms"}, {"page": "0"}, {"page": "x"}, {"page": "9" * 30}, {"name": "x" * 9_000}],
)
def test_an_address_that_cannot_be_read(page: Get, asked: dict[str, str]) -> None:
    assert page("/live", 400, **asked).one("p", role="alert").text


def test_the_lines_for_a_shell_give_the_table(client: httpx.Client, page: Get) -> None:
    root = page("/live", search="web", cluster="prod")
    texts = snippets(root)
    assert texts["Target text"] == "live:vm{name=iwildcard(*web*),cluster=prod}"
    (table,) = Command.of(texts["JSON, as the panels ask"]).run(client).json()
    column = [one["text"] for one in table["columns"]].index("name")
    assert [row[column] for row in table["rows"]] == names(root)
    answer = Command.of(texts["CSV"]).run(client)
    assert [row["name"] for row in csv.DictReader(answer.text.splitlines())] == names(root)


def many(count: int) -> Snapshot:
    company = small_company()
    service = company.services[SERVICE]
    place = service.datacenters[1]
    vms = {
        n: Seen(Vm(vm_id=n, mo_ref=f"vm-{n}", name=f"m{n}", cluster_name=f"c{n % 300}"), NOW - 30.0)
        for n in range(count)
    }
    filled = replace(service, datacenters={1: replace(place, vms=vms)})
    return Snapshot({SERVICE: filled}, version=2)


def test_long_tables_are_cut_into_pages(client: httpx.Client) -> None:
    with serving(make_app(snapshot=many(1_234))) as url:
        seen: list[str] = []
        address = "live?sort=-name"
        for _ in range(13):
            root = read(client.get(f"{url}/{address}", headers=HTML))
            seen += names(root)
            assert "Virtual machines: 1,234" in root.text
            following = list(root.all("a", rel="next"))
            address = following[0].attributes["href"] if following else ""
        beyond = read(client.get(f"{url}/live?page=99", headers=HTML))
    assert address == ""
    assert seen == [f"m{n}" for n in reversed(range(1_234))]
    assert "Page 13 of 13" in beyond.text
    offered = beyond.one("datalist", id=beyond.one("input", name="cluster").attributes["list"])
    assert len(list(offered.all("option"))) == 200


def test_before_the_first_reading(client: httpx.Client) -> None:
    with serving(make_app(snapshot=Snapshot())) as url:
        root = read(client.get(f"{url}/live", headers=HTML))
    assert "has not been read yet" in root.text


def test_headings() -> None:
    assert heading("cpu_usage_percent") == "CPU usage %"
    assert heading("used_gb") == "Used"
    assert heading("vcpus_per_core") == "vCPUs per core"
    for kind in LIVE_KINDS:
        main = [heading(name) for name in KINDS[kind].main]
        assert len(main) == len(set(main)), main
