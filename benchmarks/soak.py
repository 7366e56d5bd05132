"""Asks a bridge like a wall of dashboards for a while, breaks its upstream, and checks it.

``make soak``, or ``python benchmarks/soak.py [--minutes N] [--rate N] [--vms N]``. One answer
in twenty is compared with that of a second bridge that keeps nothing. Ends with 1 when an
answer was wrong, when one failed without a reason, or when memory grew after the first
quarter by more than ``GROWTH_MB``.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import math
import random
import statistics
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import orjson

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.servers import Server, uvicorn
from benchmarks.work import bridge_environment, grafana_body

GROWTH_MB = 25.0
SAMPLE_S = 1.0
REPORT_S = 30.0
CHECKED = 1 / 20
#: Requests that may wait for their answers at the same time.
MOST_WAITING = 400
#: Seconds after a fault within which a failure has a reason.
EXCUSED_S = 30.0
HOURS = (1, 3, 6, 24, 72)
CPU, MEM, RX = "vscope.vm.cpu.usage.perc", "vscope.vm.mem.usage.perc", "vscope.vm.net.rx"
#: Targets and the width of their buckets, in seconds.
TARGETS = (
    ("avg:5m-avg:" + CPU + "{{cluster=*}}", 300),
    ("max:10m-max:" + MEM + "{{cluster=*}}", 600),
    ("sum:5m-max:" + MEM + "{{vm=*}}", 300),
    ("5m-avg:" + CPU + "{{vm={one}}}", 300),
    ("5m-avg:" + CPU + "{{vm={other}}}", 300),
    ("5m-avg:" + CPU + "{{vm=literal_or({one}|{other})}}", 300),
    ("sum:rate:5m-avg:" + RX + "{{cluster=*}}", 300),
    ("max:15m-p95:" + CPU + "{{cluster=*}}", 900),
    ("20m-avg:vscope.host.cpu.usage.perc", 1200),
)
FAULTS: tuple[dict[str, Any], ...] = (
    {"mode": "down"},
    {"mode": "slow", "seconds": 3},
    {"mode": "status", "status": 502},
    {"mode": "html"},
    {"mode": "truncated"},
    {"mode": "wrong_type"},
    {"mode": "reset"},
    {"mode": "status", "status": 401},
)
DICE = random.SystemRandom()

Lines = dict[tuple[str, str], dict[int, float]]


@dataclass
class Tally:
    """What has been seen so far."""

    wall_ms: list[float] = field(default_factory=list)
    resident_mb: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)
    checked: int = 0
    broken_until: float = 0.0

    def growth_mb(self) -> float:
        """Return what memory grew by from the second quarter to the last one."""
        quarter = max(len(self.resident_mb) // 4, 1)
        early = self.resident_mb[quarter : 2 * quarter] or self.resident_mb
        return statistics.median(self.resident_mb[-quarter:]) - statistics.median(early)


@dataclass(frozen=True)
class Soak:
    """The processes, and what they were seen to do."""

    simulator: Server
    bridge: Server
    plain: Server
    session: aiohttp.ClientSession
    tally: Tally

    async def ask(self, names: tuple[str, ...]) -> None:
        """Ask one question, and perhaps check its answer."""
        now = time.time()
        end = int(now) if DICE.random() < 0.7 else int(now) // 3600 * 3600
        chosen = DICE.sample(TARGETS, k=DICE.randint(1, 3))
        texts = [
            text.format(one=DICE.choice(names), other=DICE.choice(names)) for text, _ in chosen
        ]
        body = grafana_body((end - 3600 * DICE.choice(HOURS), end), texts)
        began = time.perf_counter()
        status, told, answer = await self._post(self.bridge, body)
        self.tally.wall_ms.append((time.perf_counter() - began) * 1000)
        self.tally.outcomes["marked" if told else str(status)] += 1
        if status != 200:
            if status < 500 or time.monotonic() > self.tally.broken_until:
                self.tally.wrong.append(f"{status} without a reason, {texts}: {answer[:200]!r}")
            return
        if told or DICE.random() > CHECKED:
            return
        status, told, truth = await self._post(self.plain, body)
        if status == 200 and not told:
            self.tally.checked += 1
            widest = max(step for _, step in chosen)
            until = int((now - 2 * max(300, 2 * widest)) * 1000) - 4 * widest * 1000
            self.tally.wrong += compare(lines(answer, until), lines(truth, until), texts)

    async def _post(self, server: Server, body: bytes) -> tuple[int, bool, bytes]:
        async with self.session.post(f"{server.url}/query", data=body) as reply:
            return reply.status, "Warning" in reply.headers, await reply.read()

    async def load(self, rate: float, names: tuple[str, ...]) -> None:
        """Ask so many questions a second, whether or not those before are answered."""
        began = time.monotonic()
        waiting: set[asyncio.Task[None]] = set()
        try:
            for number in itertools.count():
                delay = began + number / rate - time.monotonic()
                if delay > 0:
                    await asyncio.sleep(delay)
                while len(waiting) >= MOST_WAITING:
                    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                task = asyncio.create_task(self.tried(names))
                waiting.add(task)
                task.add_done_callback(waiting.discard)
        finally:
            for task in waiting:
                task.cancel()

    async def tried(self, names: tuple[str, ...]) -> None:
        """Ask; a connection that breaks is a wrong answer too."""
        try:
            await self.ask(names)
        except (aiohttp.ClientError, ValueError, KeyError) as error:
            self.tally.wrong.append(f"no proper answer: {error!r}")

    async def breakage(self) -> None:
        """Break the upstream now and then, for a while or for some requests."""
        url = f"{self.simulator.url}/_simulator/faults"
        while True:
            await asyncio.sleep(DICE.uniform(5, 25))
            fault = {"target": "opentsdb", **DICE.choice(FAULTS)}
            if DICE.random() < 0.3:
                fault["count"] = DICE.randint(1, 4)
            seconds = DICE.uniform(0.5, 12)
            self.tally.broken_until = time.monotonic() + seconds + EXCUSED_S
            async with self.session.post(url, json=fault) as reply:
                reply.raise_for_status()
            self.tally.outcomes["faults"] += 1
            await asyncio.sleep(seconds)
            async with self.session.delete(url) as reply:
                reply.raise_for_status()

    async def watch(self) -> None:
        """Note the memory of the bridge, and say from time to time how it goes."""
        for second in itertools.count(1):
            await asyncio.sleep(SAMPLE_S)
            self.tally.resident_mb.append(self.bridge.resident_mb())
            if second % int(REPORT_S / SAMPLE_S) == 0:
                print(line(self.tally), flush=True)


def lines(answer: bytes, until_ms: int) -> Lines:
    """Return the points of each series that are old enough not to change."""
    found: Lines = {}
    for series in orjson.loads(answer):
        if "datapoints" not in series:
            continue
        key = series["refId"], orjson.dumps(series["tags"], option=orjson.OPT_SORT_KEYS).decode()
        own = {at: value for value, at in series["datapoints"] if at < until_ms}
        if own:
            found[key] = own
    return found


def compare(got: Lines, truth: Lines, texts: list[str]) -> list[str]:
    """Say where an answer differs."""
    found = [f"{texts}: series differ: {key}" for key in got.keys() ^ truth.keys()]
    for key in got.keys() & truth.keys():
        one, other = got[key], truth[key]
        if one.keys() != other.keys():
            found.append(f"{texts}: stamps of {key}: {sorted(one.keys() ^ other.keys())[:5]}")
        found += [
            f"{texts}: {key} at {at}: {one[at]} and not {other[at]}"
            for at in one.keys() & other.keys()
            if not _close(one[at], other[at])
        ][:3]
    return found


def _close(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is other
    return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-12)


def line(tally: Tally) -> str:
    return (
        f"{len(tally.resident_mb):>6} s  {len(tally.wall_ms):>8} answers  "
        f"median {statistics.median(tally.wall_ms or [0]):7.1f} ms  "
        f"memory {tally.resident_mb[-1] if tally.resident_mb else 0:6.1f} MB  "
        f"{tally.checked} checked, {len(tally.wrong)} wrong  {dict(tally.outcomes)}"
    )


def bridge(name: str, simulator: Server, **settings: str) -> Server:
    env = {**bridge_environment(simulator.url), "VSCOPE_DEADLINE_S": "10", **settings}
    server = Server(name, [sys.executable, "-m", "bridge", "serve"], env, ready="/readyz")
    server.also({"VSCOPE_PORT": str(server.port)})
    return server


async def run(servers: tuple[Server, Server, Server], seconds: float, rate: float) -> Tally:
    tally = Tally()
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=100),
        timeout=aiohttp.ClientTimeout(60),
        headers={"Content-Type": "application/json"},
    ) as session:
        soak = Soak(*servers, session, tally)
        async with session.post(f"{servers[2].url}/search", json={"target": "vms()"}) as reply:
            names = tuple(choice["value"] for choice in await reply.json())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds), asyncio.TaskGroup() as group:
                group.create_task(soak.watch())
                group.create_task(soak.breakage())
                group.create_task(soak.load(rate, names))
    return tally


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--rate", type=float, default=50, help="requests a second")
    parser.add_argument("--vms", type=int, default=100)
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        simulator = stack.enter_context(
            Server("soak-simulator", uvicorn("simulated:app"), {"VMS": str(options.vms)})
        )
        # Little room, so that it is full early and memory has no reason to grow.
        small = {"VSCOPE_CACHE_MB": "12", "VSCOPE_ANSWERS_MB": "6", "VSCOPE_CACHE_TAIL_S": "5"}
        nothing = {"VSCOPE_CACHE_MB": "0", "VSCOPE_ANSWERS_MB": "0"}
        servers = (
            simulator,
            stack.enter_context(bridge("soak-bridge", simulator, **small)),
            stack.enter_context(bridge("soak-plain-bridge", simulator, **nothing)),
        )
        tally = asyncio.run(run(servers, options.minutes * 60, options.rate))
    for wrong in tally.wrong[:10]:
        print(wrong)
    growth = tally.growth_mb()
    print(f"{line(tally)}\nmemory grew by {growth:.1f} MB (limit {GROWTH_MB:.0f} MB)")
    well = not tally.wrong and growth <= GROWTH_MB and tally.checked > 0
    print("well" if well else "NOT WELL")
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
