"""SimpleJSON's own routes (reference: grafana 1.3); ``/query`` and ``/annotations`` apart.

``/tag-keys`` and ``/tag-values``, which simPod shares, are never answered with an error:
the clients have no handler for one, and the dropdown would spin for ever.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import structlog

from bridge.doors.http import JsonResponse, both, kind_of, read_object
from bridge.doors.names import MAX_CHOICES, all_values, label_keys
from bridge.doors.variables import list_choices
from bridge.errors import BadRequestError, BridgeError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

    from bridge.doors.doorway import Doorway
    from bridge.ovh.choices import Choice

_log = structlog.get_logger(__name__)


def routes(doorway: Doorway) -> list[Route]:
    """Return ``/search``, ``/tag-keys`` and ``/tag-values``."""

    async def search(request: Request) -> Response:
        """Answer a metric dropdown or a query variable."""
        body = await read_object(request, max_bytes=doorway.limits.max_body_bytes)
        text = body.get("target")
        if text is not None and not isinstance(text, str):
            raise BadRequestError(f"expected a text, found {kind_of(text)}", field="target")
        try:
            found = await list_choices(doorway, text or "")
        except BadRequestError as error:
            raise error.within("target") from None
        return JsonResponse([_option(choice) for choice in found])

    async def tag_keys(request: Request) -> Response:
        """Answer the keys of ad hoc filters."""
        await _drain(request, doorway)
        keys = label_keys(doorway)
        return JsonResponse([{"type": "string", "text": key, "value": key} for key in keys])

    async def tag_values(request: Request) -> Response:
        """Answer the values of one key of ad hoc filters."""
        body = await _drain(request, doorway)
        return JsonResponse(_values(await _tag_values(doorway, body.get("key"))))

    return [
        *both("/search", search, ["POST"]),
        *both("/tag-keys", tag_keys, ["POST"]),
        *both("/tag-values", tag_values, ["POST"]),
    ]


async def _drain(request: Request, doorway: Doorway) -> dict[str, Any]:
    """Read the body; one that cannot be read is an empty one."""
    try:
        return await read_object(request, max_bytes=doorway.limits.max_body_bytes)
    except BridgeError as error:
        _log.warning("body_unreadable", path=request.url.path, reason=error.message)
        return {}


async def _tag_values(doorway: Doorway, key: Any) -> tuple[Choice, ...]:
    if not isinstance(key, str):
        return ()
    try:
        return await all_values(doorway, key)
    except Exception:  # noqa: BLE001 -- an error here would leave Grafana's dropdown spinning
        _log.exception("tag_values_failed", key=key)
        return ()


def _values(found: Iterable[Choice]) -> list[dict[str, str]]:
    """Filters use ``text`` as the value too, so the value is what is shown."""
    return [{"text": one.value, "value": one.value} for one in found][:MAX_CHOICES]


def _option(choice: Choice) -> dict[str, str]:
    """Return an option every plugin reads; all texts are non-empty, as SimpleJSON needs."""
    return {
        "text": choice.text,
        "value": choice.value,
        "__text": choice.text,
        "__value": choice.value,
    }
