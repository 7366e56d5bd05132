"""What the tests of APIv6 calls share."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from bridge.ovh.api import OvhApi
from bridge.ovh.errors import (
    OvhError,
)
from tests.ovh.upstream import FakeTime

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from bridge.settings import Account

SERVICE = "/dedicatedCloud/pcc-1"
HTML = b"<html><body>504 Gateway Time-out</body></html>"


@asynccontextmanager
async def opened(account: Account, **more: Any) -> AsyncIterator[OvhApi]:
    fake = FakeTime()
    more = {"clock": fake, "sleep": fake.sleep, **more}
    api = OvhApi(account, **more)
    try:
        yield api
    finally:
        await api.close()


async def failing(api: OvhApi, path: str = SERVICE) -> OvhError:
    with pytest.raises(OvhError) as caught:
        await api.get(path)
    return caught.value
