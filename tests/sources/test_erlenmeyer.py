"""The source over OVHcloud's front end, against the simulated one over real sockets."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import httpx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.routing import Route

from bridge.demo.account import demo_account
from bridge.demo.erlenmeyer.front import Erlenmeyer as Front
from bridge.demo.shelf import Name, StoredSeries
from bridge.demo.tokens import VscopeTokens
from bridge.engine.downsample import into_buckets
from bridge.errors import BadRequestError, TooMuchError, UpstreamError, UpstreamTimeoutError
from bridge.model import BucketFunction, BucketRequest, FilterKind, PointRequest, TagFilter
from bridge.ovh.api import OvhApi
from bridge.ovh.token import TokenKeeper, VscopeToken
from bridge.sources.erlenmeyer import Erlenmeyer, _selector
from bridge.sources.upstream import Upstream
from tests.demo.lab import ListShelf
from tests.servers import serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping, Sequence

    from starlette.requests import Request
    from starlette.responses import Response


BASE_S = 1_700_000_100 - 1_700_000_100 % 3600
RNG = np.random.default_rng(7)
GLOBAL = {"datastore": "global-1"}


def line(tags: Mapping[str, str], stamps: Sequence[int]) -> StoredSeries:
    return StoredSeries(
        Name("lab.used" if "datastore" in tags else "lab.cap", {**tags, ".app": "x"}),
        np.array([(BASE_S + s) * 1_000_000 for s in stamps], dtype=np.int64),
        RNG.normal(50, 20, len(stamps)),
    )


SERIES = [
    line({"datacenter": "d1", "vm": "vm-1"}, range(17, 7200, 60)),
    line({"datacenter": "d1", "vm": "vm-2"}, range(3, 2500, 60)),  # dies
    line({"datacenter": "d2", "vm": "vm-3"}, [*range(5, 1500, 60), *range(4000, 7200, 60)]),
    line({"datacenter": "d1", "datastore": "one"}, range(0, 7200, 300)),
    line(GLOBAL, range(0, 7200, 300)),
    line({**GLOBAL, "datacenter": "d2"}, range(0, 7200, 300)),
]


class Lab:
    """The front end, its valid tokens and what it was asked."""

    def __init__(self) -> None:
        self.tokens = VscopeTokens(1)
        self.url = ""
        self.asked: list[bytes] = []
        front = Front(ListShelf(SERIES), self.tokens, time.time)

        async def answer(request: Request) -> Response:
            self.asked.append(await request.body())
            return await front.answer(request)

        self.app = Starlette(
            routes=[Route("/opentsdb/{path:path}", answer, methods=["GET", "POST"])]
        )

    async def get(self) -> VscopeToken:
        return VscopeToken(
            secret=SecretStr(self.tokens.issue("admin")),
            opentsdb_endpoint=f"{self.url}/opentsdb",
            warp_endpoint=None,
        )

    async def renew(self, rejected: VscopeToken) -> VscopeToken:
        assert rejected.secret.get_secret_value()
        return await self.get()


class RevokedOnce(Lab):
    """Hands out a revoked token first."""

    async def get(self) -> VscopeToken:
        token = await super().get()
        self.tokens.revoke()
        return token

    async def renew(self, rejected: VscopeToken) -> VscopeToken:
        fresh = await super().get()
        assert fresh.secret != rejected.secret
        return fresh


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


def key(tags: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((k, v) for k, v in tags.items() if k != ".app"))


@pytest.mark.parametrize("step_s", [60, 300, 900, 3600])
@pytest.mark.parametrize("metric", ["lab.cap", "lab.used"])
async def test_buckets_are_those_of_the_stored_points(
    source: Erlenmeyer, metric: str, step_s: int
) -> None:
    functions = frozenset(BucketFunction)
    start, end = BASE_S + 3600 * 0, BASE_S + 7200
    got = await source.buckets(
        BucketRequest(metric, (), start * 1000, end * 1000, step_s * 1000, functions)
    )
    stored = {key(s.name.labels): s for s in SERIES if s.name.metric == metric}
    assert {key(b.tags) for b in got} == stored.keys()
    for buckets in got:
        series = stored[key(buckets.tags)]
        for function in functions:
            stamps, values = into_buckets(
                series.stamps_us // 1000, series.values, step_s * 1000, function
            )
            assert buckets.stamps_ms.tolist() == stamps.tolist()
            assert buckets.columns[function] == pytest.approx(values, rel=1e-12)


async def test_points_are_the_stored_ones_both_ends_included(source: Erlenmeyer) -> None:
    wanted = (TagFilter("vm", FilterKind.LITERAL_OR, "vm-1|vm-2"),)
    start, end = (BASE_S + 77) * 1000, (BASE_S + 17 + 600) * 1000
    got = await source.points(PointRequest("lab.cap", wanted, start, end, 1000))
    assert {p.tags["vm"] for p in got} == {"vm-1", "vm-2"}
    one = next(p for p in got if p.tags["vm"] == "vm-1")
    assert one.stamps_ms[0] == start
    assert one.stamps_ms[-1] == end
    with pytest.raises(TooMuchError, match="max_points"):
        await source.points(PointRequest("lab.cap", wanted, start, end, 5))


async def test_a_dead_series_ends(source: Erlenmeyer) -> None:
    wanted = (TagFilter("vm", FilterKind.LITERAL_OR, "vm-2"),)
    request = BucketRequest(
        "lab.cap",
        wanted,
        BASE_S * 1000,
        (BASE_S + 7200) * 1000,
        300_000,
        frozenset({BucketFunction.AVG}),
    )
    (dead,) = await source.buckets(request)
    assert dead.stamps_ms[-1] == (BASE_S + 2400) * 1000


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


async def test_a_metric_nobody_stored_is_empty(source: Erlenmeyer) -> None:
    assert await source.lookup("lab.none", ()) == ()
    request = BucketRequest("lab.none", (), 0, 3_600_000, 60_000, frozenset({BucketFunction.SUM}))
    assert await source.buckets(request) == ()


async def test_a_revoked_token_is_renewed() -> None:
    lab = RevokedOnce()
    with serving(lab.app) as lab.url:
        upstream = Upstream(concurrency=4, timeout_s=5)
        source = Erlenmeyer("the history", upstream, lab, clock=time.monotonic)
        assert len(await source.lookup("lab.cap", ())) == 3
        await upstream.close()


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


FAULTS = [
    ("down", {}, UpstreamError, "HTTP 500"),
    ("html", {}, UpstreamError, "HTTP 504"),
    ("truncated", {}, UpstreamError, "broke off|not complete"),
    ("wrong_type", {}, UpstreamError, "history answered"),
    ("status", {"status": 429}, UpstreamError, "HTTP 429"),
    ("status", {"status": 500}, UpstreamError, "token was refused, or the query exceeds"),
    ("status", {"status": 401}, UpstreamError, "refused the token"),
    ("status", {"status": 302}, UpstreamError, "redirects"),
    ("slow", {"seconds": 30}, UpstreamTimeoutError, "did not answer within 0.5 s"),
]


@pytest.mark.parametrize(("mode", "options", "kind", "words"), FAULTS)
async def test_a_broken_upstream_is_said_and_then_forgotten(
    simulator: str, mode: str, options: dict[str, int], kind: type[Exception], words: str
) -> None:
    upstream = Upstream(concurrency=4, timeout_s=0.5)
    api = OvhApi(demo_account(simulator))
    (service,) = await api.get("/dedicatedCloud")
    tokens = TokenKeeper(api, service, user="admin", allowed_hosts=("127.0.0.1",))
    secret = (await tokens.get()).secret.get_secret_value()
    source = Erlenmeyer("the history", upstream, tokens, clock=time.monotonic)
    now = int(time.time())
    metric = "vscope.host.cpu.usage.perc"
    request = PointRequest(metric, (), (now - 3600) * 1000, now * 1000, 100_000)
    try:
        async with httpx.AsyncClient(base_url=simulator) as control:
            fault = {"target": "opentsdb", "mode": mode, **options}
            (await control.post("/_simulator/faults", json=fault)).raise_for_status()
            with pytest.raises(kind, match=words) as caught:
                await source.points(request)
            assert secret not in str(caught.value)
            (await control.delete("/_simulator/faults")).raise_for_status()
            assert await source.points(request)
    finally:
        await upstream.close()
        await api.close()


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
