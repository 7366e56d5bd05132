"""Who may ask: Basic or Bearer against the configured credentials.

401 is reserved for this (design 4, "Errors"); nothing an upstream says becomes a 401.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog
from argon2 import PasswordHasher
from argon2.exceptions import VerificationError
from cachetools import LRUCache
from pydantic import SecretBytes

from bridge.doors.http import JsonResponse, error_body

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from starlette.types import ASGIApp, Receive, Scope, Send

    from bridge.credentials import Credential

_log = structlog.get_logger(__name__)

#: Paths that need no credential: the process' liveness, which tells nothing.
OPEN_PATHS = frozenset({"/healthz", "/healthz/"})

#: Hashes computed at the same time: each takes a processor and 20 MB for some 30 ms.
HASHES_AT_ONCE = 1

#: Secrets remembered as right after their hash has been computed once.
REMEMBERED = 1_024


@dataclass(frozen=True, slots=True)
class Presented:
    """What a client shows: its name (None for a bearer token) and its secret."""

    name: bytes | None
    secret: SecretBytes

    @property
    def whole(self) -> bytes:
        """Both as one text; a name holds no colon."""
        secret = self.secret.get_secret_value()
        if self.name is None:
            return b"bearer " + secret
        return b"basic " + self.name + b":" + secret


class Admission:
    """The credentials that open the bridge; none is kept as plain text.

    Plain secrets of the settings are kept as keyed digests, hashed ones as they are. A
    secret whose hash has been computed once is remembered by its digest. Comparison takes
    the same time whatever is wrong: it looks at every credential, and an unknown name costs
    a hash where names have hashes.

    Args:
        credentials: Empty lets everyone pass; settings allow that on loopback only.
    """

    def __init__(self, credentials: Sequence[Credential]) -> None:
        self._key = secrets.token_bytes(32)
        self._hasher = PasswordHasher()
        self._hashing = asyncio.Semaphore(HASHES_AT_ONCE)
        self._remembered: LRUCache[bytes, bool] = LRUCache(REMEMBERED)
        self.replace(credentials)

    def __repr__(self) -> str:
        return f"Admission({len(self._names)} credentials)"

    def replace(self, credentials: Sequence[Credential]) -> None:
        """Admit these from now on, and no others."""
        self._names = tuple(credential.name for credential in credentials)
        self._plain = tuple(map(self._digest, _plain(credentials)))
        self._passwords = {
            credential.name.encode(): credential.password_hash
            for credential in credentials
            if credential.password_hash is not None
        }
        self._tokens = tuple(
            credential.token_hash for credential in credentials if credential.token_hash
        )
        self._remembered.clear()

    @property
    def open_to_all(self) -> bool:
        """Whether there are no credentials."""
        return not self._names

    async def admits(self, presented: Presented | None) -> bool:
        """Tell whether a client's credential is one of those configured."""
        digest = self._digest(presented.whole if presented else b"")
        matches = [hmac.compare_digest(digest, plain) for plain in self._plain]
        if presented is None:
            return False
        if any(matches) or digest in self._remembered:
            return True
        hashes = self._hashes(presented)
        # An unknown name is compared as well, with any hash, so that it takes as long.
        compared = hashes or (() if presented.name is None else self._any_hash())
        if not compared:
            return False
        async with self._hashing:
            secret = presented.secret.get_secret_value()
            right = await asyncio.to_thread(self._any_verifies, compared, secret)
        # Whoever was replaced while the hash was computed is not admitted any more.
        if not right or not hashes or hashes != self._hashes(presented):
            return False
        self._remembered[digest] = True
        return True

    def _hashes(self, presented: Presented) -> tuple[str, ...]:
        if presented.name is None:
            return self._tokens
        known = self._passwords.get(presented.name)
        return (known,) if known else ()

    def _any_hash(self) -> tuple[str, ...]:
        return tuple(self._passwords.values())[:1]

    def _any_verifies(self, hashes: Iterable[str], secret: bytes) -> bool:
        return sum(self._verifies(each, secret) for each in hashes) > 0

    def _verifies(self, known: str, secret: bytes) -> bool:
        try:
            return self._hasher.verify(known, secret)
        except VerificationError:
            return False

    def _digest(self, whole: bytes) -> bytes:
        return hmac.digest(self._key, whole, "sha256")


class AuthMiddleware:
    """Lets a request pass when it carries one of the credentials.

    Args:
        app: What is protected.
        admission: The credentials.
    """

    def __init__(self, app: ASGIApp, *, admission: Admission) -> None:
        self._app = app
        self._admission = admission

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve or refuse one request."""
        if (
            scope["type"] != "http"
            or self._admission.open_to_all
            or scope["path"] in OPEN_PATHS
            or await self._admission.admits(_presented(scope))
        ):
            await self._app(scope, receive, send)
            return
        _log.info("unauthorized", path=scope["path"])
        message = "a user name and password, or a bearer token, of the bridge is needed"
        headers = {"WWW-Authenticate": 'Basic realm="vscope-bridge", charset="UTF-8"'}
        await JsonResponse(error_body(401, message), 401, headers)(scope, receive, send)


def _plain(credentials: Iterable[Credential]) -> Iterable[bytes]:
    for credential in credentials:
        if credential.password is not None:
            secret = SecretBytes(credential.password.get_secret_value().encode())
            yield Presented(credential.name.encode(), secret).whole
        if credential.token is not None:
            secret = SecretBytes(credential.token.get_secret_value().encode())
            yield Presented(None, secret).whole


def _presented(scope: Scope) -> Presented | None:
    """Return what the client presents; None when that is nothing, or nothing readable."""
    given: list[bytes] = [value for name, value in scope["headers"] if name == b"authorization"]
    if len(given) != 1:
        return None
    scheme, _, rest = given[0].strip().partition(b" ")
    rest = rest.strip()
    match scheme.lower():
        case b"bearer":
            return Presented(None, SecretBytes(rest))
        case b"basic":
            try:
                name, colon, secret = base64.b64decode(rest, validate=True).partition(b":")
            except (binascii.Error, ValueError):
                return None
            return Presented(name, SecretBytes(secret)) if colon else None
        case _:
            return None
