from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.ovh.upstream import Upstream, run_upstream

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def upstream_server() -> Iterator[Upstream]:
    with run_upstream() as server:
        yield server


@pytest.fixture
def upstream(upstream_server: Upstream) -> Upstream:
    upstream_server.reset()
    return upstream_server
