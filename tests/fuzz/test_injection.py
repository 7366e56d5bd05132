"""Attempts to have data taken for something else, in one table: where, what, and the answer.

The bridge is a process with a recording, in front of the simulated OVHcloud. Whatever is
tried, its log stays one line an event, its headers stay its own, and its recording whole.
Warp 10's scripts have tests of their own (tests/sources/test_warpscript.py), as have names
from upstream on every page (tests/doors/page/test_hostile.py, tests/browser).
"""

from __future__ import annotations

import csv
import io
import json
import re
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from bridge.doors.query import _warning
from tests.doors.page.test_hostile import company
from tests.doors.stand import make_app
from tests.fuzz.conftest import HOSTILE_ACCOUNT
from tests.servers import serving
from tests.test_history_commands import Ended, call

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.fuzz.conftest import Target

CPU = "vscope.vm.cpu.usage.perc"
SQL = (
    "'; DROP TABLE points; --",
    "' OR '1'='1",
    '" UNION SELECT * FROM duckdb_settings() --',
    "x'); COPY (SELECT 1) TO '/tmp/injected.csv'; --",
    "\\'; ATTACH '/tmp/injected.db'; --",
)
LOG = (
    "\n2026-01-01T00:00:00.000000Z [error    ] forged",
    "\r\nforged",
    "\x1b[2J\x1b[31mforged",
    "\u2028forged\u0085forged",
    "x level=error event=forged",
    "\x00\x07\x7f\x9b",
)
HTML = ("<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "javascript:alert(1)")
PATHS = ("../../../etc/passwd", "..%2f..%2fetc%2fpasswd", "/etc/passwd", "....//", "\x00", "%00")
#: Patterns that take for ever where each choice is tried; and one that is no pattern.
SLOW = ("(x+x+)+y", "(a|a)*b", "([a-zA-Z]+)*$", "^(([a-z0-9])+.)+[A-Z]([a-z0-9])+$", "(" * 5000)


@dataclass(frozen=True)
class Attempt:
    """One attempt.

    Attributes:
        into: What the text shall not get into.
        method: Of the request.
        path: Of the request.
        sent: Keyword arguments of the request.
        statuses: What may come out.
    """

    into: str
    method: str
    path: str
    sent: dict[str, Any]
    statuses: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.into}-{self.method}-{self.path}-{json.dumps(self.sent, default=repr)}"[:90]


def attempts() -> Iterator[Attempt]:
    """The table."""
    window = {"from": 1_767_243_600_000, "to": 1_767_247_200_000}
    for text in (*SQL, *LOG, *HTML):
        into = "SQL" if text in SQL else "the log" if text in LOG else "HTML"
        sub_query = {"metric": CPU, "aggregator": "none"}
        for tags in ({"vm": text}, {text: "x"}):
            one = {"start": "1h-ago", "queries": [{**sub_query, "tags": tags}]}
            yield Attempt(into, "POST", "/api/query", {"json": one}, (200, 400))
        named = {"start": "1h-ago", "queries": [{**sub_query, "metric": text}]}
        yield Attempt(into, "POST", "/api/query", {"json": named}, (400,))
        lookup = {"metric": CPU, "tags": [{"key": "vm", "value": text}]}
        yield Attempt(into, "POST", "/api/search/lookup", {"json": lookup}, (200, 400))
        yield Attempt(into, "GET", "/api/suggest", {"params": {"type": "tagv", "q": text}}, (200,))
        target = {"range": window, "targets": [{"target": CPU, "payload": {"vm": text}}]}
        yield Attempt(into, "POST", "/query", {"json": target}, (200, 400))
        adhoc = [{"key": "vm", "operator": "=", "value": text}]
        filtered = {"range": window, "targets": [{"target": CPU}], "adhocFilters": adhoc}
        yield Attempt(into, "POST", "/query", {"json": filtered}, (200,))
        yield Attempt(into, "POST", "/search", {"json": {"target": text}}, (200, 400))
        yield Attempt(into, "POST", "/tag-values", {"json": {"key": text}}, (200,))
        yield Attempt(into, "GET", "/rows", {"params": {"target": CPU, "vm": text}}, (200, 400))
        yield Attempt(into, "GET", "/rows", {"params": {"target": CPU, text: "x"}}, (400,))
        yield Attempt(into, "GET", "/explore", {"params": {"metric": text, "vm": text}}, (400,))
        yield Attempt(into, "GET", "/live", {"params": {"name": text, "sort": text}}, (400,))
        yield Attempt(into, "GET", f"/{quote(text)}", {}, (404,))
        yield Attempt(into, "POST", f"/api/{quote(text)}", {}, (404,))
    for text in PATHS:
        yield Attempt("paths", "GET", f"/static/{quote(text)}", {}, (404,))
        yield Attempt("paths", "GET", f"/static/{quote(text, safe='')}/", {}, (404,))
        zone = {"target": CPU, "timezone": text}
        yield Attempt("paths", "GET", "/rows", {"params": zone}, (400,))
        old = {"start": "2026/01/01", "timezone": text, "queries": [{"metric": CPU}]}
        yield Attempt("paths", "POST", "/api/query", {"json": old}, (400,))
    for text in SLOW:
        flt = {"type": "regexp", "tagk": "vm_name", "filter": text, "groupBy": True}
        asked = {"metric": CPU, "aggregator": "avg", "filters": [flt]}
        body = {"start": "1h-ago", "queries": [asked]}
        yield Attempt("patterns", "POST", "/api/query", {"json": body}, (200, 400))
        params = {"target": "live:vm", "name": f"regexp({text})"}
        yield Attempt("patterns", "GET", "/rows", {"params": params}, (200, 400))
    for depth in (253, 1_000, 100_000):
        for deep in ("[" * depth + "]" * depth, '{"a":' * depth + "1" + "}" * depth):
            for path, body in (
                ("/query", f'{{"targets":[{{"target":"{CPU}"}}],"range":{{"from":@}}}}'),
                ("/annotations", '{"range":{"from":1,"to":2},"annotation":{"x":@}}'),
                ("/rows", '{"target":"live:vm","filters":@}'),
                ("/api/query", '{"start":@,"queries":[{}]}'),
                ("/api/suggest", '{"type":"metrics","max":@}'),
                ("/variable", '{"payload":{"target":@}}'),
            ):
                content = body.replace("@", deep)
                yield Attempt("the stack", "POST", path, {"content": content}, (400, 413))


@pytest.fixture(scope="module")
def client(target: Target) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=target.url, headers=target.headers, timeout=30) as made:
        yield made


@pytest.mark.parametrize("attempt", list(attempts()), ids=str)
def test_text_stays_text(attempt: Attempt, client: httpx.Client) -> None:
    answer = client.request(attempt.method, attempt.path, **attempt.sent)
    assert answer.status_code in attempt.statuses, answer.text
    for name, text in answer.headers.items():
        assert text.isprintable(), name
    assert re.fullmatch("[0-9a-f]{12}", answer.headers["x-request-id"])
    if answer.headers["content-type"].startswith("text/html"):
        assert "<script>alert" not in answer.text
        assert "<img src=x" not in answer.text
    else:
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["x-content-type-options"] == "nosniff"


RAW_HEADERS = (
    "X-Request-Id: forged\r\nX-Method-Override: DELETE",
    "X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https",
    'Accept: text/html\r\nX-Forwarded-Host: evil"><script>alert(1)</script>',
    "Accept: application/openmetrics-text; version=1.0.0; escaping=evil\x0b\x0cX-Evil: 1",
    'Accept: text/html; q="\x0b"',
)


@pytest.mark.parametrize("path", ["/", "/metrics", "/rows?target=live:vm", "/nothing"])
@pytest.mark.parametrize("sent", RAW_HEADERS)
def test_a_header_of_a_client_is_no_header_of_the_bridge(
    target: Target, path: str, sent: str
) -> None:
    where = urlsplit(target.url)
    assert where.hostname is not None
    request = (
        f'GET {path} HTTP/1.1\r\nHost: evil"><script>alert(1)</script>\r\n{sent}\r\n'
        f"Authorization: {target.headers['Authorization']}\r\nConnection: close\r\n\r\n"
    )
    with socket.create_connection((where.hostname, where.port or 80), timeout=30) as connection:
        connection.sendall(request.encode())
        answer = b"".join(iter(lambda: connection.recv(65536), b"")).decode()
    head, _, body = answer.partition("\r\n\r\n")
    for forged in ("forged", "evil", "1.2.3.4", "strict-transport"):
        assert forged not in head.lower()
    assert "<script>alert" not in body


@pytest.mark.parametrize("text", [*LOG, *HTML, 'x"\r\nSet-Cookie: a=b', "é\u2028\ud800"])
def test_a_warning_is_one_header(text: str) -> None:
    said = _warning({f"the source says {text}": None})
    assert said.isascii()
    assert said.isprintable()
    assert said.startswith('199 vscope-bridge "')
    assert said.count('"') == 2


@pytest.mark.parametrize(
    "text",
    ["=cmd|' /C calc'!A0", "+1+1", "-1+1", "@SUM(1)", "\t=1", "\r=1", "＝1", '=HYPERLINK("x")'],  # noqa: RUF001
)
def test_a_name_is_no_formula_in_a_spreadsheet(text: str) -> None:
    with serving(make_app(snapshot=company(text))) as url:
        params = {"target": "live:vm", "format": "csv", "hidden": "true"}
        answer = httpx.get(f"{url}/rows", params=params)
        assert answer.headers["content-disposition"] == 'attachment; filename="rows.csv"'
    rows = list(csv.reader(io.StringIO(answer.content.decode(), newline="")))
    names = rows[0].index("name")
    assert {row[names] for row in rows[1:]} <= {f"'{text} {ref}" for ref in range(101, 105)}
    for cell in (cell for row in rows for cell in row):
        assert not cell.startswith(("=", "+", "@", "\t", "\r", "＝"))  # noqa: RUF001


def test_names_are_no_figures_of_their_own(client: httpx.Client) -> None:
    for path in ('/x"} 1\nforged 1', "/forged{a=1}"):
        client.get(quote(path))
    families = list(text_string_to_metric_families(client.get("/metrics").text))
    assert not [family for family in families if "forged" in family.name]
    samples = [sample for family in families for sample in family.samples]
    calls = [one for one in samples if one.name == "vscope_bridge_ovh_calls_total"]
    assert [one.labels for one in calls] == [{"account": HOSTILE_ACCOUNT}]
    doors = {one.labels["door"] for one in samples if "door" in one.labels}
    assert not [door for door in doors if "forged" in door]


def history(target: Target, *arguments: str) -> Ended:
    """Run ``vscope-bridge history`` beside the running bridge."""
    return call("history", "--config", str(target.config), *arguments)


@pytest.mark.parametrize("text", SQL)
def test_the_history_command_takes_text_as_text(target: Target, text: str) -> None:
    for option in (("--metric", text), ("--label", f"vm={text}"), ("--label", f"{text}=x")):
        ended = history(target, "export", "--format", "csv", *option)
        # Nothing matches: a head without rows, or a refusal in words.
        assert len(ended.stdout.splitlines()) <= 1
        assert len(ended.stderr.splitlines()) <= 1
        assert "Error" not in ended.stderr


def test_no_file_outside_the_recording_can_be_set_aside(target: Target, tmp_path: Path) -> None:
    kept = tmp_path / "kept.parquet"
    kept.write_bytes(b"mine")
    for path in (str(kept), f"../../{kept.name}", "/etc/passwd", "store.duckdb/../lock"):
        assert history(target, "set-aside", path).returncode != 0
    assert kept.read_bytes() == b"mine"
    assert (target.recording / "store.duckdb").exists()
    assert (target.recording / "lock").exists()


def test_imported_names_are_never_paths_or_code(target: Target, tmp_path: Path) -> None:
    labels = ["../../../escaped", *SQL]
    source = tmp_path / "o'ther; DROP.csv"
    rows = [["metric", "time", "value", "vm"]]
    rows += [[f"evil.{at}", "1767243600000", "1", label] for at, label in enumerate(labels)]
    with source.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    imported = history(target, "import", str(source))
    assert imported.returncode == 0, imported
    compacted = history(target, "compact")
    assert compacted.returncode == 0, compacted
    assert list(target.recording.rglob("*.parquet"))
    assert not list(target.recording.parent.rglob("*escaped*"))
    exported = history(target, "export", "--format", "csv", "--to", "1767250000").stdout
    cells = {cell for row in csv.reader(io.StringIO(exported)) for cell in row}
    assert set(labels) <= cells


def test_ovhcloud_is_asked_to_change_nothing(target: Target) -> None:
    calls = httpx.get(f"{target.ovh}/_simulator/calls").json()["routes"]
    apiv6 = [route for route in calls if "/opentsdb/" not in route and "/warp10/" not in route]
    assert len(apiv6) > 5
    for route in apiv6:
        assert re.match(r"GET |POST \S+/(metricsToken|getVscopeMetricsToken)$", route), route


def test_afterwards_the_recording_is_whole_and_the_log_one_line_an_event(
    target: Target, client: httpx.Client
) -> None:
    assert client.get("/readyz").status_code == 200
    verified = history(target, "verify")
    assert verified.returncode == 0, verified
    rows = client.get("/rows", params={"target": f"count:{CPU}", "from": "now-1h"})
    assert rows.status_code == 200
    assert rows.json()
    lines = list(target.process._arriving.queue)
    assert len(lines) > 100
    for line in lines:
        assert re.match(r"20\d\d-\d\d-\d\dT[0-9:.]+Z \[\w+ *\] \w+ ", line), line
        assert line.isprintable()
        assert not re.search(r" (level|event)=", line.replace("'", " '").partition(" '")[0])
