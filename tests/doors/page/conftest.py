"""Pages of the small company."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.doors.page.reading import Element, read

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx


@pytest.fixture(scope="session")
def page(client: httpx.Client, base: str) -> Callable[..., Element]:
    """Get a page, check its status, and return its root."""

    def get(path: str, status: int = 200, **query: str | list[str]) -> Element:
        response = client.get(base + path, params=query or None, headers={"Accept": "text/html"})
        assert response.status_code == status, response.text[:2000]
        return read(response)

    return get
