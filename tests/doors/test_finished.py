"""Finished answers: given again while they are good, and not a moment longer."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import httpx

from bridge.doors import finished
from bridge.doors.finished import finished_answers
from bridge.engine.cache import SeriesCache
from bridge.engine.shelves import Rules
from bridge.errors import UpstreamError
from bridge.remembered import Remembered
from tests.doors.conftest import panel
from tests.doors.stand import CPU, MEM, NOW, MemorySource, make_app, small_company

if TYPE_CHECKING:
    import pytest


class Stand:
    """The doors with both caches, and a clock that stands still."""

    def __init__(self, room: int = 1 << 20) -> None:
        self.timer = 0.0
        self.source = MemorySource()
        self.company = small_company()
        cache = SeriesCache(
            Rules(), max_bytes=1 << 20, clock=lambda: NOW + self.timer, timer=lambda: self.timer
        )
        self.answers = finished_answers(room, lambda: self.timer)
        cache.watch(self.answers.forget)
        self.cache = cache
        self.encoded = 0
        app = make_app(
            cache.wrap(self.source),
            snapshots=lambda: self.company,
            answers=self.answers,
            timer=lambda: self.timer,
        )
        self.client = httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://bridge"
        )

    async def ask(self, *targets: Any, **more: Any) -> httpx.Response:
        return await self.client.post("/query", json=panel(*targets, **more))

    @property
    def kept(self) -> int:
        return len(self.answers._answers)


async def test_viewers_of_one_dashboard_share_an_answer() -> None:
    stand = Stand()
    bodies = []
    for number in (3, 7):
        body = panel(CPU, requestId=f"Q{number}")
        opened = (NOW + number) * 1000
        body["range"] = {"from": opened - 6 * 3_600_000, "to": opened}
        bodies.append((await stand.client.post("/query", json=body)).content)
    assert bodies[0] == bodies[1]
    assert stand.kept == 1
    assert stand.source.asked == [CPU]


async def test_what_differs_is_told_apart() -> None:
    stand = Stand()
    named = {"target": CPU, "refId": "B", "type": "timeserie"}
    table = {"target": CPU, "refId": "A", "type": "table"}
    bodies = {
        (await stand.ask(*targets, **more)).content
        for targets, more in (
            ((CPU,), {}),
            ((named,), {}),
            ((table,), {}),
            ((f"{CPU} as x",), {}),
            ((f"max:{CPU}",), {}),
            ((CPU, MEM), {}),
            ((CPU,), {"hours": 5}),
            ((CPU,), {"maxDataPoints": 10}),
            ((CPU,), {"adhocFilters": [{"key": "vm", "operator": "=", "value": "vm-101"}]}),
        )
    }
    assert len(bodies) == 9
    assert stand.kept == 9


async def test_new_labels_make_a_new_answer() -> None:
    stand = Stand()
    assert (await stand.ask(CPU)).json()[0]["title"] == "web01"
    place = stand.company.services["pcc-192-0-2-1"].datacenters[1]
    seen = place.vms[101]
    renamed = replace(seen, value=seen.value.model_copy(update={"name": "web99"}))
    service = replace(
        stand.company.services["pcc-192-0-2-1"],
        datacenters={1: replace(place, vms={**place.vms, 101: renamed})},
    )
    stand.company = replace(stand.company, services={service.name: service}, version=2)
    assert (await stand.ask(CPU)).json()[0]["title"] != "web01"
    assert stand.source.asked == [CPU]


async def test_the_tail_is_asked_again_and_a_failure_is_told() -> None:
    stand = Stand()
    assert "Age" not in (await stand.ask(CPU)).headers
    stand.timer += 16
    stand.source.failure = UpstreamError("it is down")
    stale = await stand.ask(CPU)
    assert stale.status_code == 200
    assert "it is down" in stale.headers["Warning"]
    assert "Age" in stale.headers
    assert stale.json()[0]["meta"]["notices"]
    stand.source.failure = None
    again = await stand.ask(CPU)
    assert "Warning" not in again.headers
    assert stand.source.asked == [CPU, CPU, CPU]


async def test_an_import_is_seen_at_once() -> None:
    stand = Stand()
    await stand.ask(CPU)
    stand.cache.invalidate(CPU)
    assert stand.kept == 0
    await stand.ask(CPU)
    assert stand.source.asked == [CPU, CPU]


async def test_live_tables_are_never_kept() -> None:
    stand = Stand()
    await stand.ask("live:vm")
    await stand.ask(CPU, "live:vm")
    assert stand.kept == 0


async def test_room_is_bounded() -> None:
    stand = Stand(room=30_000)
    for hours in range(1, 12):
        await stand.ask(CPU, hours=hours)
    assert stand.answers._answers.currsize <= 30_000
    assert 0 < stand.kept < 11


class Questions:
    """A question whose answers are numbered and wait for a gate."""

    def __init__(self) -> None:
        self.timer = 0.0
        self.asked = 0
        self.ended = 0
        self.gate = asyncio.Event()

    async def ask(self) -> int:
        self.asked += 1
        mine = self.asked
        try:
            await self.gate.wait()
        finally:
            self.ended += 1
        return mine


async def test_who_asks_later_waits_too_but_for_an_answer_that_holds() -> None:
    questions = Questions()
    remembered: Remembered[int] = Remembered(
        0.0, lambda: questions.timer, holds=lambda answer, asked: answer > 1 or asked < 3
    )
    first = [asyncio.create_task(remembered.get("k", questions.ask)) for _ in range(3)]
    await asyncio.sleep(0)
    questions.timer = 2.0
    soon = asyncio.create_task(remembered.get("k", questions.ask))
    await asyncio.sleep(0)
    questions.timer = 4.0
    late = asyncio.create_task(remembered.get("k", questions.ask))
    await asyncio.sleep(0)
    first[0].cancel()
    questions.gate.set()
    assert await asyncio.gather(*first[1:], soon, late) == [1, 1, 1, 2]
    assert questions.asked == 2


async def test_when_nobody_waits_any_more_the_asking_ends() -> None:
    questions = Questions()
    remembered: Remembered[int] = Remembered(60.0, lambda: questions.timer)
    leaving = [asyncio.create_task(remembered.get("k", questions.ask)) for _ in range(2)]
    await asyncio.sleep(0)
    leaving[0].cancel()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert questions.ended == 0
    leaving[1].cancel()
    await asyncio.sleep(0)
    coming = asyncio.create_task(remembered.get("k", questions.ask))
    await asyncio.gather(*leaving, return_exceptions=True)
    await asyncio.sleep(0)
    assert questions.ended == 1
    questions.gate.set()
    assert await coming == 2


async def test_an_answer_that_repeats_goes_out_as_gzip_to_who_reads_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(finished, "WORTH_PACKING", 100)
    stand = Stand()

    async def ask(accepts: str) -> httpx.Response:
        return await stand.client.post(
            "/query", json=panel(CPU), headers={"Accept-Encoding": accepts}
        )

    plain = [await ask("gzip") for _ in range(2)]
    assert all("Content-Encoding" not in one.headers for one in plain)
    packed = plain[0]
    for _ in range(200):
        packed = await ask("gzip, deflate, br")
        if "Content-Encoding" in packed.headers:
            break
        await asyncio.sleep(0.01)
    assert packed.headers["Content-Encoding"] == "gzip"
    assert packed.headers["Vary"] == "Accept-Encoding"
    assert int(packed.headers["Content-Length"]) < len(packed.content)
    other = await ask("br")
    assert "Content-Encoding" not in other.headers
    assert other.headers["Vary"] == "Accept-Encoding"
    assert plain[0].content == plain[1].content == packed.content == other.content
    assert stand.source.asked == [CPU]
