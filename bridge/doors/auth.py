"""Who may ask: Basic or Bearer against the configured credentials.

401 is reserved for this (design 4, "Errors"); nothing an upstream says becomes a 401.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from typing import TYPE_CHECKING

import structlog

from bridge.doors.http import JsonResponse, error_body

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from starlette.types import ASGIApp, Receive, Scope, Send

    from bridge.settings import Credential

_log = structlog.get_logger(__name__)

#: Paths that need no credential: the process' liveness, which tells nothing.
OPEN_PATHS = frozenset({"/healthz", "/healthz/"})


class AuthMiddleware:
    """Lets a request pass when it carries one of the credentials.

    Comparison takes the same time whatever is wrong, and looks at every credential.

    Args:
        app: What is protected.
        credentials: Empty lets everyone pass; settings allow that on loopback only.
    """

    def __init__(self, app: ASGIApp, *, credentials: Sequence[Credential]) -> None:
        self._app = app
        self._protected = bool(credentials)
        self._accepted = tuple(_accepted(credentials))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve or refuse one request."""
        if (
            scope["type"] != "http"
            or not self._protected
            or scope["path"] in OPEN_PATHS
            or self._known(_presented(scope))
        ):
            await self._app(scope, receive, send)
            return
        _log.info("unauthorized", path=scope["path"])
        message = "a user name and password, or a bearer token, of the bridge is needed"
        headers = {"WWW-Authenticate": 'Basic realm="vscope-bridge", charset="UTF-8"'}
        await JsonResponse(error_body(401, message), 401, headers)(scope, receive, send)

    def _known(self, presented: bytes | None) -> bool:
        given = _digest(presented or b"")
        matches = [hmac.compare_digest(given, accepted) for accepted in self._accepted]
        return presented is not None and any(matches)


def _accepted(credentials: Iterable[Credential]) -> Iterable[bytes]:
    for credential in credentials:
        if credential.password is not None:
            pair = f"{credential.name}:{credential.password.get_secret_value()}"
            yield _digest(b"basic " + pair.encode())
        if credential.token is not None:
            yield _digest(b"bearer " + credential.token.get_secret_value().encode())


def _digest(presented: bytes) -> bytes:
    """Make all texts equally long, so that comparing does not tell their length."""
    return hashlib.sha256(presented).digest()


def _presented(scope: Scope) -> bytes | None:
    """Return what the client presents, as ``basic name:password`` or ``bearer token``."""
    given: list[bytes] = [value for name, value in scope["headers"] if name == b"authorization"]
    if len(given) != 1:
        return None
    scheme, _, rest = given[0].strip().partition(b" ")
    rest = rest.strip()
    match scheme.lower():
        case b"bearer":
            return b"bearer " + rest
        case b"basic":
            try:
                return b"basic " + base64.b64decode(rest, validate=True)
            except (binascii.Error, ValueError):
                return None
        case _:
            return None
