"""The history of one service by whichever of OVHcloud's two protocols serves it.

Both hold the same points. Warp 10 is preferred: one request answers any number of bucket
functions, times are exact to the millisecond, and its refusals can be told apart. Where the
token names no address for it, or it fails while OpenTSDB answers, OpenTSDB serves instead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeVar

import structlog

from bridge.errors import NotOfferedError, UpstreamError, UpstreamTimeoutError
from bridge.sources.erlenmeyer import Erlenmeyer
from bridge.sources.warp10 import Warp10
from bridge.sources.warp10_errors import PlatformLimitError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from bridge.errors import BridgeError
    from bridge.model import BucketRequest, Buckets, PointRequest, Points, Source, TagFilter
    from bridge.sources.metrics_platform import Tokens
    from bridge.sources.upstream import Upstream

Protocol = Literal["auto", "opentsdb", "warp10"]

ResultT = TypeVar("ResultT")

#: Seconds for which a failed Warp 10 is left alone while OpenTSDB answers.
SET_ASIDE_S = 600.0

_SET = "protocol is set to it"

log = structlog.get_logger(__name__)


class OvhCloud:
    """One service's history at OVHcloud.

    Args:
        service: ``serviceName``.
        upstream: Connections.
        tokens: The service's vScope token.
        protocol: ``auto``, or the only protocol to use.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        service: str,
        upstream: Upstream,
        tokens: Tokens,
        *,
        protocol: Protocol,
        clock: Callable[[], float],
    ) -> None:
        self._service = service
        self._tokens = tokens
        self._protocol = protocol
        self._clock = clock
        self._erlenmeyer = Erlenmeyer(self.name, upstream, tokens, clock=clock)
        self._warp10 = Warp10(f"{self.name} (Warp 10)", upstream, tokens, clock=clock)
        self._aside_until: float | None = None
        self._used: Protocol | None = None
        self._reason = ""

    @property
    def name(self) -> str:
        """The source's name, for messages."""
        return f"OVHcloud's history of {self._service}"

    @property
    def protocol(self) -> Protocol | None:
        """By which protocol the last answer came; None before the first."""
        return self._used

    @property
    def reason(self) -> str:
        """Why by that one, in words."""
        return self._reason

    async def buckets(self, request: BucketRequest) -> tuple[Buckets, ...]:
        """Fetch epoch-aligned buckets."""
        return await self._ask(lambda source: source.buckets(request))

    async def points(self, request: PointRequest) -> tuple[Points, ...]:
        """Fetch raw points."""
        return await self._ask(lambda source: source.points(request))

    async def lookup(
        self, metric: str, filters: tuple[TagFilter, ...]
    ) -> tuple[Mapping[str, str], ...]:
        """List the stored tags of a metric's series."""
        return await self._ask(lambda source: source.lookup(metric, filters))

    async def metric_names(self, start: str, limit: int) -> tuple[str, ...]:
        """List nothing: all of OVHcloud's metrics are in the catalogue."""
        del start, limit
        return ()

    async def _ask(self, fetch: Callable[[Source], Awaitable[ResultT]]) -> ResultT:
        if self._protocol == "auto":
            return await self._preferring_warp10(fetch)
        if self._protocol == "opentsdb":
            return await self._by_opentsdb(fetch, _SET)
        token = await self._tokens.get()
        if token.warp_endpoint is None:
            raise UpstreamError(f"{self.name} cannot be read by Warp 10: {token.warp_problem}")
        return await self._by_warp10(fetch)

    async def _preferring_warp10(self, fetch: Callable[[Source], Awaitable[ResultT]]) -> ResultT:
        token = await self._tokens.get()
        if token.warp_endpoint is None:
            return await self._by_opentsdb(fetch, token.warp_problem)
        if self._is_aside():
            return await self._by_opentsdb(fetch, "Warp 10 failed a short time ago")
        try:
            return await self._by_warp10(fetch)
        except NotOfferedError:
            raise
        except PlatformLimitError as error:
            # Said about this one question only, and the front end has limits of its own.
            try:
                return await fetch(self._erlenmeyer)
            except (UpstreamError, UpstreamTimeoutError):
                raise error from None
        except (UpstreamError, UpstreamTimeoutError) as error:
            # Before the other way is tried, for which the deadline may leave no time.
            self._aside_until = self._clock() + SET_ASIDE_S
            try:
                return await self._by_opentsdb(fetch, error.message, failed=True)
            except (UpstreamError, UpstreamTimeoutError) as other:
                self._aside_until = None
                raise _both(error, other) from None

    def _is_aside(self) -> bool:
        return self._aside_until is not None and self._clock() < self._aside_until

    async def _by_warp10(self, fetch: Callable[[Source], Awaitable[ResultT]]) -> ResultT:
        answer = await fetch(self._warp10)
        if not self._is_aside():  # else another question has failed meanwhile
            self._say("warp10", "it is preferred" if self._protocol == "auto" else _SET)
        return answer

    async def _by_opentsdb(
        self,
        fetch: Callable[[Source], Awaitable[ResultT]],
        reason: str,
        *,
        failed: bool = False,
    ) -> ResultT:
        answer = await fetch(self._erlenmeyer)
        self._say("opentsdb", reason, failed=failed)
        return answer

    def _say(self, protocol: Protocol, reason: str, *, failed: bool = False) -> None:
        """Log which protocol is in use, whenever that changes."""
        if protocol == self._used:
            return
        self._used, self._reason = protocol, reason
        told = {"service": self._service, "protocol": protocol, "reason": reason}
        if failed:
            log.warning("history_protocol", **told)
        else:
            log.info("history_protocol", **told)


def _both(by_warp10: BridgeError, by_opentsdb: BridgeError) -> BridgeError:
    text = f"{by_warp10.message}; by OpenTSDB: {by_opentsdb.message}"
    if isinstance(by_warp10, UpstreamTimeoutError):
        return UpstreamTimeoutError(text)
    return UpstreamError(text)
