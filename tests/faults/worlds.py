"""Faults that are a state of the world: of listeners, certificates, clocks, credentials."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.faults.outcomes import World
from tests.faults.upstream import NAMES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.faults.upstream import Upstream


class Refused(World):
    """Nobody listens."""

    async def begin(self, upstream: Upstream, part: str) -> None:
        await upstream.hang_up(part)

    async def end(self, upstream: Upstream, part: str) -> None:
        await upstream.listen(part)


class Stranger(World):
    """A certificate is shown that no authority we trust has signed."""

    secure = True

    async def begin(self, upstream: Upstream, part: str) -> None:
        upstream.strangers.add(part)
        upstream.drop(part)

    async def end(self, upstream: Upstream, part: str) -> None:
        upstream.strangers.discard(part)


class Nameless(World):
    """The name of APIv6's host cannot be resolved, and open connections end."""

    secure = True
    named = True

    async def begin(self, upstream: Upstream, part: str) -> None:
        NAMES.discard(upstream.name)
        upstream.drop(part)

    async def end(self, upstream: Upstream, part: str) -> None:
        del part
        NAMES.add(upstream.name)


class Skewed(World):
    """OVHcloud's clock moves."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    async def begin(self, upstream: Upstream, part: str) -> None:
        del part
        upstream.skew_s = self._seconds

    async def end(self, upstream: Upstream, part: str) -> None:
        del part
        upstream.skew_s = 0.0


class Changed(World):
    """The simulated OVHcloud's own controls: credentials and tokens."""

    def __init__(
        self, path: str, begin: Mapping[str, Any], end: Mapping[str, Any] | None = None
    ) -> None:
        self._path = path
        self._begin = begin
        self._end = end

    async def begin(self, upstream: Upstream, part: str) -> None:
        del part
        await upstream.control(self._path, self._begin)

    async def end(self, upstream: Upstream, part: str) -> None:
        del part
        if self._end is not None:
            await upstream.control(self._path, self._end)
