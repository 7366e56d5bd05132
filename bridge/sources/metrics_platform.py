"""OVHcloud's metrics platform: what holds whichever of its two protocols is spoken.

Behind both stands the same Warp 10, and one token opens both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from bridge.ovh.token import VscopeToken
    from bridge.sources.upstream import Reply


#: Points one question may read: what OVHcloud's own front end asks for (reference: opentsdb
#: 2.3).
FETCH_LIMIT = 20_000_000

#: Literal alternatives sent in one selector; with more, everything is fetched and filtered.
MAX_LITERALS = 256

#: A label of the platform's, not of the series.
INTERNAL_LABEL = ".app"


class Tokens(Protocol):
    """Where the read token comes from."""

    async def get(self) -> VscopeToken:
        """Return the current token."""

    async def renew(self, rejected: VscopeToken) -> VscopeToken:
        """Return a newer token than the rejected one, or the same where there is none."""


async def ask_with_token(
    tokens: Tokens,
    send: Callable[[VscopeToken], Awaitable[Reply]],
    refused: Callable[[Reply], bool],
) -> Reply:
    """Send a request, and once more with a renewed token where the first was refused.

    Args:
        tokens: Whose tokens.
        send: Sends it.
        refused: Whether a refused token may be behind a reply.
    """
    token = await tokens.get()
    reply = await send(token)
    if refused(reply):
        renewed = await tokens.renew(token)
        if renewed != token:
            reply = await send(renewed)
    return reply
