"""When a credential expires: asked rarely, remembered through failures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs

from bridge.ovh.api import OvhApi
from bridge.ovh.expiry import REFRESH_S, RETRY_S, ExpiryWatch
from tests.ovh.upstream import FakeTime

if TYPE_CHECKING:
    from tests.ovh.upstream import Upstream

PATH = "/auth/currentCredential"
EXPIRES = "2027-01-01T00:00:00+01:00"
EXPIRES_MS = 1_798_758_000_000


def asked(upstream: Upstream) -> int:
    return upstream.paths().count(f"/1.0{PATH}")


async def test_it_is_asked_once_an_hour(upstream: Upstream) -> None:
    clock = FakeTime()
    api = OvhApi(upstream.account(), clock=clock, sleep=clock.sleep)
    watch = ExpiryWatch(api, clock=clock)
    assert watch.expires_ms is None
    upstream.tree[PATH] = {"status": "validated", "expiration": EXPIRES}
    for _ in range(3):
        await watch.refresh()
        clock.now += 120
    assert (watch.expires_ms, asked(upstream)) == (EXPIRES_MS, 1)
    # A key that was asked for without an end.
    upstream.tree[PATH] = {"status": "validated", "expiration": None}
    clock.now += REFRESH_S
    await watch.refresh()
    assert (watch.expires_ms, asked(upstream)) == (None, 2)
    # A clock set back a year does not put the next question off for a year.
    clock.now -= 365 * 86_400
    await watch.refresh()
    assert asked(upstream) == 3
    await api.close()


@pytest.mark.parametrize("answer", [[], {"expiration": 5}, {"expiration": "soon"}, None])
async def test_a_failure_is_told_once_and_forgets_nothing(upstream: Upstream, answer: Any) -> None:
    clock = FakeTime()
    api = OvhApi(upstream.account(), clock=clock, sleep=clock.sleep)
    watch = ExpiryWatch(api, clock=clock)
    upstream.tree[PATH] = {"expiration": EXPIRES}
    await watch.refresh()
    clock.now += REFRESH_S
    if answer is None:
        del upstream.tree[PATH]
    else:
        upstream.tree[PATH] = answer
    with capture_logs() as events:
        for _ in range(2):
            await watch.refresh()
            clock.now += RETRY_S
    assert [event["event"] for event in events] == ["expiry_unknown"]
    assert watch.expires_ms == EXPIRES_MS
    assert asked(upstream) == 3
    await api.close()


async def test_service_accounts_do_not_expire(upstream: Upstream) -> None:
    api = OvhApi(upstream.oauth2_account())
    watch = ExpiryWatch(api, clock=FakeTime())
    await watch.refresh()
    assert (watch.expires_ms, list(upstream.calls)) == (None, [])
    await api.close()
