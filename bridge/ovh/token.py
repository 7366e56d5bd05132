"""The vScope token: the key to OVHcloud's own history, where it still exists.

OVHcloud's guide and its API schema disagree on the call's name, and newer schemas have
neither (reference: ovh 0 and 4). Both names are tried; when both are unknown the history is
"not offered", which is said once and looked at again a day later.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import structlog
from cachetools import TTLCache
from pydantic import SecretStr

from bridge.errors import BridgeError, NotOfferedError, UpstreamError
from bridge.ovh.errors import Call, OvhError, OvhNotFoundError, OvhNotGrantedError, broke
from bridge.settings import is_loopback

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bridge.ovh.api import OvhApi
    from bridge.ovh.throttle import Clock

CALLS = ("metricsToken", "getVscopeMetricsToken")
"""The schema's name, then the guide's."""
KEPT_S = 6 * 3600.0
"""How long a token is used unasked; its real lifetime is unknown, asking again is harmless."""
NOT_OFFERED_S = 24 * 3600.0
BETWEEN_S = 60.0
"""Shortest time between two requests for a token."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class VscopeToken:
    """What OVHcloud hands out for one vCenter user of one service.

    Attributes:
        secret: The token; password of HTTP Basic at OpenTSDB, read token at Warp 10.
        opentsdb_endpoint: Base URL, without a slash at the end.
        warp_endpoint: Base URL of Warp 10, None when OVHcloud names none that may be used.
        warp_problem: Why there is none, in words.
    """

    secret: SecretStr
    opentsdb_endpoint: str
    warp_endpoint: str | None
    warp_problem: str = ""


class TokenKeeper:
    """Holds one service's token in memory and renews it, one request at a time.

    Args:
        api: The account's API.
        service: ``serviceName``.
        user: vCenter user whose token is asked for.
        allowed_hosts: Patterns (``*.metrics.ovh.net``) the endpoints must match, so that a
            wrong answer cannot send the token elsewhere.
        clock: Epoch seconds.
    """

    def __init__(
        self,
        api: OvhApi,
        service: str,
        *,
        user: str,
        allowed_hosts: Sequence[str],
        clock: Clock = time.time,
    ) -> None:
        self._api = api
        self._service = service
        self._user = user
        self._allowed_hosts = tuple(pattern.lower() for pattern in allowed_hosts)
        self._clock = clock
        self._fresh: TTLCache[str, VscopeToken] = TTLCache(1, KEPT_S, timer=clock)
        self._last: VscopeToken | None = None
        self._failure: BridgeError | None = None
        self._asked_at: float | None = None
        self._request: asyncio.Task[VscopeToken] | None = None
        self._user_id: int | None = None
        self._call: str | None = None
        self._said_not_offered = False

    def __repr__(self) -> str:
        return f"TokenKeeper({self._service!r}, {self.state!r})"

    @property
    def state(self) -> str:
        """``unknown``, ``offered``, ``not offered`` or ``failed``."""
        if isinstance(self._failure, NotOfferedError):
            return "not offered"
        if self._failure is not None:
            return "failed"
        return "offered" if self._last is not None else "unknown"

    async def get(self) -> VscopeToken:
        """Return the token, from memory where possible.

        Raises:
            NotOfferedError: OVHcloud does not offer it; asked again after a day.
            UpstreamError, UpstreamTimeoutError, UnavailableError: It could not be had;
                asked again after a minute.
        """
        token = self._fresh.get(self._service)
        if token is not None:
            return token
        if self._too_early():
            return self._without_asking()
        return await self._ask()

    async def renew(self, rejected: VscopeToken) -> VscopeToken:
        """Return another token after one was refused.

        When somebody else has renewed it meanwhile, theirs is returned without a call. A
        token that is itself less than a minute old is returned as it is: the refusal has
        another reason.

        Raises:
            UpstreamError: See ``get``.
        """
        if self._request is None:
            token = self._fresh.get(self._service)
            if token is not None and token != rejected:
                return token
            if self._too_early():
                if self._failure is not None:
                    raise self._failure.with_traceback(None)
                return rejected
        return await self._ask(rejected)

    def _too_early(self) -> bool:
        if self._request is not None or self._asked_at is None:
            return False
        wait = NOT_OFFERED_S if isinstance(self._failure, NotOfferedError) else BETWEEN_S
        # A clock set back counts as time passed, or a wait could last for ever.
        return 0 <= self._clock() - self._asked_at < wait

    def _without_asking(self) -> VscopeToken:
        if self._last is not None and not isinstance(self._failure, NotOfferedError):
            return self._last
        if self._failure is not None:
            raise self._failure.with_traceback(None)
        raise UpstreamError(f"{self._service}: no vScope token yet.")

    async def _ask(self, rejected: VscopeToken | None = None) -> VscopeToken:
        """Wait for the one request in flight, starting it when there is none."""
        if self._request is None:
            self._request = asyncio.create_task(self._obtain(rejected))
            self._request.add_done_callback(self._finished)
        # Shielded: a caller that is cancelled must not take the request from the others.
        return await asyncio.shield(self._request)

    def _finished(self, request: asyncio.Task[VscopeToken]) -> None:
        self._request = None
        if not request.cancelled():
            # Looked at, so that nobody complains when every waiter has gone away.
            request.exception()

    async def _obtain(self, rejected: VscopeToken | None) -> VscopeToken:
        try:
            token = await self._fetch()
        except BridgeError as error:
            self._failed(error)
            if rejected is None and self._last is not None and self.state == "failed":
                # Asked for only because of its age: the old one may well be good.
                return self._last
            if rejected is not None:
                self._fresh.clear()
                self._last = None
            raise
        finally:
            self._asked_at = self._clock()
        self._failure = None
        self._said_not_offered = False
        self._last = token
        self._fresh[self._service] = token
        log.debug("vscope_token_obtained", service=self._service, endpoint=token.opentsdb_endpoint)
        return token

    def _failed(self, error: BridgeError) -> None:
        self._failure = error
        if not isinstance(error, NotOfferedError):
            log.warning("vscope_token_failed", service=self._service, reason=error.message)
            return
        self._last = None
        self._fresh.clear()
        if not self._said_not_offered:
            self._said_not_offered = True
            log.warning("vscope_history_not_offered", service=self._service, reason=error.message)

    async def _fetch(self) -> VscopeToken:
        base = f"/dedicatedCloud/{quote(self._service, safe='')}/user"
        if self._user_id is None:
            self._user_id = await self._find_user(base)
        refused: dict[str, OvhError] = {}
        for name in dict.fromkeys(filter(None, (self._call, *CALLS))):
            path = f"{base}/{self._user_id}/{name}"
            try:
                # A POST by form only: it hands out the user's token, again when asked again.
                payload = await self._api.post(path, idempotent=True, urgent=True)
            except (OvhNotFoundError, OvhNotGrantedError) as error:
                refused[name] = error
                continue
            token = self._checked(Call("POST", path), payload)
            self._call = name
            return token
        # The user may have been replaced; look for it again next time.
        self._user_id = self._call = None
        first = refused[CALLS[0]]
        if isinstance(first, OvhNotGrantedError):
            raise first
        raise NotOfferedError(
            f"{self._service}: OVHcloud does not offer vScope history any more (it knows no call "
            f"{' or '.join(CALLS)}); looked at again in a day."
        )

    async def _find_user(self, base: str) -> int:
        """Return the id of the configured vCenter user; OVHcloud's filter is only "like"."""
        ids = await self._api.get(base, {"name": self._user}, urgent=True)
        if not isinstance(ids, list) or not all(type(key) is int for key in ids):
            raise broke(Call("GET", base), "a list of ids was expected")
        users = await self._api.batch(base, ids, urgent=True)
        for field in ("name", "login"):
            for key in ids:
                user = users[key]
                if not isinstance(user, OvhError) and user.get(field) == self._user:
                    return int(key)
        for user in users.values():
            if isinstance(user, OvhError):
                raise user
        raise UpstreamError(
            f'{self._service} has no vCenter user "{self._user}"; set metrics_user of account '
            f'"{self._api.account.name}" to one that exists.'
        )

    def _checked(self, call: Call, payload: Any) -> VscopeToken:
        """Check the answer and where it would send the token.

        Raises:
            UpstreamError: A field is missing, or a host is not on the allow-list.
        """
        answer: Mapping[str, Any] = payload if isinstance(payload, dict) else {}
        secret, opentsdb = answer.get("token"), answer.get("opentsdbEndpoint")
        warp = answer.get("warpEndpoint") or None
        if not (isinstance(secret, str) and secret and isinstance(opentsdb, str)):
            raise broke(call, "token and opentsdbEndpoint were expected")
        if warp is not None and not isinstance(warp, str):
            raise broke(call, "warpEndpoint was expected to be text")
        endpoint, problem = None, "OVHcloud names no address for it"
        if warp is not None:
            try:
                endpoint, problem = self._allowed(warp), ""
            except UpstreamError as error:
                # OpenTSDB has an address of its own, which may do.
                problem = error.message
        return VscopeToken(
            secret=SecretStr(secret),
            opentsdb_endpoint=self._allowed(opentsdb),
            warp_endpoint=endpoint,
            warp_problem=problem,
        )

    def _allowed(self, url: str) -> str:
        try:
            parts = urlsplit(url)
            host = (parts.hostname or "").rstrip(".")
        except ValueError:
            host = ""
        if not host or not any(fnmatchcase(host, allowed) for allowed in self._allowed_hosts):
            shown = host[:80] if host.isprintable() else ""
            raise UpstreamError(
                f'{self._service}: OVHcloud named the metrics host "{shown}", which is not in '
                "metrics_hosts; the vScope token is not sent there."
            )
        plain = parts.scheme == "http" and is_loopback(host)
        if not (parts.scheme == "https" or plain) or parts.username or parts.password:
            raise UpstreamError(
                f"{self._service}: OVHcloud named a metrics address that is not https; the "
                "vScope token is not sent there."
            )
        if parts.query or parts.fragment:
            raise UpstreamError(f"{self._service}: OVHcloud named an unusable metrics address.")
        return url.rstrip("/")
