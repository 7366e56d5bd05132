"""Says on standard error what a command is waiting for, once it takes a while."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

FIRST_S = 1.5
EVERY_S = 5.0


@contextlib.asynccontextmanager
async def progress(what: str) -> AsyncIterator[None]:
    """Write ``what`` after a short while, and again every few seconds, until the block ends."""
    task = asyncio.create_task(_report(what))
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _report(what: str) -> None:
    started = time.monotonic()
    await asyncio.sleep(FIRST_S)
    while True:
        typer.echo(f"{what} ... {time.monotonic() - started:.0f} s", err=True)
        await asyncio.sleep(EVERY_S)
