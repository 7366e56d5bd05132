"""Long answers, sent in parts: the kernel copies tens of megabytes in one call if it may."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

#: Bytes sent at once; a millisecond or two.
PART_BYTES = 2 * 1024 * 1024


class PartsMiddleware:
    """Gives the event loop a turn after each part of a long answer.

    Args:
        app: What answers.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""

        async def parted(message: Message) -> None:
            body = message.get("body", b"")
            if len(body) <= PART_BYTES:
                await send(message)
                return
            more = message.get("more_body", False)
            for at in range(0, len(body), PART_BYTES):
                until = at + PART_BYTES
                await send(
                    {**message, "body": body[at:until], "more_body": more or until < len(body)}
                )
                await asyncio.sleep(0)

        await self._app(scope, receive, parted if scope["type"] == "http" else send)
