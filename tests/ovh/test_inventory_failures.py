"""The inventory when parts, services, accounts or everything fails."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from structlog.testing import capture_logs

from bridge.ovh.api import OvhApi
from bridge.ovh.errors import OvhTimeoutError
from bridge.ovh.poll import EXPIRED_S, SLOW_S
from bridge.ovh.reader import TOO_LATE
from tests.ovh.upstream import AS, CK, FakeTime, Upstream
from tests.ovh.watching import NOW, D, S, furnish, only_place, only_service, watching


async def test_failing_object_keeps_its_last_value(upstream: Upstream) -> None:
    furnish(upstream)
    async with watching(upstream.account()) as (inventory, clock):
        await inventory.poll()
        upstream.tree[f"{D}/vm/2"] = {"vmId": 2, "name": "no moRef"}
        upstream.tree[f"{D}/vm/3"]["name"] = "renamed"
        clock.now += 120
        await inventory.poll()
        service, place = only_service(inventory), only_place(inventory)
        assert service.state == "partial"
        assert "1 of 3 failed" in (service.problem or "")
        assert "moRef" in (service.problem or "")
        assert (place.vms[2].value.name, place.vms[2].read_at) == ("web2", NOW)
        assert (place.vms[3].value.name, place.vms[3].read_at) == ("renamed", NOW + 120)
        assert inventory.problems() == (f"pcc-1 is partial: {service.problem}",)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/vm", "vms"), ("/vm/.*", "vms"), ("/host", "hosts"), ("/host/.*", "hosts"),
        ("/filer", "datastores"), ("/filer/.*", "datastores"),
        ("/cluster", "clusters"), ("/cluster/.*", "clusters"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("body", [b"<html>504</html>", b'{"unexpected":true}', b'["x"]', b"[1,"])
async def test_each_part_fails_by_itself(
    upstream: Upstream, path: str, kind: str, body: bytes
) -> None:
    furnish(upstream)
    async with watching(upstream.account()) as (inventory, clock):
        await inventory.poll()
        known = getattr(only_place(inventory), kind)
        upstream.tree[f"{D}/vm/1"]["snapshotNum"] = 5
        upstream.tree[f"{D}/host/1"]["cpuUsed"] = 5
        upstream.fault(f"/1.0{D}{path}", 200, body, times=99)
        clock.now += SLOW_S + 1
        await inventory.poll()
        service, place = only_service(inventory), only_place(inventory)
        assert service.state == "partial"
        assert service.polled_at == clock.now
        # Without a list the known objects are still read; unreadable ones stay as they were.
        read_at = NOW if path.endswith(".*") else clock.now
        assert [(key, seen.read_at) for key, seen in getattr(place, kind).items()] == [
            (key, read_at) for key in known
        ]
        if kind != "vms":
            assert place.vms[1].value.snapshot_num == 5
        if kind != "hosts":
            assert place.hosts[1].value.cpu_used == 5
        upstream.faults.clear()
        await inventory.poll()
        assert only_service(inventory).state == "ok"


async def test_a_poll_that_runs_out_of_time_again_and_again_is_given_up(
    upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All parts of it would take many minutes, in which nobody is told that anything is wrong."""
    furnish(upstream)
    async with watching(upstream.account()) as (inventory, clock):
        await inventory.poll()
        call = OvhApi._call
        late: list[str] = []

        async def runs_out(self: OvhApi, method: str, path: str, **how: Any) -> Any:
            if path.startswith(f"{D}/"):
                late.append(path)
                raise OvhTimeoutError(f"GET {path}: OVHcloud did not answer in time", path=path)
            return await call(self, method, path, **how)

        monkeypatch.setattr(OvhApi, "_call", runs_out)
        clock.now += SLOW_S + 1
        await inventory.poll()
        assert len(late) == TOO_LATE
        assert only_service(inventory).state == "failed"
        assert "did not answer in time" in (only_service(inventory).problem or "")
        assert len(only_place(inventory).vms) == 3
        monkeypatch.undo()
        await inventory.poll()
        assert only_service(inventory).state == "ok"


async def test_missing_right_for_tasks_leaves_the_rest(upstream: Upstream) -> None:
    furnish(upstream)
    denied = {"errorCode": "NOT_GRANTED_CALL", "message": "This call has not been granted"}
    upstream.fault(f"/1.0{S}/globalTasks", 403, denied, times=99)
    async with watching(upstream.account()) as (inventory, _):
        await inventory.poll()
        service = only_service(inventory)
        assert service.state == "partial"
        assert "GET /dedicatedCloud/*/globalTasks" in (service.problem or "")
        assert len(only_place(inventory).vms) == 3


async def test_expired_service_is_isolated_and_asked_rarely(upstream: Upstream) -> None:
    furnish(upstream)
    furnish(upstream, "pcc-2")
    upstream.expired = {"pcc-2"}
    async with watching(upstream.account()) as (inventory, clock):
        await inventory.poll()
        states = {name: service.state for name, service in inventory.snapshot.services.items()}
        assert states == {"pcc-1": "ok", "pcc-2": "expired"}
        assert "expired" in (inventory.snapshot.services["pcc-2"].problem or "")
        upstream.calls.clear()
        clock.now += 120
        await inventory.poll()
        assert not [path for path in upstream.paths() if "pcc-2" in path]
        upstream.expired.clear()
        clock.now += EXPIRED_S
        await inventory.poll()
        assert inventory.snapshot.services["pcc-2"].state == "ok"


async def test_service_that_expires_keeps_what_was_known(upstream: Upstream) -> None:
    furnish(upstream)
    async with watching(upstream.account()) as (inventory, clock):
        await inventory.poll()
        upstream.expired = {"pcc-1"}
        clock.now += 120
        await inventory.poll()
        assert only_service(inventory).state == "expired"
        assert only_service(inventory).polled_at == NOW
        assert len(only_place(inventory).vms) == 3


async def test_credential_that_expires_while_running(upstream: Upstream) -> None:
    furnish(upstream)
    async with watching(upstream.account()) as (inventory, clock):
        await inventory.poll()
        upstream.credential_valid = False
        clock.now += SLOW_S + 1
        upstream.calls.clear()
        await inventory.poll()
        # One call shows it; not every service and object asks again.
        assert len(upstream.calls) == 1
        assert only_service(inventory).state == "failed"
        assert "credential" in (only_service(inventory).problem or "")
        assert len(only_place(inventory).vms) == 3
        assert any('account "default"' in problem for problem in inventory.problems())
        upstream.credential_valid = True
        clock.now += 120
        await inventory.poll()
        assert only_service(inventory).state == "ok"
        assert inventory.problems() == ()


async def test_poll_broken_off_in_the_middle_is_made_up_for(upstream: Upstream) -> None:
    furnish(upstream)
    upstream.fault(f"/1.0{D}/vm", 401, {"message": "m"}, times=1)
    async with watching(upstream.account()) as (inventory, _):
        await inventory.poll()
        assert only_service(inventory).state == "failed"
        # Nothing counts as read recently: the slow parts are read again at once.
        await inventory.poll()
        service = only_service(inventory)
        assert service.state == "ok"
        assert service.service is not None
        assert only_place(inventory).clusters


async def test_configured_services_are_polled_without_a_list(upstream: Upstream) -> None:
    furnish(upstream)
    del upstream.tree["/dedicatedCloud"]
    account = upstream.account(services=("pcc-1", "pcc-typo"))
    async with watching(account) as (inventory, _):
        await inventory.poll()
        services = inventory.snapshot.services
        assert services["pcc-1"].state == "ok"
        assert services["pcc-typo"].state == "failed"
        assert "/dedicatedCloud/pcc-typo" in (services["pcc-typo"].problem or "")
        assert inventory.snapshot.unlisted == ()
    assert "/1.0/dedicatedCloud" not in upstream.paths()


async def test_accounts_do_not_wait_for_each_other(upstream: Upstream) -> None:
    furnish(upstream)
    good = upstream.account(name="good")
    dead = upstream.account(name="dead", api_url="http://name.invalid/1.0")
    same = upstream.account(name="same")
    async with watching(dead, good, same) as (inventory, _):
        await inventory.poll()
        assert only_service(inventory).account == "good"
        assert await inventory.ready(5)
        [problem] = inventory.problems()
        assert 'account "dead"' in problem
        assert "resolved" in problem
        assert inventory.snapshot.unlisted == ("dead",)


async def test_running_without_any_upstream_and_then_with_one(upstream: Upstream) -> None:
    furnish(upstream)
    upstream.fault("/1.0/auth/time", 503, b"<html>", times=3 * 4)
    clock = FakeTime(NOW)
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        clock.now += seconds
        await asyncio.sleep(0)

    async with watching(upstream.account(), clock=clock, sleep=sleep) as (inventory, _):
        assert not await inventory.ready(0)
        running = asyncio.create_task(inventory.run())
        assert await inventory.ready(30)
        assert only_service(inventory).state == "ok"
        assert pauses[:4] == pytest.approx([5, 10, 20, 40], abs=1.5)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running


async def test_snapshot_stays_empty_and_problems_are_told_while_out_of_reach(
    upstream: Upstream,
) -> None:
    upstream.fault("/1.0/auth/time", 503, b"<html>", times=999)
    async with watching(upstream.account()) as (inventory, _):
        await inventory.poll()
        assert inventory.snapshot.services == {}
        [problem] = inventory.problems()
        assert problem.startswith('account "default": GET /auth/time: OVHcloud answered HTTP 503')


async def test_a_mistake_in_a_poll_does_not_end_the_loop(
    upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    furnish(upstream)
    polls = 0

    async def sleep(_: float) -> None:
        await asyncio.sleep(0)

    async with watching(upstream.account(), sleep=sleep) as (inventory, _):
        [poller] = inventory._pollers
        real = poller.poll

        async def sometimes() -> None:
            nonlocal polls
            polls += 1
            if polls < 3:
                raise ZeroDivisionError
            await real()

        monkeypatch.setattr(poller, "poll", sometimes)
        with capture_logs() as events:
            running = asyncio.create_task(inventory.run())
            assert await inventory.ready(30)
            running.cancel()
        assert [event["event"] for event in events].count("poll_failed") == 2
        assert inventory.problems() == ()


async def test_without_accounts_nothing_happens_for_ever() -> None:
    async with watching() as (inventory, _):
        running = asyncio.create_task(inventory.run())
        await inventory.poll()
        for _ in range(5):
            await asyncio.sleep(0)
        assert not running.done()
        assert inventory.interval_s == 120
        running.cancel()


async def test_no_secret_in_logs_or_problems(
    upstream: Upstream, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    furnish(upstream)
    echo = {"message": f"{AS} {CK}"}
    upstream.fault(f"/1.0{D}/vm.*", 400, echo, times=99)
    with capture_logs() as events:
        async with watching(upstream.account()) as (inventory, clock):
            await inventory.poll()
            upstream.fault(f"/1.0{S}", 401, echo, times=99)
            clock.now += SLOW_S + 1
            texts = [*inventory.problems(), repr(inventory.snapshot)]
            await inventory.poll()
            texts += [*inventory.problems(), repr(vars(inventory))]
    out, err = capfd.readouterr()
    everything = "\n".join([*texts, str(events), caplog.text, out, err])
    assert "*** ***" in everything
    assert AS not in everything
    assert CK not in everything
