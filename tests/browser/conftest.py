"""Pages of the bridge with the demo's data, in a browser that keeps what goes wrong."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.chromium import chromium
from tests.browser.demo import demo_bridge

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, Page, Request, Response


@pytest.fixture(scope="module")
def demo() -> Iterator[str]:
    """The address of a bridge that has read the demo's company."""
    with demo_bridge() as url:
        yield url


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One for all tests of a module, no longer: no event loop can run beside Playwright's."""
    with chromium() as opened:
        yield opened


@dataclass
class Visit:
    """A page in the browser, with everything it complained about."""

    page: Page
    base: str
    complaints: list[str] = field(default_factory=list)

    def go(self, path: str) -> Response:
        response = self.page.goto(self.base + path)
        assert response is not None
        return response

    def heard(self) -> list[str]:
        """Return the complaints so far and forget them."""
        told, self.complaints[:] = list(self.complaints), []
        return told


@pytest.fixture
def visit(browser: Browser, demo: str) -> Iterator[Callable[..., Visit]]:
    """Open pages; in the end none may have complained about anything not asked after."""
    opened: list[Visit] = []

    def start(base: str = demo, **options: Any) -> Visit:
        options.setdefault("viewport", {"width": 1280, "height": 900})
        page = browser.new_page(**options)
        page.set_default_timeout(20_000)
        made = Visit(page, base)
        heard = made.complaints.append
        page.on("console", lambda message: heard(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: heard(f"error: {error}"))
        page.on("requestfailed", lambda request: _lost(made, request))
        page.on("request", lambda request: _only_ours(made, request.url))
        opened.append(made)
        return made

    yield start
    told = [complaint for one in opened for complaint in one.heard()]
    for one in opened:
        one.page.close()
    assert told == []


def _lost(visit: Visit, request: Request) -> None:
    # What the page or a new address has made superfluous is not lost.
    if request.failure != "net::ERR_ABORTED":
        visit.complaints.append(f"failed: {request.url} {request.failure}")


def _only_ours(visit: Visit, url: str) -> None:
    if not url.startswith(visit.base):
        visit.complaints.append(f"elsewhere: {url}")
