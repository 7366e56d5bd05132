"""A store that is open and sends, as the bridge runs it."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from bridge.sources.opentsdb_store import OpenTsdbStore


@contextlib.asynccontextmanager
async def sending(store: OpenTsdbStore) -> AsyncIterator[OpenTsdbStore]:
    await store.open()
    task = asyncio.create_task(store.run_maintenance())
    try:
        yield store
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await store.close()
