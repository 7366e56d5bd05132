"""APIv6's errors, in both of its shapes (reference: ovh 3.1)."""

from __future__ import annotations

from typing import Any

_PHRASES = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    429: "Too Many Requests",
    460: "Expired",
}


class RefusalError(Exception):
    """A call is refused.

    Attributes:
        status: HTTP status.
        body: The JSON to answer.
    """

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        super().__init__(str(body.get("message", status)))
        self.status = status
        self.body = body


def coded(status: int, code: str, message: str) -> RefusalError:
    """Return a refusal of the gateway's shape: ``errorCode``, ``httpCode``, ``message``."""
    phrase = f"{status} {_PHRASES[status]}"
    return RefusalError(status, {"errorCode": code, "httpCode": phrase, "message": message})


def classed(status: int, kind: str, message: str, **details: str) -> RefusalError:
    """Return a refusal of the API's own shape: ``class``, ``message``, maybe ``details``."""
    body: dict[str, Any] = {"class": kind, "message": message}
    if details:
        body["details"] = details
    return RefusalError(status, body)


def not_found(what: str) -> RefusalError:
    """Return the refusal for an object that does not exist."""
    return classed(404, "Client::NotFound", f"The requested object ({what}) does not exist")


def unknown_route() -> RefusalError:
    """Return the refusal for a path that APIv6 does not have."""
    return classed(404, "Client::NotFound", "Got an invalid (or empty) URL")
