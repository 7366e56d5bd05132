"""Names from elsewhere are text, whatever they look like, on every page."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.doors.page.html import link
from bridge.doors.page.status import Level, Mark, Problem, Section, Status
from bridge.ovh.objects import Seen, Snapshot
from tests.doors.page.reading import Command, read
from tests.doors.page.test_explore import HTML, legend, snippets
from tests.doors.stand import CPU, SERVICE, make_app, small_company
from tests.servers import serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'; rm -rf / #",
    "</title></svg></script><script>alert(2)</script>",
    "{{ 7 * 7 }}{% if %}",
    "$(reboot)`reboot`\\",
    "javascript:alert(1)",
    "\u202egnp.exe\x00\x07",
)  # fmt: skip


def company(name: str) -> Snapshot:
    """The small company, in which everything with a free name has this one."""
    whole = small_company()
    service = whole.services[SERVICE]
    place = service.datacenters[1]

    def renamed(seen: Seen, **names: str) -> Seen:
        return replace(seen, value=seen.value.model_copy(update=names))

    vms = {
        key: renamed(seen, name=f"{name} {key}", cluster_name=name, folder_name=name)
        for key, seen in place.vms.items()
    }
    tasks = {
        key: renamed(seen, name=name, description=name, created_by=name)
        for key, seen in service.tasks.items()
    }
    assert service.service is not None
    return Snapshot(
        {
            SERVICE: replace(
                service,
                service=renamed(service.service, description=name, web_interface_url=name),
                tasks=tasks,
                problem=name,
                datacenters={
                    1: replace(place, vms=vms, datacenter=renamed(place.datacenter, name=name))
                },
            )
        },
        version=3,
    )


PAGES = (
    "/",
    "/live?columns=all&hidden=true",
    "/live?kind=service&columns=all",
    "/live?kind=task&columns=all",
    "/live?kind=datacenter",
    f"/explore?metric={CPU}",
    f"/explore?metric={CPU}&group_by=cluster&group_by=folder&aggregator=avg",
    f"/explore?metric={CPU}&show=table",
)


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_stay_text(client: httpx.Client, name: str) -> None:
    status = Status(
        Mark(name, Level.BAD),
        name,
        (Problem(name, name),),
        (Section(name, (name,), ((name,),), note=name), Section(name, (), (), empty=name)),
    )
    plain = dict.fromkeys(PAGES, 0)
    with serving(make_app(snapshot=company("plain"), status=status)) as url:
        for path in PAGES:
            root = read(client.get(url + path, headers=HTML))
            plain[path] = sum(one.tag != "code" for one in root.one("main").all())
    with serving(make_app(snapshot=company(name), status=status)) as url:
        for path in PAGES:
            root = read(client.get(url + path, headers=HTML))
            assert [one.attributes.get("src", "")[:7] for one in root.all("script")] == ["static/"]
            assert not list(root.all("img"))
            # The same elements as with a harmless name: nothing broke out of its place.
            assert sum(one.tag != "code" for one in root.one("main").all()) == plain[path]
            for element in root.all("a"):
                assert not element.attributes["href"].startswith("javascript")
        live = read(client.get(f"{url}/live", headers=HTML))
        shown = [cell.text for cell in live.one("table", class_="live").one("tbody").all("th")]
        assert " ".join(f"{name} 101".split()) in shown


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_taken_along_survives_shell_and_parser(client: httpx.Client, name: str) -> None:
    name = name.replace("\x00", "")
    with serving(make_app(snapshot=company(name))) as url:
        root = read(client.get(f"{url}/explore?metric={CPU}", headers=HTML))
        first = root.one("table", id="legend-table").one("tbody").all("a")
        alone = read(client.get(f"{url}/{next(first).attributes['href']}", headers=HTML))
        assert len(legend(alone)) == 1
        grouped = f"{url}/explore?metric={CPU}&group_by=vm_name&group_by=cluster&aggregator=avg"
        table = read(client.get(grouped, headers=HTML)).one("table", id="legend-table")
        narrow = next(table.one("tbody").all("a")).attributes["href"]
        assert "cluster" in narrow
        by_name = read(client.get(f"{url}/{narrow}", headers=HTML))
        assert len(legend(by_name)) == 1
        for title, text in snippets(by_name).items():
            if title != "Target text":
                answer = Command.of(text).run(client)
                assert answer.status_code == 200, answer.text
                assert len(answer.content) > 100
        (panel,) = client.post(
            f"{url}/query",
            json={
                "range": {"from": "2026-01-01T00:00:00Z", "to": "2026-01-01T06:00:00Z"},
                "targets": [{"target": snippets(by_name)["Target text"]}],
            },
        ).json()
        assert panel["datapoints"]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_parameters_stay_text(client: httpx.Client, base: str, text: str) -> None:
    for parameters in (
        {"metric": text},
        {"metric": CPU, text: "x"},
        {"metric": CPU, "cluster": text},
        {"metric": CPU, "group_by": text},
        {"metric": CPU, "aggregator": text, "downsample": text, "legend": text, "rate": text},
        {
            "metric": CPU,
            "from": text,
            "to": text,
            "tz": text,
            "order": text,
            "show": text,
            "of": text,
        },
        {"target": text},
    ):
        root = read(client.get(f"{base}/explore", params=parameters, headers=HTML))
        assert len(list(root.all("script"))) == 1
        assert not list(root.all("img"))
    for parameters in (
        {"kind": text},
        {"search": text},
        {text: text},
        {"sort": text},
        {"tz": text},
    ):
        root = read(client.get(f"{base}/live", params=parameters, headers=HTML))
        assert len(list(root.all("script"))) == 1
        assert not list(root.all("img"))


NAMES = st.sampled_from(
    [
        "metric",
        "target",
        "of",
        "from",
        "to",
        "tz",
        "order",
        "show",
        "cluster",
        "vm",
        "vm_name",
        "group_by",
        "aggregator",
        "downsample",
        "function",
        "fill",
        "rate",
        "legend",
        "explicit_tags",
        "kind",
        "search",
        "sort",
        "page",
        "columns",
        "hidden",
        "name",
        "id",
        "env",
    ]
)
TEXTS = st.one_of(
    st.sampled_from(
        (
            f"{CPU} avg:{CPU}{{cluster=*}} live:vm vscope.host.net.tx avg 5m 0all 1dc now now-6h "
            "now-30d 2026-01-01T05:00 web* a|b regexp(a.*) * zero nan rate table -mean true all "
            "Europe/Paris 2 vm host ( {"
        ).split()
    ),
    st.text(max_size=30),
)


@pytest.fixture(scope="module")
def stand() -> Iterator[str]:
    with serving(make_app(snapshot=company(HOSTILE[0]))) as url:
        yield url


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    path=st.sampled_from(["/explore", "/live", "/"]),
    pairs=st.lists(st.tuples(NAMES | st.text(max_size=10), TEXTS), max_size=8),
    metric=st.sampled_from([CPU, "vscope.host.net.tx", ""]),
)
def test_any_address_gets_a_sound_page(
    client: httpx.Client, stand: str, path: str, pairs: list[tuple[str, str]], metric: str
) -> None:
    asked = [("metric", metric), *pairs] if path == "/explore" else pairs
    clean = [(name, text) for name, text in asked if not _has_surrogates(name + text)]
    response = client.get(stand + path, params=clean, headers=HTML)
    assert response.status_code in {200, 400, 413}, response.text[:500]
    root = read(response)
    assert len(list(root.all("script"))) == 1
    for chart in root.all("div", id="chart"):
        points = json.loads(chart.attributes["data-points"])
        assert all(len(column) == len(points["t"]) for column in points["v"])


def _has_surrogates(text: str) -> bool:
    return any("\ud800" <= char <= "\udfff" for char in text)


def test_links_drop_what_is_empty() -> None:
    assert link("explore") == "explore"
    assert (
        link("explore", {"a": "", "b": [], "c": "x y", "d": ["1", "&"]})
        == "explore?c=x+y&d=1&d=%26"
    )
