"""Every panel and variable of every dashboard against the running demo: nothing is empty."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.dashboards.walk import FILES, load, values_of, walk

if TYPE_CHECKING:
    from pathlib import Path

    import httpx


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_nothing_is_empty(demo: httpx.Client, path: Path) -> None:
    walked = walk(demo, load(path))
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
