"""No address and no body, however strange, is answered by ``/rows`` with a failure."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.doors.parameters import PARAMETERS
from tests.contract.infinity import framed
from tests.doors.stand import CPU, NOW
from tests.doors.test_any_body import TEXTS, VALUES, mostly
from tests.doors.test_http import assert_union

if TYPE_CHECKING:
    import httpx

NAMES = st.sampled_from([*PARAMETERS, "vm", "vm_name", "cluster", "hidden", "name", "nope", ""])
#: What is refused in one place or another.
WRONG = st.sampled_from(
    ["mean", "rack", "$vm", "${__from}", "../etc", "xml", "vm=a,vm=b", "a,b", "{", "-1", "1e99"]
)
SERIES: dict[str, st.SearchStrategy[str]] = {
    "filters": st.sampled_from(["vm=*", "{vm=*}{folder=vm}", "folder=regexp(v)", "service=*"]),
    "aggregator": st.sampled_from(["avg", "none", "p90", "count"]),
    "group_by": st.sampled_from(["cluster", "datacenter", "*", "(vm|cluster)"]),
    "step": st.sampled_from(["5m", "7m", "1h", "1dc", "0all", "$__interval", "700ms"]),
    "function": st.sampled_from(["avg", "max", "p50", "first"]),
    "fill": st.sampled_from(["none", "nan", "null", "zero"]),
    "rate": st.sampled_from(["true", "false", "counter", "dropcounter,,5", "rate{counter}"]),
    "explicit_tags": st.just("false"),
    "from": st.sampled_from(["now-1h", "now-2d", str(NOW - 600), "2026-01-01T05:00"]),
    "to": st.sampled_from(["now", str(NOW * 1000), "now-5m", "2026-01-01T05:55Z"]),
    "interval": st.sampled_from(["5m", "60000", "${__interval_ms}", "1s"]),
    "points": st.sampled_from(["10", "1", "99999999999999999999"]),
    "timezone": st.sampled_from(["UTC", "Europe/Paris"]),
    "vm": st.sampled_from(["vm-101", "*", "{vm-101,vm-102}", "(vm-101|b)"]),
    "vm_name": st.sampled_from(["web*", "db.main (old)", "iliteral_or(WEB01)"]),
    "cluster": st.sampled_from(["prod", "*"]),
}
LIVE: dict[str, st.SearchStrategy[str]] = {
    "hidden": st.sampled_from(["true", "false"]),
    "name": st.sampled_from(["*", "web01", "(web01|hostUpdate)"]),
    "filters": st.just("service=*"),
    "step": st.sampled_from(["", "$__interval"]),
    "from": st.just("now-1h"),
}
FORM: dict[str, st.SearchStrategy[str]] = {
    "format": st.sampled_from(["json", "csv"]),
    "time_format": st.sampled_from(["ms", "s", "iso"]),
}


def questions(
    metric: st.SearchStrategy[str], optional: dict[str, st.SearchStrategy[str]]
) -> st.SearchStrategy[dict[str, str]]:
    seldom = TEXTS | WRONG | st.text(max_size=6)
    return st.fixed_dictionaries(
        {"metric": mostly(metric, seldom)},
        optional={name: mostly(one, seldom) for name, one in (optional | FORM).items()},
    )


QUESTIONS = questions(
    st.sampled_from([CPU, f"{CPU} as {{{{vm_name}}}}", f"{CPU}{{datacenter=*}}"]), SERIES
) | questions(st.sampled_from(["live:vm", "live:host", "live:task", "live:service"]), LIVE)


def check(response: httpx.Response) -> None:
    if response.status_code != 200:
        assert response.status_code in {400, 413}
        assert_union(response, response.status_code)
    elif response.headers["content-type"].startswith("text/csv"):
        lines = list(csv.reader(io.StringIO(response.text, newline=""), strict=True))
        assert lines
        assert {len(line) for line in lines} == {len(lines[0])}
    else:
        rows = response.json()
        assert isinstance(rows, list)
        assert all(list(row) == list(rows[0]) for row in rows)
        if rows and "time" in rows[0]:
            times = [row["time"] for row in rows]
            assert times == sorted(times)
            assert all(isinstance(row["value"], float) for row in rows)
            assert None not in {cell for row in rows for cell in row.values()}
            labels = {
                column.selector for column in framed(response.text)[0] if column.type == "string"
            }
            assert labels - {"time"} == set(rows[0]) - {"time", "value"}
            keys = {tuple(cell for name, cell in row.items() if name != "value") for row in rows}
            assert len(keys) == len(rows)


@given(question=QUESTIONS)
@settings(max_examples=150, deadline=None)
def test_any_question_is_answered_or_refused(
    client: httpx.Client, base: str, question: dict[str, str]
) -> None:
    check(client.get(f"{base}/rows", params=question))


@given(pairs=st.lists(st.tuples(NAMES | st.text(max_size=4), TEXTS | st.text(max_size=6))))
@settings(max_examples=60, deadline=None)
def test_any_address_is_answered_or_refused(
    client: httpx.Client, base: str, pairs: list[tuple[str, str]]
) -> None:
    query = urlencode(pairs, errors="replace")
    check(client.get(f"{base}/rows?{query}"))


@given(query=st.binary(max_size=20).map(lambda raw: "".join(f"%{byte:02x}" for byte in raw)))
@settings(max_examples=20, deadline=None)
def test_any_bytes_in_an_address_are_read(client: httpx.Client, base: str, query: str) -> None:
    check(client.get(f"{base}/rows?metric={CPU}&vm={query}"))
    check(client.get(f"{base}/rows?{query}"))


@given(body=QUESTIONS | st.dictionaries(NAMES, VALUES, max_size=6) | VALUES, question=QUESTIONS)
@settings(max_examples=100, deadline=None)
def test_any_body_is_answered_or_refused(
    client: httpx.Client, base: str, body: Any, question: dict[str, str]
) -> None:
    check(client.post(f"{base}/rows", content=orjson.dumps(body)))
    check(client.post(f"{base}/rows", params=question, content=orjson.dumps(body)))


@given(question=QUESTIONS)
@settings(max_examples=80, deadline=None)
def test_csv_and_json_say_the_same(
    client: httpx.Client, base: str, question: dict[str, str]
) -> None:
    question.pop("format", None)
    answers = [
        client.get(f"{base}/rows", params={**question, "format": form}) for form in ("json", "csv")
    ]
    assert answers[0].status_code == answers[1].status_code
    if answers[0].status_code != 200:
        return
    rows = answers[0].json()
    read = list(csv.DictReader(io.StringIO(answers[1].text, newline="")))
    assert len(read) == len(rows)
    for written, row in zip(read, rows, strict=True):
        assert list(written) == list(row)
        for name, cell in row.items():
            match cell:
                case bool():
                    assert written[name] == str(cell).lower()
                case int() | float():
                    assert float(written[name]) == cell
                case None | str():
                    assert written[name] == (cell or "")


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
def test_rows_are_only_read(client: httpx.Client, base: str, method: str) -> None:
    assert_union(client.request(method, f"{base}/rows?metric={CPU}"), 405)
