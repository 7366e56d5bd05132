"""Every request Infinity was recorded to make, against the whole bridge.

The answers go through a model of Infinity's framing, which is itself held against what a
real one did with the recorded answers.
"""

from __future__ import annotations

import csv
import io
import json
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import pytest

from tests.contract import shapes
from tests.contract.infinity import Column, NotWideError, framed, numbers, wide
from tests.contract.recordings import CPU, FIXTURES, MACHINES, recorded

if TYPE_CHECKING:
    import httpx

NAMES = sorted(path.stem for path in FIXTURES.glob("infinity-*.json"))
ROWS = [name for name in NAMES if recorded(name)["request"]["path"] == "/rows"]
TIME, VALUE = Column("time", "timestamp_epoch"), Column("value", "number")
VM, METRIC = Column("vm", "string"), Column("metric", "string")

#: The recordings' parameter names and those that stand for them; None has no counterpart.
PARAMETERS = {
    "interval": "interval",
    "i": "step",
    "sec": "to",
    **dict.fromkeys(("ms", "v", "s", "iso", "u", "o", "raw")),
}


def send(
    client: httpx.Client, url: str, name: str, parameters: dict[str, Any], body: Any
) -> httpx.Response:
    """Send a recorded request as Infinity did, with these parameters and this body."""
    request = recorded(name)["request"]
    content = None if body is None else json.dumps(body).encode()
    return client.request(
        request["method"],
        url + request["path"],
        params=parameters,
        content=content,
        headers={key: text for key, text in request["headers"].items() if key != "authorization"},
    )


def in_this_world(given: dict[str, Any], machines: tuple[str, str], now: float) -> dict[str, Any]:
    """Return recorded parameters with names, metrics and times that exist here."""
    translated: dict[str, Any] = {}
    for recorded_name, recorded_value in given.items():
        name = PARAMETERS.get(recorded_name, recorded_name)
        value = recorded_value
        if name is None:
            continue
        if name in {"from", "to"}:
            value = _shifted(str(value), now)
        for old, new in (("vm.cpu.usage", CPU), *zip(MACHINES, machines, strict=True)):
            value = value.replace(old, new)
        translated[name] = value
    return translated


#: When the recordings were made, and the texts of times in them.
RECORDED_AT = 1_767_247_170


def _shifted(text: str, now: float) -> str:
    shift = int(now) - RECORDED_AT
    if len(text) == 13:
        return str(int(text) + shift * 1000)
    return str(int(text) + shift) if text.isdecimal() else "now"


@pytest.mark.parametrize("name", NAMES)
def test_every_recorded_request_is_understood_or_refused_in_words(
    client: httpx.Client, bridge_url: str, name: str
) -> None:
    request = recorded(name)["request"]
    parameters = dict(parse_qsl(request["query"]))
    response = send(client, bridge_url, name, parameters, request["body"])
    assert response.headers["content-type"] == "application/json"
    assert response.status_code in {200, 400}
    assert response.content
    if response.status_code == 400:
        shapes.check(response.json(), shapes.ERROR)


@pytest.mark.parametrize("name", ROWS)
def test_with_names_that_exist_every_request_for_rows_is_answered(
    client: httpx.Client, bridge_url: str, machines: tuple[str, str], name: str
) -> None:
    request, now = recorded(name)["request"], time.time()
    parameters = in_this_world(dict(parse_qsl(request["query"])), machines, now)
    body = in_this_world(request["body"] or {}, machines, now)
    body.setdefault("metric", CPU)
    if request["method"] == "GET":
        parameters, body = {**body, **parameters}, None
    response = send(client, bridge_url, name, parameters, body)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/json"
    series = wide(response.text, [TIME, VALUE, VM, METRIC])
    assert series
    assert {dict(labels)["metric"] for labels in series} == {CPU}
    if "vm" in (body or {}):
        assert {dict(labels)["vm"] for labels in series} == set(machines)
    rows = response.json()
    points = sum(value is not None for points in series.values() for value in points.values())
    assert points == len(rows), "rows collapsed: the labels do not tell the series apart"
    assert next(iter(rows[0])) == "time"
    assert list(rows[0])[-2:] == ["metric", "value"]


def ask(client: httpx.Client, url: str, **parameters: Any) -> str:
    named = {name.removesuffix("_"): value for name, value in parameters.items()}
    response = client.get(f"{url}/rows", params=named)
    assert response.status_code == 200, response.text
    return response.text


@pytest.mark.parametrize(
    "parameters",
    [
        {"metric": CPU},
        {"target": f"avg:10m-max:{CPU}{{cluster=*}}"},
        {"metric": "vscope.host.net.tx", "rate": "counter"},
        {"metric": "vscope.filer.datastore.diskspace.used.perc", "fill": "nan", "step": "1m"},
        {"metric": CPU, "group_by": "host_name", "time_format": "ms"},
        {"target": f"p90:{CPU}{{cluster=*,folder=*}} as {{{{cluster}}}}"},
    ],
    ids=str,
)
def test_rows_keep_infinitys_rules_without_declared_columns(
    client: httpx.Client, bridge_url: str, parameters: dict[str, str]
) -> None:
    text = ask(client, bridge_url, from_="now-2h", **parameters)
    rows = json.loads(text)
    assert rows
    assert all(list(row) == list(rows[0]) for row in rows)
    typed, cells = framed(text)
    for index, column in enumerate(typed):
        expected = "number" if column.selector in {"time", "value"} else "string"
        assert column.type == expected
        assert all(row[index] is not None for row in cells)
    labels = [column for column in typed if column.type == "string"]
    series = wide(text, [TIME, VALUE, *labels])
    assert sum(v is not None for points in series.values() for v in points.values()) == len(rows)


def test_columns_depend_on_the_question_alone(client: httpx.Client, bridge_url: str) -> None:
    """A group of one machine must not get other labels than a group of several."""
    for step in ("5m", "1h"):
        for cluster in ("*", "Cluster1", "Cluster2"):
            target = f"avg:{step}-avg:{CPU}{{cluster={cluster}}}"
            rows = json.loads(ask(client, bridge_url, target=target, from_="now-3h"))
            assert list(rows[0]) == ["time", "cluster", "metric", "value"]
    machines = json.loads(ask(client, bridge_url, target=f"avg:{CPU}{{vm=*}}"))
    assert list(machines[0]) == [
        *("time", "datacenter", "vm", "service", "vm_name", "metric", "value")
    ]
    # Silent for weeks, the same columns all the same.
    silent = ask(client, bridge_url, metric=CPU, vm_name="firewall-appliance", format="csv")
    assert silent == "time,datacenter,vm,service,vm_name,metric,value\r\n"


def test_csv_read_back_is_the_json_rows(client: httpx.Client, bridge_url: str) -> None:
    now = int(time.time())
    questions: list[dict[str, Any]] = [
        {"metric": CPU, "from_": now - 7200, "to": now},
        {"target": f"avg:{CPU}{{cluster=*}}", "from_": now - 7200, "to": now, "time_format": "iso"},
        {"target": "live:vm{hidden=true}"},
        {"target": "live:task", "time_format": "s"},
    ]
    for question in questions:
        rows = json.loads(ask(client, bridge_url, **question))
        text = ask(client, bridge_url, format="csv", **question)
        assert text.endswith("\r\n")
        read = list(csv.DictReader(io.StringIO(text, newline="")))
        assert [list(row) for row in read] == [list(row) for row in rows]
        for written, row in zip(read, rows, strict=True):
            for name, cell in row.items():
                if name in {"age", "idle", "duration", "backup_age"}:  # of another moment
                    assert (written[name] == "") == (cell is None)
                elif isinstance(cell, bool):
                    assert written[name] == str(cell).lower()
                elif isinstance(cell, int | float):
                    assert float(written[name]) == cell
                else:
                    assert written[name] == (cell or "")


def test_live_tables_have_typed_columns_and_are_numbers_for_a_rule(
    client: httpx.Client, bridge_url: str
) -> None:
    for kind in ("vm", "host", "filer", "datacenter", "cluster", "service", "task"):
        rows = json.loads(ask(client, bridge_url, target=f"live:{kind}"))
        for name in rows[0] if rows else ():
            kinds = {type(row[name]) for row in rows} - {type(None)}
            assert kinds <= {str} or kinds <= {int, float} or kinds <= {bool}, name
            assert not (str in kinds and any(row[name] is None for row in rows)), name
    text = ask(client, bridge_url, target="live:filer{used_percent=*}")
    columns = [Column("datastore", "string"), Column("used_percent", "number")]
    found = numbers(text, columns)
    assert len(found) == len(json.loads(text))
    assert all(value is not None and 0 < value < 100 for value in found.values())


# --- the model itself ----------------------------------------------------------------------


def test_the_model_does_what_infinity_did_with_the_recorded_answers() -> None:
    def of(name: str) -> str:
        return json.dumps(recorded(f"infinity-answer-{name}")["response"]["body"])

    columns = [TIME, VALUE, VM]
    assert wide(of("empty"), columns) == {}
    # Text in a number column became null, without an error.
    mixed = wide(of("mixed"), columns)
    assert [None in points.values() for points in mixed.values()] == [False, True]
    # Undeclared keys were ignored.
    assert set(wide(of("long"), columns)) == {(("vm", "web01"),), (("vm", "web02"),)}
    # Rows without the label were one series, in which those of one time collapsed.
    (points,) = wide(of("dupe"), columns).values()
    assert len(points) == 2
    unsorted = [{"time": 2, "value": 1, "vm": "a"}, {"time": 1, "value": 1, "vm": "b"}]
    with pytest.raises(NotWideError):
        wide(json.dumps(unsorted), columns)
    with pytest.raises(NotWideError):  # no types declared: the times are no times
        wide(of("long"), [])
