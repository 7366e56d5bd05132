"""``/query``: series, tables, steps, limits, and every kind of bad request."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from bridge.doors.doorway import Limits
from bridge.errors import UpstreamError
from bridge.ovh.objects import Snapshot
from tests.doors.conftest import panel
from tests.doors.stand import (
    CPU,
    DC1,
    MEM,
    NOW,
    SERVICE,
    SILENT_MS,
    STEP_MS,
    MemorySource,
    make_app,
    small_company,
)
from tests.doors.test_http import assert_union
from tests.servers import serving

if TYPE_CHECKING:
    from collections.abc import Callable

    from bridge.model import BucketRequest, Buckets

    Post = Callable[[str, Any], httpx.Response]


def ask(post: Post, *targets: Any, **more: Any) -> list[dict[str, Any]]:
    response = post("/query", panel(*targets, **more))
    assert response.status_code == 200, response.text
    answer: list[dict[str, Any]] = response.json()
    return answer


def test_a_metric_alone_gives_each_series_with_a_persons_names(post: Post) -> None:
    answer = ask(post, CPU)
    assert [one["title"] for one in answer] == ["web01", "web02", "db.main (old)", "gone"]
    first = answer[0]
    assert first["target"] == "web01"
    assert first["refId"] == "A"
    assert first["unit"] == "percent"
    assert first["tags"] == {
        "metric": CPU,
        "vm": "vm-101",
        "vm_name": "web01",
        "datacenter": DC1,
        "service": SERVICE,
    }
    stamps = [stamp for _, stamp in first["datapoints"]]
    assert {value for value, _ in first["datapoints"]} == {1.0}
    assert stamps[0] == (NOW - 6 * 3600) * 1000
    assert stamps[-1] == NOW * 1000
    assert {second - one for one, second in pairwise(stamps)} == {STEP_MS}


def test_a_silent_machine_shows_one_gap_and_no_line(post: Post) -> None:
    answer = ask(post, f"{CPU}{{vm=vm-103}}")
    points = answer[0]["datapoints"]
    assert [stamp for value, stamp in points if value is None] == [SILENT_MS[0]]
    assert [value for value, _ in points if value is not None] == [3.0] * (73 - 12)


def test_a_step_finer_than_the_history_is_no_gap(post: Post) -> None:
    answer = ask(post, f"1m-avg:{CPU}{{vm=vm-103}}")
    points = answer[0]["datapoints"]
    assert [stamp for value, stamp in points if value is None] == [SILENT_MS[0] - STEP_MS + 60_000]


def test_a_fill_policy_takes_the_place_of_the_gap(post: Post) -> None:
    zero = ask(post, f"5m-avg-zero:{CPU}{{vm=vm-103}}")[0]["datapoints"]
    assert [value for value, _ in zero].count(0.0) == 12
    null = ask(post, f"5m-avg-null:{CPU}{{vm=vm-103}}")[0]["datapoints"]
    assert [value for value, _ in null].count(None) == 12


@pytest.mark.parametrize(
    ("hours", "interval_ms", "max_points", "step_ms"),
    [
        (6, 60_000, 755, 300_000),
        (6, None, None, 300_000),
        (6, 600_001, 755, 900_000),
        (6, 60_000, 10, 3_600_000),
        (24, 1, 100, 900_000),
        (6, "60000", "10", 3_600_000),
        (6, 15_000.5, 1e18, 300_000),
    ],
)
def test_the_step_follows_interval_and_width(
    post: Post, hours: float, interval_ms: Any, max_points: Any, step_ms: int
) -> None:
    answer = ask(
        post, f"{CPU}{{vm=vm-101}}", hours=hours, intervalMs=interval_ms, maxDataPoints=max_points
    )
    stamps = [stamp for _, stamp in answer[0]["datapoints"]]
    assert {second - one for one, second in pairwise(stamps)} == {step_ms}


def test_a_written_downsampling_is_kept(post: Post) -> None:
    answer = ask(post, f"1h-max:{CPU}{{vm=vm-101}}", maxDataPoints=3)
    stamps = [stamp for _, stamp in answer[0]["datapoints"]]
    assert {second - one for one, second in pairwise(stamps)} == {3_600_000}


def test_calendar_intervals_follow_the_dashboards_time_zone(post: Post) -> None:
    """Midnight in Paris is 23:00 UTC in winter; "browser" is taken as UTC."""
    for timezone, hour in (("Europe/Paris", 23), ("browser", 0), ("No/Where", 0), (7, 0)):
        answer = ask(post, f"1dc-avg:{CPU}{{vm=vm-101}}", hours=72, timezone=timezone)
        stamps = [stamp for _, stamp in answer[0]["datapoints"]]
        assert {stamp // 3_600_000 % 24 for stamp in stamps} == {hour}
        assert len(stamps) >= 2


def test_grouped_series_are_called_by_their_groups(post: Post) -> None:
    answer = ask(post, f"avg:{CPU}{{cluster=*}}")
    assert [one["title"] for one in answer] == ["prod", "test"]
    assert answer[0]["datapoints"][0][0] == pytest.approx(1.5)
    by_vm = ask(post, f"max:{CPU}{{vm=vm-101|vm-102}}")
    assert [one["title"] for one in by_vm] == ["web01", "web02"]
    assert [one["title"] for one in ask(post, f"sum:{CPU}")] == ["VM processor usage"]


def test_several_metrics_are_told_apart_by_description(post: Post) -> None:
    answer = ask(post, f"{CPU}{{vm=vm-101}}", f"{MEM}{{vm=vm-101}}")
    assert [(one["title"], one["refId"]) for one in answer] == [
        ("web01: VM processor usage", "A"),
        ("web01: VM memory usage", "B"),
    ]


def test_network_cards_are_part_of_the_name(post: Post) -> None:
    titles = [one["title"] for one in ask(post, "vscope.host.net.tx{host=172.17.86.51}")]
    assert titles == ["172.17.86.51 vmnic0", "172.17.86.51 vmnic1"]


def test_a_legend_is_filled_from_labels(post: Post) -> None:
    target = f"{CPU}{{vm=vm-101}}{{cluster=*}} as {{{{vm_name}}}} on {{{{ cluster }}}} {{{{nope}}}}"
    assert [one["title"] for one in ask(post, target)] == ["web01 on prod"]


def test_titles_never_repeat(post: Post) -> None:
    targets = [f"{CPU} as x", f"{CPU} as x", f"max:{CPU} as x", f"{CPU}{{vm=vm-101}}"]
    titles = [one["title"] for one in ask(post, *targets)]
    assert len(titles) == 10
    assert len(set(titles)) == 10
    assert all(title for title in titles)


@pytest.mark.parametrize(
    ("target", "unit"),
    [
        (f"sum:{CPU}", "percent"),
        (f"count:{CPU}", "short"),
        (f"5m-count:{CPU}", "short"),
        (f"rate:{CPU}", None),
        ("rate:vscope.filer.datastore.diskspace.used", "KBs"),
        ("vscope.filer.datastore.diskspace.used", "kbytes"),
        ("vscope.vm.net.rx", "KBs"),
    ],
)
def test_the_unit_is_that_of_the_values(post: Post, target: str, unit: str | None) -> None:
    assert {one.get("unit") for one in ask(post, target)} == {unit}


def test_hidden_and_unchosen_targets_are_skipped(post: Post) -> None:
    answer = ask(
        post,
        {"target": "not even (a target", "refId": "A", "hide": True},
        {"target": "", "refId": "B"},
        {"target": "select metric", "refId": "C"},
        {"refId": "D"},
        {"target": f"sum:{MEM}", "refId": "E", "hide": False},
    )
    assert [one["refId"] for one in answer] == ["E"]
    assert ask(post) == []


def test_a_long_table_has_time_labels_and_value(post: Post) -> None:
    answer = ask(
        post, {"target": f"{CPU}{{vm=vm-10*}}{{cluster=prod}}", "refId": "T", "type": "table"}
    )
    (table,) = answer
    assert table["type"] == "table"
    assert table["refId"] == "T"
    columns = [(column["text"], column["type"]) for column in table["columns"]]
    assert columns[0] == ("time", "time")
    assert columns[-1] == ("value", "number")
    assert table["columns"][-1]["unit"] == "percent"
    assert {kind for _, kind in columns[1:-1]} == {"string"}
    assert ("vm_name", "string") in columns
    assert ("cluster", "string") in columns
    times = [row[0] for row in table["rows"]]
    assert times == sorted(times)
    assert len(times) == 2 * 73
    assert all(len(row) == len(columns) for row in table["rows"])
    assert {row[-1] for row in table["rows"]} == {1.0, 2.0}


def test_a_table_of_nothing_is_a_table(post: Post) -> None:
    (table,) = ask(post, {"target": f"{CPU}{{vm=none}}", "refId": "T", "type": "table"})
    assert table["rows"] == []
    assert [column["text"] for column in table["columns"]] == ["time", "value"]


def test_a_live_target_is_a_table_whatever_the_type(post: Post) -> None:
    answer = ask(post, "live:vm{cluster=prod}", "live:datastore", "live:vm{hidden=true}")
    machines, stores, all_machines = answer
    names = [column["text"] for column in machines["columns"]]
    assert machines["type"] == "table"
    assert [row[names.index("name")] for row in machines["rows"]] == ["web01", "web02"]
    assert len(stores["rows"]) == 1
    assert len(all_machines["rows"]) == 4
    assert all(
        column["type"] in {"time", "string", "number", "boolean"} for column in machines["columns"]
    )


def test_a_live_target_needs_no_range(post: Post) -> None:
    response = post("/query", {"targets": [{"target": "live:host"}]})
    assert response.status_code == 200
    assert len(response.json()[0]["rows"]) == 2


def test_what_matches_nothing_is_an_empty_list(post: Post) -> None:
    assert ask(post, f"{CPU}{{vm=none}}", f"avg:{CPU}{{cluster=none}}") == []


def test_an_unknown_label_is_a_notice_on_an_empty_answer(post: Post) -> None:
    (element,) = ask(post, f"{CPU}{{zone=a}}")
    assert element["rows"] == []
    (notice,) = element["meta"]["notices"]
    assert notice["severity"] == "warning"
    assert "'zone'" in notice["text"]


def test_what_a_source_failed_to_give_is_a_notice_and_a_header(client: httpx.Client) -> None:
    class Partial(MemorySource):
        async def buckets(self, request: BucketRequest) -> tuple[Buckets, ...]:
            assert request.on_missing
            request.on_missing('pcc-2 is missing: "refused"\r\nX-Evil: é')
            return await super().buckets(request)

    with serving(make_app(Partial())) as url:
        response = client.post(f"{url}/query", json=panel(f"avg:{CPU}", f"max:{CPU}"))
    assert response.headers["warning"] == (
        "199 vscope-bridge \"pcc-2 is missing: 'refused' X-Evil: ?\""
    )
    for element in response.json():
        (notice,) = element["meta"]["notices"]
        assert notice["text"].startswith("pcc-2 is missing")


@pytest.mark.parametrize(
    ("target", "position", "words"),
    [
        ("vscope.vm.cpu.usage", 0, ["vscope.vm.cpu.usage.perc"]),
        (f"avg:{CPU}x", 4, [CPU]),
        ("deploys (a|b)", 8, ["metric"]),
        (f"5x-avg:{CPU}", 1, ["unit"]),
        (f"{CPU}{{vm=(a|b}}", len(CPU) + 8, ["expected ')'"]),
        (f"{CPU}{{vm=(a|b", len(CPU) + 4, ["not closed"]),
        ("live:vms", 5, ["vm"]),
        (f"nope:{CPU}", None, ["avg"]),
        (f"5m-nope:{CPU}", None, ["avg"]),
        (f"{CPU}{{vm=wildcard(a)}}", None, ["literal_or"]),
        (f"{CPU}{{vm=regexp(*)}}", None, ["regular expression"]),
        ("live:vm{nope=a}", None, ["nope"]),
    ],
)
def test_a_bad_target_is_named_with_its_position(
    post: Post, target: str, position: int | None, words: list[str]
) -> None:
    error = assert_union(post("/query", panel(f"sum:{CPU}", target)), 400)
    assert error["field"] == "targets[1].target"
    assert error.get("position") == position
    assert error["message"].startswith("targets[1].target")
    assert all(word in error["message"] for word in words)


GOOD = {"target": CPU, "refId": "A"}
RANGE = panel()["range"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"range": RANGE}, "targets"),
        ({"range": RANGE, "targets": None}, "targets"),
        ({"range": RANGE, "targets": {}}, "targets"),
        ({"range": RANGE, "targets": "x"}, "targets"),
        ({"range": RANGE, "targets": ["x"]}, "targets[0]"),
        ({"range": RANGE, "targets": [GOOD, None]}, "targets[1]"),
        ({"range": RANGE, "targets": [{"target": 7}]}, "targets[0].target"),
        ({"range": RANGE, "targets": [{"target": ["a"]}]}, "targets[0].target"),
        ({"range": RANGE, "targets": [{"target": {"a": 1}}]}, "targets[0].target"),
        ({"range": RANGE, "targets": [{**GOOD, "refId": 7}]}, "targets[0].refId"),
        ({"range": RANGE, "targets": [{**GOOD, "refId": "x" * 201}]}, "targets[0].refId"),
        ({"targets": [GOOD]}, "range"),
        ({"targets": [GOOD], "range": None}, "range"),
        ({"targets": [GOOD], "range": []}, "range"),
        ({"targets": [GOOD], "range": "now-6h"}, "range"),
        ({"targets": [GOOD], "range": {}}, "range.from"),
        ({"targets": [GOOD], "range": {"from": 1}}, "range.to"),
        ({"targets": [GOOD], "range": {"from": True, "to": 2}}, "range.from"),
        ({"targets": [GOOD], "range": {"from": "yesterday", "to": 2}}, "range.from"),
        ({"targets": [GOOD], "range": {"from": [], "to": 2}}, "range.from"),
        ({"targets": [GOOD], "range": {"from": -1, "to": 2}}, "range.from"),
        ({"targets": [GOOD], "range": {"from": 1, "to": 1e300}}, "range.to"),
        ({"targets": [GOOD], "range": {"from": 1, "to": 10**30}}, "range.to"),
        ({"targets": [GOOD], "range": {"from": "0001-01-01T00:00:00Z", "to": 2}}, "range.from"),
        ({"targets": [GOOD], "range": {"from": 1, "to": "9999-12-31T23:59:59Z"}}, "range.to"),
        ({"targets": [GOOD], "range": {"from": "9" * 400, "to": 2}}, "range.from"),
        ({"targets": [GOOD], "range": {"from": "nan", "to": 2}}, "range.from"),
        ({"targets": [GOOD], "range": {"from": 2, "to": 1}}, "range.to"),
        ({"targets": [GOOD], "range": RANGE, "intervalMs": 0}, "intervalMs"),
        ({"targets": [GOOD], "range": RANGE, "intervalMs": "5m"}, "intervalMs"),
        ({"targets": [GOOD], "range": RANGE, "intervalMs": []}, "intervalMs"),
        ({"targets": [GOOD], "range": RANGE, "maxDataPoints": -5}, "maxDataPoints"),
        ({"targets": [GOOD], "range": RANGE, "maxDataPoints": True}, "maxDataPoints"),
        ({"targets": [GOOD], "range": RANGE, "adhocFilters": {}}, "adhocFilters"),
        ({"targets": [GOOD], "range": RANGE, "filters": ["x"]}, "filters[0]"),
        ({"targets": [{**GOOD, "payload": []}], "range": RANGE}, "targets[0].payload"),
        ({"targets": [{**GOOD, "payload": "x"}], "range": RANGE}, "targets[0].payload"),
    ],
)
def test_a_bad_request_is_400_and_names_the_part(post: Post, body: Any, field: str) -> None:
    assert assert_union(post("/query", body), 400)["field"] == field


def test_the_whole_of_time_is_no_accident(post: Post) -> None:
    body = panel(f"{CPU}{{vm=vm-101}}", range={"from": 0, "to": NOW * 1000})
    response = post("/query", body)
    assert response.status_code == 200
    assert 0 < len(response.json()[0]["datapoints"]) <= 755 + 2


def test_iso_times_are_read_with_and_without_offset(post: Post) -> None:
    expected = ask(post, f"{CPU}{{vm=vm-101}}", range={"from": 1767225600000, "to": 1767229200000})
    for start, end in (
        ("2026-01-01T00:00:00.000Z", "2026-01-01T01:00:00.000Z"),
        ("2026-01-01T00:00:00", "2026-01-01T02:00:00+01:00"),
        ("1767225600000", "1767229200000"),
    ):
        assert ask(post, f"{CPU}{{vm=vm-101}}", range={"from": start, "to": end}) == expected


def test_too_many_targets_are_refused_at_once(post: Post) -> None:
    error = assert_union(post("/query", panel(*([GOOD] * 10_000))), 413)
    assert "max_targets" in error["message"]


def test_too_many_series_name_the_setting(client: httpx.Client) -> None:
    with serving(make_app(limits=Limits(max_series=3))) as url:
        error = assert_union(client.post(url + "/query", json=panel(CPU)), 413)
        assert client.post(url + "/query", json=panel(f"sum:{CPU}")).status_code == 200
    assert "max_series" in error["message"]
    assert error["field"] == "targets[0].target"


def test_targets_run_at_the_same_time(client: httpx.Client) -> None:
    source = MemorySource(delay_s=0.05)
    with serving(make_app(source)) as url:
        response = client.post(url + "/query", json=panel(CPU, MEM, f"sum:{CPU}"))
    assert response.status_code == 200
    assert source.most_running == 3
    assert [one["refId"] for one in response.json()] == list("AAAABBBBC")


def test_one_failing_target_fails_the_answer_and_stops_the_others(client: httpx.Client) -> None:
    source = MemorySource(delay_s=60, failure=UpstreamError("it broke"), failing=frozenset({MEM}))
    with serving(make_app(source)) as url:
        error = assert_union(client.post(url + "/query", json=panel(CPU, MEM, CPU)), 502)
    assert error["field"] == "targets[1].target"
    assert source.running == 0


def test_a_large_answer_is_complete(post: Post) -> None:
    """Above the size at which encoding moves to a thread."""
    body = panel(f"1s-avg-zero:{CPU}{{vm=vm-101|vm-102}}", hours=6)
    response = post("/query", body)
    assert response.status_code == 200
    assert [len(one["datapoints"]) for one in response.json()] == [21_601, 21_601]


def test_a_long_text_is_not_repeated_in_full(post: Post) -> None:
    error = assert_union(post("/query", panel("x" * 100_000 + "{")), 400)
    assert len(error["message"]) < 2_000
    error = assert_union(post("/query", panel("x" * 300_000)), 400)
    assert error["position"] == 262_144
    error = assert_union(post("/query", panel(f"{CPU} as {'x' * 501}")), 400)
    assert "legend" in error["message"]


# --- live tables of an inventory that lacks something ----------------------------------------


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"state": "failed", "problem": "no connection"}, "is failed: no connection"),
        ({"state": "partial", "problem": "vm: 500"}, "is partial: vm: 500"),
        ({"state": "expired", "problem": "not renewed"}, "is expired: not renewed"),
        ({"polled_at": NOW - 901}, "was last read 901 s ago, more than 900 s"),
    ],
)
def test_a_live_table_says_what_it_lacks(changes: dict[str, Any], words: str) -> None:
    (service,) = small_company().services.values()
    stale = replace(service, **changes)
    other = replace(service, name="pcc-2", datacenters={})
    both = Snapshot({SERVICE: stale, "pcc-2": other}, version=2)
    with serving(make_app(snapshot=both)) as url, httpx.Client(base_url=url) as client:
        response = client.post("/query", json=panel("live:vm"))
        [table] = response.json()
        [notice] = table["meta"]["notices"]
        assert words in notice["text"]
        assert words in response.headers["warning"]
        assert response.headers["age"]
        assert table["rows"]
        well = client.post("/query", json=panel("live:vm{service=pcc-2}"))
        assert "warning" not in well.headers
        assert "meta" not in well.json()[0]
        told = client.post("/query", json=panel("live:service"))
        assert "warning" not in told.headers  # it says so in its columns


@pytest.mark.parametrize("state", ["warming", "failed", "expired"])
def test_a_live_table_of_nothing_that_was_ever_read_is_none(state: str) -> None:
    (service,) = small_company().services.values()
    unread = replace(service, state=state, problem="a reason", polled_at=None, datacenters={})
    for snapshot, words in (
        (Snapshot(), "/readyz"),
        (Snapshot(unlisted=("canada",)), "'canada'"),
        (Snapshot({SERVICE: unread}, version=2), "a reason"),
    ):
        with serving(make_app(snapshot=snapshot)) as url:
            response = httpx.post(f"{url}/query", json=panel("live:vm"))
        assert words in assert_union(response, 503)["message"]


def test_a_service_that_expired_before_it_was_read_is_not_missed() -> None:
    (service,) = small_company().services.values()
    expired = replace(service, name="pcc-2", state="expired", polled_at=None, datacenters={})
    both = Snapshot({SERVICE: service, "pcc-2": expired}, version=2)
    with serving(make_app(snapshot=both)) as url:
        response = httpx.post(f"{url}/query", json=panel("live:vm"))
    assert response.status_code == 200
    assert "warning" not in response.headers
