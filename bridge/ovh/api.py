"""OVHcloud's APIv6 for asynchronous callers.

One :class:`OvhApi` is one credential: its own worker threads with an ``ovh`` client each,
its own rate limit, one measured clock difference, one OAuth2 token.
"""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import structlog
from pydantic import SecretStr
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception,
    stop_after_attempt,
    wait_random_exponential,
)

from bridge.errors import UnavailableError
from bridge.ovh.batch import BatchReader, Result
from bridge.ovh.errors import (
    Call,
    OvhCredentialError,
    OvhError,
    OvhRateLimitedError,
    OvhSignatureError,
    broke,
)
from bridge.ovh.login import login_of
from bridge.ovh.refusals import refusal, tidy
from bridge.ovh.throttle import Clock, Sleep, Throttle
from bridge.ovh.wire import Reply, Shared, Wire

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from bridge.settings import Account

THREADS = 4
ATTEMPTS = 3
LONGEST_PAUSE_S = 30
"""A longer ``Retry-After`` is handed to the caller instead of being slept through."""
CLOCK_TOLERANCE_S = 60
"""A larger difference between this machine's clock and OVHcloud's is told."""
_BEARER_MARGIN_S = 60.0

log = structlog.get_logger(__name__)


class OvhApi:
    """Calls with one account's credential.

    Args:
        account: Credential, endpoint and limits.
        proxy: Outbound proxy; the environment's is not used.
        ca_file: Private CA bundle instead of the usual ones.
        clock: Epoch seconds.
        sleep: Coroutine that waits, in seconds.

    Raises:
        OvhCredentialError: The account's addresses do not fit its credential.
    """

    def __init__(
        self,
        account: Account,
        *,
        proxy: SecretStr | None = None,
        ca_file: Path | None = None,
        clock: Clock = time.time,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self.account = account
        self.calls = 0
        self._login = login_of(account, proxy=proxy, ca_file=ca_file)
        self._shared = Shared()
        self._wire = Wire(self._login, self._shared)
        self._clock = clock
        self._sleep = sleep
        self._throttle = Throttle(account.calls_per_minute, clock=clock, sleep=sleep)
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix=f"ovh-{account.name}")
        self._preparing = asyncio.Lock()
        self._bearer_until = 0.0
        self._backoff = wait_random_exponential(multiplier=0.5, max=8)
        self._batches = BatchReader(self._read, redact=self._redact, clock=clock)

    def __repr__(self) -> str:
        return f"OvhApi({self.account.name!r}, {self._login.api_url!r})"

    async def get(
        self,
        path: str,
        query: Mapping[str, str | Sequence[str]] | None = None,
        *,
        urgent: bool = False,
    ) -> Any:
        """GET a path such as ``/dedicatedCloud`` and return decoded JSON.

        Args:
            path: Below the base URL, percent-encoded.
            query: Filters; a sequence becomes a repeated parameter.
            urgent: Someone waits for the answer: go before background polls.

        Raises:
            OvhError: One of its leaves, after retries where a retry makes sense.
        """
        target = f"{path}?{urlencode(query, doseq=True)}" if query else path
        return await self._call("GET", target, retry=True, urgent=urgent)

    async def post(
        self,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        idempotent: bool = False,
        urgent: bool = False,
    ) -> Any:
        """POST to a path and return decoded JSON.

        Args:
            path: Below the base URL, percent-encoded.
            body: JSON object; None sends no body.
            idempotent: The call can be repeated without harm, so it is retried like a GET.
            urgent: Someone waits for the answer: go before background polls.

        Raises:
            OvhError: One of its leaves.
        """
        return await self._call("POST", path, body=body, retry=idempotent, urgent=urgent)

    async def batch(self, path: str, ids: Sequence[int]) -> Mapping[int, Result]:
        """GET ``path/{id}`` for each id; an id that fails by itself maps to its error.

        Raises:
            OvhError: What concerns all ids alike.
        """
        return await self._batches.read(path, ids)

    async def close(self) -> None:
        """Give up queued calls and close all connections."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._wire.close()

    async def _read(self, path: str, headers: Mapping[str, str]) -> Any:
        return await self._call("GET", path, headers=headers, retry=True)

    async def _call(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        retry: bool,
        urgent: bool = False,
    ) -> Any:
        attempts = AsyncRetrying(
            retry=retry_if_exception(_worth_another_try),
            stop=stop_after_attempt(ATTEMPTS if retry else 1),
            wait=self._wait_s,
            sleep=self._sleep,
            reraise=True,
        )

        def work() -> Reply:
            return self._wire.call(method, path, body, headers)

        call = Call(method, path.partition("?")[0])
        return await attempts(self._signed, call, work, urgent)

    async def _signed(self, call: Call, work: Callable[[], Reply], urgent: bool) -> Any:  # noqa: FBT001 -- called through tenacity
        """Make one call; once again when the clock or the token was what was wrong."""
        await self._prepare(urgent=urgent)
        delta_s, bearer = self._shared.delta_s, self._shared.bearer
        try:
            return await self._exchange(call, work, urgent=urgent)
        except OvhSignatureError as error:
            if self._login.uses_oauth2:
                raise
            if self._shared.delta_s == delta_s:
                self._shared.delta_s = None
            await self._prepare(urgent=urgent)
            moved = abs((self._shared.delta_s or 0) - (delta_s or 0)) > 1
            if not moved and not error.late:
                raise
            log.info("clock_resynced", account=self.account.name, seconds=self._shared.delta_s)
        except OvhCredentialError:
            if not self._login.uses_oauth2:
                raise
            if self._shared.bearer == bearer:
                self._shared.bearer = None
            await self._prepare(urgent=urgent)
        return await self._exchange(call, work, urgent=urgent)

    async def _prepare(self, *, urgent: bool) -> None:
        """Have what signing needs: OVHcloud's time, or an access token."""
        if not self._unprepared():
            return
        async with self._preparing:
            # Another caller may have done it while this one waited.
            if not self._unprepared():
                return
            if self._login.uses_oauth2:
                await self._fetch_bearer(urgent=urgent)
            else:
                await self._measure_clock(urgent=urgent)

    def _unprepared(self) -> bool:
        if self._login.uses_oauth2:
            return self._shared.bearer is None or self._clock() >= self._bearer_until
        return self._shared.delta_s is None

    async def _measure_clock(self, *, urgent: bool) -> None:
        call = Call("GET", "/auth/time")
        payload = await self._exchange(
            call, lambda: self._wire.call("GET", call.path, signed=False), urgent=urgent
        )
        if isinstance(payload, bool) or not isinstance(payload, int):
            raise broke(call, "a number of seconds was expected")
        # The signature is made from this machine's clock, never from the injected one.
        self._shared.delta_s = delta_s = payload - int(time.time())
        if abs(delta_s) > CLOCK_TOLERANCE_S:
            log.warning("clock_differs", account=self.account.name, seconds=delta_s)

    async def _fetch_bearer(self, *, urgent: bool) -> None:
        call = Call("POST", "(OAuth2 token)")
        asked_at = self._clock()
        reply = await self._run(self._wire.fetch_bearer, urgent=urgent)
        payload = reply.payload if isinstance(reply.payload, dict) else {}
        if reply.status in {400, 401, 403}:
            reason = tidy(payload.get("error") or f"HTTP {reply.status}", self._redact)
            raise OvhCredentialError(
                f'{call}: OVHcloud does not accept the service account ("{reason}"); check '
                f'client_id and client_secret of account "{self.account.name}"',
                path=call.path,
                query_id=reply.query_id,
                http_status=reply.status,
            )
        if reply.status != 200:
            raise self._refusal(call, reply)
        token, lifetime = payload.get("access_token"), payload.get("expires_in")
        if not isinstance(token, str) or not token or not isinstance(lifetime, int | float):
            raise broke(call, "no access token in the answer", query_id=reply.query_id)
        self._shared.bearer = SecretStr(token)
        self._bearer_until = asked_at + max(lifetime - _BEARER_MARGIN_S, lifetime / 2)

    async def _exchange(self, call: Call, work: Callable[[], Reply], *, urgent: bool) -> Any:
        """Make one call within the rate limit and sort its answer."""
        reply = await self._run(work, urgent=urgent)
        if not 200 <= reply.status < 300:
            error = self._refusal(call, reply)
            if isinstance(error, OvhRateLimitedError):
                self._throttle.pause(min(error.retry_after, LONGEST_PAUSE_S))
            raise error
        if not reply.is_json:
            what = tidy(reply.content_type or "something unknown", self._redact)
            raise broke(call, f"the answer is no JSON ({what})",
                        status=reply.status, query_id=reply.query_id)  # fmt: skip
        return reply.payload

    async def _run(self, work: Callable[[], Reply], *, urgent: bool) -> Reply:
        await self._throttle.take(urgent=urgent)
        self.calls += 1
        try:
            future = asyncio.get_running_loop().run_in_executor(self._pool, work)
        except RuntimeError:
            raise UnavailableError("The bridge is shutting down.") from None
        return await future

    def _refusal(self, call: Call, reply: Reply) -> OvhError:
        return refusal(
            call,
            reply.status,
            reply.payload,
            redact=self._redact,
            query_id=reply.query_id,
            retry_after=reply.retry_after,
        )

    def _wait_s(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        told = float(error.retry_after) if isinstance(error, OvhRateLimitedError) else 0.0
        return told + self._backoff(state)

    def _redact(self, text: str) -> str:
        return self._login.redact(text, self._shared.bearer)


def _worth_another_try(error: BaseException) -> bool:
    if isinstance(error, OvhRateLimitedError) and error.retry_after > LONGEST_PAUSE_S:
        return False
    return isinstance(error, OvhError) and error.retryable
