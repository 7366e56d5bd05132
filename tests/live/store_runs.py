"""What the tests of the OpenTSDB store and ``benchmarks/opentsdb_store.py`` do, at two sizes."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from dataclasses import dataclass, field
from itertools import cycle, pairwise
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx
import numpy as np

from bridge.catalog import Kind, Metric
from bridge.demo.account import demo_account
from bridge.engine.cache import SeriesCache
from bridge.engine.engine import Engine
from bridge.engine.shelves import Rules
from bridge.model import Downsample, PointBatch, Query, SeriesKey, Window
from bridge.sources.opentsdb import OpenTsdb
from bridge.sources.opentsdb_store import PUT_TIMEOUT_S, PUTS, SPOOL, OpenTsdbStore
from bridge.sources.upstream import Upstream
from tests.commands import running
from tests.engine.memory import NoInventory
from tests.live.conftest import free_port
from tests.live.gate import gate
from tests.sources.opentsdb_store.sending import sending

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from tests.commands import Running

#: Stored points: for each series (its tags) pairs of stamp (seconds) and value.
Raw = dict[tuple[tuple[str, str], ...], list[tuple[int, float]]]
SERVICE = "pcc-192-0-2-1"


def tags_of(vm: int, service: str = SERVICE) -> tuple[tuple[str, str], ...]:
    tags = {
        "datacenter": f"{service}_datacenter1",
        "env": "prod",
        "servicename": service,
        "servicetype": "vscope",
        "vm": f"vm-{vm}",
    }
    return tuple(sorted(tags.items()))


def poll_of(metrics: list[str], vms: int, stamp_s: int, seed: int) -> PointBatch:
    """One poll: whole numbers and fractions, all different from poll to poll."""
    keys = tuple(SeriesKey(metric, tags_of(vm)) for vm in range(vms) for metric in metrics)
    values = np.random.default_rng(seed).random(len(keys)) * 100
    values[::3] = np.floor(values[::3])
    stamps = np.full(len(keys), stamp_s * 1000, dtype=np.int64)
    return PointBatch(keys, np.arange(len(keys), dtype=np.int32), stamps, values)


def expected(batches: list[PointBatch], metric: str) -> Raw:
    found: Raw = {}
    for batch in batches:
        values = batch.values.tolist()
        for at, key in enumerate(batch.keys):
            if key.metric == metric:
                stamp = int(batch.stamps_ms[at]) // 1000
                found.setdefault(key.tags, []).append((stamp, values[at]))
    return found


def stored(url: str, metric: str, start_s: int, end_s: int, **tags: str) -> Raw:
    """Read raw points from OpenTSDB itself; a doubled one would stand there twice."""
    filters = [
        {"type": "literal_or", "tagk": key, "filter": text, "groupBy": False}
        for key, text in tags.items()
    ]
    sub_query = {"metric": metric, "aggregator": "none", "filters": filters}
    body = {"start": start_s, "end": end_s, "queries": [sub_query]}
    reply = httpx.post(f"{url}/api/query?arrays=true", json=body, timeout=60)
    if reply.status_code == 400 and "No such name" in reply.text:
        return {}
    reply.raise_for_status()
    return {
        tuple(sorted(one["tags"].items())): [(int(stamp), value) for stamp, value in one["dps"]]
        for one in reply.json()
    }


@contextlib.asynccontextmanager
async def storing(url: str, folder: Path, spool_mb: int = 256) -> AsyncIterator[OpenTsdbStore]:
    upstream = Upstream(concurrency=PUTS, timeout_s=PUT_TIMEOUT_S, leave_alone=False)
    server = OpenTsdb(upstream, url, clock=time.monotonic)
    store = OpenTsdbStore(folder / SPOOL, upstream, server, spool_bytes=spool_mb << 20)
    async with sending(store):
        yield store


async def empty(store: OpenTsdbStore) -> None:
    while store.state.waiting.polls:  # noqa: ASYNC110 -- what is waited for is no event
        await asyncio.sleep(0.05)


async def write(url: str, folder: Path, batches: list[PointBatch]) -> dict[str, float]:
    """Write polls as fast as that goes; return figures."""
    async with storing(url, folder) as store:
        begun = time.perf_counter()
        for batch in batches:
            await store.write(batch)
        spooled = time.perf_counter() - begun
        size = store.state.waiting.size
        await empty(store)
        took = time.perf_counter() - begun
        points = sum(len(batch.values) for batch in batches)
        assert (store.state.written, store.state.refused) == (points, 0)
    return {
        "points": points,
        "points a second": points / took,
        "spooled, points a second": points / spooled,
        "bytes a point in the spool": size / points,
    }


def six_hours(metric: str, series: int = 200, step_s: int = 120) -> list[PointBatch]:
    """Polls of six whole hours of yesterday."""
    first_s = (int(time.time()) - 24 * 3600) // 3600 * 3600
    return [
        poll_of([metric], series, first_s + number * step_s, number)
        for number in range(6 * 3600 // step_s)
    ]


async def read_back(url: str, metric: str, batches: list[PointBatch]) -> dict[str, float]:
    """Ask the engine, through its cache, for what was written; return seconds by question."""
    wanted = expected(batches, metric)
    stamps = [int(batch.stamps_ms[0]) for batch in batches]
    known = {metric: Metric(metric, Kind.VM, metric, "none", ("datacenter", "vm"), None)}
    upstream = Upstream(concurrency=8, timeout_s=60)
    cache = SeriesCache(Rules(), max_bytes=1 << 28)
    source = cache.wrap(OpenTsdb(upstream, url, clock=time.monotonic))
    engine = Engine(
        source, known, NoInventory, source_step_ms=1000, max_points=10**7, max_series=1000
    )
    window = Window(stamps[0], stamps[-1])
    raw = Query(metric, window)
    buckets = Query(metric, window, downsample=Downsample(stamps[1] - stamps[0], "avg"))
    took = {}
    try:
        for what, query in (("raw", raw), ("buckets", buckets), ("buckets again", buckets)):
            begun = time.perf_counter()
            answer = await engine.query(query)
            took[what] = time.perf_counter() - begun
            found = {
                tuple(sorted(one.tags.items())): list(
                    zip((one.stamps_ms // 1000).tolist(), one.values.tolist(), strict=True)
                )
                for one in answer.series
            }
            assert found == wanted, what
    finally:
        await cache.close()
        await upstream.close()
    return took


async def go_away(
    url: str, folder: Path, metric: str, *, away_s: float, every_s: float, vms: int
) -> tuple[list[PointBatch], dict[str, float]]:
    """Record through an OpenTSDB that goes away in the middle; return polls and figures."""
    batches: list[PointBatch] = []
    first_s = int(time.time()) - 3_000

    with gate(urlsplit(url).port or 80) as way:
        async with storing(way.url, folder) as store:

            async def record(seconds: float) -> None:
                until = time.monotonic() + seconds
                while time.monotonic() < until:
                    number = len(batches)
                    batches.append(poll_of([metric], vms, first_s + number, number))
                    await store.write(batches[-1])
                    await asyncio.sleep(every_s)

            await record(2.0)
            way.close()
            await record(away_s)
            spooled = store.state.waiting
            problem = store.state.problem
            assert problem is not None
            way.open()
            back = time.perf_counter()
            await record(1.0)
            await empty(store)
            caught_up = time.perf_counter() - back
            assert store.state.refused == store.state.given_up == 0
    return batches, {
        "polls": len(batches),
        "spooled points": spooled.points,
        "spool bytes": spooled.size,
        "seconds until caught up": caught_up,
    }


CONFIG = """
port = {port}
record_into = "opentsdb"
opentsdb_url = "{opentsdb}"
history_dir = "{folder}"
history_order = ["opentsdb"]
poll_interval_s = {poll_s}
source_step_s = {poll_s}
cache_settle_s = 10
metrics_hosts = ["127.0.0.1"]

[[accounts]]
name = "demo"
api_url = "{simulator}/1.0"
application_key = "{account.application_key}"
application_secret = "{secret}"
consumer_key = "{consumer}"
calls_per_minute = 60000
"""


@dataclass
class Client:
    """Asks as a balancer lets ask: the next bridge in turn, once more at the other one.

    Attributes:
        hidden: Requests that a retry has saved.
        failed: Requests that failed at both.
    """

    urls: list[str]
    asked: int = 0
    hidden: int = 0
    failed: list[str] = field(default_factory=list)

    def run(self, done: threading.Event, metric: str) -> None:
        query = {"metric": metric, "aggregator": "none", "downsample": "5s-avg"}
        body = {"start": "2m-ago", "queries": [query]}
        with httpx.Client(timeout=30) as client:
            for first, second in cycle([self.urls, self.urls[::-1]]):
                if done.wait(0.2):
                    return
                self.asked += 1
                said = [self._ask(client, first, body)]
                if said[0] is not None:
                    said.append(self._ask(client, second, body))
                    if said[1] is None:
                        self.hidden += 1
                    else:
                        self.failed.append(" / ".join(filter(None, said)))

    @staticmethod
    def _ask(client: httpx.Client, url: str, body: dict[str, Any]) -> str | None:
        try:
            reply = client.post(f"{url}/api/query", json=body)
        except httpx.HTTPError as error:
            return repr(error)
        return None if reply.status_code == 200 else f"{reply.status_code} {reply.text[:300]}"


@contextlib.contextmanager
def simulator(folder: Path, vms: int, seed: int) -> Iterator[str]:
    port = free_port()
    options = ["--vms", str(vms), "--hosts", "2", "--no-token", "--seed", str(seed)]
    with running("simulate", "--port", str(port), *options, cwd=folder) as process:
        process.until("answers at")
        yield f"http://127.0.0.1:{port}"


@dataclass
class Member:
    """One bridge of several, which can be killed and started again."""

    folder: Path
    url: str
    stack: contextlib.ExitStack
    process: Running | None = None

    def start(self) -> None:
        config = str(self.folder / "config.toml")
        self.process = self.stack.enter_context(
            running("serve", "--config", config, cwd=self.folder)
        )

    def kill(self) -> None:
        assert self.process is not None
        self.process.end(9)

    def until_recording(self) -> None:
        """Wait until it is ready and OpenTSDB has stored a poll of it."""
        while True:
            time.sleep(0.3)
            with contextlib.suppress(httpx.HTTPError):
                figures = httpx.get(f"{self.url}/metrics").text
                if "\nvscope_bridge_store_written_timestamp_seconds " in figures:
                    return
            assert self.process is not None
            assert self.process.process.poll() is None, self.process.lines


@contextlib.contextmanager
def bridges(
    folder: Path, opentsdb: str, simulated: str, *, poll_s: int, count: int = 2, more: str = ""
) -> Iterator[list[Member]]:
    """Processes that record the same service into one OpenTSDB; they are not started yet."""
    account = demo_account(simulated)
    assert account.application_secret is not None
    assert account.consumer_key is not None
    with contextlib.ExitStack() as stack:
        members = []
        for number in range(count):
            own = folder / f"bridge-{number}"
            own.mkdir()
            port = free_port()
            config = CONFIG.format(
                port=port,
                opentsdb=opentsdb,
                folder=own / "state",
                poll_s=poll_s,
                simulator=simulated,
                account=account,
                secret=account.application_secret.get_secret_value(),
                consumer=account.consumer_key.get_secret_value(),
            )
            (own / "config.toml").write_text(more + config)
            members.append(Member(own, f"http://127.0.0.1:{port}", stack))
        yield members


def kill_in_turn(
    folder: Path, opentsdb: str, *, times: int, every_s: float, poll_s: int, vms: int = 5
) -> dict[str, Any]:
    """Kill one of two recorders of a service again and again; check, and return figures."""
    metric = "vscope.vm.power.state"
    seed = time.time_ns() % 1_000_000_000
    with (
        simulator(folder, vms, seed) as simulated,
        bridges(folder, opentsdb, simulated, poll_s=poll_s) as members,
    ):
        for member in members:
            member.start()
        for member in members:
            member.until_recording()
        begun_s = int(time.time())
        [service] = {
            line.split('service="')[1].split('"')[0]
            for line in httpx.get(f"{members[0].url}/metrics").text.splitlines()
            if line.startswith("vscope_bridge_service_polled_timestamp_seconds{")
        }
        client, done = Client([member.url for member in members]), threading.Event()
        asking = threading.Thread(target=client.run, args=(done, metric))
        asking.start()
        try:
            for _, member in zip(range(times), cycle(members), strict=False):
                time.sleep(every_s)
                member.kill()
                member.start()
                member.until_recording()
        finally:
            done.set()
            asking.join()
        ended_s = int(time.time()) - poll_s
        raw = stored(opentsdb, metric, begun_s - 600, ended_s, servicename=service)
    assert len(raw) >= vms
    gaps = []
    for points in raw.values():
        stamps = [stamp for stamp, _ in points if stamp >= begun_s - 2 * poll_s]
        assert all(stamp % poll_s == 0 for stamp in stamps)
        assert all(before < after for before, after in pairwise(stamps)), "a doubled point"
        gaps += [after - before for before, after in pairwise([*stamps, ended_s])]
    return {
        "kills": times,
        "series": len(raw),
        "points": sum(map(len, raw.values())),
        "longest gap, polls": max(gaps) / poll_s,
        "requests": client.asked,
        "saved by a retry": client.hidden,
        "failed": client.failed,
    }
