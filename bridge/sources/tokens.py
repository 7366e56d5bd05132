"""Asking with a token that may have been revoked meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from bridge.ovh.token import VscopeToken
    from bridge.sources.upstream import Reply


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
