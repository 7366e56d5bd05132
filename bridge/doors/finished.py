"""Answers as they go out, given again while they are good.

One that is asked for again and again is compressed once, beside the work: sending it then
costs less than sending it as it is, and a browser behind Grafana's proxy, which compresses
nothing by itself, gets a fifth of the bytes (docs/performance.md).
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bridge.doors.compression import gzipped
from bridge.remembered import Remembered

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

#: Bytes from which an answer that repeats is compressed.
WORTH_PACKING = 16 * 1024


@dataclass(eq=False, slots=True)
class Finished:
    """An answer as it goes out.

    Attributes:
        body: JSON.
        headers: What to say about it.
        read_at: When the oldest of it that may still change was read, in monotonic seconds.
        good_until: Until when it may be given again, in monotonic seconds.
        is_known: Whether it has gone out before.
        packed: The same as gzip, once it has been made; empty while it is being made.
    """

    body: bytes
    headers: Mapping[str, str]
    read_at: float
    good_until: float
    is_known: bool = False
    packed: bytes | None = None

    def give(self, *, gzip: bool) -> tuple[bytes, dict[str, str]]:
        """Return what goes out now, and the headers with it.

        Args:
            gzip: Whether the client reads gzip.
        """
        repeats, self.is_known = self.is_known, True
        if len(self.body) < WORTH_PACKING:
            return self.body, dict(self.headers)
        headers = {**self.headers, "Vary": "Accept-Encoding"}
        if not gzip:
            return self.body, headers
        if self.packed:
            return self.packed, {**headers, "Content-Encoding": "gzip"}
        if repeats and self.packed is None:
            self.packed = b""
            packing = asyncio.get_running_loop().run_in_executor(None, gzipped, self.body)
            packing.add_done_callback(self._pack)
        return self.body, headers

    def _pack(self, packing: asyncio.Future[bytes]) -> None:
        if not packing.cancelled() and packing.exception() is None:
            self.packed = packing.result()


def finished_answers(
    room: int, timer: Callable[[], float] = time.monotonic
) -> Remembered[Finished]:
    """Return a cache of finished answers.

    Args:
        room: Bytes.
        timer: Monotonic seconds.
    """
    return Remembered(
        lambda answer: answer.good_until - timer(),
        timer,
        room=room,
        # As gzip it takes another fifth to a third.
        size_of=lambda answer: len(answer.body) * 4 // 3 + 1_000,
        holds=lambda answer, asked: bool(answer.headers) or answer.good_until >= asked,
    )
