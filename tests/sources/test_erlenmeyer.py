"""The source over OVHcloud's front end, against the simulated one over real sockets."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import BadRequestError, UpstreamError
from bridge.model import FilterKind, PointRequest, TagFilter
from bridge.sources.erlenmeyer import Erlenmeyer, _selector
from bridge.sources.upstream import Upstream
from tests.servers import serving
from tests.sources.lab import BASE_S, Lab

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    lab = Lab()
    with serving(lab.app) as lab.url:
        yield lab


@pytest.fixture
async def source(lab: Lab) -> AsyncIterator[Erlenmeyer]:
    upstream = Upstream(concurrency=4, timeout_s=5)
    yield Erlenmeyer("the history", upstream, lab, clock=time.monotonic)
    await upstream.close()


async def test_literals_travel_and_the_rest_is_filtered_here(lab: Lab, source: Erlenmeyer) -> None:
    lab.asked.clear()
    for kind, text, vms in (
        (FilterKind.LITERAL_OR, "vm-1|vm-3", {"vm-1", "vm-3"}),
        (FilterKind.REGEXP, "[12]$", {"vm-1", "vm-2"}),
        (FilterKind.NOT_LITERAL_OR, "vm-1", {"vm-2", "vm-3"}),
        (FilterKind.WILDCARD, "*-2", {"vm-2"}),
    ):
        wanted = (TagFilter("vm", kind, text),)
        request = PointRequest("lab.cap", wanted, BASE_S * 1000, (BASE_S + 7200) * 1000, 10_000)
        got = await source.points(request)
        assert {p.tags["vm"] for p in got} == vms
    assert b'"vm-1|vm-3"' in lab.asked[0]
    assert not any(b"[12]" in body for body in lab.asked)


@pytest.mark.parametrize(
    ("text", "char"),
    [
        ("a'b", "'"),
        ("a%27b", "%"),
        ("a\nb", r"\n"),
        ("a\x00b", r"\x00"),
        ("~x", "~"),
        ("a|=x", "="),
    ],
)
@pytest.mark.parametrize("where", ["metric", "key", "value"])
async def test_script_text_is_refused_by_name(
    source: Erlenmeyer, where: str, text: str, char: str
) -> None:
    metric = text if where == "metric" else "lab.cap"
    flt = TagFilter(
        text if where == "key" else "vm", FilterKind.LITERAL_OR, text if where == "value" else "a"
    )
    with pytest.raises(BadRequestError) as caught:
        await source.points(PointRequest(metric, (flt,), 0, 1, 1))
    assert char in caught.value.message
    assert caught.value.position is not None


@given(st.text(min_size=1), st.text(min_size=1), st.text(min_size=1))
def test_what_travels_cannot_leave_a_literal(metric: str, tag: str, value: str) -> None:
    try:
        sent = _selector(metric, (TagFilter(tag, FilterKind.LITERAL_OR, value),))
    except BadRequestError:
        return
    for text in (metric, *sent, *sent.values()):
        assert text.isprintable()
        assert not set(text) & set("'%")
        assert not text.startswith(("~", "="))


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"", "closed the connection without an answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n[{", "broke off in the middle"),
        (b"220 smtp ready\r\n\r\n", "did not speak proper HTTP"),
    ],
)
async def test_a_connection_that_breaks(answer: bytes, words: str) -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(speak, "127.0.0.1", 0)
    upstream = Upstream(concurrency=1, timeout_s=2)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(UpstreamError, match=words):
            await upstream.request("GET", f"http://127.0.0.1:{port}/")
    await upstream.close()


async def test_nothing_listens() -> None:
    upstream = Upstream(concurrency=1, timeout_s=2)
    with pytest.raises(UpstreamError, match=r"127\.0\.0\.1 refused the connection"):
        await upstream.request("GET", "http://127.0.0.1:1/")
    with pytest.raises(UpstreamError, match="name resolution"):
        await upstream.request("GET", "http://no-such-host.invalid/")
    await upstream.close()
