"""What OVHcloud's API can answer instead of data, in one tree.

Every leaf is also a leaf of :mod:`bridge.errors`, so that a door needs to know nothing of
OVHcloud to answer with the right status::

    BridgeError
    └── OvhError
        ├── OvhCredentialError    502  key, secret or token unknown, expired, not validated
        ├── OvhNotGrantedError    502  the credential may not make this call; names the rule
        ├── OvhSignatureError     502  signature or time refused, even after a clock resync
        ├── OvhNotFoundError      502  no such object or call at OVHcloud
        ├── OvhExpiredError       502  the service is expired (HTTP 460)
        ├── OvhRefusedError       502  any other refusal (4xx)
        ├── OvhBrokeError         502  5xx, an HTML page, no JSON, JSON of the wrong type
        ├── OvhUnreachableError   502  name, connection, TLS or proxy failed
        ├── OvhRateLimitedError   503  too many calls (HTTP 429); carries ``retry_after``
        └── OvhTimeoutError       504  connected, but no complete answer in time

The header ``X-OVH-QUERYID`` is kept
and shown: it is what OVHcloud's support asks for. :mod:`bridge.ovh.refusals` chooses the
leaf.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from bridge.errors import BridgeError, UnavailableError, UpstreamError, UpstreamTimeoutError

_MAX_IDS_SHOWN = 3
_REFERENCE = re.compile(r" \[OVHcloud query [^\]]*\]")


class OvhError(BridgeError):
    """Base of everything that can go wrong with a call to OVHcloud's API.

    Attributes:
        path: Path of the call, without query string.
        query_id: OVHcloud's ``X-OVH-QUERYID``, where one came.
        http_status: What OVHcloud answered, None when no answer came.
        retryable: Whether the same call, if it changes nothing, is worth another try.
    """

    def __init__(
        self,
        message: str,
        *,
        path: str = "",
        query_id: str | None = None,
        http_status: int | None = None,
        retryable: bool = False,
    ) -> None:
        super().__init__(message)
        self.path = path
        self.query_id = query_id
        self.http_status = http_status
        self.retryable = retryable


class OvhCredentialError(OvhError, UpstreamError):
    """The credential is unknown, expired, not validated, or for another region."""


class OvhNotGrantedError(OvhError, UpstreamError):
    """The credential is valid but may not make this call.

    Attributes:
        rule: The missing right: ``GET /dedicatedCloud/*/task`` or an IAM action.
    """

    rule: str = ""


class OvhSignatureError(OvhError, UpstreamError):
    """The signature or its time was refused.

    Attributes:
        late: True when OVHcloud said that the time was the reason.
    """

    late: bool = False


class OvhNotFoundError(OvhError, UpstreamError):
    """OVHcloud knows no such object, or no such call."""


class OvhExpiredError(OvhError, UpstreamError):
    """The service is expired; nothing of it can be read until it is renewed."""


class OvhRefusedError(OvhError, UpstreamError):
    """OVHcloud refused the call for another reason."""


class OvhBrokeError(OvhError, UpstreamError):
    """OVHcloud, or a gateway in front of it, answered nonsense or broke off."""


class OvhUnreachableError(OvhError, UpstreamError):
    """No connection to OVHcloud came about."""


class OvhRateLimitedError(OvhError, UnavailableError):
    """Too many calls for this credential.

    Attributes:
        retry_after: Seconds to wait; OVHcloud's own figure when it gave one.
    """

    retry_after: int = 10


class OvhTimeoutError(OvhError, UpstreamTimeoutError):
    """OVHcloud took the call but did not answer in time."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call, for messages: ``method``, and ``path`` without its query string."""

    method: str
    path: str

    def __str__(self) -> str:
        """Return ``GET /path``, with a long list of batched ids cut short."""
        head, _, last = self.path.rpartition("/")
        ids = last.split(",")
        if len(ids) > _MAX_IDS_SHOWN:
            return f"{self.method} {head}/{','.join(ids[:_MAX_IDS_SHOWN])},... ({len(ids)} ids)"
        return f"{self.method} {self.path}"


def pattern(path: str) -> str:
    """Return a path with its service name and ids replaced by ``*``.

    This is the form of OVHcloud's access rules (reference: ovh 3):
    ``/dedicatedCloud/pcc-1/datacenter/8/vm/1,2`` is ``/dedicatedCloud/*/datacenter/*/vm/*``.
    """
    segments = path.split("/")
    for position, segment in enumerate(segments):
        is_service = position == 2 and segments[1] == "dedicatedCloud"
        if is_service or segment.replace(",", "").isdigit():
            segments[position] = "*"
    return "/".join(segments)


def broke(call: Call, what: str, *, status: int | None = None, query_id: str | None = None,
          retryable: bool = False) -> OvhBrokeError:  # fmt: skip
    """Return the error for an answer that cannot be used."""
    return OvhBrokeError(
        f"{call}: {what}{reference(query_id)}",
        path=call.path,
        query_id=query_id,
        http_status=status,
        retryable=retryable,
    )


def reference(query_id: str | None) -> str:
    """Return the end of a message that carries OVHcloud's query id, empty without one."""
    return f" [OVHcloud query {query_id}]" if query_id else ""


def gist(message: str | None) -> str | None:
    """Return a message without query ids, to tell a new problem from the same one again."""
    return _REFERENCE.sub("", message) if message else message
