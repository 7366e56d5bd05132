"""``/search``, ``/tag-keys`` and ``/tag-values``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs

from bridge.doors.doorway import Limits
from bridge.errors import NotOfferedError
from bridge.ovh.live import LIVE_KINDS
from bridge.ovh.objects import Snapshot
from tests.doors.stand import CPU, DC1, DC2, SERVICE, MemorySource, make_app
from tests.doors.test_http import assert_union
from tests.servers import serving

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx

    Post = Callable[[str, Any], httpx.Response]

NICS = ["vmnic0", "vmnic1"]
VM_LABELS = ["datacenter", "vm", "service", "vm_name", "cluster", "host_name", "folder"]


def search(post: Post, text: Any) -> list[dict[str, str]]:
    response = post("/search", {"target": text})
    assert response.status_code == 200, response.text
    options: list[dict[str, str]] = response.json()
    for option in options:
        assert set(option) == {"text", "value", "__text", "__value"}
        assert all(option.values())
        assert (option["text"], option["value"]) == (option["__text"], option["__value"])
    return options


def values(post: Post, text: str) -> list[str]:
    return [option["value"] for option in search(post, text)]


@pytest.mark.parametrize("text", ["", None])
def test_an_opened_dropdown_lists_metrics_and_live_tables(post: Post, text: Any) -> None:
    found = [option["value"] for option in search(post, text)]
    assert CPU in found
    assert found[-len(LIVE_KINDS) :] == [f"live:{kind}" for kind in LIVE_KINDS]


@pytest.mark.parametrize("text", ["CPU.us", "cpu.us", r"cpu\.us", "Processor usage"])
def test_typing_filters_by_name_or_description(post: Post, text: str) -> None:
    assert values(post, text) == ["vscope.host.cpu.usage.perc", CPU]


@pytest.mark.parametrize("text", ["nothing like it", "metrics of (a|b)", "(", ")", "\\", "avg:x{"])
def test_what_matches_nothing_is_an_empty_list(post: Post, text: str) -> None:
    assert values(post, text) == []


@pytest.mark.parametrize(
    ("text", "listed"),
    [
        ("services()", [SERVICE]),
        ("datacenters()", [DC2, DC1]),
        (f"datacenters({SERVICE})", [DC2, DC1]),
        ("datacenters(other)", []),
        ("clusters(Roubaix)", ["prod", "test"]),
        (f"clusters({DC2})", []),
        ("hosts()", ["172.17.86.51", "172.17.86.52"]),
        (f"hosts({DC1}, cluster=prod)", ["172.17.86.51"]),
        ("hosts(*, cluster=(prod|test))", ["172.17.86.51", "172.17.86.52"]),
        ("hosts(.*)", ["172.17.86.51", "172.17.86.52"]),
        ("vms()", ["vm-103", "vm-101", "vm-102"]),
        ("vms", ["vm-103", "vm-101", "vm-102"]),
        ("vms(Roubaix, cluster=prod)", ["vm-101", "vm-102"]),
        (r"vms((Roubaix|Gravelines), host_name=172\.17\.86\.52)", ["vm-103"]),
        (r"vms(Roubaix, vm_name=db\.main \(old\))", ["vm-103"]),
        ("vms(Gravelines)", []),
        ("vms(hidden=true)", ["vm-103", "vm-104", "vm-101", "vm-102"]),
        ("vms(power_state=poweredOn, name=web*)", ["vm-101", "vm-102"]),
        ("datastores()", ["ssd-000009"]),
        ("nics()", NICS),
        (r"nics(172\.17\.86\.51)", NICS),
        ("nics(none)", []),
        ("metrics(cpu.usage)", ["vscope.host.cpu.usage.perc", CPU]),
        ("metrics(live)", []),
        (f"tag_names({CPU})", VM_LABELS),
        ("tag_names(nope)", []),
        (f"tag_values({CPU}, vm)", ["vm-103", "vm-104", "vm-101", "vm-102"]),
        (f"tag_values({CPU}, vm, cluster=prod)", ["vm-101", "vm-102"]),
        (f"tag_values({CPU}, cluster)", ["prod", "test"]),
        (f"tag_values({CPU}, cluster, vm_name=web*)", ["prod"]),
        (f"tag_values({CPU}, nothing)", []),
        ("tag_values(nope, vm)", []),
        ("suggest_tagk(vm)", ["vm", "vm_name"]),
        ("suggest_tagv(WEB)", ["web01", "web02"]),
    ],
)
def test_functions(post: Post, text: str, listed: list[str]) -> None:
    assert values(post, text) == listed


def test_people_read_names_and_queries_use_labels(post: Post) -> None:
    assert [option["text"] for option in search(post, "vms()")] == [
        "db.main (old)",
        "web01",
        "web02",
    ]
    assert [option["text"] for option in search(post, "datacenters()")] == ["Gravelines", "Roubaix"]


@pytest.mark.parametrize(
    ("text", "position", "word"),
    [
        ("vm()", 0, "vms"),
        ("vms(", 3, "not closed"),
        ("tag_values(a)", 0, "key"),
        ("services(x)", 9, "takes nothing"),
        ("vms(a, b)", 7, "datacenter"),
        ("nics(cluster=a)", 13, "key=value"),
        ("vms(cluster=)", 12, "cluster"),
        ("vms() x", 6, "'x'"),
        ("vms(zone=a)", None, "zone"),
    ],
)
def test_a_call_that_cannot_be_read_is_named(
    post: Post, text: str, position: int | None, word: str
) -> None:
    error = assert_union(post("/search", {"target": text}), 400)
    assert error["field"] == "target"
    assert error.get("position") == position
    assert word in error["message"]


@pytest.mark.parametrize("target", [1, True, [], {}])
def test_a_target_that_is_no_text_is_refused(post: Post, target: Any) -> None:
    assert assert_union(post("/search", {"target": target}), 400)["field"] == "target"


def test_tag_keys_are_all_labels(post: Post) -> None:
    keys = post("/tag-keys", {"filters": [], "timeRange": {}}).json()
    assert {"type": "string", "text": "vm_name", "value": "vm_name"} in keys
    assert {key["text"] for key in keys} >= {*VM_LABELS, "host", "nicname", "datastore", "profile"}


@pytest.mark.parametrize(
    ("key", "listed"),
    [
        ("vm_name", ["db.main (old)", "gone", "web01", "web02"]),
        ("cluster", ["prod", "test"]),
        ("nicname", NICS),
        ("datacenter", [DC1]),
        ("profile", ["ssd"]),
        ("zone", []),
    ],
)
def test_tag_values_come_from_history_and_inventory(
    post: Post, key: str, listed: list[str]
) -> None:
    found = post("/tag-values", {"key": key, "queries": []}).json()
    assert [one["text"] for one in found] == listed


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"key":7}', b'{"key":null}', b" " * 20_000])
@pytest.mark.parametrize("path", ["/tag-keys", "/tag-values"])
def test_ad_hoc_dropdowns_never_fail(client: httpx.Client, path: str, body: bytes) -> None:
    with serving(make_app(limits=Limits(max_body_bytes=10_000))) as url:
        response = client.post(url + path, content=body)
    assert response.status_code == 200
    assert isinstance(response.json(), list)


@pytest.mark.parametrize("failure", [NotOfferedError("not offered"), RuntimeError("broken")])
def test_lists_of_names_live_without_history(client: httpx.Client, failure: Exception) -> None:
    with capture_logs() as logs, serving(make_app(MemorySource(failure=failure))) as url:
        found = client.post(url + "/tag-values", json={"key": "vm_name"})
        listed = client.post(url + "/search", json={"target": f"tag_values({CPU}, vm)"})
    assert found.status_code == 200
    assert {entry["event"] for entry in logs} & {"lookup_failed", "tag_values_failed"}
    if isinstance(failure, NotOfferedError):
        assert [one["text"] for one in found.json()] == ["db.main (old)", "web01", "web02"]
        assert [one["value"] for one in listed.json()] == ["vm-103", "vm-101", "vm-102"]


def test_an_empty_inventory_lists_nothing(client: httpx.Client) -> None:
    source = MemorySource(failure=NotOfferedError("not offered"))
    with serving(make_app(source, snapshot=Snapshot())) as url:
        for text in ("vms()", "services()", "suggest_tagv()", f"tag_values({CPU}, vm)"):
            response = client.post(url + "/search", json={"target": text})
            assert (response.status_code, response.json()) == (200, [])
