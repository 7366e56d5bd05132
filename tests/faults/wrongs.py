"""How an upstream goes wrong: each is a coroutine that decides what one request gets.

None of them fakes a library's behaviour: they write bytes, or no bytes.
"""

from __future__ import annotations

import asyncio
import functools
import gzip
import re
import zlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import orjson

from tests.faults.upstream import Answer, head, machines_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.faults.upstream import Hit

    Wrong = Callable[[Hit], Awaitable[None]]
    Change = Callable[[bytes], bytes]

LONG_S = 60.0
JSON = (("Content-Type", "application/json; charset=utf-8"), ("X-OVH-QUERYID", "EU.ext-7.fault"))
HTML = (("Content-Type", "text/html"),)
PAGE = b"<html><head><title>Sign in</title></head><body>Please sign in. %s</body></html>"


# connections ----------------------------------------------------------------------------


async def reset_at_once(hit: Hit) -> None:
    hit.reset()


async def close_at_once(hit: Hit) -> None:
    hit.close()


async def half_close(hit: Hit) -> None:
    """Say that nothing more will come, and listen on."""
    hit.writer.write_eof()
    await asyncio.sleep(LONG_S)


async def reset_mid_body(hit: Hit) -> None:
    await _half(hit)
    hit.reset()


async def close_mid_body(hit: Hit) -> None:
    await _half(hit)
    hit.close()


async def reset_mid_head(hit: Hit) -> None:
    hit.writer.write(b"HTTP/1.1 200 OK\r\nContent-Ty")
    await hit.writer.drain()
    await asyncio.sleep(0.05)
    hit.reset()


async def _half(hit: Hit) -> None:
    answer = await hit.answer()
    hit.writer.write(head(answer, f"Content-Length: {len(answer.body)}"))
    hit.writer.write(answer.body[: len(answer.body) // 2])
    await hit.writer.drain()
    await asyncio.sleep(0.05)


# time -----------------------------------------------------------------------------------


async def slow_head(hit: Hit) -> None:
    """Take the request and say nothing."""
    del hit
    await asyncio.sleep(LONG_S)


async def slow_body(hit: Hit) -> None:
    """Send a byte now and then: no single read ever runs out of time."""
    answer = await hit.answer()
    hit.writer.write(head(answer, f"Content-Length: {len(answer.body)}"))
    for byte in answer.body:
        hit.writer.write(bytes([byte]))
        await hit.writer.drain()
        await asyncio.sleep(0.2)


async def endless_head(hit: Hit) -> None:
    """Send header after header."""
    hit.writer.write(b"HTTP/1.1 200 OK\r\n")
    for number in range(1_000_000):
        hit.writer.write(f"X-More-{number}: {'x' * 400}\r\n".encode())
        await hit.writer.drain()


# HTTP -----------------------------------------------------------------------------------


async def no_http(hit: Hit) -> None:
    hit.writer.write(b"SSH-2.0-OpenSSH_9.6\r\n")
    await hit.writer.drain()
    hit.close()


async def broken_chunks(hit: Hit) -> None:
    answer = await hit.answer()
    hit.writer.write(head(answer, "Transfer-Encoding: chunked"))
    hit.writer.write(b"10\r\n" + answer.body[:16] + b"\r\nnonsense\r\n" + answer.body[16:])
    await hit.writer.drain()
    hit.close()


async def chunks_without_end(hit: Hit) -> None:
    answer = await hit.answer()
    hit.writer.write(head(answer, "Transfer-Encoding: chunked"))
    hit.writer.write(b"%x\r\n%s\r\n" % (len(answer.body), answer.body))
    await hit.writer.drain()
    hit.close()


async def text_type(hit: Hit) -> None:
    """The true answer, said to be a text."""
    answer = await hit.answer()
    others = tuple(pair for pair in answer.headers if pair[0].lower() != "content-type")
    if hit.asked.part == "api":  # what is JSON is read as JSON there
        told = answer.json
        if isinstance(told, dict | list):
            hit.upstream.believe(told)
        answer = answer.saying(told)
    await hit.send(replace(answer, headers=(*others, ("Content-Type", "text/plain"))))


async def sign_in_page(hit: Hit) -> None:
    """What a captive portal or a proxy answers: 200, and HTML."""
    await hit.send(Answer(200, HTML, PAGE % hit.asked.secrets.encode()))


async def empty_200(hit: Hit) -> None:
    await hit.send(Answer(200, JSON, b""))


async def huge(hit: Hit) -> None:
    """More than is ever read, in a form that would be fine."""
    answer = await hit.answer()
    hit.writer.write(head(answer, "Transfer-Encoding: chunked"))
    piece = b" " * 65_536
    for _ in range(4_096):
        hit.writer.write(b"10000\r\n" + piece + b"\r\n")
        await hit.writer.drain()


async def bomb(hit: Hit) -> None:
    """A quarter of a gigabyte of spaces in a quarter of a megabyte of gzip."""
    await hit.send(Answer(200, (*JSON, ("Content-Encoding", "gzip")), _bomb()))


async def bomb_in_bomb(hit: Hit) -> None:
    """The same, packed twice: a few hundred bytes on the wire."""
    headers = (*JSON, ("Content-Encoding", "gzip, gzip"))
    await hit.send(Answer(200, headers, gzip.compress(_bomb())))


@functools.cache
def _bomb() -> bytes:
    packer = zlib.compressobj(9, wbits=31)
    piece = b" " * (1 << 20)
    return b"".join([*(packer.compress(piece) for _ in range(256)), packer.flush()])


async def elsewhere(hit: Hit) -> None:
    """Point to another server, by every way of pointing."""
    target = f"{hit.upstream.url('elsewhere')}/take"
    await hit.send(Answer(307, (*JSON, ("Location", target)), b"{}"))


def status(code: int, kind: str = "class", text: str = "Simulated", **headers: str) -> Wrong:
    """Refuse, in one of the shapes of an error; each quotes what the request proved with.

    Args:
        code: HTTP status.
        kind: ``class`` and ``code`` are APIv6's two, ``tsdb`` OpenTSDB's, ``page`` a gateway's.
        text: What APIv6 or OpenTSDB says.
        headers: More; ``_`` stands for a hyphen.
    """

    async def refuse(hit: Hit) -> None:
        said = f"{text} {hit.asked.secrets}"
        bodies: dict[str, Any] = {
            "class": {"class": f"Client::E{code}", "message": said},
            "code": {"errorCode": f"E{code}", "httpCode": f"{code} x", "message": said},
            "tsdb": {"error": {"code": code, "message": said, "details": said, "trace": said}},
        }
        more = tuple((name.replace("_", "-"), value) for name, value in headers.items())
        if kind == "page":
            page = PAGE % hit.asked.secrets.encode()
            await hit.send(Answer(code, (*HTML, *more), page))
        else:
            await hit.send(Answer(code, (*JSON, *more), orjson.dumps(bodies[kind])))

    return refuse


def api_error(code: int, error: str, message: str) -> Wrong:
    """One of the refusals seen at OVHcloud (reference: ovh 3.1)."""

    async def refuse(hit: Hit) -> None:
        body = {"errorCode": error, "httpCode": f"{code} x", "message": message}
        await hit.send(Answer(code, JSON, orjson.dumps(body)))

    return refuse


def warp10_error(text: str, code: int = 500) -> Wrong:
    """Warp 10's own error page, its text in a header too (reference: opentsdb 2.7)."""

    async def refuse(hit: Hit) -> None:
        said = f"{text} {hit.asked.secrets}".replace("\n", " ")[:2_000]
        headers = (
            ("Content-Type", "text/html;charset=iso-8859-1"),
            ("X-Warp10-Error-Line", "1"),
            ("X-Warp10-Error-Message", said.encode("latin-1", "replace").decode("latin-1")),
        )
        await hit.send(Answer(code, headers, PAGE % said.encode()))

    return refuse


# JSON -----------------------------------------------------------------------------------


def body(change: Callable[[bytes], bytes]) -> Wrong:
    """Change the bytes of the true answer, where it is a success."""

    async def changed(hit: Hit) -> None:
        answer = await hit.answer()
        if answer.status == 200:
            answer = replace(answer, body=change(answer.body))
        await hit.send(answer)

    return changed


truncated = body(lambda raw: raw[: len(raw) * 2 // 3])
not_a_number = body(lambda raw: _first_value(raw, b"NaN"))
beyond_double = body(lambda raw: _first_value(raw, b"1e999"))
not_utf8 = body(lambda raw: raw.replace(b'"', b'"\xff', 1))
another_type = body(lambda _: b'{"unexpected": true}')
null = body(lambda _: b"null")
too_deep = body(lambda _: b"[" * 100_000)

_VALUE = re.compile(rb'("netRx":|"\d{10}":|\[\d{16},)(-?[\d.]+)')


def _first_value(raw: bytes, text: bytes) -> bytes:
    return _VALUE.sub(lambda found: found[1] + text, raw, count=1)


#: Every value twice, with the true one last, which is what JSON parsers take.
async def keys_twice(hit: Hit) -> None:
    answer = await hit.answer()
    if hit.asked.part == "api" and answer.status == 200:
        told = answer.json
        hit.upstream.believe(told)
        answer = answer.saying(told)
    twice = _VALUE.sub(lambda found: found[1] + b"123456789," + found[0], answer.body)
    if hit.asked.part == "warp10":
        twice = re.sub(rb"\[(\d{16}),(-?[\d.eE+-]+)\]", rb"[\1,123456789],[\1,\2]", answer.body)
    await hit.send(replace(answer, body=twice))


# the API's own --------------------------------------------------------------------------


def machines(change: Callable[[dict[str, Any]], None]) -> Wrong:
    """Change each machine in a true answer that is otherwise to be believed."""

    async def changed(hit: Hit) -> None:
        answer = await hit.answer()
        if answer.status == 200:
            told = answer.json
            for vm in machines_of(told):
                change(vm)
            hit.upstream.believe(told)
            answer = answer.saying(told)
        await hit.send(answer)

    return changed


async def listed_twice(hit: Hit) -> None:
    answer = await hit.answer()
    await hit.send(answer.saying(answer.json * 2))


async def batch_unsupported(hit: Hit) -> None:
    """A server that takes ``1,2`` for the name of one object."""
    if "x-ovh-batch" in hit.asked.headers:
        await status(404, text="The requested object does not exist")(hit)
        return
    answer = await hit.answer()
    if answer.status == 200:
        told = answer.json
        hit.upstream.believe(told)
        answer = answer.saying(told)
    await hit.send(answer)


def batch_error(error: Any) -> Wrong:
    """Let the first machine of a batch fail by itself; alone it fails too."""

    async def partly(hit: Hit) -> None:
        answer = await hit.answer()
        told = answer.json
        if isinstance(told, list) and answer.status == 200:
            told[0] = {"key": told[0]["key"], "value": None, "error": error}
            hit.upstream.believe(told)
        await hit.send(answer.saying(told))

    return partly


def vanished(datacenter: int) -> Wrong:
    """Let a datacenter be gone from one moment to the next."""

    async def without(hit: Hit) -> None:
        answer = await hit.answer()
        if f"/datacenter/{datacenter}/" in f"{hit.asked.path}/":
            await status(404, text="The requested object does not exist")(hit)
            return
        if answer.status == 200:
            told = answer.json
            if hit.asked.path.endswith("/datacenter"):
                told = [one for one in told if one != datacenter]
            elif isinstance(told, list | dict):
                hit.upstream.believe(told)
            answer = answer.saying(told)
        await hit.send(answer)

    return without


def reborn(vm: dict[str, Any]) -> None:
    """Another machine has the id of one that is gone."""
    if vm["vmId"] % 1000 == 1:
        vm["moRef"], vm["name"] = "vm-77001", "reborn-01"
