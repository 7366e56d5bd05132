"""What can go wrong, in one tree.

Every error a client of the bridge can meet is a leaf of this tree; ``status`` is the HTTP
status a door answers with (design: 401 is reserved for Grafana against the bridge, an
upstream's refusal is never passed on as 401). Messages are shown to people as they are, so
they name the part that is wrong and never hold a credential or a token.

::

    BridgeError
    ├── BadRequestError        400  the client's fault; names the field and what is accepted
    ├── NotFoundError          404  no such route or object
    ├── TooMuchError           413  asked for more than a limit allows
    ├── UpstreamError          502  OVHcloud (or a store) refused, broke or lied
    │   └── NotOfferedError    502  OVHcloud does not offer this for the account
    ├── UnavailableError       503  warming up or overloaded; carries ``retry_after``
    └── UpstreamTimeoutError   504  an upstream, or the whole answer, took too long
"""

from __future__ import annotations

from typing import ClassVar


class BridgeError(Exception):
    """Base of all errors that reach a client.

    Attributes:
        message: One sentence for a person, safe to show.
        status: HTTP status code.
    """

    status: ClassVar[int] = 500

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class BadRequestError(BridgeError):
    """The request cannot be understood or asks for what cannot be answered exactly.

    Attributes:
        field: Which part of the request, for example ``targets[0].target``.
        position: Zero-based character offset inside that field, where known.
    """

    status = 400

    def __init__(
        self, message: str, *, field: str | None = None, position: int | None = None
    ) -> None:
        super().__init__(message)
        self.field = field
        self.position = position

    def within(self, field: str) -> BadRequestError:
        """Return the same error, placed inside ``field`` of the client's request."""
        inner = f"{field}.{self.field}" if self.field else field
        return BadRequestError(self.message, field=inner, position=self.position)


class NotFoundError(BridgeError):
    """There is no such route or object."""

    status = 404


class TooMuchError(BridgeError):
    """The request would read or answer more than a limit allows."""

    status = 413


class UpstreamError(BridgeError):
    """An upstream refused, broke off or answered nonsense."""

    status = 502


class NotOfferedError(UpstreamError):
    """The upstream does not offer this at all; not a failure, and not worth a retry."""


class UnavailableError(BridgeError):
    """The bridge cannot answer yet or has too much to do.

    Attributes:
        retry_after: Seconds after which asking again makes sense.
    """

    status = 503

    def __init__(self, message: str, *, retry_after: int = 5) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class UpstreamTimeoutError(BridgeError):
    """An upstream, or the whole answer, took longer than the deadline."""

    status = 504
