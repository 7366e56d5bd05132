"""Many clients at once: viewers of a dashboard, and alert rules."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp
import orjson

from benchmarks.work import STEP_S, grafana_body

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.work import World

VIEWERS = 20
#: What a dashboard shows: Grafana's own default.
HOURS = 6
#: Connections a crowd uses at most.
CONNECTIONS = 60

_CPU, _MEM = "vscope.vm.cpu.usage.perc", "vscope.vm.mem.usage.perc"
_RX, _TX = "vscope.vm.net.rx", "vscope.vm.net.tx"
_HOST = "vscope.host.{}.usage.perc"


@dataclass(frozen=True)
class Target:
    """One target: the bridge's text, and what a datasource on the front end sends for it."""

    text: str
    metric: str
    aggregator: str
    tags: dict[str, str]


def panels(machines: Sequence[str]) -> list[list[Target]]:
    """Return the twelve panels of a dashboard, some of them with two targets."""
    some = "|".join(machines[:20])

    def grouped(metric: str, how: str) -> Target:
        return Target(f"{how}:5m-avg:{metric}{{cluster=*}}", metric, how, {"vm": "*"})

    def listed(metric: str) -> Target:
        return Target(f"5m-avg:{metric}{{vm=literal_or({some})}}", metric, "avg", {"vm": some})

    def single(metric: str, number: int) -> Target:
        name = machines[number]
        return Target(f"5m-avg:{metric}{{vm={name}}}", metric, "avg", {"vm": name})

    def hosts(kind: str) -> Target:
        metric = _HOST.format(kind)
        return Target(f"5m-avg:{metric}", metric, "avg", {"host": "*"})

    return [
        [grouped(_CPU, "avg")],
        [grouped(_CPU, "max")],
        [grouped(_MEM, "avg")],
        [grouped(_RX, "sum"), grouped(_TX, "sum")],
        [hosts("cpu")],
        [hosts("mem")],
        [listed(_CPU)],
        [listed(_MEM)],
        [single(_CPU, 0), single(_CPU, 1)],
        [single(_MEM, 0), single(_MEM, 1)],
        [single(_RX, 2), single(_TX, 2)],
        [single(_CPU, 3)],
    ]


@dataclass(frozen=True)
class Crossed:
    """What a crowd met: seconds until everyone had everything, and until half of them had."""

    all_s: float
    half_s: float


async def _post(session: aiohttp.ClientSession, url: str, body: bytes) -> bytes:
    async with session.post(url, data=body) as reply:
        content = await reply.read()
        if reply.status != 200:
            raise SystemExit(f"{url} answered {reply.status}: {content[:300]!r}")
        return content


async def _crowd(work: Sequence[Any]) -> Crossed:
    began = time.perf_counter()
    took = []

    async def one(coroutine: Any) -> None:
        await coroutine
        took.append(time.perf_counter() - began)

    await asyncio.gather(*map(one, work))
    return Crossed(took[-1], sorted(took)[len(took) // 2])


def _session(login: str | None = None) -> aiohttp.ClientSession:
    headers = {"Content-Type": "application/json"}
    if login is not None:
        headers["Authorization"] = login
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=CONNECTIONS),
        headers=headers,
        timeout=aiohttp.ClientTimeout(300),
    )


def _spans(end_s: int, count: int) -> list[tuple[int, int]]:
    """Return each viewer's window: all opened the dashboard some seconds apart."""
    return [(end_s - HOURS * 3600 + number, end_s + number) for number in range(count)]


def viewers_of_bridge(url: str, world: World, end_s: int, viewers: int) -> Crossed:
    """Let everyone load the dashboard; a browser asks for all panels at once."""

    async def run() -> Crossed:
        async with _session() as session:
            return await _crowd(
                [
                    _post(
                        session,
                        f"{url}/query",
                        grafana_body(span, [target.text for target in panel]),
                    )
                    for span in _spans(end_s, viewers)
                    for panel in panels(world.machines)
                ]
            )

    return asyncio.run(run())


def viewers_of_front_end(url: str, world: World, end_s: int, viewers: int) -> Crossed:
    """The same by Grafana's OpenTSDB datasource: one target of a panel after the other."""

    async def panel(
        session: aiohttp.ClientSession, span: tuple[int, int], targets: list[Target]
    ) -> None:
        for target in targets:
            query = {
                "metric": target.metric,
                "aggregator": target.aggregator,
                "downsample": "5m-avg",
                "tags": target.tags,
            }
            # Every window in the recording: the front end's own work is in no figure.
            body = {"start": span[0] // STEP_S * STEP_S, "end": span[1] // STEP_S * STEP_S}
            await _post(session, f"{url}/api/query", orjson.dumps({**body, "queries": [query]}))

    async def run() -> Crossed:
        async with _session(world.authorization) as session:
            return await _crowd(
                [
                    panel(session, span, targets)
                    for span in _spans(end_s, viewers)
                    for targets in panels(world.machines)
                ]
            )

    return asyncio.run(run())


def rules(url: str, world: World, end_s: int, *, login: str | None = None) -> Crossed:
    """Evaluate a rule for each machine at once, as Grafana's OpenTSDB datasource asks."""

    async def run() -> Crossed:
        async with _session(login) as session:
            work = []
            for name in world.everyone:
                query = {
                    "metric": _CPU,
                    "aggregator": "avg",
                    "downsample": "5m-avg",
                    "tags": {"vm": name},
                }
                body = {"start": end_s - 1800, "end": end_s, "queries": [query]}
                work.append(_post(session, f"{url}/api/query", orjson.dumps(body)))
            return await _crowd(work)

    return asyncio.run(run())
