"""No answer is larger than the settings allow, whatever it is an answer to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest

from bridge.doors.doorway import Limits
from bridge.ovh.objects import Snapshot
from tests.doors.conftest import panel
from tests.doors.stand import CPU, NOW, make_app
from tests.doors.test_http import assert_union
from tests.servers import serving

if TYPE_CHECKING:
    from collections.abc import Iterator

SPAN = {"start": NOW - 6 * 3600, "end": NOW}


@pytest.fixture(scope="module")
def small() -> Iterator[httpx.Client]:
    """A bridge that answers little at once."""
    limits = Limits(max_rows=1, max_points=500)
    with serving(make_app(limits=limits)) as url, httpx.Client(base_url=url) as client:
        yield client


def sub_queries(count: int) -> dict[str, Any]:
    query = {"metric": CPU, "aggregator": "none", "downsample": "5m-avg"}
    return {**SPAN, "queries": [query] * count}


def test_all_targets_of_a_panel_together(small: httpx.Client) -> None:
    assert small.post("/query", json=panel(CPU)).status_code == 200
    refused = small.post("/query", json=panel(CPU, CPU, CPU))
    assert "(setting max_points)" in assert_union(refused, 413)["message"]


def test_all_queries_of_a_rule_together(small: httpx.Client) -> None:
    assert small.post("/api/query", json=sub_queries(1)).status_code == 200
    refused = small.post("/api/query", json=sub_queries(3))
    assert refused.status_code == 413
    assert "(setting max_points)" in refused.json()["error"]["message"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/query", panel("live:vm")),
        ("/annotations", {**panel(hours=6), "annotation": {"name": "tasks"}}),
        ("/query", {**panel("live:task", hours=6), "scopedVars": {"__annotation": {}}}),
    ],
)
def test_lists_of_objects(small: httpx.Client, path: str, body: dict[str, Any]) -> None:
    refused = small.post(path, json=body)
    assert "(setting max_rows)" in assert_union(refused, 413)["message"]


def test_lists_of_series_and_of_names(small: httpx.Client) -> None:
    refused = small.get("/api/search/lookup", params={"m": CPU, "limit": 0})
    assert "(setting max_rows)" in refused.json()["error"]["message"]
    assert refused.status_code == 413
    assert (
        len(small.get("/api/search/lookup", params={"m": CPU, "limit": 1}).json()["results"]) == 1
    )
    names = small.get("/api/suggest", params={"type": "metrics", "max": 1_000_000}).json()
    assert len(names) == 1


def test_an_annotation_that_is_long_itself_counts_as_several() -> None:
    with serving(make_app(limits=Limits(max_rows=10))) as url:
        for words, status in (("x", 200), ("x" * 9_000, 413)):
            echo = {"name": words}
            body = {**panel(hours=6), "annotation": echo}
            assert httpx.post(f"{url}/annotations", json=body).status_code == status


def test_annotations_of_an_inventory_never_read_are_none() -> None:
    with serving(make_app(snapshot=Snapshot())) as url:
        body = {**panel(hours=6), "annotation": {"name": "tasks"}}
        refused = httpx.post(f"{url}/annotations", json=body)
    assert "/readyz" in assert_union(refused, 503)["message"]
