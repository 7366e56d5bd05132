"""The outermost layer: request ids, the deadline, and the last word on errors."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING

import structlog
from starlette.requests import ClientDisconnect

from bridge.doors.http import JsonResponse, PlacedError, clipped, error_body, error_response
from bridge.errors import BridgeError, UpstreamTimeoutError

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_log = structlog.get_logger(__name__)


class GuardMiddleware:
    """Answers every error with the common body, and everything within the deadline.

    An unknown exception is answered 500 without details; the request id in the message is
    in the log next to the traceback. Headers and bodies are not logged: Grafana's referer
    holds the values of all dashboard variables.

    Args:
        app: What is guarded.
        deadline_s: Seconds after which 504 is answered.
    """

    def __init__(self, app: ASGIApp, *, deadline_s: float) -> None:
        self._app = app
        self._deadline_s = deadline_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = secrets.token_hex(6)
        started = False

        async def tracked(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = [*message.get("headers", ()), (b"x-request-id", request_id.encode())]
                message = {**message, "headers": headers}
            await send(message)

        # Never unbound: a request is served in a task, and so in a context, of its own.
        structlog.contextvars.bind_contextvars(request_id=request_id)
        response = await self._run(scope, receive, tracked, request_id)
        if response is None:
            return
        if started:
            _log.error("answer_broken_off", path=scope["path"])
            raise ConnectionAbortedError("the answer failed after it had begun")
        await response(scope, receive, tracked)

    async def _run(
        self, scope: Scope, receive: Receive, send: Send, request_id: str
    ) -> Response | None:
        """Run the application and return the answer to an error, if there was one."""
        path = scope["path"]
        field = None
        try:
            async with asyncio.timeout(self._deadline_s) as deadline:
                await self._app(scope, receive, send)
        except ClientDisconnect:
            _log.info("client_left", path=path)
            return None
        except PlacedError as placed:
            error, field = placed.error, placed.field
        except BridgeError as bridge_error:
            error = bridge_error
        except Exception as unknown:  # noqa: BLE001 -- the last resort: whatever it is, it is logged and answered
            if not (isinstance(unknown, TimeoutError) and deadline.expired()):
                _log.exception("request_failed", path=path, status=500)
                message = f"internal error; the log has it under request {request_id}"
                return JsonResponse(error_body(500, message), 500)
            error = UpstreamTimeoutError(
                f"no answer within {self._deadline_s:g} s (setting deadline_s)"
            )
        else:
            return None
        log = _log.warning if error.status >= 500 else _log.info
        log("request_refused", path=path, status=error.status, reason=clipped(error.message))
        return error_response(error, field=field)
