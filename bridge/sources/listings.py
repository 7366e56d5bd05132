"""The series of each metric, listed once and remembered for a while."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from cachetools import TTLCache

from bridge.engine.filters import match_all

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from bridge.model import TagFilter

    Tags = Mapping[str, str]

#: Seconds the list of a metric's series is trusted. A series younger than this is missing
#: only from lists, never from answers: fetches match by label, not by this list.
LOOKUP_TTL_S = 120.0


def text_tags(content: Any) -> dict[str, str]:
    """Return an answer's tags, which are an object of texts.

    Raises:
        TypeError: They are something else.
    """
    if not isinstance(content, dict) or not all(isinstance(v, str) for v in content.values()):
        raise TypeError("tags are an object of texts")
    return content


class Listings:
    """Lists of series; concurrent questions for one metric are one.

    Args:
        look_up: Asks for the tags of a metric's series.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        look_up: Callable[[str], Awaitable[tuple[Tags, ...]]],
        clock: Callable[[], float],
    ) -> None:
        self._look_up = look_up
        self._known: TTLCache[str, tuple[Tags, ...]] = TTLCache(256, LOOKUP_TTL_S, clock)
        self._running: dict[str, asyncio.Task[tuple[Tags, ...]]] = {}

    async def of(self, metric: str, filters: tuple[TagFilter, ...] = ()) -> tuple[Tags, ...]:
        """Return the tags of the metric's series that match.

        Raises:
            BridgeError: Whatever ``look_up`` raises, or a broken filter.
        """
        found = self._known.get(metric)
        if found is None:
            found = await self._asked(metric)
        if not filters:
            return found
        matches = match_all(filters)
        return tuple(tags for tags in found if matches(tags))

    def forget(self, metric: str) -> None:
        """Have the metric's series listed anew."""
        self._known.pop(metric, None)

    async def _asked(self, metric: str) -> tuple[Tags, ...]:
        running = self._running.get(metric)
        if running is None:
            running = asyncio.create_task(self._ask(metric))
            self._running[metric] = running
            running.add_done_callback(lambda task: self._finished(metric, task))
        # Shielded: a caller that is cancelled must not take the list from the others.
        return await asyncio.shield(running)

    def _finished(self, metric: str, task: asyncio.Task[tuple[Tags, ...]]) -> None:
        self._running.pop(metric, None)
        if not task.cancelled():
            # Looked at, so that nobody complains when every waiter has gone away.
            task.exception()

    async def _ask(self, metric: str) -> tuple[Tags, ...]:
        found = await self._look_up(metric)
        self._known[metric] = found
        return found
