"""When an OVHcloud credential expires, asked once an hour."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import structlog

from bridge.errors import BridgeError
from bridge.ovh.errors import Call, broke, gist
from bridge.ovh.figures import epoch_ms

if TYPE_CHECKING:
    from bridge.ovh.api import OvhApi
    from bridge.ovh.throttle import Clock

REFRESH_S = 3600.0
RETRY_S = 600.0
_PATH = "/auth/currentCredential"

log = structlog.get_logger(__name__)


class ExpiryWatch:
    """Knows when one account's consumer key expires.

    Service accounts (OAuth2) do not expire and are never asked about.

    Args:
        api: The account's API.
        clock: Epoch seconds.
    """

    def __init__(self, api: OvhApi, *, clock: Clock) -> None:
        self._api = api
        self._clock = clock
        self._expires_ms: int | None = None
        self._due_at: float | None = None
        self._problem: str | None = None

    @property
    def expires_ms(self) -> int | None:
        """Epoch milliseconds; None where it never does or is not known."""
        return self._expires_ms

    async def refresh(self) -> None:
        """Ask again when an hour has passed; what was known outlives a failure."""
        account, now = self._api.account, self._clock()
        # A clock that was set back must not put the next question off.
        due = self._due_at is None or not now < self._due_at <= now + REFRESH_S
        if account.client_id is not None or not due:
            return
        self._due_at = now + REFRESH_S
        try:
            self._expires_ms = _expiration(await self._api.get(_PATH))
        except BridgeError as error:
            self._due_at = now + RETRY_S
            if gist(self._problem) != gist(error.message):
                log.warning("expiry_unknown", account=account.name, reason=error.message)
            self._problem = error.message
            return
        self._problem = None


def _expiration(answer: object) -> int | None:
    """Return the expiration in an answer of OVHcloud's (reference: ovh 3).

    Raises:
        OvhError: It is no such answer.
    """
    if not isinstance(answer, dict):
        raise broke(Call("GET", _PATH), "an object was expected")
    text = answer.get("expiration")
    if text is None:
        return None
    try:
        return epoch_ms(datetime.fromisoformat(text))
    except (TypeError, ValueError):
        raise broke(Call("GET", _PATH), "an expiration that is no time came") from None
