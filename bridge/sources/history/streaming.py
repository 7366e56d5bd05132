"""What a worker thread writes, as an asynchronous stream of bytes."""

from __future__ import annotations

import asyncio
import os
from io import FileIO
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from bridge.sources.history.workers import Workers

#: Bytes taken at once.
_PIECE = 1 << 18


async def stream(workers: Workers, write: Callable[[FileIO], None]) -> AsyncIterator[bytes]:
    """Run ``write`` in a thread and give what it writes.

    Args:
        workers: Where the thread comes from.
        write: Gets the end of a pipe, and closes it. When nobody reads on, writing fails.

    Raises:
        BridgeError: Whatever ``write`` raises; what has been given is incomplete.
    """
    source_end, sink_end = os.pipe()
    source, sink = FileIO(source_end, "rb"), FileIO(sink_end, "wb")
    begun = False

    def work() -> None:
        nonlocal begun
        begun = True
        write(sink)

    async def run() -> None:
        try:
            await workers.read_long(work)
        finally:
            if not begun:
                sink.close()

    running = asyncio.ensure_future(run())
    try:
        while piece := await asyncio.to_thread(source.read, _PIECE):
            yield piece
    finally:
        source.close()
        failed = (await asyncio.gather(running, return_exceptions=True))[0]
    if isinstance(failed, BaseException):
        raise failed
