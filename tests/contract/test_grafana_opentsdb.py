"""Every request Grafana's OpenTSDB datasource was recorded to make, against the whole bridge.

Its page and its server read answers in different ways (``clients``); both get what the
engine gives, in the shape of the recorded good answer.
"""

from __future__ import annotations

import asyncio
import json
import math
import time
from typing import TYPE_CHECKING, Any

import pytest

from bridge.app import build_bridge
from bridge.engine.grammar import SeriesTarget, parse_target
from bridge.model import Query, Rate, Window
from tests.contract import shapes
from tests.contract.opentsdb_recordings import World, body_here, opentsdb_names, words_here
from tests.contract.recordings import CPU, recorded
from tests.doors.opentsdb.clients import read_as_browser, read_as_go

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import httpx

    from bridge.model import Series
    from bridge.settings import Settings

    Ask = Callable[[dict[str, Any]], list[Series]]

GO = opentsdb_names("^opentsdb-go-")
PAGE = [
    name
    for name in opentsdb_names("^opentsdb-browser-")
    if recorded(name)["request"]["path"] == "/api/query"
]
LISTS = [name for name in opentsdb_names() if name not in GO and name not in PAGE]
#: Asks for a machine called "$tv": rules know no variables.
NOTHING = {"opentsdb-go-alert-template-variable"}
HEADERS = {"accept", "content-type", "user-agent", "fromalert", "x-grafana-org-id"}


@pytest.fixture(scope="session")
def world(client: httpx.Client, bridge_url: str, machines: tuple[str, str]) -> World:
    words = {"m": f"{CPU}{{vm={machines[0]}}}"}
    (series,) = client.get(f"{bridge_url}/api/search/lookup", params=words).json()["results"]
    return World(machines, series["tags"]["cluster"], int(time.time() * 1000))


@pytest.fixture(scope="session")
def ask_engine(bridge_settings: Settings) -> Iterator[Ask]:
    """Asks an engine of its own, by the query language's own texts."""
    with asyncio.Runner() as runner:
        bridge = build_bridge(bridge_settings)
        runner.run(bridge.inventory.poll())

        def ask(body: dict[str, Any]) -> list[Series]:
            window = Window(body["start"], body["end"])
            queries = [as_query(one, window) for one in body["queries"]]
            answers = [runner.run(bridge.engine.query(query)) for query in queries]
            return [series for answer in answers for series in answer.series]

        yield ask
        runner.run(bridge.close())


def send(client: httpx.Client, url: str, name: str, body: Any = None) -> httpx.Response:
    """Send a recorded request as Grafana's proxy or server did."""
    request = recorded(name)["request"]
    headers = {key: text for key, text in request["headers"].items() if key in HEADERS}
    content = b"" if body is None else json.dumps(body).encode()
    address = url + request["path"] + ("?" + request["query"] if request["query"] else "")
    return client.request(request["method"], address, content=content, headers=headers)


@pytest.mark.parametrize("name", opentsdb_names())
def test_every_recorded_request_is_answered_or_refused_in_words(
    client: httpx.Client, bridge_url: str, name: str
) -> None:
    response = send(client, bridge_url, name, recorded(name)["request"]["body"])
    assert response.headers["content-type"] == "application/json"
    assert response.history == []
    if name in LISTS:
        assert response.status_code == 200
    else:
        assert response.status_code == 400
        shapes.check(response.json(), shapes.ERROR)
        assert response.json()["error"]["message"].startswith("No such name for 'metrics': 'vm.")


@pytest.mark.parametrize("name", GO)
def test_grafanas_server_can_read_every_answer(
    client: httpx.Client, bridge_url: str, ask_engine: Ask, world: World, name: str
) -> None:
    body = body_here(name, world)
    response = send(client, bridge_url, name, body)
    assert response.status_code == 200, response.text
    found = read_as_go(response.content)
    assert bool(found) is (name not in NOTHING)
    for element in response.json():
        assert_like_recorded(element, name)
    assert list(found.values()) == [points(series) for series in ask_engine(body)]


@pytest.mark.parametrize("name", GO)
def test_newer_versions_ask_in_seconds_and_for_arrays(
    client: httpx.Client, bridge_url: str, world: World, name: str
) -> None:
    body = body_here(name, world)
    as_before = read_as_go(send(client, bridge_url, name, body).content)
    seconds = {**body, "start": body["start"] // 1000, "end": body["end"] // 1000}
    response = client.post(f"{bridge_url}/api/query?arrays=true", json=seconds)
    assert read_as_go(response.content, arrays=True) == as_before


@pytest.mark.parametrize("name", PAGE)
def test_grafanas_page_can_read_every_answer(
    client: httpx.Client, bridge_url: str, world: World, name: str
) -> None:
    body = body_here(name, world)
    response = send(client, bridge_url, name, body)
    assert response.status_code == 200, response.text
    found = read_as_browser(response.json(), milliseconds=body["msResolution"])
    explicit = [bool(query.get("explicitTags")) for query in body["queries"]]
    # Series carry more labels than the recorded query names, so those are not "explicit".
    assert {index for index, _ in found} == {at for at, only in enumerate(explicit) if not only}
    for _, element in found:
        assert_like_recorded(element, name)
        if body.get("showQuery"):
            asked = body["queries"][element["query"]["index"]]
            assert element["query"]["metric"] == asked["metric"]
            assert element["query"]["aggregator"] == asked["aggregator"]
    (_, first), *others = found
    assert [note["startTime"] for note in first["globalAnnotations"]] == sorted(
        note["startTime"] for note in first["globalAnnotations"]
    )
    assert all("globalAnnotations" not in element for _, element in others)


@pytest.mark.parametrize("name", PAGE)
def test_grafanas_page_gets_the_engines_numbers(
    client: httpx.Client, bridge_url: str, ask_engine: Ask, world: World, name: str
) -> None:
    body = {"end": world.now_ms, **body_here(name, world)}  # the present moves on
    elements = send(client, bridge_url, name, body).json()
    unit = 1 if body["msResolution"] else 1000
    assert [element["dps"] for element in elements] == [
        {
            str(stamp): None if math.isnan(value) else value
            for stamp, value in points(series, unit).items()
        }
        for series in ask_engine(body)
    ]


def assert_like_recorded(element: dict[str, Any], name: str) -> None:
    """Hold an element against the good answers that were recorded: same keys, same types."""
    good = recorded("opentsdb-browser-panel-ms-resolution-v3")["response"]["body"][0]
    alert = recorded("opentsdb-go-alert-ok")["response"]["body"][0]
    optional = {"query", "globalAnnotations"} if name in PAGE else {"query"}
    assert alert.keys() <= element.keys() <= alert.keys() | optional
    for key, value in element.items():
        assert isinstance(value, type(good[key])), key
    for note in element.get("globalAnnotations", ()):
        like = good["globalAnnotations"][0]
        assert note.keys() <= like.keys()
        assert note["startTime"] < 10**10


def as_query(asked: dict[str, Any], window: Window) -> Query:
    """Write a recorded query as a target, and read that."""
    groups = [f"{key}={value}" for key, value in (asked.get("tags") or {}).items()]
    others = []
    for one in asked.get("filters", ()):
        side = groups if one["groupBy"] else others
        side.append(f"{one['tagk']}={one['type']}({one['filter']})")
    downsample = asked.get("downsample", "").replace("undefined", "avg")
    text = f"{asked['aggregator']}:{downsample}:" if downsample else f"{asked['aggregator']}:"
    text += f"{asked['metric']}{{{','.join(groups)}}}{{{','.join(others)}}}"
    target = parse_target(text)
    assert isinstance(target, SeriesTarget)
    options = asked.get("rateOptions", {})
    rate = Rate(
        options.get("counter", False),
        float(options.get("counterMax", 0)),
        float(options.get("resetValue", 0)),
        options.get("dropResets", False),
    )
    return Query(
        target.metric,
        window,
        target.aggregator or "none",
        target.downsample,
        rate if asked.get("rate") else None,
        target.filters,
        explicit_tags=asked.get("explicitTags", False),
    )


def points(series: Any, unit: int = 1000) -> dict[int, float]:
    return dict(zip((series.stamps_ms // unit).tolist(), series.values.tolist(), strict=True))


@pytest.mark.parametrize("name", LISTS)
def test_variables_and_the_editor_get_their_lists(
    client: httpx.Client, bridge_url: str, world: World, name: str
) -> None:
    words = words_here(name, world)
    path = recorded(name)["request"]["path"]
    response = client.get(f"{bridge_url}{path}?{words}")
    assert response.status_code == 200
    answer = response.json()
    assert answer
    good = recorded(name)["response"]
    like = good["body"] if good["status"] == 200 else []
    assert isinstance(answer, type(like))
    if path == "/api/search/lookup":
        assert answer.keys() == like.keys()
        assert answer["results"]
        assert answer["totalResults"] == len(answer["results"])
        for one in answer["results"]:
            assert one.keys() == like["results"][0].keys()
            assert all(isinstance(text, str) for pair in one["tags"].items() for text in pair)
    elif path == "/api/config/filters":
        assert like.keys() <= answer.keys()
    else:
        assert all(isinstance(one, str) for one in answer)
        assert len(set(answer)) == len(answer)


def test_a_variable_of_several_values_narrows_a_variable(
    client: httpx.Client, bridge_url: str, world: World
) -> None:
    words = words_here("opentsdb-browser-variable-tag_values-multi", world)
    assert "tv%3D" in words
    results = client.get(f"{bridge_url}/api/search/lookup?{words}").json()["results"]
    assert {one["tags"]["vm"] for one in results} == set(world.machines)


def test_labels_for_alert_messages_are_names_people_know(
    client: httpx.Client, bridge_url: str, world: World
) -> None:
    response = send(
        client, bridge_url, "opentsdb-go-alert-ok", body_here("opentsdb-go-alert-ok", world)
    )
    elements = response.json()
    assert len({one["tags"]["vm"] for one in elements}) == len(elements)
    assert all(one["tags"]["vm_name"] for one in elements)
    assert not any(one["tags"].keys() & {"cluster", "host_name", "folder"} for one in elements)


def test_a_dead_machine_is_absent_after_its_death(
    client: httpx.Client, bridge_url: str, world: World
) -> None:
    now = world.now_ms // 1000
    last = client.get(
        f"{bridge_url}/api/query/last",
        params={"timeseries": CPU, "resolve": "true", "back_scan": 24 * 30},
    ).json()
    (dead,) = [one for one in last if one["tags"]["vm_name"] == "erp-db-02"]
    assert dead["timestamp"] < (now - 1_800) * 1000
    death = dead["timestamp"] // 1000

    def alert(start: int, end: int, downsample: str = "1m-avg") -> dict[str, list[int]]:
        body = {
            "start": start,
            "end": end,
            "queries": [
                {"metric": CPU, "aggregator": "avg", "downsample": downsample, "tags": {"vm": "*"}}
            ],
        }
        response = client.post(f"{bridge_url}/api/query", json=body, headers={"FromAlert": "true"})
        read_as_go(response.content)
        return {one["tags"]["vm"]: [int(at) for at in one["dps"]] for one in response.json()}

    machine = dead["tags"]["vm"]
    assert machine in alert(death - 900, death + 60)
    for fill in ("", "-none", "-nan", "-null"):
        after = alert(death + 60, now, f"1m-avg{fill}")
        assert machine not in after
        assert len(after) > 5
    across = alert(death - 900, now)
    assert death - 60 < max(across[machine]) <= death


@pytest.fixture
def failing(client: httpx.Client, ovh_url: str) -> Iterator[Any]:
    """Makes both of OVHcloud's histories fail until the test is over."""

    def fail(mode: str) -> None:
        for target in ("opentsdb", "warp10"):
            fault = {"target": target, "mode": mode}
            client.post(f"{ovh_url}/_simulator/faults", json=fault).raise_for_status()

    yield fail
    client.delete(f"{ovh_url}/_simulator/faults").raise_for_status()


@pytest.mark.parametrize("mode", ["down", "html", "truncated", "wrong_type", "reset"])
@pytest.mark.parametrize("name", ["opentsdb-go-alert-ok", "opentsdb-browser-panel-explore"])
def test_a_failure_of_ovhcloud_is_an_error_and_never_no_data(
    client: httpx.Client, bridge_url: str, world: World, failing: Any, name: str, mode: str
) -> None:
    failing(mode)
    response = send(client, bridge_url, name, body_here(name, world))
    assert response.status_code == 502, response.text
    shapes.check(response.json(), shapes.ERROR)


def test_a_list_survives_a_failure_of_ovhcloud(
    client: httpx.Client, bridge_url: str, world: World, failing: Any
) -> None:
    failing("down")
    for name in LISTS:
        path = recorded(name)["request"]["path"]
        assert client.get(f"{bridge_url}{path}?{words_here(name, world)}").json(), name
