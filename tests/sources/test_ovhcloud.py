"""Which of OVHcloud's two protocols serves a question, and what is said about it."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from starlette.responses import Response
from structlog.testing import capture_logs

from bridge.demo.warp10.versions import Limits
from bridge.errors import (
    BadRequestError,
    NotOfferedError,
    TooMuchError,
    UpstreamError,
    UpstreamTimeoutError,
)
from bridge.model import BucketFunction, BucketRequest, PointRequest
from bridge.sources.ovhcloud import SET_ASIDE_S, OvhCloud
from bridge.sources.upstream import Upstream
from bridge.sources.warp10_errors import PlatformLimitError
from tests.servers import serving
from tests.sources.lab import BASE_S, Lab

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.types import Receive, Scope, Send

    from bridge.ovh.token import VscopeToken
    from bridge.sources.ovhcloud import Protocol

WINDOW = (BASE_S * 1000, (BASE_S + 7200) * 1000)
BUCKETS = BucketRequest("lab.cap", (), *WINDOW, 300_000, frozenset({BucketFunction.AVG}))
POINTS = PointRequest("lab.cap", (), *WINDOW, 5_000)


class Platform(Lab):
    """A platform of which one or both ways can be broken, on a clock of its own."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.broken: set[str] = set()
        self.now = 0.0
        self.whole = self.app

    def clock(self) -> float:
        return self.now

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"].split("/")[1] in self.broken:
            await Response("<html>gone</html>", 503)(scope, receive, send)
            return
        await self.whole(scope, receive, send)


@asynccontextmanager
async def history(platform: Platform, protocol: Protocol = "auto") -> AsyncIterator[OvhCloud]:
    upstream = Upstream(concurrency=4, timeout_s=2)
    try:
        with serving(platform) as platform.url:
            yield OvhCloud("pcc-1", upstream, platform, protocol=protocol, clock=platform.clock)
    finally:
        await upstream.close()


def said(logs: Any) -> list[tuple[str, str]]:
    return [
        (one["log_level"], one["protocol"]) for one in logs if one["event"] == "history_protocol"
    ]


async def test_warp10_is_preferred() -> None:
    platform = Platform()
    with capture_logs() as logs:
        async with history(platform) as source:
            assert source.protocol is None
            for _ in range(2):
                assert len(await source.buckets(BUCKETS)) == 3
                assert len(await source.points(POINTS)) == 3
                assert len(await source.lookup("lab.cap", ())) == 3
            assert await source.metric_names("", 10) == ()
            assert source.protocol == "warp10"
            assert source.name == "OVHcloud's history of pcc-1"
    assert set(platform.routes) == {"exec", "find"}
    assert said(logs) == [("info", "warp10")]


async def test_without_an_address_opentsdb_serves() -> None:
    platform = Platform()
    platform.names_warp10 = False
    with capture_logs() as logs:
        async with history(platform) as source:
            assert len(await source.buckets(BUCKETS)) == 3
            assert len(await source.points(POINTS)) == 3
            assert source.protocol == "opentsdb"
    assert "exec" not in platform.routes
    assert said(logs) == [("info", "opentsdb")]
    assert "none is named" in str(logs)


async def test_a_failed_warp10_is_set_aside_then_tried_again() -> None:
    platform = Platform()
    with capture_logs() as logs:
        async with history(platform) as source:
            assert await source.buckets(BUCKETS)
            platform.broken = {"warp10"}
            assert len(await source.buckets(BUCKETS)) == 3
            assert source.protocol == "opentsdb"
            platform.routes.clear()
            platform.broken = set()
            assert await source.buckets(BUCKETS)
            assert "exec" not in platform.routes
            platform.now += SET_ASIDE_S + 1
            assert await source.buckets(BUCKETS)
            assert platform.routes["exec"] == 1
            assert source.protocol == "warp10"
    assert said(logs) == [("info", "warp10"), ("warning", "opentsdb"), ("info", "warp10")]
    (warning,) = [one for one in logs if one["log_level"] == "warning"]
    assert "HTTP 503" in warning["reason"]


async def test_a_warp10_that_never_answers_is_said_once() -> None:
    platform = Platform()
    platform.broken = {"warp10"}
    with capture_logs() as logs:
        async with history(platform) as source:
            for _ in range(4):
                assert await source.buckets(BUCKETS)
                platform.now += SET_ASIDE_S + 1
    assert said(logs) == [("warning", "opentsdb")]


async def test_when_both_fail_both_are_named_and_nothing_is_set_aside() -> None:
    platform = Platform()
    platform.broken = {"warp10", "opentsdb"}
    async with history(platform) as source:
        with pytest.raises(UpstreamError) as caught:
            await source.buckets(BUCKETS)
        assert "(Warp 10) failed (HTTP 503)" in caught.value.message
        assert "by OpenTSDB: " in caught.value.message
        assert source.protocol is None
        platform.broken = set()
        assert await source.buckets(BUCKETS)
        assert source.protocol == "warp10"


class Stalled(Platform):
    """Warp 10 accepts connections, and says nothing."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"].startswith("/warp10"):
            while (await receive())["type"] != "http.disconnect":
                pass
            return
        await super().__call__(scope, receive, send)


async def test_a_silent_warp10_is_set_aside_even_when_nobody_waits_for_opentsdb() -> None:
    platform = Stalled()
    platform.broken = {"opentsdb"}
    async with history(platform) as source:
        with pytest.raises(UpstreamTimeoutError, match="did not answer within 2 s; by OpenTSDB"):
            await source.buckets(BUCKETS)
        platform.broken = set()
        assert await source.buckets(BUCKETS)
        assert source.protocol == "opentsdb"


async def test_a_limit_of_warp10s_is_tried_by_opentsdb_for_that_question_alone() -> None:
    platform = Platform(version="3.5.0", limits=Limits(points=50))
    with capture_logs() as logs:
        async with history(platform) as source:
            assert await source.lookup("lab.cap", ())
            assert len(await source.buckets(BUCKETS)) == 3
            assert source.protocol == "warp10"
            platform.broken = {"opentsdb"}
            with pytest.raises(PlatformLimitError, match="at most 50 points"):
                await source.buckets(BUCKETS)
            assert (
                await source.points(PointRequest("lab.cap", (), BASE_S * 1000, WINDOW[0], 9)) == ()
            )
    assert said(logs) == [("info", "warp10")]


@pytest.mark.parametrize(
    ("request_of", "kind"),
    [
        (PointRequest("lab.cap", (), *WINDOW, 10), TooMuchError),
        (PointRequest("~lab", (), *WINDOW, 10), BadRequestError),
    ],
)
async def test_the_clients_own_fault_is_no_failure(
    request_of: PointRequest, kind: type[Exception]
) -> None:
    platform = Platform()
    async with history(platform) as source:
        with pytest.raises(kind):
            await source.points(request_of)
        assert await source.buckets(BUCKETS)
        assert source.protocol == "warp10"
    assert "query" not in platform.routes


async def test_the_clients_own_fault_by_the_other_way() -> None:
    platform = Platform()
    platform.broken = {"warp10"}
    async with history(platform) as source:
        with pytest.raises(TooMuchError, match="max_points"):
            await source.points(PointRequest("lab.cap", (), *WINDOW, 10))


@pytest.mark.parametrize("protocol", ["opentsdb", "warp10"])
async def test_a_set_protocol_is_the_only_one(protocol: Protocol) -> None:
    platform = Platform()
    async with history(platform, protocol) as source:
        assert len(await source.buckets(BUCKETS)) == 3
        assert source.protocol == protocol
        platform.broken = {protocol}
        with pytest.raises(UpstreamError, match="HTTP 503") as caught:
            await source.buckets(BUCKETS)
        assert "by OpenTSDB" not in caught.value.message
    assert ("query" in platform.routes) == (protocol == "opentsdb")
    assert ("exec" in platform.routes) == (protocol == "warp10")


async def test_a_set_warp10_without_an_address_says_why() -> None:
    platform = Platform()
    platform.names_warp10 = False
    async with history(platform, "warp10") as source:
        with pytest.raises(UpstreamError, match=r"cannot be read by Warp 10: none is named"):
            await source.buckets(BUCKETS)


@pytest.mark.parametrize("protocol", ["auto", "opentsdb", "warp10"])
async def test_history_that_is_not_offered_is_no_failure(protocol: Protocol) -> None:
    class Without(Platform):
        async def get(self) -> VscopeToken:
            raise NotOfferedError("no token")

    async with history(Without(), protocol) as source:
        with pytest.raises(NotOfferedError):
            await source.buckets(BUCKETS)
        assert source.protocol is None
