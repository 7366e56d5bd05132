"""The asynchronous face of APIv6, over real HTTP with the real signatures."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import ovh
import pytest
from pydantic import SecretStr

from bridge.ovh import wire
from bridge.ovh.api import SHARE, THREADS, OvhApi
from bridge.ovh.errors import (
    Call,
    OvhBrokeError,
    OvhCredentialError,
    OvhSignatureError,
)
from bridge.ovh.login import login_of
from tests.ovh.upstream import FakeTime, Upstream

if TYPE_CHECKING:
    from pathlib import Path

from tests.ovh.calling import SERVICE, failing, opened


async def test_signed_get_with_filters(upstream: Upstream) -> None:
    upstream.tree[f"{SERVICE}/globalTasks"] = [1, 2]
    async with opened(upstream.account()) as api:
        query = {"state": ["doing", "todo"], "from": "2026-01-01T00:00:00+00:00"}
        assert await api.get(f"{SERVICE}/globalTasks", query) == [1, 2]
        assert api.calls == 2
    asked = upstream.calls[-1]
    assert asked.query == "state=doing&state=todo&from=2026-01-01T00%3A00%3A00%2B00%3A00"
    assert asked.headers["accept"] == "application/json"
    assert asked.headers["user-agent"].startswith("vscope-bridge/")


async def test_signed_post_with_and_without_body(upstream: Upstream) -> None:
    upstream.posts["/x"] = {"done": True}
    async with opened(upstream.account()) as api:
        assert await api.post("/x", {"a": [1, "é"]}) == {"done": True}
        assert await api.post("/x") == {"done": True}
    bodies = [call.body for call in upstream.calls if call.method == "POST"]
    assert bodies == [b'{"a":[1,"\\u00e9"]}', b""]


async def test_oauth2(upstream: Upstream) -> None:
    upstream.tree["/dedicatedCloud"] = ["pcc-1"]
    async with opened(upstream.oauth2_account()) as api:
        results = await asyncio.gather(*(api.get("/dedicatedCloud") for _ in range(5)))
        assert results == [["pcc-1"]] * 5
    # One token for all worker threads, no clock needed.
    assert upstream.paths("POST") == ["/auth/oauth2/token"]
    assert "/1.0/auth/time" not in upstream.paths()


async def test_oauth2_token_is_renewed_before_and_after_its_end(upstream: Upstream) -> None:
    upstream.tree["/x"] = 1
    clock = FakeTime()
    async with opened(upstream.oauth2_account(), clock=clock, sleep=clock.sleep) as api:
        await api.get("/x")
        clock.now += 3_000
        await api.get("/x")
        assert len(upstream.paths("POST")) == 1
        clock.now += 560
        await api.get("/x")
        assert len(upstream.paths("POST")) == 2
        # Revoked long before its time: asked for anew, the call repeated.
        upstream.bearer = "BEARER-2"
        assert await api.get("/x") == 1
        assert len(upstream.paths("POST")) == 3


async def test_oauth2_secret_refused(upstream: Upstream) -> None:
    async with opened(upstream.oauth2_account(client_secret="WRONG-secret")) as api:
        error = await failing(api)
    assert isinstance(error, OvhCredentialError)
    assert "invalid_client" in error.message
    assert 'account "default"' in error.message
    assert "secret" not in error.message.replace("client_secret", "")


@pytest.mark.parametrize(
    "body",
    [b"<html>", b"{}", b"[]", b'{"access_token": 5, "expires_in": 3}', b'{"access_token": "x"}'],
)
async def test_oauth2_answer_without_token(upstream: Upstream, body: bytes) -> None:
    upstream.fault("/auth/oauth2/token", body=body, method="POST")
    async with opened(upstream.oauth2_account()) as api:
        assert isinstance(await failing(api), OvhBrokeError)


def test_oauth2_never_over_plain_http_but_to_this_machine(upstream: Upstream) -> None:
    for more in (
        {"oauth2_token_url": "http://sso.example.net/token"},
        {"api_url": "http://api.example.net/1.0"},
    ):
        with pytest.raises(OvhCredentialError, match="http"):
            OvhApi(upstream.oauth2_account(**more))


class Counting:
    """Calls that all wait for each other, so many at a time."""

    def __init__(self, at_once: int) -> None:
        self.inside = self.most = 0
        self.lock = threading.Lock()
        self.together = threading.Barrier(at_once)

    def work(self) -> wire.Reply:
        with self.lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
        self.together.wait(10)
        with self.lock:
            self.inside -= 1
        return wire.Reply(200, 1, is_json=True, content_type="", query_id=None, retry_after=None)


async def test_calls_overlap_and_no_service_takes_all_threads(upstream: Upstream) -> None:
    one = Counting(SHARE)
    async with opened(upstream.account()) as api:
        path = f"{SERVICE}/datacenter"
        calls = (api._run(Call("GET", path), one.work, urgent=False) for _ in range(4 * SHARE))
        await asyncio.gather(*calls)
        assert one.most == SHARE
        several = Counting(THREADS)
        calls = (
            api._run(Call("GET", f"/dedicatedCloud/pcc-{n}/task"), several.work, urgent=False)
            for n in range(2 * THREADS)
        )
        await asyncio.gather(*calls)
        assert several.most == THREADS


async def test_polls_that_hang_are_in_nobody_s_way(upstream: Upstream) -> None:
    """Neither in another service's, nor in that of somebody who waits for an answer."""
    go = threading.Event()

    def hang() -> wire.Reply:
        assert go.wait(30)
        return wire.Reply(200, 1, is_json=True, content_type="", query_id=None, retry_after=None)

    upstream.tree |= {"/dedicatedCloud/well/task": [1], f"{SERVICE}/user": [7]}
    async with opened(upstream.account()) as api:
        hanging = [
            asyncio.create_task(api._run(Call("GET", f"{SERVICE}/task"), hang, urgent=False))
            for _ in range(4 * THREADS)
        ]
        await asyncio.sleep(0.1)
        async with asyncio.timeout(20):
            assert await api.get("/dedicatedCloud/well/task") == [1]
            assert await api.get(f"{SERVICE}/user", urgent=True) == [7]
        go.set()
        await asyncio.gather(*hanging)


async def test_callers_headers_are_left_alone(upstream: Upstream) -> None:
    upstream.tree["/x/1"] = upstream.tree["/x/2"] = {}
    account = upstream.account()
    mine = {"X-Ovh-Batch": ","}
    connection = wire.Wire(login_of(account), wire.Shared(delta_s=0))
    assert connection.call("GET", "/x/1,2", None, mine).status == 200
    assert mine == {"X-Ovh-Batch": ","}
    connection.close()


async def test_service_names_that_need_quoting_are_signed_as_sent(upstream: Upstream) -> None:
    upstream.tree["/dedicatedCloud/a b"] = {"ok": 1}
    async with opened(upstream.account()) as api:
        assert await api.get("/dedicatedCloud/a%20b") == {"ok": 1}


async def test_the_packages_configuration_and_the_environment_are_not_read(
    upstream: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upstream.tree["/x"] = 1
    (tmp_path / "ovh.conf").write_text(
        "[default]\nendpoint=ovh-eu\n[ovh-eu]\nclient_id=stray\nclient_secret=stray\n"
    )
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login stray password stray\n")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setattr("ovh.config.CONFIG_PATH", [str(tmp_path / "ovh.conf")])
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("OVH_CLIENT_ID", "OVH_CLIENT_SECRET", "OVH_APPLICATION_KEY", "OVH_ENDPOINT"):
        monkeypatch.setenv(name, "stray")
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere")
    async with opened(upstream.account()) as api:
        assert await api.get("/x") == 1
    assert "authorization" not in upstream.calls[-1].headers
    async with opened(upstream.oauth2_account()) as api:
        assert await api.get("/x") == 1


def test_our_client_has_every_attribute_of_the_packages() -> None:
    account = Upstream().account(api_url="http://127.0.0.1:1/1.0")
    ours = wire._Client(login_of(account), wire.Shared(), wire._Session())
    theirs = ovh.Client("ovh-eu", "a", "b", "c")
    theirs._session.close()
    assert set(vars(theirs)) == set(vars(ours)) - {"_shared"}


async def test_endpoint_without_own_address(upstream: Upstream) -> None:
    login = login_of(
        upstream.oauth2_account(endpoint="ovh-ca", api_url=None, oauth2_token_url=None)
    )
    assert login.api_url == "https://ca.api.ovh.com/1.0"
    assert login.token_url == "https://ca.ovh.com/auth/oauth2/token"


async def test_proxy_is_used(upstream: Upstream) -> None:
    upstream.tree["/x"] = 1
    account = upstream.account(api_url="http://api.invalid/1.0")
    async with opened(account, proxy=SecretStr(upstream.base)) as api:
        assert await api.get("/x") == 1
    assert upstream.calls[-1].headers["host"] == "api.invalid"


@pytest.mark.parametrize("skew_s", [600, -600])
async def test_clock_ten_minutes_off(upstream: Upstream, skew_s: int) -> None:
    upstream.tree["/x"] = 1
    upstream.skew_s = skew_s
    async with opened(upstream.account()) as api:
        assert await api.get("/x") == 1


async def test_clock_that_moves_while_running_is_measured_again_once(upstream: Upstream) -> None:
    upstream.tree["/x"] = 1
    async with opened(upstream.account()) as api:
        await api.get("/x")
        upstream.skew_s = 600
        assert await asyncio.gather(*(api.get("/x") for _ in range(4))) == [1] * 4
    assert 2 <= upstream.paths().count("/1.0/auth/time") <= 5


async def test_wrong_secret_is_no_endless_resync(upstream: Upstream) -> None:
    async with opened(upstream.account(application_secret="wrong-secret")) as api:
        error = await failing(api)
        assert isinstance(error, OvhSignatureError)
        assert "application secret" in error.message
        assert upstream.paths().count("/1.0/auth/time") == 2
        assert upstream.paths().count(f"/1.0{SERVICE}") == 1


@pytest.mark.parametrize("body", [b'"now"', b"true", b"{}", b"<html>"])
async def test_time_that_is_no_number(upstream: Upstream, body: bytes) -> None:
    upstream.fault("/1.0/auth/time", body=body)
    async with opened(upstream.account()) as api:
        assert isinstance(await failing(api), OvhBrokeError)
