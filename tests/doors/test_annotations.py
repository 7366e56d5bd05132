"""Tasks as annotations, for both plugins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.doors.conftest import panel
from tests.doors.stand import NOW, SERVICE
from tests.doors.test_http import assert_union

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx

    Post = Callable[[str, Any], httpx.Response]

START_MS = (NOW - 7200) * 1000


def ask(post: Post, query: Any = "", hours: float = 6, **more: Any) -> list[dict[str, Any]]:
    echo = {"name": "tasks", "enable": True, "query": query}
    response = post("/annotations", {**panel(hours=hours), "annotation": echo, **more})
    assert response.status_code == 200, response.text
    found: list[dict[str, Any]] = response.json()
    assert all(one["annotation"] == echo for one in found)
    return found


def ids(found: list[dict[str, Any]]) -> list[str]:
    return [one["id"] for one in found]


def test_a_task_with_an_end_is_a_region(post: Post) -> None:
    done, running = ask(post)
    assert done["title"] == "hostUpdate"
    assert done["text"] == "Update of a host; done"
    assert done["tags"] == ["done", SERVICE, "Roubaix"]
    assert (done["time"], done["timeEnd"]) == (START_MS, START_MS + 1_200_000)
    assert done["isRegion"] is True
    assert (running["time"], running["timeEnd"]) == (START_MS, NOW * 1000)


@pytest.mark.parametrize(
    ("start", "end", "found"),
    [
        (START_MS, START_MS, ["501", "502"]),
        (START_MS + 600_000, START_MS + 700_000, ["501", "502"]),
        (START_MS + 1_200_001, NOW * 1000, ["502"]),
        (0, START_MS - 1, ["503"]),
        (NOW * 1000 + 1, NOW * 1000 + 2, []),
    ],
)
def test_only_what_overlaps_the_range(post: Post, start: int, end: int, found: list[str]) -> None:
    assert ids(ask(post, range={"from": start, "to": end})) == found


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", ["501", "502"]),
        (None, ["501", "502"]),
        ("  ", ["501", "502"]),
        ("live:task", ["501", "502"]),
        ("live:task{state=done}", ["501"]),
        ("live:task{state={done,doing}}", ["501", "502"]),
        ("live:task{name=*filer}", ["502"]),
        (f"live:task{{service={SERVICE}}}", ["501", "502"]),
        ("live:task{service=other}", []),
    ],
)
def test_queries(post: Post, query: Any, found: list[str]) -> None:
    assert ids(ask(post, query)) == found
    target = {"refId": "Anno", "target": query, "payload": {"k": "v"}}
    (table,) = post("/query", panel(target)).json()
    assert [row[-1] for row in table["rows"]] == found


@pytest.mark.parametrize("query", ["deploys {a,b} x", "live:vm", "vscope.vm.cpu.usage.perc", 7])
def test_anything_else_is_refused(post: Post, query: Any) -> None:
    body = {**panel(), "annotation": {"query": query}}
    error = assert_union(post("/annotations", body), 400)
    assert error["field"] == "annotation.query"


def test_an_unknown_column_is_refused(post: Post) -> None:
    body = {**panel(), "annotation": {"query": "live:task{zone=a}"}}
    assert "zone" in assert_union(post("/annotations", body), 400)["message"]


@pytest.mark.parametrize(
    "body",
    [
        {"range": None},
        {"annotation": [], **panel()},
        {"annotation": "x", **panel()},
        {"annotation": {"name": "x" * 70_000}, **panel()},
    ],
)
def test_bad_bodies(post: Post, body: Any) -> None:
    assert_union(post("/annotations", body), 400)


def test_simpod_gets_a_table_by_column_names(post: Post) -> None:
    target = {"refId": "Anno", "target": ""}
    (table,) = post("/query", panel(target)).json()
    assert table["refId"] == "Anno"
    names = [column["text"] for column in table["columns"]]
    assert names == ["time", "timeEnd", "title", "text", "tags", "id"]
    assert [column["type"] for column in table["columns"][:2]] == ["time", "time"]
    assert table["rows"][0][0] == START_MS
    assert table["rows"][0][4] == f"done,{SERVICE},Roubaix"


def test_the_annotation_variable_marks_the_request_too(post: Post) -> None:
    body = panel({"refId": "X", "target": ""}, scopedVars={"__annotation": {"text": "tasks"}})
    (table,) = post("/query", body).json()
    assert table["refId"] == "X"
    assert len(table["rows"]) == 2


def test_ad_hoc_filters_on_labels_tasks_lack_hide_no_task(post: Post) -> None:
    """A dashboard narrowed to one machine still shows what is done to its host."""
    by_vm = [{"key": "vm", "operator": "=", "value": "vm-101"}]
    assert len(ask(post, adhocFilters=by_vm)) == 2
    by_state = [{"key": "state", "operator": "!=", "value": "done"}]
    assert ids(ask(post, filters=by_state)) == ["502"]
