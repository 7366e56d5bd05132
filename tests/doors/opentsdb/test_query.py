"""``/api/query`` at the small company: forms of the answer, tolerance, refusals, failures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from bridge.doors.doorway import Limits
from bridge.errors import (
    NotOfferedError,
    TooMuchError,
    UnavailableError,
    UpstreamError,
    UpstreamTimeoutError,
)
from tests.doors.opentsdb.clients import read_as_browser, read_as_go
from tests.doors.stand import CPU, DC1, MEM, NOW, SERVICE, MemorySource, make_app
from tests.doors.test_http import assert_union
from tests.servers import serving

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx

    Post = Callable[[str, Any], httpx.Response]

START = NOW - 900
STORE = "vscope.filer.datastore.diskspace.used"


def sub(metric: str = CPU, **more: Any) -> dict[str, Any]:
    return {"metric": metric, "aggregator": "avg", "downsample": "5m-avg", **more}


def go(*queries: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A body of Grafana's server."""
    return {"start": START * 1000, "end": NOW * 1000, "queries": list(queries), **more}


def page(*queries: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A body of Grafana's page."""
    return go(*queries, msResolution=False, globalAnnotations=True, **more)


def answer(post: Post, body: dict[str, Any], path: str = "/api/query") -> Any:
    response = post(path, body)
    assert response.status_code == 200, response.text
    return response.json()


# Forms of the answer


def test_an_alert_rule_gets_labelled_series_in_seconds(post: Post) -> None:
    response = post("/api/query", go(sub(tags={"vm": "*"})))
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "no-store"
    found = read_as_go(response.content)
    assert [dict(labels)["vm"] for labels in found] == ["vm-101", "vm-102", "vm-103", "vm-104"]
    assert dict(next(iter(found)))["vm_name"] == "web01"
    assert next(iter(found.values())) == {START + 300 * n: 1.0 for n in range(4)}


def test_the_text_itself(post: Post) -> None:
    response = post(
        "/api/query", go(sub(tags={"vm": "vm-101"}, downsample="10m-sum"), start=NOW - 1200)
    )
    assert response.text == (
        f'[{{"metric":"{CPU}","tags":{{"service":"{SERVICE}","vm_name":"web01",'
        f'"datacenter":"{DC1}","vm":"vm-101"}},"aggregateTags":[],"query":{{"index":0}},'
        f'"dps":{{"{NOW - 1200}":1.0,"{NOW - 600}":1.0,"{NOW}":1.0}}}}]'
    )


@pytest.mark.parametrize(
    ("path", "more"), [("/api/query?arrays=true", {}), ("/api/query", {"arrays": True})]
)
def test_arrays(post: Post, path: str, more: dict[str, Any]) -> None:
    response = post(path, go(sub(tags={"vm": "vm-102"}), **more))
    (points,) = read_as_go(response.content, arrays=True).values()
    assert points == {START + 300 * n: 2.0 for n in range(4)}


def test_milliseconds_only_when_asked_for(post: Post) -> None:
    body = go(sub(tags={"vm": "vm-101"}), msResolution=True)
    ((_, element),) = read_as_browser(answer(post, body), milliseconds=True)
    assert list(element["dps"]) == [str((START + 300 * n) * 1000) for n in range(4)]


def test_half_seconds_give_one_point_a_second(post: Post) -> None:
    found = answer(post, go(sub(tags={"vm": "vm-101"}, downsample="500ms-avg-zero"), start=NOW - 2))
    (element,) = found
    assert element["dps"] == {str(NOW - 2): 0.0, str(NOW - 1): 0.0, str(NOW): 1.0}


def test_without_downsampling_the_points_are_raw(post: Post) -> None:
    (element,) = answer(post, go({"metric": CPU, "aggregator": "sum"}))
    assert element["dps"] == {str(START + 300 * n): 10.0 for n in range(4)}
    assert element["aggregateTags"] == ["vm", "vm_name"]
    assert set(element["tags"]) == {"service", "datacenter"}


SILENT = {"start": NOW - 3 * 3600 - 600, "end": NOW - 2 * 3600 + 600}


@pytest.mark.parametrize("fill", ["null", "nan"])
def test_gaps_are_null_for_the_page_and_absent_for_the_server(post: Post, fill: str) -> None:
    query = sub(tags={"vm": "vm-103"}, downsample=f"5m-avg-{fill}")
    (element,) = answer(post, {**page(query), **SILENT})
    values = list(element["dps"].values())
    assert values.count(None) == 12
    assert values[0] == values[-1] == 3.0
    (points,) = read_as_go(post("/api/query", {**go(query), **SILENT}).content).values()
    assert len(points) == len(values) - 12


def test_an_alert_rule_is_known_by_its_header_too(client: httpx.Client, base: str) -> None:
    body = {**page(sub(tags={"vm": "vm-103"}, downsample="5m-avg-null")), **SILENT}
    response = client.post(f"{base}/api/query", json=body, headers={"FromAlert": "true"})
    assert "null" not in response.text
    assert "NaN" not in response.text


@pytest.mark.parametrize("form", [go, page])
def test_a_series_without_any_value_is_left_out(
    post: Post, form: Callable[..., dict[str, Any]]
) -> None:
    query = sub(tags={"vm": "*"}, downsample="5m-avg-null")
    body = {**form(query), "start": NOW - 3 * 3600 + 600, "end": NOW - 2 * 3600 - 600}
    assert [one["tags"]["vm"] for one in answer(post, body)] == ["vm-101", "vm-102", "vm-104"]


def test_labels_that_change_only_when_grouped_or_filtered_by(post: Post) -> None:
    for element in answer(post, go(sub(tags={"vm": "*"}))):
        assert not element["tags"].keys() & {"cluster", "host_name", "folder"}
    found = answer(post, go(sub(tags={"cluster": "*"})))
    assert [one["tags"]["cluster"] for one in found] == ["prod", "test"]
    assert all("host_name" not in one["tags"] for one in found)


def test_queries_keep_their_places(post: Post) -> None:
    nothing = sub(tags={"vm": "vm-999"})
    twice = sub(tags={"vm": "vm-101"})
    body = page(nothing, twice, twice, sub(MEM), nothing, twice, showQuery=True)
    assert [index for index, _ in read_as_browser(answer(post, body))] == [1, 2, 3, 5]


def test_show_query_repeats_the_query(post: Post) -> None:
    query = sub(
        rate=True,
        rateOptions={"counter": True, "counterMax": "1000", "resetValue": ""},
        filters=[{"type": "literal_or", "tagk": "vm", "filter": "vm-101|vm-102", "groupBy": True}],
        explicitTags=False,
    )
    for _, element in read_as_browser(answer(post, page(query, showQuery=True))):
        assert element["query"] == {
            "aggregator": "avg",
            "metric": CPU,
            "tsuids": None,
            "downsample": "5m-avg",
            "rate": True,
            "filters": [
                {"tagk": "vm", "filter": "vm-101|vm-102", "group_by": True, "type": "literal_or"}
            ],
            "percentiles": None,
            "index": 0,
            "rollupTable": "raw",
            "preAggregate": False,
            "rateOptions": {
                "counter": True,
                "counterMax": 1000.0,
                "resetValue": 0.0,
                "dropResets": False,
            },
            "rollupUsage": None,
            "explicitTags": False,
            "useFuzzyFilter": True,
            "useMultiGets": True,
            "showHistogramBuckets": False,
            "filterTagKs": None,
            "tags": {"vm": "literal_or(vm-101|vm-102)"},
            "histogramQuery": False,
        }


def test_a_long_query_is_repeated_once(post: Post) -> None:
    names = "|".join(["vm-101", "vm-102", *(f"vm-{number:05}" for number in range(2_000))])
    found = answer(post, page(sub(tags={"vm": names}), sub(), showQuery=True))
    assert [set(element["query"]) == {"index"} for element in found] == [False, True, False]
    assert [element["query"]["index"] for element in found] == [0, 0, 1]


def test_tasks_are_annotations_of_the_first_series(post: Post) -> None:
    body = {**page(sub(tags={"vm": "vm-999"}), sub(tags={"vm": "*"})), "start": NOW - 3 * 3600}
    first, *others = answer(post, body)
    assert all("globalAnnotations" not in one for one in others)
    update, adding = first["globalAnnotations"]
    assert update == {
        "tsuid": "",
        "description": "hostUpdate: Update of a host; done",
        "notes": f"done, {SERVICE}, Roubaix",
        "startTime": NOW - 7200,
        "endTime": NOW - 6000,
    }
    assert adding["description"] == "addFiler: doing, 40 %"
    assert "globalAnnotations" not in answer(post, go(sub()))[0]
    assert answer(post, page(sub(tags={"vm": "vm-999"}))) == []


@pytest.mark.parametrize("form", [go, page])
def test_tasks_without_any_history(
    client: httpx.Client, form: Callable[..., dict[str, Any]]
) -> None:
    source = MemorySource(failure=UpstreamError("down"))
    with serving(make_app(source)) as url:

        def ask(metric: str, **more: Any) -> Any:
            body = {**form(sub(metric, aggregator="sum", **more)), "start": NOW - 3600 - 1800}
            response = client.post(f"{url}/api/query", json=body)
            assert response.status_code == 200, response.text
            return response.json()

        (element,) = ask("live:task")
        assert (element["metric"], element["tags"]) == ("live:task", {})
        assert element["dps"] == {str(NOW - 5400): 1.0}  # began before the range
        assert [note["startTime"] for note in element["annotations"]] == [NOW - 7200]
        assert element["globalAnnotations"] == element["annotations"]
        (element,) = ask("live:task{state=doing}", downsample="1m-avg")
        assert [note["description"] for note in element["annotations"]] == ["addFiler: doing, 40 %"]
        assert ask("live:task{state=cancelled}") == []
    assert source.asked == []


def test_tasks_beside_history(post: Post) -> None:
    body = {**page(sub(), sub("live:task"), sub(MEM)), "start": NOW - 3 * 3600}
    cpu, tasks, memory = answer(post, body)
    assert [one["query"]["index"] for one in (cpu, tasks, memory)] == [0, 1, 2]
    assert cpu["globalAnnotations"] == tasks["annotations"]
    assert "globalAnnotations" not in memory


@pytest.mark.parametrize(
    ("query", "words", "details"),
    [
        (sub("live:vm"), "expected live:task", "metric, position 0"),
        (sub("live:task{state="), "'{' is not closed", "metric, position 9"),
        (sub("live:task{zone=a}"), "", "metric"),
        (sub("live:task", tags={"vm": "*"}), "'live:task' takes no tags and no rate", "filters"),
        (sub("live:task", rate=True), "'live:task' takes no tags and no rate", "rate"),
    ],
)
def test_tasks_that_are_refused(
    post: Post, query: dict[str, Any], words: str, details: str
) -> None:
    error = assert_union(post("/api/query", go(query)), 400)
    assert error["message"].startswith(words)
    assert error["details"].startswith(f"queries[0].{details}")


# Tolerance


@pytest.mark.parametrize(
    "text",
    [
        "5m-avg-",
        "5m-undefined",
        "5m--",
        "5m-",
        "5m-null",
        " 5m-avg ",
        "300s-avg-none",
        "5m-avg-NONE",
    ],
)
def test_downsamplings_as_grafana_writes_them(post: Post, text: str) -> None:
    expected = answer(post, go(sub(tags={"vm": "*"})))
    assert answer(post, go(sub(tags={"vm": "*"}, downsample=text))) == expected


@pytest.mark.parametrize("text", ["", "  ", None])
def test_a_blank_downsampling_is_none(post: Post, text: str | None) -> None:
    raw = answer(post, go({"metric": CPU, "aggregator": "sum"}))
    assert answer(post, go(sub(aggregator="sum", downsample=text))) == raw


#: What an editor of Grafana 10 and newer leaves in a query.
EDITOR = {
    "refId": "A",
    "datasource": {"type": "opentsdb", "uid": "x"},
    "alias": "$tag_vm",
    "hide": False,
    "downsampleAggregator": "avg",
    "downsampleInterval": "",
    "downsampleFillPolicy": "none",
    "disableDownsampling": False,
    "shouldComputeRate": False,
    "isCounter": False,
    "counterMax": "",
    "counterResetValue": "0",
    "currentFilterType": "iliteral_or",
    "currentFilterGroupBy": False,
    "currentTagKey": "",
    "errors": {},
    "key": "Q-1",
    "foo": [1, None],
}


@pytest.mark.parametrize(
    "more",
    [
        EDITOR,
        {"tags": []},
        {"tags": {}},
        {"tags": None, "filters": None},
        {"tags": {}, "filters": []},
        {"filters": [], "tags": {}},
        {"explicitTags": True},
        {"explicitTags": None, "rate": None, "rateOptions": None, "tsuids": [], "percentiles": []},
        {"rate": False, "rateOptions": {"counter": True, "counterMax": 5}},
        {"rate": "false", "rateOptions": {}},
        {"rollupUsage": "ROLLUP_RAW", "preAggregate": False},
    ],
)
def test_what_an_editor_adds_changes_nothing(post: Post, more: dict[str, Any]) -> None:
    expected = answer(post, go(sub()))
    assert answer(post, go({**sub(), **more})) == expected
    assert answer(post, {**go({**sub(), **more}), "padding": True, "bar": {}}) == expected


def machines(found: Any) -> list[str]:
    return [one["tags"].get("vm", "") for one in found]


ALL = ["vm-101", "vm-102", "vm-103", "vm-104"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("*", ALL),
        (".*", ALL),
        ("vm-101", ["vm-101"]),
        ("vm-101|vm-103", ["vm-101", "vm-103"]),
        ("vm-10*", ALL),
        ("VM-10*", ALL),
        ("*3|*4", ["vm-103", "vm-104"]),
        ("literal_or(vm-101|vm-102)", ["vm-101", "vm-102"]),
        ("LITERAL_OR(vm-101)", ["vm-101"]),
        ("iliteral_or(VM-101)", ["vm-101"]),
        ("not_literal_or(vm-101)", ALL[1:]),
        ("regexp(10[13]$)", ["vm-101", "vm-103"]),
        ("wildcard(*2)", ["vm-102"]),
        ("$tv", []),
        ("vm-101(old)", []),
    ],
)
def test_tags(post: Post, value: str, expected: list[str]) -> None:
    assert machines(answer(post, go(sub(tags={"vm": value})))) == expected


def test_names_with_brackets_and_spaces_are_found(post: Post) -> None:
    found = answer(post, go(sub(tags={"vm_name": "db.main (old)|web01"})))
    assert [one["tags"]["vm_name"] for one in found] == ["db.main (old)", "web01"]


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        ("literal_or", "vm-101|vm-102", ["vm-101", "vm-102"]),
        ("literal_or", "*", ALL),
        ("iliteral_or", "VM-101|.*", ALL),
        ("iliteral_or", "VM-101", ["vm-101"]),
        ("not_iliteral_or", "VM-101|vm-102", ALL[2:]),
        ("wildcard", "*", ALL),
        ("wildcard", ".*", ALL),
        ("wildcard", "*1|*2", ["vm-101", "vm-102"]),
        ("iwildcard", "VM*4", ["vm-104"]),
        ("regexp", "^vm-10[34]$", ["vm-103", "vm-104"]),
        ("regexp", "*", ALL),
        ("regexp", "vm-101|vm-102", ["vm-101", "vm-102"]),
    ],
)
@pytest.mark.parametrize("spelling", ["groupBy", "group_by"])
def test_filters(post: Post, kind: str, text: str, expected: list[str], spelling: str) -> None:
    flt = {"type": kind, "tagk": "vm", "filter": text, spelling: True}
    assert machines(answer(post, go(sub(filters=[flt])))) == expected


def test_of_tags_and_filters_the_later_one_counts(post: Post) -> None:
    tags = {"tags": {"vm": "vm-101"}}
    filters = {"filters": [{"type": "literal_or", "tagk": "vm", "filter": "vm-102"}]}
    assert machines(answer(post, go({**sub(), **tags, **filters}))) == ["vm-102"]
    assert machines(answer(post, go({**sub(), **filters, **tags}))) == ["vm-101"]
    assert machines(answer(post, go({**sub(), **tags, "filters": []}))) == ["vm-101"]


def test_explicit_tags(post: Post) -> None:
    exact = {"datacenter": "*", "vm": "*"}
    assert machines(answer(post, go(sub(tags=exact, explicitTags=True)))) == ALL
    assert answer(post, go(sub(tags={"vm": "*"}, explicitTags=True))) == []


@pytest.mark.parametrize(
    "span",
    [
        {"start": START, "end": NOW},
        {"start": str(START), "end": str(NOW)},
        {"start": START * 1000},
        {"start": float(START), "end": ""},
        {"start": f"{START}.000", "end": None},
        {"start": f"{START * 1000}ms", "end": "now"},
        {"start": "15m-ago"},
        {"start": "900s-ago", "end": "0s-ago"},
        {"start": "2026/01/01-05:45:00", "end": "2026/01/01 06:00"},
        {"start": "2026/01/01 06:45", "end": "2026/01/01-07:00:00", "timezone": "Europe/Paris"},
    ],
)
def test_times(post: Post, span: dict[str, Any]) -> None:
    body = {"queries": [sub(tags={"vm": "vm-101"})], **span}
    (element,) = answer(post, body)
    assert [int(at) for at in element["dps"]] == [START + 300 * n for n in range(4)]


def test_a_range_may_begin_now(post: Post) -> None:
    (element,) = answer(post, {"start": None, "end": NOW + 600, "queries": [sub()]})
    assert set(element["dps"]) <= {str(NOW + 300 * n) for n in range(3)}
    assert len(answer(post, {"start": None, "queries": [sub()]})) <= 1


def test_rates_of_counters(post: Post) -> None:
    options = {"counter": True, "counterMax": "1e6", "resetValue": 10}
    (element,) = answer(post, go(sub(tags={"vm": "vm-101"}, rate=True, rateOptions=options)))
    assert set(element["dps"].values()) == {0.0}
    assert answer(post, go(sub(tags={"vm": "vm-101"}, rate=1))) == [element]


def test_calendar_days_of_a_time_zone(post: Post) -> None:
    for downsample, more in [("1dc-count", {}), ("1d-count", {"useCalendar": True})]:
        body = {
            "start": "3d-ago",
            "timezone": "Europe/Paris",
            "queries": [sub(tags={"vm": "vm-101"}, downsample=downsample)],
            **more,
        }
        (element,) = answer(post, body)
        assert [int(at) % 86_400 for at in element["dps"]] == [82_800] * 3


# GET


def get(client: httpx.Client, base: str, query: str) -> httpx.Response:
    return client.get(f"{base}/api/query?start={START}&end={NOW}&{query}")


@pytest.mark.parametrize(
    ("query", "body"),
    [
        (f"m=avg:5m-avg:{CPU}%7Bvm=*%7D", go(sub(tags={"vm": "*"}))),
        (f"m=sum:{CPU}", go({"metric": CPU, "aggregator": "sum"})),
        (
            f"m=avg:5m-avg:{CPU}%7Bcluster=*%7D%7Bvm_name=literal_or(web01)%7D&arrays",
            go(
                sub(
                    filters=[
                        {"type": "wildcard", "tagk": "cluster", "filter": "*", "groupBy": True},
                        {"type": "literal_or", "tagk": "vm_name", "filter": "web01"},
                    ]
                ),
                arrays=True,
            ),
        ),
        (
            f"m=avg:rate%7Bcounter,100,1%7D:5m-avg:{CPU}&ms&show_query&global_annotations",
            page(
                sub(
                    rate=True,
                    rateOptions={"counter": True, "counterMax": 100, "resetValue": 1},
                ),
                showQuery=True,
            )
            | {"msResolution": True},
        ),
        (
            f"m=avg:explicit_tags:5m-avg:{CPU}%7Bvm=*,datacenter=*%7D&m=avg:5m-avg:{MEM}",
            go(sub(tags={"vm": "*", "datacenter": "*"}, explicitTags=True), sub(MEM)),
        ),
    ],
)
def test_an_address_is_answered_as_a_body(
    client: httpx.Client, base: str, post: Post, query: str, body: dict[str, Any]
) -> None:
    response = get(client, base, query)
    assert response.status_code == 200, response.text
    assert response.json() == answer(post, body)
    assert response.json()


def test_gaps_are_null_in_an_address(client: httpx.Client, base: str) -> None:
    span = f"start={SILENT['start']}&end={SILENT['end']}"
    url = f"{base}/api/query?{span}&m=avg:5m-avg-nan:{CPU}%7Bvm=vm-103%7D"
    assert "null" in client.get(url).text
    assert "null" not in client.get(url, headers={"FromAlert": "true"}).text


@pytest.mark.parametrize(
    ("query", "words", "details"),
    [
        ("", "Missing sub queries", "m"),
        ("m=", "expected a metric, found the end", "m[0], position 0"),
        (f"m={CPU}", "Missing the aggregation function", "m[0]"),
        (f"m=agv:{CPU}", "No such aggregation function: agv; did you mean avg?", "m[0]"),
        (f"m=avg:5m-meen:{CPU}", "No such downsampling function: meen", "m[0]"),
        (f"m=avg:5m-none:{CPU}", "cannot use the NONE aggregator", "m[0]"),
        (f"m=avg:5x-avg:{CPU}", "expected a unit", "m[0], position 5"),
        (f"m=avg:{CPU}&m=avg:{CPU}%7Bvm=", "'{' is not closed", "m[1], position 28"),
        ("m=live:vm", "live tables are not served here", "m[0]"),
        (f"m=avg:{CPU} as x", "legends ('as ...') are not served here", "m[0]"),
        ("m=avg:cpu", "No such name for 'metrics': 'cpu'", "m[0].metric"),
        ("tsuid=avg:00", "tsuids are not served", "tsuid"),
        ("tsuids=avg:00", "tsuids are not served", "tsuids"),
        (f"m=avg:{CPU}&jsonp=cb", "jsonp is not served", "jsonp"),
        (f"m=avg:{CPU}&serializer=foo", "Requested serializer was not found", "serializer"),
        (
            f"m=avg:{CPU}&delete",
            "Deleting data is not enabled",
            "tsd.http.query.allow_delete=false",
        ),
        ("&m=x" * 101, "101 queries, more than the limit of 100", None),
    ],
)
def test_addresses_that_are_refused(
    client: httpx.Client, base: str, query: str, words: str, details: str | None
) -> None:
    response = get(client, base, query)
    error = assert_union(response, 400 if details else 413)
    assert error["message"].startswith(words)
    assert error.get("details") == details


# Refusals


@pytest.mark.parametrize(
    ("change", "words", "details"),
    [
        (
            {"metric": "vscope.vm.cpu.usage"},
            f"No such name for 'metrics': 'vscope.vm.cpu.usage'; did you mean {CPU}",
            "metric",
        ),
        ({"metric": "a" * 4_000}, "No such name for 'metrics': 'aaa", "metric"),
        ({"metric": ""}, "Missing the metric or tsuids", "metric"),
        ({"metric": ["a"]}, "metric: expected a text, found a list", "metric"),
        ({"metric": f"avg:{CPU}"}, "No such name for 'metrics'", "metric"),
        ({"aggregator": None}, "Missing the aggregation function (accepted: avg", "aggregator"),
        ({"aggregator": "AVG"}, "No such aggregation function: AVG", "aggregator"),
        ({"aggregator": {}}, "aggregator: expected a text, found an object", "aggregator"),
        (
            {"downsample": "1m"},
            "Invalid downsampling specifier '1m': must provide at least",
            "downsample",
        ),
        ({"downsample": "-avg"}, "Invalid downsampling specifier '-avg'", "downsample"),
        (
            {"downsample": "1m-averge"},
            "No such downsampling function: averge; did you mean avg",
            "downsample",
        ),
        ({"downsample": "1m-AVG"}, "No such downsampling function: AVG", "downsample"),
        (
            {"downsample": "1m-none"},
            "cannot use the NONE aggregator for downsampling",
            "downsample",
        ),
        (
            {"downsample": "1m-avg-linear"},
            "Unrecognized fill policy: linear (accepted: none",
            "downsample",
        ),
        ({"downsample": "0m-avg"}, "Invalid duration: '0m'; the interval is zero", "downsample"),
        (
            {"downsample": "1.5m-avg"},
            "Invalid duration: '1.5m'; expected an interval",
            "downsample",
        ),
        (
            {"downsample": "1M-avg"},
            "Invalid duration: '1M'; expected a unit (ms s m h d w n y)",
            "downsample",
        ),
        ({"downsample": 5}, "Invalid downsampling specifier '5'", "downsample"),
        ({"downsample": []}, "downsample: expected a text, found a list", "downsample"),
        ({"rate": "maybe"}, "rate: expected true or false, found 'maybe'", "rate"),
        ({"rateOptions": []}, "rateOptions: expected an object, found a list", "rateOptions"),
        (
            {"rateOptions": {"counterMax": "x"}},
            "counterMax: expected a number from 0, found 'x'",
            "rateOptions.counterMax",
        ),
        (
            {"rateOptions": {"resetValue": -1}},
            "resetValue: expected a number from 0, found -1",
            "rateOptions.resetValue",
        ),
        (
            {"rateOptions": {"counterMax": "nan"}},
            "counterMax: expected a number from 0",
            "rateOptions.counterMax",
        ),
        (
            {"rateOptions": {"max": 1}},
            "no such rate option: 'max' (accepted: counter",
            "rateOptions.max",
        ),
        ({"tags": [1]}, "tags: expected an object, found a list", "tags"),
        ({"tags": "vm"}, "tags: expected an object, found a text", "tags"),
        ({"tags": {"vm": None}}, "the filter on 'vm' is empty", "tags.vm"),
        ({"tags": {"vm": "|"}}, "the filter on 'vm' is empty", "tags.vm"),
        ({"tags": {"vm": {}}}, "vm: expected a text, found an object", "tags.vm"),
        (
            {"tags": {"vm": "literel_or(a)"}},
            "no such filter type: 'literel_or'; did you mean literal_or",
            "tags.vm",
        ),
        ({"tags": {"vm": "regexp([)"}}, "the regexp on 'vm' is not a regular expression", ""),
        ({"filters": {}}, "filters: expected a list, found an object", "filters"),
        ({"filters": [3]}, "filters[0]: expected an object, found a number", "filters[0]"),
        (
            {"filters": [{"type": "regex", "tagk": "vm", "filter": "a"}]},
            "no such filter type: 'regex'; did you mean regexp? (accepted: literal_or",
            "filters[0].type",
        ),
        (
            {"filters": [{"tagk": "vm", "filter": "a"}]},
            "no such filter type: ''",
            "filters[0].type",
        ),
        (
            {"filters": [{"type": "regexp", "filter": "a"}]},
            "tagk: expected a tag key, found none",
            "filters[0].tagk",
        ),
        (
            {"filters": [{"type": "regexp", "tagk": "vm"}]},
            "the filter on 'vm' is empty",
            "filters[0].filter",
        ),
        (
            {"filters": [{"type": "wildcard", "tagk": "vm", "filter": "web01"}]},
            "the wildcard filter on 'vm' has no '*': 'web01'; use literal_or",
            "filters[0].filter",
        ),
        (
            {"filters": [{"type": "literal_or", "tagk": "vm", "filter": "we*"}]},
            "the literal_or filter on 'vm' takes exact values",
            "filters[0].filter",
        ),
        (
            {"filters": [{"type": "regexp", "tagk": "vm", "filter": "a", "groupBy": "x"}]},
            "groupBy: expected true or false, found 'x'",
            "filters[0].groupBy",
        ),
        (
            {
                "filters": [
                    {
                        "type": "literal_or",
                        "tagk": "vm",
                        "filter": "|".join(map(str, range(10_001))),
                    }
                ]
            },
            "the filter on 'vm' names 10,001 values",
            "filters[0].filter",
        ),
        ({"explicitTags": "maybe"}, "explicitTags: expected true or false", "explicitTags"),
        ({"tsuids": ["000001"]}, "tsuids are not served; name the metric", "tsuids"),
        ({"percentiles": [99.0]}, "percentiles of histograms are not served", "percentiles"),
        (
            {"tags": {"clustr": "*"}},
            "No such name for 'tagk': 'clustr'; vscope.vm.cpu.usage.perc has datacenter, vm",
            "filters",
        ),
        (
            {
                "downsample": "0all-mult",
                "aggregator": "mult",
                "filters": [{"type": "regexp", "tagk": "vm", "filter": "("}],
            },
            "the regexp on 'vm'",
            "",
        ),
    ],
)
def test_queries_that_are_refused(
    post: Post, change: dict[str, Any], words: str, details: str
) -> None:
    response = post("/api/query", go(sub(), {**sub(), **change}))
    error = assert_union(response, 400)
    assert error["message"].startswith(words)
    assert error["details"] == f"queries[1].{details}".rstrip(".")
    assert response.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("change", "words", "details"),
    [
        ({"start": ""}, "Missing start time", "start"),
        ({"start": "yesterday"}, "Invalid time: yesterday. Expected seconds", "start"),
        ({"start": "2026-01-01T00:00:00Z"}, "Invalid time: 2026-01-01T00:00:00Z.", "start"),
        ({"start": "2026/13/01"}, "Invalid time: 2026/13/01.", "start"),
        ({"start": "now-1h"}, "Invalid time: now-1h. Expected seconds", "start"),
        ({"start": -5}, "Invalid time: -5. Negative timestamps are not supported.", "start"),
        ({"start": True}, "Invalid time: True.", "start"),
        ({"start": {}}, "Invalid time: {}.", "start"),
        ({"start": 10**15}, "Invalid time: 1000000000000000. Expected a time from 1970", "start"),
        ({"start": "99y-ago"}, "Invalid time: 99y-ago. Expected a time from 1970", "start"),
        ({"start": "9" * 400}, "Invalid time: 999", "start"),
        ({"end": START - 1}, "End time [", "end"),
        ({"end": START * 1000}, "End time [", "end"),
        ({"end": "zz"}, "Invalid time: zz.", "end"),
        ({"queries": []}, "Missing queries", "queries"),
        ({"queries": None}, "Missing queries", "queries"),
        ({"queries": {}}, "queries: expected a list, found an object", "queries"),
        ({"queries": [None]}, "queries[0]: expected an object, found nothing", "queries[0]"),
        ({"delete": True}, "Deleting data is not enabled", "tsd.http.query.allow_delete=false"),
        ({"delete": "true"}, "Deleting data is not enabled", "tsd.http.query.allow_delete=false"),
        ({"delete": "x"}, "delete: expected true or false, found 'x'", "delete"),
        ({"timezone": {}}, "timezone: expected a text, found an object", "timezone"),
        ({"start": "2026/01/01", "timezone": "Mars"}, "no such timezone: 'Mars'", "timezone"),
        (
            {"queries": [sub(downsample="1dc-avg")], "timezone": "Mars"},
            "no such timezone: 'Mars'",
            "queries[0].timezone",
        ),
        ({"showQuery": "x"}, "showQuery: expected true or false", "showQuery"),
    ],
)
def test_bodies_that_are_refused(
    post: Post, change: dict[str, Any], words: str, details: str
) -> None:
    error = assert_union(post("/api/query", {**go(sub()), **change}), 400)
    assert error["message"].startswith(words)
    assert error["details"] == details


def test_a_missing_start_is_named(post: Post) -> None:
    error = assert_union(post("/api/query", {"queries": [sub()]}), 400)
    assert error["message"] == "Missing start time"


def test_a_label_of_other_objects_matches_nothing(post: Post) -> None:
    assert answer(post, go(sub(tags={"nicname": "*"}))) == []
    assert answer(post, go(sub(STORE, tags={"cluster": "*"}))) == []
    assert answer(post, go(sub(tags={"servicename": "x"}))) == []


def test_too_many_queries(post: Post) -> None:
    error = assert_union(post("/api/query", go(*[sub()] * 101)), 413)
    assert "max_targets" in error["message"]


def test_too_many_points(post: Post) -> None:
    body = {**go(sub(downsample="1ms-avg-zero")), "start": "1d-ago"}
    error = assert_union(post("/api/query", body), 413)
    assert "max_points" in error["message"]
    assert error["details"] == "queries[0]"


# Failures


@pytest.mark.parametrize(
    ("failure", "status"),
    [
        (UpstreamError("OVHcloud's history failed (HTTP 500)"), 502),
        (NotOfferedError("OVHcloud offers no history"), 502),
        (UpstreamTimeoutError("OVHcloud did not answer within 20 s"), 504),
        (UnavailableError("warming up", retry_after=7), 503),
        (TooMuchError("OVHcloud's limit"), 413),
    ],
)
def test_one_failing_query_fails_the_whole_answer(
    client: httpx.Client, failure: Exception, status: int
) -> None:
    source = MemorySource(failure=failure, failing=frozenset({MEM}), delay_s=0.05)
    with serving(make_app(source)) as url:
        response = client.post(f"{url}/api/query", json=go(sub(), sub(MEM), sub()))
        error = assert_union(response, status)
        assert error["message"] == str(failure)
        assert error["details"] == "queries[1]"
        assert response.headers.get("retry-after") == ("7" if status == 503 else None)
        assert source.running == 0


def test_no_answer_in_time_is_504(client: httpx.Client) -> None:
    with serving(make_app(MemorySource(delay_s=5.0), deadline_s=0.2)) as url:
        response = client.post(f"{url}/api/query", json=go(sub()))
        error = assert_union(response, 504)
        assert "deadline_s" in error["message"]


def test_a_mistake_of_the_bridge_is_500_without_details(client: httpx.Client) -> None:
    with serving(make_app(MemorySource(failure=RuntimeError("secret")))) as url:
        response = client.post(f"{url}/api/query", json=go(sub()))
        assert "secret" not in response.text
        assert_union(response, 500)


def test_the_limit_on_targets_is_a_setting(client: httpx.Client) -> None:
    with serving(make_app(limits=Limits(max_targets=1))) as url:
        assert client.post(f"{url}/api/query", json=go(sub(), sub())).status_code == 413
