"""Notices that the process at the other end of a pipe is gone."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import IO


async def closed(pipe: IO[bytes]) -> None:
    """Wait until a pipe that nobody writes to any more is closed."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(pipe.fileno(), ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(pipe.fileno())
