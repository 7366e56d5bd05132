"""The verified OpenTSDB vectors about HTTP (fixture: vectors.json); the engine has the others."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from starlette.applications import Starlette

from bridge.catalog import uncatalogued
from bridge.doors import opentsdb
from bridge.doors.doorway import Doorway, Limits
from bridge.engine.engine import Engine
from bridge.ovh.objects import Snapshot
from tests.doors.opentsdb.lab import FIXTURES, RECORDED_AT
from tests.doors.test_http import assert_union
from tests.engine.memory import MemorySource, NoInventory
from tests.engine.test_vectors import HTTP_ONLY
from tests.servers import serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

VECTORS = {
    vector["id"]: vector
    for vector in json.loads((FIXTURES / "vectors.json").read_text())
    if vector["profile"] == "opentsdb"
}
MESSAGES = VECTORS["O28"]["actual_2_4_1"]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The door in front of one metric, x."""
    start_ms = 1_356_998_400_000
    points = [(start_ms + second * 1_000, 1.0) for second in range(20)]
    engine = Engine(
        MemorySource([({"vm": "a"}, points)]),
        {"x": uncatalogued("x")},
        NoInventory,
        source_step_ms=300_000,
        max_points=10_000,
        max_series=10,
    )
    small = Doorway(engine, Snapshot, Limits(), clock=lambda: float(RECORDED_AT))
    with serving(Starlette(routes=opentsdb.routes(small))) as base:
        yield base


def test_every_vector_is_run() -> None:
    assert {"O26", "O27", "O28", "O30"} == HTTP_ONLY


def test_an_unknown_metric(client: httpx.Client, url: str) -> None:
    vector = VECTORS["O26"]
    error = assert_union(client.post(url + "/api/query", json=vector["request"]["json"]), 400)
    assert error["message"] == vector["actual_2_4_1"]["json"]["error"]["message"]
    # OpenTSDB repeats the message; here it is the place.
    assert error["details"] == "queries[0].metric"


def test_a_missing_type(client: httpx.Client, url: str) -> None:
    vector = VECTORS["O27"]
    error = assert_union(client.get(url + vector["request"]["GET"]), 400)
    assert error["message"].startswith(vector["actual_2_4_1"]["json"]["error"]["message"])


@pytest.mark.parametrize("message", MESSAGES)
def test_the_words_of_refusals(client: httpx.Client, url: str, message: str) -> None:
    sent: Any = MESSAGES[message]["sent"]
    content = json.dumps(sent).encode() if isinstance(sent, dict) else (sent or "").encode()
    error = assert_union(client.post(url + "/api/query", content=content), 400)
    assert error["message"].startswith(message)


def test_too_many_points(client: httpx.Client, url: str) -> None:
    vector = VECTORS["O30"]
    body = {"start": 0, "queries": [{"metric": "x", "aggregator": "sum"}]}
    error = assert_union(client.post(url + "/api/query", json=body), vector["expect"]["status"])
    # OpenTSDB's words name no setting: "Sorry, you have attempted to fetch more than ...".
    assert "max_points" in error["message"]
