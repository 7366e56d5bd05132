"""Batches of objects, and reading one by one where the server knows no batches."""

from __future__ import annotations

import time
from typing import Any

import pytest

from bridge.ovh import wire
from bridge.ovh.errors import (
    OvhBrokeError,
    OvhCredentialError,
    OvhError,
    OvhExpiredError,
    OvhNotFoundError,
    OvhNotGrantedError,
)
from tests.ovh.calling import HTML, SERVICE, opened
from tests.ovh.upstream import FakeTime, Upstream

VMS = f"{SERVICE}/datacenter/8/vm"


def fill(upstream: Upstream, count: int) -> list[int]:
    ids = list(range(1, count + 1))
    upstream.tree.update({f"{VMS}/{key}": {"vmId": key} for key in ids})
    return ids


@pytest.mark.parametrize("keys", [int, str])
async def test_batch_in_chunks(upstream: Upstream, keys: Any) -> None:
    upstream.batch_keys = keys
    ids = fill(upstream, 95)
    async with opened(upstream.account()) as api:
        answers = await api.batch(VMS, [*ids, 1])
    assert answers == {key: {"vmId": key} for key in ids}
    assert api.calls == 1 + 3
    assert upstream.calls[-1].headers["x-ovh-batch"] == ","


async def test_single_id_needs_no_batch(upstream: Upstream) -> None:
    fill(upstream, 1)
    async with opened(upstream.account()) as api:
        assert await api.batch(VMS, [1]) == {1: {"vmId": 1}}
        assert await api.batch(VMS, []) == {}
    assert all("x-ovh-batch" not in call.headers for call in upstream.calls)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"class": "Client::NotFound", "message": "m"}, OvhNotFoundError),
        ({"httpCode": "404 Not Found", "errorCode": "X", "message": "m"}, OvhNotFoundError),
        ("The requested object does not exist", OvhNotFoundError),
        ({"errorCode": "NOT_GRANTED_CALL", "message": "m"}, OvhNotGrantedError),
        ({"message": "boom"}, OvhBrokeError),
        (None, OvhBrokeError),
    ],
)
async def test_error_of_one_item(upstream: Upstream, error: Any, kind: type[OvhError]) -> None:
    answer = [{"key": 1, "value": {"vmId": 1}}, {"key": "2", "value": None, "error": error}]
    upstream.fault(f"/1.0{VMS}/1,2", body=answer)
    async with opened(upstream.account()) as api:
        answers = await api.batch(VMS, [1, 2])
    assert answers[1] == {"vmId": 1}
    assert type(answers[2]) is kind
    assert answers[2].path == f"{VMS}/2"


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, {"message": "no such id"}),
        (400, {"message": "1,2,3 is no number"}),
        (501, {}),
        (200, {"vmId": 1}),
        (200, [{"vmId": 1}, {"vmId": 2}, {"vmId": 3}]),
        (200, [{"key": 1, "value": {"vmId": 1}}]),
        (200, [{"key": 1, "value": {}}, {"key": 1, "value": {}}, {"key": 2, "value": {}}]),
        (200, [{"key": True, "value": {}}, {"key": 1, "value": {}}, {"key": 2, "value": {}}]),
        (200, [1, 2, 3]),
        (200, HTML),
    ],
)
async def test_server_without_batches(upstream: Upstream, status: int, body: Any) -> None:
    ids = fill(upstream, 3)
    upstream.fault(f"/1.0{VMS}/1,2,3", status, body, times=9)
    clock = FakeTime()
    async with opened(upstream.account(), clock=clock, sleep=clock.sleep) as api:
        wanted = {key: {"vmId": key} for key in ids}
        assert await api.batch(VMS, ids) == wanted
        asked = len(upstream.calls)
        # Remembered: not even tried, for this kind of path.
        assert await api.batch(VMS, ids) == wanted
        assert len(upstream.calls) == asked + 3
        clock.now += 3700
        upstream.faults.clear()
        assert await api.batch(VMS, ids) == wanted
        assert upstream.calls[-1].path == f"/1.0{VMS}/1,2,3"


async def test_object_that_breaks_its_batch_is_found(upstream: Upstream) -> None:
    ids = fill(upstream, 3)
    upstream.fault(f"/1.0{VMS}/1,2,3", 500, {"message": "boom"}, times=99)
    upstream.fault(f"/1.0{VMS}/2", 500, {"message": "boom"}, times=99)
    async with opened(upstream.account()) as api:
        answers = await api.batch(VMS, ids)
        assert isinstance(answers[2], OvhBrokeError)
        assert (answers[1], answers[3]) == ({"vmId": 1}, {"vmId": 3})
        # OVHcloud broke; that says nothing about batches in general.
        upstream.faults.clear()
        asked = len(upstream.calls)
        assert len(await api.batch(VMS, ids)) == 3
        assert len(upstream.calls) == asked + 1


async def test_outage_is_not_multiplied_by_the_number_of_ids(upstream: Upstream) -> None:
    ids = fill(upstream, 40)
    upstream.fault(f"/1.0{VMS}/.*", 500, {"message": "boom"}, times=999)
    async with opened(upstream.account()) as api:
        with pytest.raises(OvhBrokeError):
            await api.batch(VMS, ids)
    assert len(upstream.calls) <= 1 + 3 + 3 * 3


@pytest.mark.parametrize(("status", "kind"), [(460, OvhExpiredError), (401, OvhCredentialError)])
async def test_what_concerns_all_ids_is_raised(
    upstream: Upstream, status: int, kind: type[OvhError]
) -> None:
    upstream.fault(f"/1.0{VMS}/.*", status, {"message": "m"}, times=99)
    async with opened(upstream.account()) as api:
        with pytest.raises(kind) as caught:
            await api.batch(VMS, range(1, 41))
    assert "1,2,3,... (40 ids)" in caught.value.message
    assert upstream.paths().count("/1.0/auth/time") == 1


def test_retry_after_header() -> None:
    assert wire._retry_after("12") == 12
    assert wire._retry_after(None) is None
    assert wire._retry_after("soon") is None
    later = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 50))
    assert 48 <= (wire._retry_after(later) or 0) <= 51
