"""Answers in OpenTSDB's form: JSON that is never kept, and its error body.

The error body is OpenTSDB's ``{"error": {"code", "message"[, "details"]}}`` with the message
at the top level as well (reference: grafana 0, fact 10). A message is a sentence of its own,
in OpenTSDB's words where it has some; ``details`` says where in the request it arose.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bridge.doors.http import JsonResponse, clipped, error_body
from bridge.errors import BadRequestError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bridge.errors import BridgeError

#: An alert rule must never be evaluated on what some cache between kept.
_NOT_KEPT = {"Cache-Control": "no-store"}


def answer(content: Any) -> JsonResponse:
    """Answer 200 with JSON; bytes are taken as JSON already."""
    return JsonResponse(content, headers=_NOT_KEPT)


def refusal(
    status: int,
    message: str,
    details: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> JsonResponse:
    """Answer an error."""
    body = error_body(status, clipped(message))
    if details is not None:
        body["error"]["details"] = clipped(details)
    return JsonResponse(body, status, {**_NOT_KEPT, **(headers or {})})


def failure(error: BridgeError, field: str | None = None) -> JsonResponse:
    """Answer an error of the bridge.

    Args:
        error: What happened.
        field: Where in the request, if the error itself does not say.
    """
    headers = {}
    if isinstance(error, UnavailableError):
        headers["Retry-After"] = str(error.retry_after)
    if isinstance(error, BadRequestError):
        field = error.field or field
        if field is not None and error.position is not None:
            field = f"{field}, position {error.position}"
    return refusal(error.status, error.message, field, headers)
