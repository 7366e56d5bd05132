"""The explorer over HTTP: what is asked, what is shown, what is said when it fails."""

from __future__ import annotations

import csv
import json
import re
from typing import TYPE_CHECKING

import pytest

from bridge.doors.doorway import Limits
from bridge.doors.page.units import MISSING
from bridge.engine.grammar import parse_target
from bridge.errors import NotOfferedError, UpstreamError
from tests.doors.page.reading import Command, Element, query_of, read
from tests.doors.stand import CPU, DC1, NOW, STEP_MS, MemorySource, make_app
from tests.servers import serving

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx

    from bridge.model import BucketRequest, Buckets

    Get = Callable[..., Element]

HTML = {"Accept": "text/html"}


def legend(root: Element) -> dict[str, list[str]]:
    rows = root.one("table", id="legend-table").one("tbody").all("tr")
    return {row.one("th").text: [cell.text for cell in row.all("td")] for row in rows}


def snippets(root: Element) -> dict[str, str]:
    return {
        part.one("h4").text: "".join(map(str, part.one("code").children))
        for part in root.all("div", class_="snippet")
    }


def shown_points(root: Element) -> dict[str, list[str]]:
    chart = root.one("div", id="chart")
    columns = json.loads(chart.attributes["data-points"])["v"]
    return dict(zip(legend(root), columns, strict=False))


def test_without_a_metric_all_are_listed(page: Get) -> None:
    root = page("/explore")
    titles = [one.text for one in root.all("h2")]
    assert titles == ["Virtual machines", "Hosts", "Datastores", "Accounts at OVHcloud"]
    links = {link.text: link.attributes["href"] for link in root.one("main").all("a")}
    assert ("metric", CPU) in query_of(links["VM processor usage"])
    for address in links.values():
        page("/" + address)


def test_a_graph_by_cluster(page: Get) -> None:
    root = page("/explore", metric=CPU, aggregator="avg", group_by="cluster")
    assert root.one("h1").text == "VM processor usage"
    # vm-101 and vm-102 stand at 1% and 2%, vm-103 at 3%, vm-104 at 4%; silence is interpolated.
    assert legend(root) == {
        "prod": ["1.50%", "1.50%", "1.50%", "1.50%"],
        "test": ["3.50%", "3.50%", "3.50%", "3.50%"],
    }
    lines = list(root.one("svg", class_="lines").all("path"))
    assert len(lines) == 2
    assert all(line.attributes["d"].startswith("M") for line in lines)
    (target,) = [text for title, text in snippets(root).items() if title == "Target text"]
    assert target == f"avg:{CPU}{{cluster=*}}"


def test_the_address_is_the_state(page: Get) -> None:
    asked = {
        "metric": CPU,
        "vm_name": "web*",
        "group_by": ["cluster", "host_name"],
        "aggregator": "max",
        "downsample": "10m",
        "function": "min",
        "fill": "zero",
        "rate": "rate{counter}",
        "legend": "{{cluster}} <{{host_name}}>",
        "explicit_tags": "true",
        "from": "2026-01-01 01:00",
        "to": "2026-01-01 05:00",
        "tz": "Europe/Paris",
    }
    root = page("/explore", 200, **asked)
    address = root.one("div", id="result").attributes["data-address"]
    again = query_of(address)
    flat = [
        (key, one)
        for key, value in asked.items()
        for one in (value if isinstance(value, list) else [value])
    ]
    assert sorted(again) == sorted(flat)
    form = root.one("form", id="question")
    for key in ("vm_name", "from", "to", "tz", "downsample", "legend"):
        assert form.one("input", name=key).attributes["value"] == asked[key]
    ticked = [one for one in form.all("input", name="group_by") if "checked" in one.attributes]
    assert [one.attributes["value"] for one in ticked] == ["cluster", "host_name"]
    for key in ("aggregator", "function", "fill", "rate"):
        chosen = [
            one
            for one in form.one("select", name=key).all("option")
            if "selected" in one.attributes
        ]
        assert [one.text for one in chosen] == [asked[key]]
    text = snippets(root)["Target text"]
    assert text == (
        f"max:explicit_tags:rate{{counter}}:10m-min-zero:{CPU}"
        "{cluster=*,host_name=*}{vm_name=iwildcard(web*)} as {{cluster}} <{{host_name}}>"
    )
    assert "2026-01-01 01:00 to 2026-01-01 05:00, Europe/Paris" in root.text
    # And the target text alone gives the same page.
    pasted = page(
        "/explore", target=text, tz="Europe/Paris", **{k: asked[k] for k in ("from", "to")}
    )
    assert query_of(pasted.one("div", id="result").attributes["data-address"])
    assert snippets(pasted)["Target text"] == text
    assert not list(pasted.all("textarea"))


@pytest.mark.parametrize(
    "text",
    [
        f"avg:{CPU}{{cluster=prod}}{{cluster=test}}",
        f"{CPU}{{vm=vm-101,vm=vm-102}}",
    ],
)
def test_a_target_beyond_the_form_is_used_as_written(page: Get, text: str) -> None:
    root = page("/explore", target=text)
    assert root.one("textarea", name="target").text == text
    assert "says more than the form can show" in root.text
    assert parse_target(snippets(root)["Target text"]) == parse_target(text)
    assert not list(root.all("select", name="metric"))
    for link in root.one("nav", class_="ranges").all("a"):
        assert ("target", text) in query_of(link.attributes["href"])


def test_a_live_table_pasted_as_a_target_is_told_apart(page: Get) -> None:
    root = page("/explore", 400, target="live:vm")
    assert "live table" in root.one("p", id="target-wrong").text


def test_gaps_are_gaps(page: Get) -> None:
    root = page("/explore", metric=CPU, vm="vm-103")
    path = root.one("svg", class_="lines").one("path").attributes["d"]
    assert path.count("M") == 2
    assert "The series has gaps" in root.one("ul", class_="notices").text
    filled = page("/explore", metric=CPU, vm="vm-103", fill="nan")
    assert filled.one("svg", class_="lines").one("path").attributes["d"].count("M") == 2


def test_lines_leave_only_their_series(page: Get) -> None:
    root = page("/explore", metric=CPU)
    assert set(legend(root)) == {"web01", "web02", "db.main (old)", "gone"}
    links = root.one("table", id="legend-table").one("tbody").all("a")
    for link, name in zip(links, list(legend(root)), strict=True):
        alone = page("/" + link.attributes["href"])
        assert list(legend(alone)) == [name]
    grouped = page("/explore", metric=CPU, aggregator="sum", group_by=["cluster", "host_name"])
    for link in grouped.one("table", id="legend-table").one("tbody").all("a"):
        assert len(legend(page("/" + link.attributes["href"]))) == 1


def test_orders(page: Get) -> None:
    names = ["web01", "web02", "db.main (old)", "gone"]
    by_name = ["db.main (old)", "gone", "web01", "web02"]
    assert list(legend(page("/explore", metric=CPU))) == by_name
    assert list(legend(page("/explore", metric=CPU, order="mean"))) == names
    assert list(legend(page("/explore", metric=CPU, order="-last"))) == names[::-1]
    assert list(legend(page("/explore", metric=CPU, order="nonsense"))) == by_name
    sorted_by = page("/explore", metric=CPU, order="-max").one("th", aria_sort="descending")
    assert sorted_by.text == "Max"


def test_values_as_a_table(page: Get) -> None:
    root = page("/explore", metric=CPU, vm="vm-102|vm-103", show="table")
    table = root.one("table", class_="values")
    rows = [
        [cell.text for cell in row.children if isinstance(cell, Element)]
        for row in table.one("tbody").all("tr")
    ]
    assert len(rows) == 72 or len(rows) == 73
    assert [cell.text for cell in table.one("thead").all("th")] == [
        "Time, UTC",
        "db.main (old)",
        "web02",
    ]
    silent = [row for row in rows if row[1] == MISSING]
    assert len(silent) == 12
    assert silent[0][0] == "2026-01-01 03:00"
    assert all(row[2] == "2%" for row in rows)
    assert not list(root.all("div", id="chart"))


def test_the_fields_of_grafanas_opentsdb_editor(page: Get) -> None:
    root = page(
        "/explore", metric=CPU, aggregator="avg", group_by="cluster", host_name="172.17.86.5*",
        downsample="15m", function="max", rate="rate{dropcounter,100,5}",
    )  # fmt: skip
    fields = [(one.one("dt").text, one.one("dd").text) for one in root.one("dl").all("div")]
    assert fields == [
        ("Metric", CPU),
        ("Aggregator", "avg"),
        ("Alias", "$tag_cluster"),
        ("Down sample: interval", "15m"),
        ("Down sample: aggregator", "max"),
        ("Down sample: fill", "none"),
        ("Filter", "host_name = iwildcard(172.17.86.5*), group by: no"),
        ("Filter", "cluster = wildcard(*), group by: yes"),
        ("Rate", "on"),
        ("Counter", "on"),
        ("Counter max", "100"),
        ("Reset value", "5"),
    ]


@pytest.mark.parametrize(
    "asked",
    [
        {"metric": CPU},
        {"metric": CPU, "aggregator": "avg", "group_by": "cluster", "from": "now-3h"},
        {"metric": CPU, "vm": "vm-101|vm-103", "function": "max", "from": "now-30d"},
        {"metric": CPU, "vm_name": "literal_or(db.main \\(old\\))"},
        {
            "metric": CPU,
            "aggregator": "sum",
            "downsample": "1dc",
            "from": "now-5d",
            "tz": "Asia/Tokyo",
        },
        {"metric": "vscope.host.net.tx", "group_by": "nicname", "aggregator": "zimsum"},
    ],
)
def test_the_lines_for_a_shell_give_what_is_drawn(
    client: httpx.Client, page: Get, asked: dict[str, str]
) -> None:
    root = page("/explore", 200, **asked)
    drawn = {
        title: [text for text in column if text != MISSING]
        for title, column in shown_points(root).items()
    }
    assert drawn
    commands = {
        title: Command.of(text) for title, text in snippets(root).items() if title != "Target text"
    }
    assert set(commands) == {"JSON, as the panels ask", "CSV", "OpenTSDB"}
    answers = {title: command.run(client) for title, command in commands.items()}
    for answer in answers.values():
        assert answer.status_code == 200, answer.text
    panels = {
        one["title"]: [value for value, _ in one["datapoints"] if value is not None]
        for one in answers["JSON, as the panels ask"].json()
    }
    assert {title: len(values) for title, values in panels.items()} == {
        title: len(texts) for title, texts in drawn.items()
    }
    assert {f"{value:.1f}" for values in panels.values() for value in values} == {
        f"{float(text.split('%')[0].split(' ')[0]):.1f}"
        for texts in drawn.values()
        for text in texts
    }
    points = sum(map(len, drawn.values()))
    assert len(list(csv.DictReader(answers["CSV"].text.splitlines()))) == points
    assert sum(len(one["dps"]) for one in answers["OpenTSDB"].json()) == points


def field_errors(root: Element) -> dict[str, str]:
    form = root.one("form", id="question")
    found = {}
    for element in form.all():
        if element.attributes.get("aria-invalid") == "true":
            wrong = form.one("p", id=element.attributes["aria-describedby"])
            found[element.attributes["name"]] = wrong.text
    return found


@pytest.mark.parametrize(
    ("asked", "field", "words"),
    [
        ({"metric": "vscope.vm.cpu.usage.pecr"}, "metric", "did you mean vscope.vm.cpu.usage.perc"),
        ({"metric": CPU, "cluster": "regexp((("}, "cluster", "'(' after regexp is not closed"),
        ({"metric": CPU, "cluster": "regexp([)"}, "cluster", ""),
        ({"metric": CPU, "host": "a"}, "host", "has no label 'host'; did you mean host_name?"),
        ({"metric": CPU, "from": "yesterday"}, "from", "is no time"),
        ({"metric": CPU, "from": "now", "to": "now-6h"}, "to", "ends before it starts"),
        ({"metric": CPU, "from": "now", "to": "now"}, "to", "empty"),
        ({"metric": CPU, "tz": "Mars/Olympus"}, "tz", "no such timezone"),
        ({"metric": CPU, "downsample": "5x"}, "downsample", "expected a unit"),
        ({"metric": CPU, "downsample": "1s", "from": "now-7d"}, "downsample", "604,800 points"),
        ({"metric": CPU, "aggregator": "averagge"}, "aggregator", "did you mean avg"),
        ({"metric": CPU, "function": "nothing"}, "function", "there is no function"),
        ({"metric": CPU, "fill": "grey"}, "fill", "there is no fill"),
        ({"metric": CPU, "rate": "speed"}, "rate", "expected rate"),
        ({"metric": CPU, "legend": "x" * 600}, "legend", "longer than"),
        ({"target": f"avg:{CPU}{{cluster="}, "target", "not closed"),
        ({"target": "avg:no.such"}, "target", "No such name for 'metrics': 'no.such'"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_at_its_field(
    page: Get, asked: dict[str, str], field: str, words: str
) -> None:
    root = page("/explore", 400, **asked)
    errors = field_errors(root)
    assert list(errors) == [field]
    assert words in errors[field]
    assert errors[field]
    assert root.one("div", role="alert").text
    assert not list(root.all("svg", class_="lines"))


def test_all_wrong_fields_are_told_at_once(page: Get) -> None:
    root = page("/explore", 400, metric=CPU, cluster="regexp((", downsample="x", tz="Nowhere")
    assert set(field_errors(root)) == {"cluster", "downsample", "tz"}
    assert "open" in root.one("details").attributes


def test_grouping_by_an_unknown_label(page: Get) -> None:
    root = page("/explore", 400, metric=CPU, group_by="hots")
    assert "has no label 'hots'" in root.one("p", id="group_by-wrong").text


def test_another_metric_keeps_what_it_can(page: Get) -> None:
    root = page(
        "/explore", of=CPU, metric="vscope.host.net.tx", vm="vm-101", datacenter=DC1,
        group_by=["cluster", "vm_name"],
    )  # fmt: skip
    kept = query_of(root.one("div", id="result").attributes["data-address"])
    assert ("datacenter", DC1) in kept
    assert ("group_by", "cluster") in kept
    assert not [pair for pair in kept if "vm" in pair[0] or "vm_name" in pair]
    assert "vscope.host.net.tx has no label vm: that filter was left out." in root.text


def test_nothing_found_is_no_error(page: Get) -> None:
    root = page("/explore", metric=CPU, cluster="nowhere")
    assert "No data." in root.text
    assert not list(root.all("svg", class_="lines"))
    assert snippets(root)["Target text"]


def test_a_known_metric_without_any_series(page: Get) -> None:
    assert "No data." in page("/explore", metric="vscope.vm.disk.io.read").text


@pytest.mark.parametrize(
    ("failure", "status", "words"),
    [
        (UpstreamError("a.metrics.ovh.net refused the connection"), 502, "history is down"),
        (NotOfferedError("OVHcloud does not offer vScope history any more"), 502, "again daily"),
    ],
)  # fmt: skip
def test_an_upstream_failure_is_told_with_what_to_do(
    client: httpx.Client, failure: UpstreamError, status: int, words: str
) -> None:
    with serving(make_app(MemorySource(failure=failure))) as url:
        response = client.get(f"{url}/explore?metric={CPU}", headers=HTML)
    assert response.status_code == status
    alert = read(response).one("div", role="alert")
    assert failure.message in alert.text
    assert words in alert.text
    # The form stays usable: labels are offered from the inventory.
    values = read(response).one("form", id="question").all("option")
    assert "web01" in {one.attributes.get("value") for one in values}


def test_what_is_missing_is_told_beside_the_graph(client: httpx.Client) -> None:
    class Half(MemorySource):
        async def buckets(self, request: BucketRequest) -> tuple[Buckets, ...]:
            assert request.on_missing is not None
            request.on_missing("pcc-2 is <left out>")
            return await super().buckets(request)

    with serving(make_app(Half())) as url:
        root = read(client.get(f"{url}/explore?metric={CPU}", headers=HTML))
    assert root.one("p", role="alert").text == "This is not all there is: pcc-2 is <left out>"
    assert list(root.one("svg", class_="lines").all("path"))


def test_a_slow_history_is_told_in_the_page(client: httpx.Client) -> None:
    app = make_app(MemorySource(delay_s=20), deadline_s=2.0)
    with serving(app) as url:
        response = client.get(f"{url}/explore?metric={CPU}", headers=HTML)
    assert response.status_code == 504
    assert "no answer within 1.8 s" in read(response).one("div", role="alert").text


def test_too_many_points_are_refused(client: httpx.Client, base: str) -> None:
    response = client.get(
        base + "/explore",
        params={"metric": CPU, "function": "median", "from": "2000-01-01", "to": "now"},
        headers=HTML,
    )
    assert response.status_code == 413
    assert "max_points" in read(response).one("div", role="alert").text


@pytest.mark.parametrize(
    "query", ["&".join(f"a{n}=b" for n in range(200)), "metric=" + "x" * 5_000, "x" * 5_000 + "=1"]
)
def test_more_than_a_form_holds_is_refused(client: httpx.Client, base: str, query: str) -> None:
    response = client.get(f"{base}/explore?{query}", headers=HTML)
    assert response.status_code == 400
    assert "at most" in read(response).one("p", role="alert").text


def test_values_are_offered_for_each_label(page: Get) -> None:
    form = page("/explore", metric=CPU).one("form", id="question")
    keys = [
        one.attributes["name"]
        for one in form.one("fieldset", id="labels").all("input", type="text")
    ]
    assert keys == ["datacenter", "vm", "service", "vm_name", "cluster", "host_name", "folder"]
    machines = form.one("datalist", id=form.one("input", name="vm").attributes["list"])
    offered = {
        one.attributes["value"]: one.attributes.get("label") for one in machines.all("option")
    }
    assert offered["vm-101"] == "web01"


def test_ranges_move_and_keep_the_rest(page: Get) -> None:
    asked = {"metric": CPU, "cluster": "prod", "from": "2026-01-01 01:00", "to": "2026-01-01 03:00"}
    root = page("/explore", 200, **asked)
    links = {
        one.text: dict(query_of(one.attributes["href"]))
        for one in root.one("nav", class_="ranges").all("a")
    }
    assert links["24 hours"] == {"metric": CPU, "cluster": "prod", "from": "now-24h"}
    span = {
        name: (links[name]["from"], links[name]["to"])
        for name in ("Earlier", "Later", "Wider", "Closer")
    }
    assert span == {
        "Earlier": ("2025-12-31 23:00", "2026-01-01 01:00"),
        "Later": ("2026-01-01 03:00", "2026-01-01 05:00"),
        "Wider": ("2026-01-01 00:00", "2026-01-01 04:00"),
        "Closer": ("2026-01-01 01:30", "2026-01-01 02:30"),
    }


def test_more_lines_than_can_be_told_apart(client: httpx.Client) -> None:
    class Many(MemorySource):
        def _matching(self, *_: object) -> list[dict[str, str]]:
            return [{"datacenter": DC1, "vm": f"vm-{n}"} for n in range(1_000, 1_230)]

    with serving(make_app(Many(), limits=Limits(source_step_ms=STEP_MS))) as url:
        root = read(client.get(f"{url}/explore?metric={CPU}&from=now-1h", headers=HTML))
        listed = read(
            client.get(f"{url}/explore?metric={CPU}&from=now-1h&order=name", headers=HTML)
        )
    assert len(list(root.one("svg", class_="lines").all("path"))) == 20
    assert len(legend(root)) == 200
    notices = root.one("ul", class_="notices").text
    assert "230 series: the 20 highest by mean are drawn" in notices
    assert "lists 200 of them" in notices
    classes = [line.attributes["class"] for line in root.one("svg", class_="lines").all("path")]
    assert len(set(classes)) == 20
    assert list(legend(listed))[:3] == ["vm-1000", "vm-1001", "vm-1002"]


def test_old_last_values_carry_their_time(page: Get) -> None:
    end = f"{(NOW - 2 * 3600 - 600) * 1000}"
    root = page("/explore", metric=CPU, vm="vm-102|vm-103", to=end)
    assert re.search(r"at 2026-01-01 02:55", legend(root)["db.main (old)"][0])
    assert legend(root)["web02"][0] == "2%"
