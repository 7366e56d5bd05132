"""``/api/suggest``, ``/api/search/lookup`` and ``/api/query/last`` at the small company."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from bridge.catalog import catalogue
from bridge.doors.doorway import Limits
from bridge.errors import UpstreamError
from tests.doors.stand import CPU, DC1, MEM, NOW, SERVICE, MemorySource, make_app, small_company
from tests.doors.test_http import assert_union
from tests.servers import serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

STORE = "vscope.filer.datastore.diskspace.used"
MACHINES = ["vm-101", "vm-102", "vm-103", "vm-104"]


def get(client: httpx.Client, base: str, path: str, **words: Any) -> Any:
    response = client.get(f"{base}/api/{path}", params=words)
    assert response.status_code == 200, response.text
    return response.json()


@pytest.fixture(scope="module")
def broken() -> Iterator[str]:
    """A bridge whose history is out of reach."""
    with serving(make_app(MemorySource(failure=UpstreamError("down")))) as url:
        yield url


# suggest


def test_a_metric_is_found_by_any_part_its_beginning_first(client: httpx.Client, base: str) -> None:
    assert CPU in get(client, base, "suggest", type="metrics", q="cpu")
    assert get(client, base, "suggest", type="metrics", q="CPU", max=1000) == get(
        client, base, "suggest", type="metrics", q="cpu", max=1000
    )
    assert get(client, base, "suggest", type="metrics", q="stored") == ["stored.elsewhere"]
    keys = get(client, base, "suggest", type="tagk", q="h")
    assert keys == ["host", "host_name"]
    assert get(client, base, "suggest", type="tagk", q="name") == [
        "host_name",
        "nicname",
        "vm_name",
    ]


def test_all_names_are_given_for_an_empty_text(client: httpx.Client, base: str) -> None:
    everything = get(client, base, "suggest", type="metrics", q="", max=1000)
    assert everything == sorted(catalogue())
    assert get(client, base, "suggest", type="metrics", max=1000) == everything
    for few in ("", "0", "-1"):
        assert get(client, base, "suggest", type="metrics", max=few) == everything[:25]
    assert get(client, base, "suggest", type="metrics", max=3) == everything[:3]


def test_values_are_those_of_what_exists(client: httpx.Client, base: str, broken: str) -> None:
    for url in (base, broken):
        assert get(client, url, "suggest", type="tagv", q="web") == ["web01", "web02"]
        values = get(client, url, "suggest", type="tagv", q="", max=1000)
        assert {"vm-101", "db.main (old)", "prod", DC1, SERVICE, "ssd"} <= set(values)
        assert get(client, url, "suggest", type="tagv", q="nothing like it") == []


def test_long_lists_are_given_in_full(client: httpx.Client) -> None:
    company = small_company()
    vms = company.services[SERVICE].datacenters[1].vms
    many = dict(vms)
    for number in range(2_000):
        one = vms[101]
        value = one.value.model_copy(update={"vm_id": 1_000 + number, "name": f"node{number}"})
        many[1_000 + number] = type(one)(value, one.read_at)
    object.__setattr__(company.services[SERVICE].datacenters[1], "vms", many)
    with serving(make_app(snapshot=company)) as url:
        found = get(client, url, "suggest", type="tagv", q="node", max=100_000)
    assert len(found) == 2_000
    assert found[:3] == ["node0", "node1", "node2"]


def test_suggestions_by_post(client: httpx.Client, base: str) -> None:
    for most in (2, "2"):
        body = {"type": "metrics", "q": "cpu", "max": most}
        response = client.post(f"{base}/api/suggest", json=body)
        assert response.json() == get(client, base, "suggest", type="metrics", q="cpu", max=2)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({}, "Missing parameter <code>type</code>"),
        ({"type": ""}, "Missing parameter <code>type</code>"),
        ({"type": "foo"}, "Invalid 'type' parameter:foo"),
        ({"type": "METRICS"}, "Invalid 'type' parameter:METRICS"),
        ({"type": "metrics", "max": "abc"}, "Unable to parse 'max' as a number: 'abc'"),
        ({"type": "metrics", "max": "9" * 5_000}, "Unable to parse 'max' as a number"),
    ],
)
def test_suggestions_that_are_refused(
    client: httpx.Client, base: str, words: dict[str, str], message: str
) -> None:
    response = client.get(f"{base}/api/suggest", params=words)
    assert assert_union(response, 400)["message"].startswith(message)


def test_suggestions_by_post_name_what_is_missing(client: httpx.Client, base: str) -> None:
    error = assert_union(client.post(f"{base}/api/suggest", json={}), 400)
    assert error["message"].startswith("Missing 'type' parameter")
    error = assert_union(client.post(f"{base}/api/suggest", json={"type": "tagk", "q": []}), 400)
    assert error["message"] == "q: expected a text, found a list"
    assert_union(client.post(f"{base}/api/suggest", json={"type": "tagk", "max": True}), 400)


# lookup


def machines(answer: Any) -> list[str]:
    return [one["tags"]["vm"] for one in answer["results"]]


def test_series_of_a_metric(client: httpx.Client, base: str) -> None:
    answer = get(client, base, "search/lookup", m=f"{CPU}{{vm=*,cluster=prod}}", limit=1000)
    assert list(answer) == [
        *("type", "metric", "tags", "limit", "time", "results", "startIndex", "totalResults")
    ]
    assert answer["type"] == "LOOKUP"
    assert answer["metric"] == CPU
    assert answer["tags"] == [{"key": "vm", "value": "*"}, {"key": "cluster", "value": "prod"}]
    assert (answer["limit"], answer["startIndex"], answer["totalResults"]) == (1000, 0, 2)
    first, second = answer["results"]
    assert first == {
        "tsuid": first["tsuid"],
        "metric": CPU,
        "tags": {
            "datacenter": DC1,
            "vm": "vm-101",
            "service": SERVICE,
            "vm_name": "web01",
            "cluster": "prod",
            "host_name": "172.17.86.51",
            "folder": "vm",
        },
    }
    assert len({first["tsuid"], second["tsuid"]}) == 2
    int(first["tsuid"], 16)


def test_a_series_keeps_its_identifier(client: httpx.Client, base: str, broken: str) -> None:
    def identifiers(url: str) -> dict[str, str]:
        found = get(client, url, "search/lookup", m=CPU, limit=0)["results"]
        return {one["tags"]["vm"]: one["tsuid"] for one in found}

    assert identifiers(base)["vm-101"] == identifiers(broken)["vm-101"]
    (last,) = get(client, base, "query/last", timeseries=f"{CPU}{{vm=vm-101}}")
    assert last["tsuid"] == identifiers(base)["vm-101"]
    other = get(client, base, "search/lookup", m=f"{MEM}{{vm=vm-101}}")["results"]
    assert other[0]["tsuid"] != identifiers(base)["vm-101"]


def test_without_history_the_inventory_answers(client: httpx.Client, broken: str) -> None:
    answer = get(client, broken, "search/lookup", m=f"{CPU}{{vm_name=web*}}", limit=10)
    assert machines(answer) == ["vm-101", "vm-102"]
    (store,) = get(client, broken, "search/lookup", m=STORE)["results"]
    assert store["tags"]["datastore"] == "ssd-000009"


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("", MACHINES),
        ("{}", MACHINES),
        ("{ }", MACHINES),
        ("{vm=*}", MACHINES),
        ("{vm=vm-101}", ["vm-101"]),
        ("{vm=vm-101|vm-103}", ["vm-101", "vm-103"]),
        ("{vm=vm-10*}", MACHINES),
        ("{vm_name=db.main (old)}", ["vm-103"]),
        ("{vm=literal_or(vm-102)}", ["vm-102"]),
        ("{vm=vm-999}", []),
        ("{vm=}", []),
        ("{cluster=prod,vm=*}", ["vm-101", "vm-102"]),
        ("{vm=*,clustr=prod}", []),
        # What Grafana makes of vm=$tv with several values chosen.
        ("{cluster=*,vm=vm-101,tv=vm-103}", ["vm-101", "vm-103"]),
        ("{vm=vm-101,tv=vm-102,tv=vm-104}", ["vm-101", "vm-102", "vm-104"]),
        ("{vm=vm-101,vm=vm-102}", ["vm-101", "vm-102"]),
        ("{cluster=prod,c=test,vm=vm-101,v=vm-103,v=vm-999}", ["vm-101", "vm-103"]),
        ("{tv=vm-101}", []),
        ("{*=web02}", ["vm-102"]),
        ("{*=prod,vm=vm-101}", ["vm-101"]),
        ("{*=*}", MACHINES),
    ],
)
def test_which_series(client: httpx.Client, base: str, selector: str, expected: list[str]) -> None:
    answer = get(client, base, "search/lookup", m=CPU + selector, limit=1000)
    assert machines(answer) == expected
    assert answer["totalResults"] == len(expected)


def test_a_value_may_hold_a_comma(client: httpx.Client, base: str) -> None:
    answer = get(client, base, "search/lookup", m=f"{CPU}{{vm_name=web01, the first,vm=*}}")
    assert answer["tags"] == [
        {"key": "vm_name", "value": "web01, the first"},
        {"key": "vm", "value": "*"},
    ]
    assert answer["results"] == []


def test_limits_and_pages(client: httpx.Client, base: str) -> None:
    def page(**words: Any) -> tuple[list[str], int]:
        answer = get(client, base, "search/lookup", m=CPU, **words)
        return machines(answer), answer["totalResults"]

    assert page(limit=2) == (MACHINES[:2], 4)
    assert page(limit=2, start_index=2) == (MACHINES[2:], 4)
    assert page(limit=0) == page(limit=100_000) == page() == (MACHINES, 4)


def test_a_limit_cuts_off_no_value_that_is_asked_for(client: httpx.Client, base: str) -> None:
    answer = get(client, base, "search/lookup", m=f"{CPU}{{cluster=*}}", limit=2)
    assert [one["tags"]["cluster"] for one in answer["results"]] == ["prod", "test"]
    rest = get(client, base, "search/lookup", m=f"{CPU}{{cluster=*}}", limit=2, start_index=2)
    assert sorted(machines(answer) + machines(rest)) == MACHINES


@pytest.mark.parametrize("metric", ["", "*"])
def test_series_of_every_metric(client: httpx.Client, base: str, metric: str) -> None:
    answer = get(client, base, "search/lookup", m=f"{metric}{{vm=vm-101}}", limit=0)
    metrics = [one["metric"] for one in answer["results"]]
    assert {CPU, MEM} <= set(metrics)
    assert all(".vm." in name for name in metrics)


@pytest.mark.parametrize("metric", ["nope", "vscope", "a{b=c}", "x" * 3_000])
def test_what_matches_nothing_is_an_empty_list(
    client: httpx.Client, base: str, metric: str
) -> None:
    answer = get(client, base, "search/lookup", m=metric)
    assert answer["results"] == []
    assert answer["totalResults"] == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({}, "Missing parameter <code>m</code>"),
        ({"m": ""}, "Missing parameter <code>m</code>"),
        ({"m": f"{CPU}{{vm=a"}, "Unable to parse query: Missing '}' at the end of: "),
        ({"m": f"{CPU}{{vm}}"}, "Unable to parse query: expected key=value, found 'vm'"),
        ({"m": f"{CPU}{{=a}}"}, "Unable to parse query: expected key=value"),
        ({"m": f"{CPU}{{vm=regex(a)}}"}, "no such filter type: 'regex'; did you mean regexp"),
        ({"m": f"{CPU}{{vm=regexp([)}}"}, "the regexp on 'vm' is not a regular expression"),
        ({"m": CPU, "limit": "x"}, "Unable to convert 'limit' to a valid number: 'x'"),
        ({"m": CPU, "limit": "9" * 20}, "Unable to convert 'limit' to a valid number"),
        ({"m": CPU, "start_index": "x"}, "Unable to convert 'start_index' to a valid number"),
    ],
)
def test_lookups_that_are_refused(
    client: httpx.Client, base: str, words: dict[str, str], message: str
) -> None:
    response = client.get(f"{base}/api/search/lookup", params=words)
    assert assert_union(response, 400)["message"].startswith(message)


def test_lookups_by_post(client: httpx.Client, base: str) -> None:
    def post(body: Any) -> Any:
        response = client.post(f"{base}/api/search/lookup", json=body)
        assert response.status_code == 200, response.text
        return response.json()

    tags = [{"key": "vm", "value": "vm-101"}]
    body = {"metric": CPU, "tags": tags, "limit": 5, "useMeta": False}
    assert machines(post(body)) == ["vm-101"]
    assert post(body)["tags"] == tags
    assert "tags" not in post({"metric": CPU})
    assert machines(post({"metric": CPU, "limit": 1, "startIndex": 3})) == ["vm-104"]
    assert machines(post({"metric": CPU, "tags": [{"value": "web01"}]})) == ["vm-101"]
    empty = client.post(f"{base}/api/search/lookup?m={CPU}")
    assert machines(empty.json()) == MACHINES


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "Missing metric and tags. Please supply at least one"),
        ({"metric": []}, "metric: expected a text, found a list"),
        ({"metric": CPU, "tags": {}}, "tags: expected a list, found an object"),
        ({"metric": CPU, "tags": [1]}, "tags[0]: expected an object, found a number"),
        ({"metric": CPU, "tags": [{"key": []}]}, "key: expected a text, found a list"),
        ({"metric": CPU, "limit": "x"}, "Unable to convert 'limit' to a valid number"),
        ({"metric": CPU, "limit": 1.5}, "Unable to convert 'limit' to a valid number: 1.5"),
    ],
)
def test_lookups_by_post_that_are_refused(
    client: httpx.Client, base: str, body: Any, message: str
) -> None:
    response = client.post(f"{base}/api/search/lookup", json=body)
    assert assert_union(response, 400)["message"].startswith(message)


def test_a_slow_history_does_not_hold_lists_up(client: httpx.Client) -> None:
    limits = Limits(options_s=0.05)

    class Slow(MemorySource):
        async def lookup(self, *_: Any) -> Any:
            await self._wait("")

    with serving(make_app(Slow(delay_s=20.0), limits=limits)) as url:
        assert machines(get(client, url, "search/lookup", m=CPU)) == MACHINES[:3]


# last


def test_the_newest_point_of_each_series(client: httpx.Client, base: str) -> None:
    (one,) = get(client, base, "query/last", timeseries=f"{CPU}{{vm=vm-102}}", resolve="true")
    assert one.pop("tsuid")
    assert one == {
        "metric": CPU,
        "timestamp": NOW * 1000,
        "value": "2.0",
        "tags": {"datacenter": DC1, "vm": "vm-102", "service": SERVICE, "vm_name": "web02"},
    }
    (plain,) = get(client, base, "query/last", timeseries=f"{CPU}{{vm=vm-102}}")
    assert plain.keys() == {"timestamp", "value", "tsuid"}
    assert len(get(client, base, "query/last", timeseries=CPU)) == 4
    assert get(client, base, "query/last", timeseries=f"{CPU}{{vm=vm-999}}") == []
    two = client.get(f"{base}/api/query/last?timeseries={CPU}&timeseries={MEM}&resolve")
    assert [one["metric"] for one in two.json()] == [CPU] * 4 + [MEM] * 4


def test_the_newest_points_by_post(client: httpx.Client, base: str) -> None:
    body = {
        "queries": [{"metric": CPU, "tags": {"vm": "vm-101"}}, {"metric": MEM}],
        "resolveNames": True,
        "backScan": 2,
    }
    response = client.post(f"{base}/api/query/last", json=body)
    assert [one["metric"] for one in response.json()] == [CPU, *[MEM] * 4]


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        ({}, 400, "Missing sub queries"),
        ({"timeseries": ""}, 400, "No such name for 'metrics': ''"),
        ({"timeseries": "nope"}, 400, "No such name for 'metrics': 'nope'"),
        ({"timeseries": f"{CPU}{{vm=a"}, 400, "Unable to parse query"),
        ({"timeseries": f"{CPU}{{clustr=a}}"}, 400, "No such name for 'tagk': 'clustr'"),
        ({"timeseries": f"{CPU}{{vm=}}"}, 400, "the filter on 'vm' is empty"),
        ({"timeseries": CPU, "back_scan": "x"}, 400, "Unable to parse 'back_scan' as a number"),
        ({"timeseries": CPU, "back_scan": "999999"}, 413, "this would read about"),
        ({"timeseries": CPU, "back_scan": "9" * 30}, 400, "Unable to parse 'back_scan'"),
        ({"tsuids": "0001"}, 400, "tsuids are not served"),
        ({"timeseries": [CPU] * 101}, 413, "101 queries, more than the limit of 100"),
    ],
)
def test_newest_points_that_are_refused(
    client: httpx.Client, base: str, words: dict[str, Any], status: int, message: str
) -> None:
    response = client.get(f"{base}/api/query/last", params=words)
    assert assert_union(response, status)["message"].startswith(message)


def test_newest_points_need_the_history(client: httpx.Client, broken: str) -> None:
    response = client.get(f"{broken}/api/query/last", params={"timeseries": CPU})
    error = assert_union(response, 502)
    assert error["details"] == "timeseries[0]"


@pytest.mark.parametrize(
    "body",
    [
        {"queries": [None]},
        {"queries": [{"metric": CPU, "tsuids": ["a"]}]},
        {"queries": [{"metric": CPU, "tags": "x"}]},
        {"queries": {}},
        {"queries": [{}]},
        {"queries": [{"metric": CPU}], "resolveNames": "x"},
        {"queries": [{"metric": CPU}], "backScan": []},
    ],
)
def test_newest_points_by_post_that_are_refused(client: httpx.Client, base: str, body: Any) -> None:
    assert_union(client.post(f"{base}/api/query/last", json=body), 400)
