"""A token bucket for one credential, waited for without holding a thread.

OVHcloud's limit is undocumented; its staff named 60 calls a minute for a consumer key as
safe (reference: ovh 3.1). The bucket is strict: whatever the burst, no 60 seconds hold more
than the limit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

Clock = Callable[[], float]
Sleep = Callable[[float], Awaitable[None]]


class Throttle:
    """At most ``calls_per_minute`` calls in any 60 seconds, a few of them at once.

    At the start, when the minute before was silent, two thirds of the limit are there at
    once, so that the first poll is not held up; refilling then begins correspondingly late.

    The last tokens of the bucket are kept for urgent callers (someone waits for a panel),
    so that a background poll in progress does not stand in their way.

    Args:
        calls_per_minute: The limit, at least 1.
        clock: Seconds; jumps do no harm beyond one burst.
        sleep: Coroutine that waits, in seconds.
    """

    def __init__(self, calls_per_minute: int, *, clock: Clock, sleep: Sleep) -> None:
        limit = max(1, calls_per_minute)
        self._burst = float(max(1, limit // 6))
        self._reserve = min(2.0, self._burst - 1.0)
        self._per_second = (limit - self._burst + 1.0) / 60.0
        self._clock = clock
        self._sleep = sleep
        self._tokens = max(self._burst, float(limit * 2 // 3))
        self._updated = clock() + (self._tokens - self._burst) / self._per_second
        self._paused_until = 0.0
        # One queue each, so that an urgent caller does not stand behind a sleeping one.
        self._queue = asyncio.Lock()
        self._urgent_queue = asyncio.Lock()

    async def take(self, *, urgent: bool = False) -> None:
        """Wait for a token and take it; a caller cancelled while waiting takes none."""
        queue = self._urgent_queue if urgent else self._queue
        floor = 1.0 if urgent else 1.0 + self._reserve
        async with queue:
            while (wait := self._wait_s(floor)) > 0.0:
                await self._sleep(wait)
            self._tokens -= 1.0

    @property
    def paused_s(self) -> float:
        """Seconds for which nobody passes any more."""
        return max(0.0, min(self._paused_until - self._clock(), 60.0))

    def pause(self, seconds: float) -> None:
        """Let nobody pass for a while, a minute at most: OVHcloud said too many calls."""
        self._paused_until = max(self._paused_until, self._clock() + seconds)

    def _wait_s(self, floor: float) -> float:
        now = self._clock()
        # A clock set back must not stop the refill for longer than a start does.
        self._updated = min(self._updated, now + 60.0)
        if now > self._updated:
            gained = (now - self._updated) * self._per_second
            self._tokens = max(self._tokens, min(self._burst, self._tokens + gained))
            self._updated = now
        missing = floor - self._tokens
        # Rounding must not leave a wait so short that the clock does not move.
        until = max(0.0, self._updated - now) + missing / self._per_second
        refill = max(until, 1e-3) if missing > 1e-9 else 0.0
        # Nor turn a pause of seconds into one of hours.
        self._paused_until = min(self._paused_until, now + 60.0)
        return max(refill, self._paused_until - now)
