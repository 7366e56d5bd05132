"""Failures on demand, for tests and for trying things out."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, Protocol, get_args

import orjson

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

Target = Literal["apiv6", "opentsdb", "warp10", "oauth2"]
Mode = Literal["down", "slow", "html", "truncated", "wrong_type", "status", "reset"]

_HTML = b"<html><head><title>504 Gateway Time-out</title></head><body>504</body></html>"


_DOWN: Mapping[Target, tuple[int, str, bytes]] = MappingProxyType(
    {
        "opentsdb": (
            500,
            "application/json; charset=UTF-8",
            b'{"message":"Internal Server Error"}\n',
        )
    }
)
_API_FAILED = (
    "application/json; charset=utf-8",
    orjson.dumps({"class": "Server::InternalServerError", "message": "Simulated failure"}),
)
_FAILED: Mapping[Target, tuple[str, bytes]] = MappingProxyType(
    {
        "apiv6": _API_FAILED,
        "oauth2": _API_FAILED,
        "opentsdb": ("text/plain; charset=utf-8", b"simulated failure\n"),
        "warp10": ("text/html;charset=iso-8859-1", b"<html>simulated failure</html>\n"),
    }
)


@dataclass(slots=True)
class Fault:
    """One failure.

    Attributes:
        mode: ``down`` is what answers for a service that is gone (a 503 without JSON;
            Erlenmeyer without its Warp 10 says 500 in JSON); ``slow`` answers after
            ``seconds``; ``html`` is a gateway's 504 page; ``truncated`` breaks the real
            answer off half way; ``wrong_type`` is a 200 with JSON of another kind;
            ``status`` is an error answer with ``status``; ``reset`` closes the connection
            without a word.
        count: How many requests still fail; None for all.
        path: Only requests whose path contains this.
    """

    mode: Mode
    status: int = 503
    seconds: float = 2.0
    count: int | None = None
    path: str = ""


def parse_fault(body: Mapping[str, Any]) -> tuple[Target, Fault]:
    """Read a fault.

    Raises:
        ValueError: an unknown target or mode, or a wrong type.
    """
    target: Target = _one_of("target", body.get("target"), get_args(Target))
    mode: Mode = _one_of("mode", body.get("mode"), get_args(Mode))
    count = body.get("count")
    return target, Fault(
        mode,
        int(body.get("status", 503)),
        float(body.get("seconds", 2.0)),
        None if count is None else int(count),
        str(body.get("path", "")),
    )


def _one_of(name: str, value: Any, allowed: tuple[str, ...]) -> Any:
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(allowed)}")
    return value


def target_of(path: str) -> Target | None:
    """Return which part of the simulator a path belongs to."""
    if path.startswith(("/1.0/", "/v1/")):
        return "apiv6"
    if path.startswith("/opentsdb"):
        return "opentsdb"
    if path.startswith("/warp10"):
        return "warp10"
    if path == "/auth/oauth2/token":
        return "oauth2"
    return None


class Faults:
    """The failures in force, at most one a target."""

    def __init__(self) -> None:
        self._active: dict[Target, Fault] = {}

    def set(self, target: Target, fault: Fault) -> None:
        """Put a failure in force."""
        self._active[target] = fault

    def clear(self) -> None:
        """End all failures."""
        self._active.clear()

    def listing(self) -> list[dict[str, Any]]:
        """Return the failures in force as JSON."""
        return [
            {
                "target": target,
                "mode": fault.mode,
                "status": fault.status,
                "seconds": fault.seconds,
                "count": fault.count,
                "path": fault.path,
            }
            for target, fault in self._active.items()
        ]

    def take(self, path: str) -> Fault | None:
        """Return the failure that hits a request, counting it."""
        target = target_of(path)
        fault = self._active.get(target) if target else None
        if target is None or fault is None or fault.path not in path:
            return None
        if fault.count is not None:
            fault.count -= 1
            if fault.count <= 0:
                del self._active[target]
        return fault

    async def serve(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Run ``app``, or let the request fail."""
        fault = self.take(scope["path"]) if scope["type"] == "http" else None
        if fault is None:
            await app(scope, receive, send)
        elif fault.mode == "slow":
            await asyncio.sleep(fault.seconds)
            await app(scope, receive, send)
        elif fault.mode == "reset":
            await _reset(receive, send)
        elif fault.mode == "truncated":
            await _truncated(app, scope, receive, send)
        else:
            await _say(send, *_answer_of(fault, scope["path"]))


def _answer_of(fault: Fault, path: str) -> tuple[int, str, bytes]:
    target = target_of(path) or "apiv6"
    if fault.mode == "html":
        return 504, "text/html", _HTML
    if fault.mode == "wrong_type":
        return 200, "application/json", b'{"unexpected":true}'
    if fault.mode == "down":
        return _DOWN.get(target, (503, "text/plain", b"Service Unavailable\n"))
    return fault.status, *_FAILED[target]


async def _say(send: Send, status: int, kind: str, body: bytes) -> None:
    headers = [
        (b"content-type", kind.encode()),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class _Connection(Protocol):
    def abort(self) -> None: ...

    def close(self) -> None: ...


def _transport(send: Callable[[Message], Awaitable[None]]) -> _Connection | None:
    """Return the connection under uvicorn's ``send``, where it can be found."""
    found: _Connection | None = getattr(getattr(send, "__self__", None), "transport", None)
    return found


async def _gone(receive: Receive) -> None:
    """Wait until the server has noticed that the connection is closed."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _reset(receive: Receive, send: Send) -> None:
    """Close the connection; without access to it, refuse as a gateway would."""
    transport = _transport(send)
    if transport is None:
        await _say(send, 502, "text/plain", b"Bad Gateway\n")
        return
    transport.abort()
    await _gone(receive)


async def _truncated(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Send the real headers and half of the real body, then close the connection."""
    start: Message = {}
    body = bytearray()

    async def keep(message: Message) -> None:
        if message["type"] == "http.response.start":
            start.update(message)
        else:
            body.extend(message.get("body", b""))

    await app(scope, receive, keep)
    await send(start)
    await send(
        {"type": "http.response.body", "body": bytes(body[: len(body) // 2]), "more_body": True}
    )
    transport = _transport(send)
    if transport is not None:
        transport.close()
        await _gone(receive)
