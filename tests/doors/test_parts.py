"""Long answers are sent in parts, and arrive whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from starlette.responses import Response

from bridge.doors.parts import PART_BYTES, PartsMiddleware

if TYPE_CHECKING:
    from starlette.types import Message

SCOPE: dict[str, Any] = {"type": "http", "method": "GET", "path": "/"}


async def sent_by(app: Any) -> list[Message]:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(dict(message))

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    await PartsMiddleware(app)(SCOPE, receive, send)
    return sent


@pytest.mark.parametrize(
    ("length", "parts"),
    [(0, 1), (1, 1), (PART_BYTES, 1), (PART_BYTES + 1, 2), (5 * PART_BYTES, 5)],
)
async def test_a_body_arrives_whole(length: int, parts: int) -> None:
    body = bytes(range(256)) * (length // 256) + bytes(length % 256)
    start, *rest = await sent_by(Response(body))
    assert dict(start["headers"])[b"content-length"] == str(length).encode()
    assert b"".join(message["body"] for message in rest) == body
    assert [message.get("more_body", False) for message in rest] == [True] * (parts - 1) + [False]
    assert max(len(message["body"]) for message in rest) <= PART_BYTES


async def test_a_stream_goes_on_after_a_long_piece() -> None:
    async def app(_: object, __: object, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for body, more in ((bytes(PART_BYTES + 1), True), (b"end", False)):
            await send({"type": "http.response.body", "body": body, "more_body": more})

    _, *rest = await sent_by(app)
    assert b"".join(message["body"] for message in rest) == bytes(PART_BYTES + 1) + b"end"
    assert [message.get("more_body", False) for message in rest] == [True, True, False]
