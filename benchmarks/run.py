"""Measures the bridge against two others in one run and says which targets are met.

``make bench``, or ``python benchmarks/run.py [--rounds N]``. See docs/performance.md for
what is measured, and for results.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import random
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import orjson
import structlog

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.peer import peer_python
from benchmarks.servers import DATA, HERE, Server, Timing, uvicorn
from benchmarks.work import (
    POINTS,
    World,
    ask_bridge,
    ask_peer,
    ask_small,
    bridge_environment,
    explore,
    windows,
)

SERIES = 50
MANY_MACHINES = 504

#: What has to be reached.
FASTER_THAN_PEER = 3.0
STALL_MS = 50.0
REST_MB = 150.0

Question = Callable[[tuple[int, int]], bytes]

BRIDGE = [sys.executable, "-m", "bridge", "serve"]


@dataclass(frozen=True)
class Stage:
    """Everything that all measurements need."""

    replay: Server
    world: World
    spans: tuple[tuple[int, int], ...]

    @property
    def machines(self) -> tuple[str, ...]:
        return self.world.machines[:SERIES]

    def bridge(self, name: str) -> Server:
        server = Server(name, BRIDGE, bridge_environment(self.replay.url), ready="/readyz")
        server.also({"VSCOPE_PORT": str(server.port)})
        return server

    def metered_bridge(self) -> Server:
        env = bridge_environment(self.replay.url)
        return Server("metered-bridge", uvicorn("metered:app"), env, ready="/readyz")

    def small(self, *, metered: bool = False) -> Server:
        env = {
            "UPSTREAM": f"{self.replay.url}/opentsdb",
            "AUTHORIZATION": self.world.authorization,
        }
        app = "metered_small:app" if metered else "small_bridge:app"
        return Server("metered-small" if metered else "small", uvicorn(app), env)


def points(body: bytes) -> int:
    return sum(len(series["datapoints"]) for series in orjson.loads(body))


def record(stage: Stage) -> None:
    """Let the replay server see every question once, and keep one answer for the peer."""
    with stage.bridge("recording-bridge") as bridge, stage.small() as small:
        for span in stage.spans:
            answer = bridge.post("/query", ask_bridge(span, stage.machines)).body
            same = small.post("/query", ask_small(span, stage.machines)).body
            if not points(answer) == points(same) == SERIES * POINTS:
                sys.exit(f"not the same work: {points(answer)} and {points(same)} points")
        (DATA / "answer.json").write_bytes(answer)
        bridge.post("/query", ask_bridge(stage.spans[0], None))
        small.post("/query", ask_small(stage.spans[0], None))


def race(stage: Stage, python: Path | None) -> tuple[dict[str, list[Timing]], float]:
    """Ask everyone in turns; every window is new to the bridge, then asked once more."""
    timings: dict[str, list[Timing]] = defaultdict(list)
    with contextlib.ExitStack() as stack:
        bridge = stack.enter_context(stage.bridge("bridge"))
        time.sleep(2)
        rest_mb = bridge.resident_mb()
        runs: dict[str, tuple[Server, Question]] = {}
        runs["bridge"] = (bridge, lambda span: ask_bridge(span, stage.machines))
        small = stack.enter_context(stage.small())
        runs["ten lines"] = (small, lambda span: ask_small(span, stage.machines))
        if python is not None:
            command = [
                str(python),
                str(HERE / "peer_server.py"),
                "{port}",
                str(DATA / "answer.json"),
            ]
            peer = stack.enter_context(Server("peer", command))
            runs["peer"] = (peer, ask_peer)
        for server, question in runs.values():
            server.post("/query", question(stage.spans[0]))
        for span in stage.spans[1:]:
            turn = list(runs)
            random.shuffle(turn)
            for name in turn:
                server, question = runs[name]
                timings[name].append(server.post("/query", question(span)))
                if name == "bridge":
                    timings["bridge, same again"].append(server.post("/query", question(span)))
        for name, (server, _) in runs.items():
            print(f"  memory afterwards, {name}: {server.resident_mb():.0f} MB")
        if python is not None and points(timings["peer"][-1].body) < 0.99 * SERIES * POINTS:
            sys.exit("not the same work: the peer answered fewer points")
    return timings, rest_mb


def stalls(server: Server, body: bytes, rounds: int) -> tuple[list[float], float]:
    """Return the longest stall during each of some large requests, and while idle, in ms."""
    server.post("/query", body)
    found = []
    for _ in range(rounds):
        server.get("/__meter")
        server.post("/query", body)
        found.append(orjson.loads(server.get("/__meter"))["stall_ms"])
    time.sleep(1)
    return found, orjson.loads(server.get("/__meter"))["stall_ms"]


def middle(timings: list[Timing]) -> tuple[float, float]:
    return (
        statistics.median(timing.wall_ms for timing in timings),
        statistics.fmean(timing.cpu_ms for timing in timings),
    )


def verdict(what: str, *, met: bool, figure: str, target: str) -> bool:
    print(f"  [{'met' if met else 'MISSED'}] {what}: {figure} (target: {target})")
    return met


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="rounds of the race")
    parser.add_argument("--strict", action="store_true", help="exit 1 when a target is missed")
    options = parser.parse_args()
    # What the bridge's parts say about themselves is no result.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    spans = windows(options.rounds + 1)
    python = peer_python()
    with contextlib.ExitStack() as stack:
        simulator = stack.enter_context(
            Server("simulator", uvicorn("simulated:app"), {"VMS": str(MANY_MACHINES)})
        )
        replay = stack.enter_context(
            Server("replay", uvicorn("replay:app"), {"SIMULATOR": simulator.url})
        )
        stage = Stage(replay, explore(replay.url, spans), spans)
        if len(stage.machines) < SERIES:
            sys.exit(f"only {len(stage.machines)} machines have complete history")
        record(stage)

        print(f"POST /query, {SERIES} series x {POINTS} points, {options.rounds} rounds in turns")
        timings, rest_mb = race(stage, python)
        bridge_ms, _ = middle(timings["bridge"])
        print(f"  {'':22} {'median ms':>10} {'cpu ms':>8} {'vs bridge':>10}")
        for name, own in timings.items():
            wall, cpu = middle(own)
            print(f"  {name:22} {wall:10.1f} {cpu:8.1f} {wall / bridge_ms:9.2f}x")

        print(f"event loop, every machine x {POINTS} points")
        with stage.metered_bridge() as metered:
            body = ask_bridge(spans[0], None)
            answer = metered.post("/query", body)
            print(f"  {len(orjson.loads(answer.body))} series, {points(answer.body):,} points")
            found, idle = stalls(metered, body, options.rounds)
        with stage.small(metered=True) as metered:
            small_found, _ = stalls(metered, ask_small(spans[0], None), 3)
        print(
            f"  longest stall of each request, bridge: median {statistics.median(found):.1f} ms, "
            f"worst {max(found):.1f} ms (idle: {idle:.1f} ms); "
            f"ten lines: median {statistics.median(small_found):.0f} ms"
        )

    print("targets")
    results = [
        verdict(
            "no request blocks the event loop",
            met=max(found) < STALL_MS,
            figure=f"{max(found):.1f} ms at worst",
            target=f"< {STALL_MS:.0f} ms",
        ),
        verdict(
            "memory at rest",
            met=rest_mb < REST_MB,
            figure=f"{rest_mb:.0f} MB",
            target=f"< {REST_MB:.0f} MB",
        ),
    ]
    if "peer" in timings:
        ratio = middle(timings["peer"])[0] / bridge_ms
        results.append(
            verdict(
                "cold query against grafana-pandas-datasource from memory",
                met=ratio >= FASTER_THAN_PEER,
                figure=f"{ratio:.1f} times as fast",
                target=f">= {FASTER_THAN_PEER:.0f}",
            )
        )
    return 0 if all(results) or not options.strict else 1


if __name__ == "__main__":
    sys.exit(main())
