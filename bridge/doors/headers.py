"""What every answer tells a browser: take it as what it says, keep it to yourself.

An answer that says otherwise itself, as the page's files do, is left as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

#: For data: no browser may run, frame, embed, guess or keep them.
SAFE_HEADERS: Mapping[bytes, bytes] = {
    b"cache-control": b"no-store",
    b"content-security-policy": b"default-src 'none'; frame-ancestors 'none'; sandbox",
    b"cross-origin-resource-policy": b"same-origin",
    b"referrer-policy": b"no-referrer",
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"DENY",
}
_TRANSPORT = b"strict-transport-security"


class HeadersMiddleware:
    """Adds the headers that keep browsers from misusing answers, errors included.

    Args:
        app: What answers.
        hsts_s: Seconds for which browsers shall ask this host by HTTPS only; said over
            HTTPS alone, 0 says nothing.
    """

    def __init__(self, app: ASGIApp, *, hsts_s: int) -> None:
        self._app = app
        self._plain = tuple(SAFE_HEADERS.items())
        transport = (_TRANSPORT, b"max-age=%d" % hsts_s)
        self._secure = (*self._plain, transport) if hsts_s else self._plain

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        wanted = self._secure if scope.get("scheme") == "https" else self._plain

        async def adding(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = [*message.get("headers", ())]
                said = {name.lower() for name, _ in given}
                given += [pair for pair in wanted if pair[0] not in said]
                message = {**message, "headers": given}
            await send(message)

        await self._app(scope, receive, adding)
