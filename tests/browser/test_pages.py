"""The page in headless Chromium, with the demo's data."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.doors.page.test_hostile import company
from tests.doors.stand import make_app
from tests.servers import serving

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Page

    from tests.browser.conftest import Visit

    Start = Callable[..., Visit]

# A browser on a busy machine takes its time.
pytestmark = pytest.mark.timeout(300)

CPU = "vscope.vm.cpu.usage.perc"
BY_CLUSTER = f"/explore?metric={CPU}&aggregator=avg&group_by=cluster"
PAGES = (
    "/",
    "/explore",
    BY_CLUSTER,
    "/explore?metric=vscope.vm.cpu.ready&from=now-24h",
    f"/explore?metric={CPU}&vm_name=web-*&from=now-1h&show=table",
    f"/explore?target=avg:{CPU}{{cluster=Cluster1}}{{cluster=Cluster2}}",
    f"/explore?metric={CPU}&cluster=nowhere",
    "/live?search=web",
    "/live?kind=host&columns=all",
    "/live?kind=task",
)
#: Answered with 400, which browsers note in the console.
WRONG = (f"/explore?metric={CPU}&cluster=regexp((&from=yesterday", "/live?cluster=regexp((")


#: Nothing but colours changes with the scheme.
RULES = {"light": {}, "dark": {"runOnly": ["color-contrast"]}}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_load_without_a_complaint_and_for_everyone(visit: Start, scheme: str) -> None:
    one = visit(color_scheme=scheme)
    for path in PAGES:
        assert one.go(path).status == 200, path
        check_accessibility(one.page, path, RULES[scheme])
        assert one.heard() == []
    for path in WRONG:
        assert one.go(path).status == 400
        check_accessibility(one.page, path, RULES[scheme])
        (told,) = one.heard()
        assert "status of 400" in told


def check_accessibility(page: Page, path: str, rules: dict[str, list[str]]) -> None:
    options = {"resultTypes": ["violations"], **rules}
    found = Axe().run(page, options=options).response["violations"]
    told = [
        (rule["id"], rule["impact"], [node["html"][:200] for node in rule["nodes"][:3]])
        for rule in found
    ]
    assert told == [], path


@pytest.mark.parametrize("width", [360, 390, 768, 1280, 1600])
def test_nothing_hangs_over_or_jumps(visit: Start, width: int) -> None:
    one = visit(viewport={"width": width, "height": 800})
    one.page.add_init_script(
        "window.shifts = []; new PerformanceObserver((list) => {"
        " for (const one of list.getEntries()) window.shifts.push(one.value);"
        "}).observe({type: 'layout-shift', buffered: true});"
    )
    for path in PAGES:
        one.go(path)
        wide = one.page.evaluate("document.documentElement.scrollWidth")
        assert wide <= width, path
        assert one.page.evaluate("window.shifts.reduce((sum, one) => sum + one, 0)") < 0.05, path


def test_exploring_a_metric_draws_a_line(visit: Start) -> None:
    one = visit()
    page = one.page
    one.go("/")
    page.get_by_role("link", name="Explore").first.click()
    page.get_by_role("link", name="VM processor usage").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("VM processor usage")
    lines = page.locator("svg.lines path.line")
    expect(lines).to_have_count(2)
    box = lines.first.bounding_box()
    assert box is not None
    assert box["width"] > 600
    assert box["height"] > 5
    strokes = {line.evaluate("one => getComputedStyle(one).stroke") for line in lines.all()}
    assert len(strokes) == 2

    # Ask more, without a new page: the address follows.
    page.locator("input[name=vm_name]").fill("web-*")
    page.get_by_label("each vm_name").check()
    expect(page.locator("#legend-table tbody tr").first).to_contain_text("web-")
    assert "vm_name=web-%2A" in page.url
    assert "group_by=vm_name" in page.url
    shared = page.url
    names = page.locator("#legend-table tbody th").all_inner_texts()
    page.goto(shared)
    assert page.locator("#legend-table tbody th").all_inner_texts() == names

    page.get_by_label("Metric", exact=True).select_option("vscope.host.mem.usage.perc")
    expect(page.get_by_role("heading", level=1)).to_have_text("Host memory usage")
    expect(page.locator("input[name=host]")).to_be_visible()
    assert "filter was left out" in page.locator(".notices").inner_text()
    page.go_back()
    expect(page.get_by_role("heading", level=1)).to_have_text("VM processor usage")


def test_an_error_appears_at_its_field_and_goes_away(visit: Start) -> None:
    one = visit()
    page = one.page
    one.go(BY_CLUSTER)
    page.get_by_label("Step", exact=True).fill("5x")
    page.get_by_label("Step", exact=True).press("Enter")
    expect(page.locator("#downsample-wrong")).to_contain_text("expected a unit")
    expect(page.get_by_label("Step", exact=True)).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_role("alert")).to_be_visible()
    assert any("400" in told for told in one.heard())
    page.get_by_label("Step", exact=True).fill("15m")
    page.get_by_label("Step", exact=True).press("Enter")
    expect(page.locator("#downsample-wrong")).to_be_empty()
    expect(page.locator("svg.lines path.line")).to_have_count(2)
    expect(page.locator(".sub")).to_contain_text("15 min")


def test_values_under_the_pointer_and_a_dragged_range(visit: Start) -> None:
    one = visit()
    page = one.page
    one.go(BY_CLUSTER)
    box = page.locator(".plot").bounding_box()
    assert box is not None
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] * 0.25, middle)
    tip = page.locator(".tip")
    expect(tip).to_be_visible()
    assert re.search(r"\d{4}-\d\d-\d\d \d\d:\d\d", tip.inner_text())
    assert tip.inner_text().count("%") == 2
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.75, middle, steps=4)
    page.mouse.up()
    expect(page).to_have_url(re.compile(r"from=20\d\d-.*&to=20\d\d-"))
    expect(page.locator("svg.lines path.line")).to_have_count(2)
    page.mouse.move(0, 0)
    expect(page.locator(".tip")).to_be_hidden()
    page.locator("#legend-table tbody tr").first.hover()
    expect(page.locator("svg.lines g.lit")).to_have_count(1)


def test_works_without_script(visit: Start) -> None:
    one = visit(java_script_enabled=False)
    page = one.page
    lines = page.locator("svg.lines path.line")
    heading = page.get_by_role("heading", level=1)
    one.go("/")
    page.get_by_role("link", name="Explore").first.click()
    page.get_by_role("link", name="VM processor usage").click()
    expect(lines).to_have_count(2)
    expect(page.locator("button.copy").first).to_be_hidden()
    page.locator("input[name=cluster]").fill("Cluster1")
    page.get_by_role("button", name="Show").click()
    expect(lines).to_have_count(1)
    page.get_by_label("Metric", exact=True).select_option("vscope.host.cpu.usage.perc")
    page.get_by_role("button", name="Show").click()
    expect(heading).to_have_text("Host processor usage")
    expect(page.locator("input[name=cluster]")).to_have_value("Cluster1")
    page.get_by_role("link", name="24 hours").click()
    expect(page.get_by_label("From")).to_have_value("now-24h")
    page.get_by_role("link", name="values as a table").click()
    expect(page.locator("table.values tbody tr").nth(100)).to_be_attached()
    page.get_by_role("link", name="Live tables").click()
    page.get_by_label("Name contains").fill("web")
    page.get_by_role("button", name="Filter").click()
    names = page.locator("table.live tbody th")
    expect(page.get_by_label("Name contains")).to_have_value("web")
    found = names.all_inner_texts()
    assert found
    assert all("web" in name for name in found)
    page.get_by_role("link", name="CPU usage %").click()
    expect(page.locator("th[aria-sort=descending]")).to_have_text("CPU usage %")
    page.get_by_role("link", name=found[0], exact=True).click()
    expect(heading).to_have_text("VM processor usage")
    expect(page.locator("#legend-table tbody tr")).to_have_count(1)


def test_works_with_the_keyboard_alone(visit: Start) -> None:
    one = visit()
    page = one.page
    one.go("/")
    page.keyboard.press("Tab")
    assert focused(page) == "Skip to content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    one.go("/explore")
    tab_to(page, "VM processor usage")
    assert outline(page)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("VM processor usage")
    tab_to(page, "cluster", name="cluster")
    page.keyboard.type("Cluster1")
    page.keyboard.press("Enter")
    expect(page.locator("svg.lines path.line")).to_have_count(1)
    assert page.evaluate("document.activeElement.name") == "cluster"
    expect(page.locator("#said")).to_contain_text("updated")
    tab_to(page, "", id="chart")
    assert outline(page)
    page.keyboard.press("ArrowRight")
    expect(page.locator("#said")).to_contain_text("Cluster1")
    first = page.locator("#said").inner_text()
    page.keyboard.press("End")
    assert page.locator("#said").inner_text() != first
    page.keyboard.press("Escape")
    expect(page.locator(".tip")).to_be_hidden()
    tab_to(page, "Copy")
    page.keyboard.press("Enter")
    expect(page.locator("#said")).to_contain_text(re.compile("Copied|marked"))


def focused(page: Page) -> str:
    return str(page.evaluate("document.activeElement.textContent.trim()"))


def outline(page: Page) -> bool:
    """Whether it can be seen where the focus is."""
    width = page.evaluate("getComputedStyle(document.activeElement).outlineWidth")
    style = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    return str(style) != "none" and str(width) != "0px"


def tab_to(page: Page, text: str, **attributes: str) -> None:
    for _ in range(80):
        page.keyboard.press("Tab")
        if attributes:
            ((name, value),) = attributes.items()
            if page.evaluate(f"document.activeElement.{name}") == value:
                return
        elif focused(page) == text:
            return
    pytest.fail(f"never reached {text or attributes}")


def test_small_screens_keep_the_form_closed_and_reachable(visit: Start) -> None:
    one = visit(viewport={"width": 390, "height": 800}, has_touch=True)
    page = one.page
    one.go(BY_CLUSTER)
    expect(page.locator("input[name=cluster]")).to_be_hidden()
    page.get_by_text("Labels, series and steps (2 set)").click()
    expect(page.locator("input[name=cluster]")).to_be_visible()
    wide = visit()
    wide.go(BY_CLUSTER)
    expect(wide.page.locator("input[name=cluster]")).to_be_visible()


def test_the_viewers_own_zone_is_offered(visit: Start) -> None:
    one = visit(timezone_id="Asia/Tokyo")
    one.go(BY_CLUSTER)
    assert one.page.locator("#zones option[value='Asia/Tokyo']").count() == 1
    one.page.get_by_label("Time zone").fill("Asia/Tokyo")
    one.page.get_by_label("Time zone").press("Enter")
    expect(one.page.locator(".zone")).to_have_text("Asia/Tokyo")
    expect(one.page.locator(".sub")).to_contain_text("Asia/Tokyo")


def test_the_address_for_grafana_is_the_browsers(visit: Start, demo: str) -> None:
    one = visit()
    one.go("/")
    assert one.page.locator("[data-base]").inner_text() == demo


def test_the_overview_keeps_fresh(visit: Start) -> None:
    one = visit()
    one.page.clock.install()
    one.go("/")
    one.page.evaluate("document.querySelector('#overview h1').textContent = 'stale'")
    one.page.clock.run_for(31_000)
    expect(one.page.locator("#overview h1")).to_have_text("Overview")


def test_hostile_names_run_nothing(visit: Start) -> None:
    name = "<img src=x onerror=alert(1)>\"'><script>alert(2)</script>"
    with serving(make_app(snapshot=company(name))) as url:
        one = visit(url)
        dialogs: list[str] = []
        one.page.on("dialog", lambda dialog: dialogs.append(dialog.message))
        for path in ("/", "/live?columns=all", f"/explore?metric={CPU}&show=table"):
            one.go(path)
        one.go(f"/explore?metric={CPU}")
        box = one.page.locator(".plot").bounding_box()
        assert box is not None
        one.page.mouse.move(box["x"] + 50, box["y"] + 50)
        assert name in one.page.locator(".tip").inner_text()
        assert one.page.locator("img").count() == 0
        assert dialogs == []
        assert one.heard() == []
