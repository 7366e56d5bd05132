"""The vScope token: found, shared, renewed, refused, and not offered."""

from __future__ import annotations

import asyncio
import logging
import re
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs

from bridge.demo.account import demo_account
from bridge.demo.options import DemoOptions
from bridge.demo.server import create_simulator
from bridge.errors import NotOfferedError, UpstreamError
from bridge.ovh.api import OvhApi
from bridge.ovh.errors import OvhBrokeError, OvhNotGrantedError
from bridge.ovh.token import TokenKeeper
from tests.ovh.upstream import FakeTime, Upstream, serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

USERS = "/dedicatedCloud/pcc-1/user"
SCHEMA = f"{USERS}/7/metricsToken"
GUIDE = f"{USERS}/7/getVscopeMetricsToken"
ALLOWED = ("*.metrics.ovh.net",)
DAY = 24 * 3600


def answer(secret: str = "VSCOPETOKEN-1", **more: Any) -> dict[str, Any]:
    return {
        "token": secret,
        "opentsdbEndpoint": "https://opentsdb.gra1-ovh.metrics.ovh.net/",
        "warpEndpoint": "https://warp10.gra1-ovh.metrics.ovh.net",
        **more,
    }


def with_users(upstream: Upstream) -> None:
    upstream.tree[USERS] = [5, 7]
    upstream.tree[f"{USERS}/5"] = {"userId": 5, "name": "admin2", "login": "admin2@pcc-1"}
    upstream.tree[f"{USERS}/7"] = {"userId": 7, "name": "admin", "login": "admin@pcc-1"}


@asynccontextmanager
async def keeping(
    upstream: Upstream, *, clock: FakeTime | None = None, **more: Any
) -> AsyncIterator[TokenKeeper]:
    clock = clock or FakeTime()
    api = OvhApi(upstream.account(), clock=clock, sleep=clock.sleep)
    options = {"user": "admin", "allowed_hosts": ALLOWED, **more}
    try:
        yield TokenKeeper(api, "pcc-1", clock=clock, **options)
    finally:
        await api.close()


async def test_token_of_the_exact_user(upstream: Upstream) -> None:
    with_users(upstream)
    upstream.posts[SCHEMA] = answer()
    async with keeping(upstream) as keeper:
        assert keeper.state == "unknown"
        token = await keeper.get()
        assert token.secret.get_secret_value() == "VSCOPETOKEN-1"
        assert token.opentsdb_endpoint == "https://opentsdb.gra1-ovh.metrics.ovh.net"
        assert token.warp_endpoint == "https://warp10.gra1-ovh.metrics.ovh.net"
        assert keeper.state == "offered"
    listing = next(call for call in upstream.calls if call.path == f"/1.0{USERS}")
    assert listing.query == "name=admin"


async def test_user_by_login_and_unknown_user(upstream: Upstream) -> None:
    with_users(upstream)
    upstream.posts[SCHEMA] = answer()
    async with keeping(upstream, user="admin@pcc-1") as keeper:
        await keeper.get()
    async with keeping(upstream, user="adm") as keeper:
        with pytest.raises(UpstreamError, match=r'"adm"; set metrics_user of account "default"'):
            await keeper.get()
        assert keeper.state == "failed"


async def test_kept_in_memory_and_one_request_for_all(upstream: Upstream) -> None:
    with_users(upstream)
    upstream.posts[SCHEMA] = answer()
    clock = FakeTime()
    async with keeping(upstream, clock=clock) as keeper:
        tokens = await asyncio.gather(*(keeper.get() for _ in range(20)))
        assert len({id(token) for token in tokens}) == 1
        assert upstream.paths("POST") == [f"/1.0{SCHEMA}"]
        clock.now += 7 * 3600
        await keeper.get()
        assert upstream.paths("POST") == [f"/1.0{SCHEMA}"] * 2


async def test_cancelled_waiter_cancels_nobody_else(upstream: Upstream) -> None:
    with_users(upstream)
    upstream.posts[SCHEMA] = answer()
    async with keeping(upstream) as keeper:
        first = asyncio.create_task(keeper.get())
        second = asyncio.create_task(keeper.get())
        await asyncio.sleep(0)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        assert (await second).opentsdb_endpoint
        assert len(upstream.paths("POST")) == 1


async def test_failure_nobody_waits_for_any_more_is_silent(upstream: Upstream) -> None:
    upstream.fault(f"/1.0{USERS}", 400, {"message": "no"})
    async with keeping(upstream) as keeper:
        only = asyncio.create_task(keeper.get())
        await asyncio.sleep(0)
        only.cancel()
        with pytest.raises(asyncio.CancelledError):
            await only
        request = keeper._request
        assert request is not None
        await asyncio.wait([request])
    assert keeper.state == "failed"


async def test_guides_call_is_tried_and_remembered(upstream: Upstream) -> None:
    with_users(upstream)
    upstream.posts[GUIDE] = answer()
    clock = FakeTime()
    async with keeping(upstream, clock=clock) as keeper:
        await keeper.get()
        assert upstream.paths("POST") == [f"/1.0{SCHEMA}", f"/1.0{GUIDE}"]
        upstream.calls.clear()
        clock.now += 7 * 3600
        await keeper.get()
        assert [call.path for call in upstream.calls] == [f"/1.0{GUIDE}"]


async def test_not_offered_is_said_once_and_looked_at_daily(upstream: Upstream) -> None:
    with_users(upstream)
    clock = FakeTime()
    async with keeping(upstream, clock=clock) as keeper:
        with capture_logs() as events:
            for _ in range(3):
                with pytest.raises(NotOfferedError):
                    await keeper.get()
            assert keeper.state == "not offered"
            assert len(upstream.paths("POST")) == 2
            clock.now += DAY + 1
            with pytest.raises(NotOfferedError):
                await keeper.get()
            assert len(upstream.paths("POST")) == 4
        assert [event["event"] for event in events].count("vscope_history_not_offered") == 1
        clock.now += DAY + 1
        upstream.posts[SCHEMA] = answer()
        assert (await keeper.get()).secret.get_secret_value() == "VSCOPETOKEN-1"
        assert keeper.state == "offered"


async def test_one_call_gone_and_the_other_not_granted(upstream: Upstream) -> None:
    with_users(upstream)
    denied = {"errorCode": "NOT_GRANTED_CALL", "message": "m"}
    upstream.fault(f"/1.0{GUIDE}", 403, denied, method="POST")
    async with keeping(upstream) as keeper:
        with pytest.raises(NotOfferedError):
            await keeper.get()
    upstream.faults.clear()
    upstream.fault(f"/1.0{SCHEMA}", 403, denied, method="POST")
    async with keeping(upstream) as keeper:
        with pytest.raises(OvhNotGrantedError) as caught:
            await keeper.get()
        assert caught.value.rule == "POST /dedicatedCloud/*/user/*/metricsToken"
        assert keeper.state == "failed"


async def test_failure_is_not_asked_again_within_a_minute(upstream: Upstream) -> None:
    with_users(upstream)
    upstream.posts[SCHEMA] = {"token": "VSCOPETOKEN-1"}
    clock = FakeTime()
    async with keeping(upstream, clock=clock) as keeper:
        for _ in range(5):
            with pytest.raises(OvhBrokeError):
                await keeper.get()
        assert len(upstream.paths("POST")) == 1
        clock.now += 61
        upstream.posts[SCHEMA] = answer()
        await keeper.get()


async def test_renewal_is_shared_and_capped(upstream: Upstream) -> None:
    with_users(upstream)
    upstream.posts[SCHEMA] = answer()
    clock = FakeTime()
    async with keeping(upstream, clock=clock) as keeper:
        old = await keeper.get()
        assert await keeper.renew(old) is old
        assert len(upstream.paths("POST")) == 1
        clock.now += 61
        upstream.posts[SCHEMA] = answer("VSCOPETOKEN-2")
        renewed = await asyncio.gather(*(keeper.renew(old) for _ in range(10)))
        assert {token.secret.get_secret_value() for token in renewed} == {"VSCOPETOKEN-2"}
        assert len(upstream.paths("POST")) == 2
        # A latecomer still holding the old one gets the new one without a call.
        assert await keeper.renew(old) is renewed[0]
        assert await keeper.get() is renewed[0]
        assert len(upstream.paths("POST")) == 2


async def test_failed_renewal_forgets_the_refused_token(upstream: Upstream) -> None:
    with_users(upstream)
    upstream.posts[SCHEMA] = answer()
    clock = FakeTime()
    async with keeping(upstream, clock=clock) as keeper:
        old = await keeper.get()
        clock.now += 61
        upstream.posts[SCHEMA] = {}
        with pytest.raises(OvhBrokeError):
            await keeper.renew(old)
        with pytest.raises(OvhBrokeError):
            await keeper.get()
        with pytest.raises(OvhBrokeError):
            await keeper.renew(old)
        assert len(upstream.paths("POST")) == 2


async def test_token_that_is_only_old_survives_an_outage(upstream: Upstream) -> None:
    with_users(upstream)
    upstream.posts[SCHEMA] = answer()
    clock = FakeTime()
    async with keeping(upstream, clock=clock) as keeper:
        old = await keeper.get()
        clock.now += 7 * 3600
        upstream.fault(f"/1.0{SCHEMA}", 503, b"{}", method="POST", times=99)
        assert await keeper.get() is old
        asked = len(upstream.calls)
        assert await keeper.get() is old
        assert len(upstream.calls) == asked


ELSEWHERE = pytest.mark.parametrize(
    "url",
    [
        "https://evil.example",
        "https://evil.example/.metrics.ovh.net",
        "https://x.metrics.ovh.net@evil.example/",
        "https://metrics.ovh.net.evil.example",
        "http://opentsdb.gra1-ovh.metrics.ovh.net",
        "ftp://opentsdb.gra1-ovh.metrics.ovh.net",
        "https://user:pw@opentsdb.gra1-ovh.metrics.ovh.net",
        "https://opentsdb.gra1-ovh.metrics.ovh.net/?next=x",
        "opentsdb.gra1-ovh.metrics.ovh.net",
        "https://[bad",
        "http://127.0.0.1:80",
    ],
)


@ELSEWHERE
async def test_token_is_sent_nowhere_else(upstream: Upstream, url: str) -> None:
    with_users(upstream)
    upstream.posts[SCHEMA] = answer(opentsdbEndpoint=url)
    async with keeping(upstream) as keeper:
        with pytest.raises(UpstreamError, match=r"not sent there|unusable") as caught:
            await keeper.get()
        assert "VSCOPETOKEN" not in str(caught.value)


@ELSEWHERE
async def test_token_is_not_sent_to_a_warp10_elsewhere(upstream: Upstream, url: str) -> None:
    with_users(upstream)
    upstream.posts[SCHEMA] = answer(warpEndpoint=url)
    async with keeping(upstream) as keeper:
        token = await keeper.get()
        assert token.warp_endpoint is None
        assert re.search("not sent there|unusable", token.warp_problem)
        assert token.opentsdb_endpoint == "https://opentsdb.gra1-ovh.metrics.ovh.net"


async def test_simulator_on_this_machine_where_allowed(upstream: Upstream) -> None:
    with_users(upstream)
    upstream.posts[SCHEMA] = answer(
        opentsdbEndpoint="http://127.0.0.1:9/opentsdb", warpEndpoint=None
    )
    async with keeping(upstream, allowed_hosts=("127.0.0.1",)) as keeper:
        token = await keeper.get()
        assert token.opentsdb_endpoint == "http://127.0.0.1:9/opentsdb"
        assert token.warp_endpoint is None


@pytest.mark.parametrize("body", [[], {}, {"token": 1}, answer(secret=""), answer(warpEndpoint=3)])
async def test_wrong_json(upstream: Upstream, body: Any) -> None:
    with_users(upstream)
    upstream.posts[SCHEMA] = body
    async with keeping(upstream) as keeper:
        with pytest.raises(OvhBrokeError):
            await keeper.get()


@pytest.mark.parametrize(
    ("options", "state"),
    [
        (DemoOptions(vms=1, hosts=1, datacenters=1), "offered"),
        (
            DemoOptions(vms=1, hosts=1, datacenters=1, issuing_path="getVscopeMetricsToken"),
            "offered",
        ),
        (DemoOptions(vms=1, hosts=1, datacenters=1, offer_token=False), "not offered"),
    ],
)
async def test_simulated_ovhcloud(options: DemoOptions, state: str) -> None:
    with serve(create_simulator(options)) as base:
        api = OvhApi(demo_account(base))
        [service] = await api.get("/dedicatedCloud")
        keeper = TokenKeeper(api, service, user="admin", allowed_hosts=("127.0.0.1",))
        if state == "offered":
            assert (await keeper.get()).opentsdb_endpoint.startswith(base)
        else:
            with pytest.raises(NotOfferedError):
                await keeper.get()
        assert keeper.state == state
        await api.close()


async def test_no_token_in_logs_or_reprs(
    upstream: Upstream, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    with_users(upstream)
    upstream.posts[SCHEMA] = answer()
    with capture_logs() as events:
        async with keeping(upstream) as keeper:
            token = await keeper.get()
            await keeper.renew(token)
            texts = [repr(token), str(token), repr(keeper), repr(vars(keeper))]
    out, err = capfd.readouterr()
    assert "VSCOPETOKEN" not in "\n".join([*texts, str(events), caplog.text, out, err])
    assert "vscope_token_obtained" in str(events)
