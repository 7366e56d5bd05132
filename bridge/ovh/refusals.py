"""Which error an answer of OVHcloud means.

Two shapes of error body exist side by side, with ``errorCode`` and with ``class``; both are
read, and ``message`` where neither helps (reference: ovh 3.1). Text from outside passes
through a redactor that knows the account's secrets, loses its control characters and is
cut short.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from bridge.ovh.errors import (
    Call,
    OvhBrokeError,
    OvhCredentialError,
    OvhError,
    OvhExpiredError,
    OvhNotFoundError,
    OvhNotGrantedError,
    OvhRateLimitedError,
    OvhRefusedError,
    OvhSignatureError,
    pattern,
    reference,
)

Redact = Callable[[str], str]

_CREDENTIAL_CODES = frozenset({"INVALID_CREDENTIAL", "NOT_CREDENTIAL", "INVALID_KEY"})
_CREDENTIAL_TEXT = re.compile(
    r"application key is invalid|credential (is not valid|does not exist)|must login first"
    r"|invalid (access )?token|token (is )?expired",
    re.IGNORECASE,
)
_SIGNATURE_CODES = frozenset({"INVALID_SIGNATURE", "QUERY_TIME_OUT"})
_SIGNATURE_TEXT = re.compile(r"invalid signature|query out of time", re.IGNORECASE)
_NOT_FOUND_TEXT = re.compile(r"not found|does not exist", re.IGNORECASE)
_STATUS_OF_CLASS: Mapping[str, int] = {
    "Client::BadRequest": 400,
    "Client::Unauthorized": 401,
    "Client::Forbidden": 403,
    "Client::NotFound": 404,
    "Client::TooManyRequests": 429,
}
_SENTENCES: Mapping[type[OvhError], str] = {
    OvhSignatureError: 'OVHcloud refused the signature ("{text}"); check the application '
    "secret, the consumer key and this machine's clock",
    OvhCredentialError: 'OVHcloud does not accept the credential ("{text}"); it is wrong, '
    "expired, not validated, or belongs to another endpoint",
    OvhNotGrantedError: 'the credential lacks the right "{rule}" ("{text}")',
    OvhNotFoundError: 'OVHcloud knows no such object or call ("{text}")',
    OvhExpiredError: 'the service is expired ("{text}")',
    OvhRateLimitedError: "OVHcloud says too many calls; lower calls_per_minute if this goes on",
    OvhBrokeError: "OVHcloud answered HTTP {status} ({text})",
    OvhRefusedError: "OVHcloud refused (HTTP {status}, {text})",
}
_MAX_TEXT = 200


def refusal(
    call: Call,
    status: int,
    payload: Any,
    *,
    redact: Redact,
    query_id: str | None = None,
    retry_after: int | None = None,
) -> OvhError:
    """Turn an error answer into the matching leaf.

    Args:
        call: The call that was refused.
        status: HTTP status of the answer, or of one item of a batch.
        payload: Decoded JSON, None when the body was no JSON.
        redact: Removes the account's secrets from text.
        query_id: OVHcloud's ``X-OVH-QUERYID``.
        retry_after: Seconds from a ``Retry-After`` header.
    """
    body: Mapping[str, Any] = payload if isinstance(payload, Mapping) else {}
    code = str(body.get("errorCode") or "")
    without = "a redirect" if 300 <= status < 400 else "no reason given, perhaps by a gateway"
    text = tidy(body.get("message") or code or body.get("class") or without, redact)
    rule = _iam_action(body, redact) or f"{call.method} {pattern(call.path)}"
    kind = _kind(status, code, text)
    sentence = _SENTENCES[kind].format(text=text, status=status, rule=rule)
    error = kind(
        f"{call}: {sentence}{reference(query_id)}",
        path=call.path,
        query_id=query_id,
        http_status=status,
        retryable=status in {408, 429} or status >= 500,
    )
    if isinstance(error, OvhSignatureError):
        error.late = code == "QUERY_TIME_OUT" or "out of time" in text.lower()
    if isinstance(error, OvhNotGrantedError):
        error.rule = rule
    if isinstance(error, OvhRateLimitedError) and retry_after is not None:
        error.retry_after = retry_after
    return error


def item_refusal(call: Call, error: Any, *, redact: Redact) -> OvhError:
    """Turn the ``error`` of one batch item into a leaf.

    Its exact form is not documented (reference: ovh 3.2); an object in either of the two
    error shapes and a plain text are understood.
    """
    body = error if isinstance(error, Mapping) else {"message": error}
    return refusal(call, _item_status(body), body, redact=redact)


def tidy(text: object, redact: Redact) -> str:
    """Return text from outside as one short line without secrets."""
    line = " ".join(str(text).split())
    line = redact("".join(character for character in line if character.isprintable()))
    return line if len(line) <= _MAX_TEXT else f"{line[:_MAX_TEXT]}..."


def _kind(status: int, code: str, text: str) -> type[OvhError]:
    if code in _SIGNATURE_CODES or (status == 400 and _SIGNATURE_TEXT.search(text)):
        return OvhSignatureError
    if status == 401 or code in _CREDENTIAL_CODES:
        return OvhCredentialError
    if status == 403:
        known = code != "NOT_GRANTED_CALL" and _CREDENTIAL_TEXT.search(text)
        return OvhCredentialError if known else OvhNotGrantedError
    if status >= 500 or status < 400 or status == 408:
        return OvhBrokeError
    by_status: Mapping[int, type[OvhError]] = {
        404: OvhNotFoundError,
        429: OvhRateLimitedError,
        460: OvhExpiredError,
    }
    return by_status.get(status, OvhRefusedError)


def _item_status(body: Mapping[str, Any]) -> int:
    written = re.match(r"\s*(\d{3})", str(body.get("httpCode") or body.get("status") or ""))
    if written:
        return int(written.group(1))
    status = _STATUS_OF_CLASS.get(str(body.get("class")))
    if status is None and body.get("errorCode") == "NOT_GRANTED_CALL":
        status = 403
    if status is None and _NOT_FOUND_TEXT.search(str(body.get("message"))):
        status = 404
    return status or 500


def _iam_action(body: Mapping[str, Any], redact: Redact) -> str | None:
    details = body.get("details")
    if not isinstance(details, Mapping):
        return None
    for key in ("unauthorizedActionsByIAM", "unauthorizedActionsByAuthentication"):
        if details.get(key):
            return tidy(details[key], redact)
    return None
