"""Answers as gzip: when asked for, where it is worth it, and intact."""

from __future__ import annotations

import gzip

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from bridge.doors.compression import CompressionMiddleware, accepts_gzip, gzipped

LONG = {"values": list(range(200_000))}


async def long(_: object) -> Response:
    return JSONResponse(LONG)


async def short(_: object) -> Response:
    return JSONResponse({"ok": True})


async def image(_: object) -> Response:
    return Response(b"x" * 5_000, media_type="image/png")


async def packed(_: object) -> Response:
    return PlainTextResponse(gzip.compress(b"x" * 50_000, 0), headers={"Content-Encoding": "gzip"})


async def stream(_: object) -> Response:
    return StreamingResponse((b"y" * 2_000 for _ in range(3)), media_type="text/plain")


APP = Starlette(
    routes=[Route(f"/{one.__name__}", one) for one in (long, short, image, packed, stream)],
    middleware=[Middleware(CompressionMiddleware, min_bytes=1_000)],
)


async def get(path: str, accepts: str) -> httpx.Response:
    transport = httpx.ASGITransport(APP)
    async with httpx.AsyncClient(transport=transport, base_url="http://bridge") as client:
        return await client.get(path, headers={"Accept-Encoding": accepts})


async def test_long_answers_are_compressed_and_intact() -> None:
    answer = await get("/long", "gzip, deflate, br, zstd")
    assert answer.headers["Content-Encoding"] == "gzip"
    assert answer.headers["Vary"] == "Accept-Encoding"
    assert int(answer.headers["Content-Length"]) < 700_000
    assert answer.json() == LONG


@pytest.mark.parametrize(
    ("path", "accepts"),
    [
        ("/long", "identity"),
        ("/long", "br, zstd"),
        ("/long", "gzip;q=0"),
        ("/short", "gzip"),
        ("/image", "gzip"),
    ],
)
async def test_others_go_out_as_they_are(path: str, accepts: str) -> None:
    answer = await get(path, accepts)
    assert answer.status_code == 200
    assert "Content-Encoding" not in answer.headers
    assert answer.content


async def test_what_is_packed_or_streamed_is_left_alone() -> None:
    assert (await get("/packed", "gzip")).content == b"x" * 50_000
    streamed = await get("/stream", "gzip")
    assert streamed.content == b"y" * 6_000
    assert "Content-Encoding" not in streamed.headers


def test_an_answer_is_one_member_of_gzip() -> None:
    assert gzip.decompress(gzipped(b"abc" * 1_000)) == b"abc" * 1_000


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("gzip", True), ("br;q=1.0, GZIP ;q=0.5", True), ("gzip;q=0.0", False), ("", False)],
)
def test_who_accepts_gzip(text: str, wanted: bool) -> None:
    from starlette.datastructures import Headers  # noqa: PLC0415

    assert accepts_gzip(Headers({"accept-encoding": text})) is wanted
