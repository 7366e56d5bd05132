"""Request bodies as OpenTSDB takes them: JSON whatever the content type, also gzipped."""

from __future__ import annotations

import asyncio
import zlib
from typing import TYPE_CHECKING, Any

import orjson

from bridge.doors.http import kind_of, read_bytes, too_long
from bridge.errors import BadRequestError

if TYPE_CHECKING:
    from starlette.requests import Request

_NO_CODING = frozenset({"", "identity"})
_GZIP = frozenset({"gzip", "x-gzip"})
#: Makes zlib expect gzip's header.
_GZIP_BITS = 16 + zlib.MAX_WBITS
#: Bytes from which unpacking leaves the event loop.
_LARGE = 65_536


async def read_content(request: Request, *, max_bytes: int) -> dict[str, Any]:
    """Read the body as a JSON object.

    Raises:
        BadRequestError: There is none, or it is something else.
        TooMuchError: It is longer than ``max_bytes``, packed or unpacked.
    """
    content = await read_content_if_any(request, max_bytes=max_bytes)
    if content is None:
        raise BadRequestError(
            "Missing message content: supply JSON in the body of the request", field="body"
        )
    return content


async def read_content_if_any(request: Request, *, max_bytes: int) -> dict[str, Any] | None:
    """Read the body as a JSON object; None where it is empty.

    Raises:
        BadRequestError, TooMuchError: As ``read_content``.
    """
    content = await read_bytes(request, max_bytes)
    coding = request.headers.get("content-encoding", "").strip().lower()
    if coding in _GZIP:
        if len(content) > _LARGE:
            content = await asyncio.to_thread(_unpack, content, max_bytes)
        else:
            content = _unpack(content, max_bytes)
    elif coding not in _NO_CODING:
        raise BadRequestError(
            f"Content-Encoding: expected gzip or none, found {coding[:60]!r}",
            field="Content-Encoding",
        )
    if not content.strip():
        return None
    try:
        decoded = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise BadRequestError(f"Unable to parse the given JSON: {error}", field="body") from None
    if not isinstance(decoded, dict):
        raise BadRequestError(
            f"Unable to parse the given JSON: expected an object, found {kind_of(decoded)}",
            field="body",
        )
    return decoded


def _unpack(content: bytes, max_bytes: int) -> bytes:
    """Unpack gzip, however small its content says it is, up to a limit."""
    member = zlib.decompressobj(_GZIP_BITS)
    try:
        unpacked = member.decompress(content, max_bytes + 1)
    except zlib.error:
        raise BadRequestError("the body is not gzip, as its header says", field="body") from None
    if len(unpacked) > max_bytes:
        raise too_long(max_bytes)
    if not member.eof or member.unused_data:
        raise BadRequestError("the gzipped body is not complete, or goes on", field="body")
    return unpacked
