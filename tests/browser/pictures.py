"""Takes the pictures of the documents: ``make pictures``."""

from __future__ import annotations

from pathlib import Path

from tests.browser.chromium import chromium
from tests.browser.demo import demo_bridge

DOCS = Path(__file__).parents[2] / "docs"
SHOWN = "/explore?metric=vscope.host.cpu.usage.perc&from=now-24h"


def main() -> None:
    with demo_bridge() as url, chromium() as browser:
        for scheme in ("light", "dark"):
            page = browser.new_page(
                viewport={"width": 1280, "height": 860},
                color_scheme=scheme,  # type: ignore[arg-type]  # one of two literals
            )
            page.goto(url + SHOWN)
            page.screenshot(path=DOCS / f"page-{scheme}.png")
            page.close()


if __name__ == "__main__":
    main()
