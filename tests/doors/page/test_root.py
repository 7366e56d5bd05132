"""Who gets a page at ``/`` and who gets JSON; what every page promises the browser."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from bridge.doors.page.html import wants_html
from bridge.doors.page.status import (
    Amount,
    Level,
    Link,
    Mark,
    Moment,
    Problem,
    Section,
    Status,
)
from bridge.doors.page.units import MISSING
from bridge.settings import Credential
from tests.doors.page.reading import read
from tests.doors.stand import CPU, NOW, MemorySource, make_app
from tests.servers import serving

if TYPE_CHECKING:
    import httpx

BROWSERS = (
    "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
    "text/html, application/xhtml+xml, image/jxr, */*",
    "text/html",
)
#: As Grafana 9.4's datasource tests sent them, recorded; the last two are other clients'.
DATASOURCES = (
    "application/json, text/plain, */*",
    "*/*",
    None,
    "application/json",
    "application/json;q=0.9,text/plain",
    "application/json, text/html;q=0.5",
    "text/html;q=0, */*",
)
PAGES = ("/", "/explore", f"/explore?metric={CPU}", "/live", "/live?kind=task", "/explore?metric=x")


@pytest.mark.parametrize("accept", DATASOURCES)
def test_a_datasource_test_gets_json(client: httpx.Client, base: str, accept: str | None) -> None:
    for method in ("GET", "HEAD", "POST", "OPTIONS"):
        request = client.build_request(method, base + "/", headers={"Accept": accept or ""})
        if accept is None:
            del request.headers["Accept"]
        response = client.send(request)
        assert response.status_code == 200
        assert response.headers["content-type"] == "application/json"
        assert "Accept" in response.headers["vary"]


@pytest.mark.parametrize("accept", BROWSERS)
def test_a_browser_gets_the_page(client: httpx.Client, base: str, accept: str) -> None:
    response = client.get(base + "/", headers={"Accept": accept})
    assert response.status_code == 200
    assert read(response).one("h1").text == "Overview"
    head = client.head(base + "/", headers={"Accept": accept})
    assert head.headers["content-type"].startswith("text/html")
    assert head.content == b""
    posted = client.post(base + "/", headers={"Accept": accept})
    assert posted.headers["content-type"] == "application/json"


def test_odd_accept_headers_are_no_error() -> None:
    assert not wants_html("text/html;q=zero")
    assert wants_html("TEXT/HTML ; Q=0.4")
    assert not wants_html(";;,,=")


def test_the_overview_asks_no_upstream(client: httpx.Client) -> None:
    source = MemorySource()
    with serving(make_app(source)) as url:
        client.get(url + "/", headers={"Accept": "text/html"}).raise_for_status()
    assert source.asked == []


@pytest.mark.parametrize("path", PAGES)
def test_every_page_is_strict(client: httpx.Client, base: str, path: str) -> None:
    response = client.get(base + path, headers={"Accept": "text/html"})
    policy = response.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["referrer-policy"] == "no-referrer"
    assert response.headers["cache-control"] == "no-store"
    assert "set-cookie" not in response.headers
    root = read(response)
    for script in root.all("script"):
        assert script.attributes["src"]
        assert not script.children
    assert not list(root.all("style"))
    for element in root.all():
        assert "style" not in element.attributes, element
        assert not [name for name in element.attributes if name.startswith("on")], element
        for name in ("href", "src", "action"):
            # Relative everywhere: nothing from elsewhere, and a proxy may add a prefix.
            address = element.attributes.get(name, "")
            assert not re.match(r"[a-z]+:|/", address), address


@pytest.mark.parametrize("path", PAGES)
def test_every_page_can_be_navigated(client: httpx.Client, base: str, path: str) -> None:
    root = read(client.get(base + path, headers={"Accept": "text/html"}))
    assert root.one("html").attributes["lang"] == "en"
    assert root.one("main").attributes["id"] == "main"
    assert root.one("a", class_="skip").attributes["href"] == "#main"
    assert len(list(root.all("h1"))) == 1
    ids = [one.attributes["id"] for one in root.all() if "id" in one.attributes]
    assert len(ids) == len(set(ids))
    for field in (*root.all("input"), *root.all("select"), *root.all("textarea")):
        if field.attributes.get("type") != "hidden":
            assert list(root.all("label", **{"for": field.attributes["id"]})), field
    for element in root.all():
        for name in ("aria-describedby", "aria-labelledby", "list", "for"):
            if name in element.attributes:
                assert element.attributes[name] in ids, element
    current = list(root.one("header").all("a", aria_current="page"))
    assert len(current) == 1


def test_files_are_kept_for_ever_under_a_name_of_their_content(
    client: httpx.Client, base: str
) -> None:
    root = read(client.get(base + "/", headers={"Accept": "text/html"}))
    addresses = [one.attributes["href"] for one in root.all("link")]
    addresses.append(root.one("script").attributes["src"])
    kinds = set()
    for address in addresses:
        assert re.fullmatch(r"static/\w+\.[0-9a-f]{12}\.(css|js|svg)", address)
        response = client.get(f"{base}/{address}")
        assert response.status_code == 200
        assert "immutable" in response.headers["cache-control"]
        assert response.headers["x-content-type-options"] == "nosniff"
        kinds.add(response.headers["content-type"])
        assert "http://" not in response.text.replace("http://www.w3.org/", "")
        assert "https://" not in response.text
    assert kinds == {"text/css; charset=utf-8", "text/javascript; charset=utf-8", "image/svg+xml"}
    for wrong in ("page.css", "page.000000000000.css", "..%2froutes.py", "%2e%2e/routes.py"):
        assert client.get(f"{base}/static/{wrong}").status_code == 404


def test_every_kind_of_cell_is_shown(client: httpx.Client) -> None:
    row = (
        Link("pcc-1", "live", {"kind": "service"}),
        "words",
        Mark("recording", Level.GOOD),
        Moment(NOW - 7_200),
        Moment(None),
        Amount(1_536, "bytes"),
        Amount(None),
    )
    status = Status(
        Mark("Partly working", Level.WARNING),
        "Two of three.",
        (
            Problem("It <b>broke</b>", "Run `vscope-bridge check`.", Level.BAD),
            Problem("Nobody knows why"),
        ),
        (
            Section("Recording", tuple("ABCDEFG"), (row,), note="Since yesterday."),
            Section("Nothing", ("A",), (), empty="Nothing yet."),
        ),
    )
    with serving(make_app(status=status)) as url:
        root = read(client.get(url + "/", headers={"Accept": "text/html"}))
    (line,) = root.one("tbody").all("tr")
    texts = [cell.text for cell in line.children if not isinstance(cell, str)]
    assert texts == ["pcc-1", "words", "recording", "2 h ago", "never", "1.50 KiB", MISSING]
    assert line.one("a").attributes["href"] == "live?kind=service"
    first, second = root.one("ul", class_="problems").all("li")
    assert "bad" in first.attributes["class"]
    assert "It <b>broke</b>" in first.text
    assert first.one("code").text == "vscope-bridge check"
    assert not list(second.all("code"))
    assert "Nothing yet." in root.text
    assert "Since yesterday." in root.text


def test_pages_need_the_credential(client: httpx.Client) -> None:
    credential = Credential(name="grafana", password="secret-marked")
    with serving(make_app(credentials=(credential,))) as url:
        for path in ("/", f"/explore?metric={CPU}", "/live", "/static/page.css"):
            refused = client.get(url + path, headers={"Accept": "text/html"})
            assert refused.status_code == 401
            assert refused.headers["www-authenticate"].startswith("Basic ")
        answer = client.get(
            f"{url}/explore?metric={CPU}",
            headers={"Accept": "text/html"},
            auth=("grafana", "secret-marked"),
        )
    assert answer.status_code == 200
    assert "curl -sS" in answer.text
    assert "-u grafana" in answer.text
    assert "secret-marked" not in answer.text
