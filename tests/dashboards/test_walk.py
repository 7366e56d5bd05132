"""Every panel and variable of every dashboard against the running demo: nothing is empty."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from tests.dashboards.walk import FILES, FOLDER, load, values_of, walk

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import httpx

    from tests.dashboards.walk import Walk


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_nothing_is_empty(opened: Callable[[Path], Walk], path: Path) -> None:
    walked = opened(path)
    empty = [name for name, offered in walked.options.items() if not offered]
    empty += [
        f"{asked}, query {ref_id}"
        for asked in walked.asked
        if asked.kind != "variable"
        for ref_id, values in values_of(asked)
        if not values
    ]
    assert not empty, "\n".join(empty)
    assert set(walked.options) == walked.chosen.used, "a variable nothing asks with"


def linked(walked: Walk) -> dict[str, tuple[str, dict[str, Any]]]:
    """Return each address that rows link to, with a table and the first row it stands in."""
    found: dict[str, tuple[str, dict[str, Any]]] = {}
    for asked in walked.of("panel"):
        links = [
            link["url"]
            for override in asked.saved["fieldConfig"]["overrides"]
            for one in override["properties"]
            if one["id"] == "links"
            for link in one["value"]
        ]
        if asked.request.path == "/rows":
            found |= {link: (str(asked), asked.answer[0]) for link in links}
    return found


def opened_by(link: str, row: dict[str, Any]) -> tuple[str, dict[str, str]]:
    """Return the dashboard that a link leads to from a row, and the variables it fills in."""
    filled = re.sub(r"\$\{__data\.fields\.(\w+)\}", lambda match: row[match[1]], link)
    address = urlsplit(filled)
    query, _, rest = address.query.rpartition("&")
    assert rest == "${__url_time_range}"
    given = {name.removeprefix("var-"): value for name, value in parse_qsl(query)}
    return address.path.removeprefix("/d/"), given


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_rows_lead_to_pages_about_them(
    demo: httpx.Client, opened: Callable[[Path], Walk], path: Path
) -> None:
    for link, (title, row) in linked(opened(path)).items():
        uid, given = opened_by(link, row)
        page = load(FOLDER / f"{uid}.json")
        assert set(given) == {one["name"] for one in page["templating"]["list"]}, title
        answers = [
            asked.answer
            for asked in walk(demo, page, **given).of("panel")
            if asked.request.path == "/rows"
        ]
        assert answers[0], (title, given)
