"""The cases of the benchmark; each prints a table and says which targets are met."""

from __future__ import annotations

import asyncio
import contextlib
import random
import tempfile
import time
import tracemalloc
from collections import defaultdict
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
import orjson

from benchmarks import crowd
from benchmarks.servers import DATA, Server, Timing, uvicorn
from benchmarks.stage import SERIES, Stage, Times, Verdict, points, table, timed
from benchmarks.work import (
    METRIC,
    POINTS,
    SPAN_S,
    STEP_S,
    ask_bridge,
    ask_peer,
    ask_small,
    bridge_environment,
    grafana_body,
)
from bridge.engine.grids import Grid
from bridge.engine.needs import Need
from bridge.engine.rosters import Roster
from bridge.engine.shelves import Rules, Shelves
from bridge.model import BucketFunction, PointBatch, SeriesKey
from bridge.sources.history import History, Retention

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

#: How slow the front end is made, for each sub-query, in milliseconds.
DELAYS = (0, 50, 200)


def panel(stage: Stage, python: Path | None) -> list[Verdict]:
    """One panel: what was never asked, and the same again, in turns with the others."""
    seen: dict[str, list[Timing]] = defaultdict(list)
    with contextlib.ExitStack() as stack:
        bridge = stack.enter_context(stage.bridge())
        time.sleep(1)
        rest_mb = bridge.resident_mb()
        runs: dict[str, Callable[[tuple[int, int]], Timing]] = {
            "bridge, cold": lambda span: bridge.post("/query", ask_bridge(span, stage.machines))
        }
        small = stack.enter_context(stage.small())
        runs["ten lines, cold"] = lambda span: small.post("/query", ask_small(span, stage.machines))
        if python is not None:
            peer = stack.enter_context(stage.peer(python))
            runs["grafana-pandas-datasource, from memory"] = lambda span: peer.post(
                "/query", ask_peer(span)
            )
        for run in runs.values():
            run(stage.spans[0])
        for span in stage.spans[1:]:
            turn = list(runs)
            random.shuffle(turn)
            for name in turn:
                seen[name].append(runs[name](span))
            body = ask_bridge(span, stage.machines)
            bridge.post("/query", body, accepts="gzip")
            time.sleep(0.1)  # it is compressed beside the work
            repeats: dict[str, Callable[[], Timing]] = {
                "bridge, same again": partial(bridge.post, "/query", body),
                "bridge, same again, as gzip": partial(bridge.post, "/query", body, accepts="gzip"),
                "ten lines, same again": partial(small.post, "/again", body),
            }
            for name, again in repeats.items():
                seen[name].append([again() for _ in range(3)][-1])
        peak_mb = bridge.peak_mb()
    found = {name: Times(tuple(one.wall_ms for one in own)) for name, own in seen.items()}
    cpu = {name: Times(tuple(one.cpu_ms for one in own)) for name, own in seen.items()}
    cold, warm = found["bridge, cold"].median, found["bridge, same again"].median
    print(f"One panel, {SERIES} series x {POINTS:,} points")
    table(
        ("", "time", "cold = 1", "again = 1", "processor", "cold = 1", "again = 1"),
        [
            (
                name,
                time,
                f"{time.median / cold:.2f}",
                f"{time.median / warm:.1f}",
                cpu[name],
                f"{cpu[name].median / cpu['bridge, cold'].median:.2f}",
                f"{cpu[name].median / cpu['bridge, same again'].median:.1f}",
            )
            for name, time in found.items()
        ],
    )
    print(f"bridge: {peak_mb:.0f} MB at most\n")
    verdicts = [
        _at_least("cold vs the ten-line bridge", found["ten lines, cold"].median / cold, 3),
        _at_most("memory at rest", rest_mb, 150, "MB"),
    ]
    if python is not None:
        peer_ms = found["grafana-pandas-datasource, from memory"].median
        verdicts += [
            _at_least("cold vs grafana-pandas-datasource", peer_ms / cold, 5),
            _at_least("warm vs grafana-pandas-datasource", peer_ms / warm, 80),
            _at_least(
                "warm, as gzip, vs grafana-pandas-datasource",
                peer_ms / found["bridge, same again, as gzip"].median,
                80,
            ),
        ]
    return verdicts


def refresh(stage: Stage, _: Path | None) -> list[Verdict]:
    """The same panel up to now, its window slid by one step, the tail no longer trusted."""
    end = int(time.time()) // STEP_S * STEP_S
    rows = []
    share = 0.0
    with stage.bridge(VSCOPE_CACHE_TAIL_S="0.2") as bridge:
        spans = [(end - SPAN_S + STEP_S * n, end + STEP_S * (n - 1)) for n in range(-11, 1)]
        bridge.post("/query", ask_bridge(spans[0], stage.machines))
        for delay in DELAYS:
            stage.asked(delay)
            took = []
            for span in spans[1:]:
                time.sleep(0.25)
                took.append(bridge.post("/query", ask_bridge(span, stage.machines)).wall_ms)
            seen = stage.asked()
            many = len(spans) - 1
            share = max(share, seen.points / many / (SERIES * POINTS))
            rows.append(
                (
                    f"{delay} ms a sub-query",
                    Times(tuple(took)),
                    f"{seen.requests / many:.1f}",
                    f"{seen.points / many:,.0f}",
                    f"{SERIES * POINTS:,}",
                )
            )
    print("Refresh: the window slid by one step")
    table(("front end", "bridge", "upstream requests", "points fetched", "points direct"), rows)
    return [
        Verdict(
            "refresh by one step: points fetched upstream vs direct",
            f"{share:.2%}",
            "at most 3 %",
            share <= 0.03,
        )
    ]


def zoom(stage: Stage, _: Path | None) -> list[Verdict]:
    """From a window to one twice as long, in buckets twice as wide."""
    rows = []
    near = stage.spans[0]
    far = (near[0] - SPAN_S, near[1])
    for function in ("max", "avg"):
        wide = grafana_body(
            far,
            [f"10m-{function}:{METRIC}{{vm=literal_or({'|'.join(stage.machines)})}}"],
            step_s=2 * STEP_S,
        )
        known = []
        for warmed in (True, False):
            with stage.bridge() as bridge:
                if warmed:
                    bridge.post("/query", ask_bridge(near, stage.machines, function))
                stage.asked()
                took = bridge.post("/query", wide).wall_ms
                known.append((took, stage.asked().points))
        (ms, fetched), (cold_ms, all_points) = known
        rows.append(
            (
                f"{function} of 10 minutes",
                f"{ms:.0f} ms",
                f"{cold_ms:.0f} ms",
                f"{fetched:,}",
                f"{all_points:,}",
            )
        )
    print("Zoom out: ten days of 10 minutes, after five days of 5 minutes were shown")
    table(("", "bridge", "bridge, nothing known", "points fetched", "points direct"), rows)
    return []


def viewers(stage: Stage, _: Path | None) -> list[Verdict]:
    """Twenty people open the same dashboard of twelve panels, then it refreshes."""
    end = int(time.time()) // STEP_S * STEP_S
    many = crowd.VIEWERS
    rows = []
    share = 0.0
    stalls = []
    with stage.bridge("recording-bridge") as bridge:
        crowd.viewers_of_bridge(bridge.url, stage.world, end, 1)
        crowd.viewers_of_front_end(stage.front_end, stage.world, end, 1)
    for delay in DELAYS:
        with stage.metered() as bridge:
            bridge.get("/__meter")
            stage.asked(delay)
            cpu = bridge.cpu_ms()
            first = crowd.viewers_of_bridge(bridge.url, stage.world, end, many)
            cpu = bridge.cpu_ms() - cpu
            seen = stage.asked(delay)
            again = crowd.viewers_of_bridge(bridge.url, stage.world, end, many)
            peak_mb = bridge.peak_mb()
            stalls.append(orjson.loads(bridge.get("/__meter")))
        stage.asked(delay)
        direct = crowd.viewers_of_front_end(stage.front_end, stage.world, end, many)
        plain = stage.asked()
        share = max(share, seen.requests / plain.requests)
        rows.append(
            (
                f"{delay} ms a sub-query",
                f"{first.all_s:.2f} s",
                f"{again.all_s:.2f} s",
                f"{direct.all_s:.2f} s",
                f"{direct.all_s / first.all_s:.1f}",
                f"{seen.requests} of {plain.requests}",
                f"{seen.points:,} of {plain.points:,}",
                f"{cpu / 1000:.1f} s",
                f"{peak_mb:.0f} MB",
            )
        )
    print(
        f"{many} viewers of a dashboard of 12 panels, 6 hours, {len(stage.world.everyone)} machines"
    )
    table(
        (
            "front end",
            "bridge",
            "bridge again",
            "direct",
            "times faster",
            "upstream requests",
            "points",
            "processor",
            "peak memory",
        ),
        rows,
    )
    return [
        Verdict(
            "20 viewers: upstream requests vs direct",
            f"1/{1 / share:.0f}",
            "at most 1/20",
            share <= 1 / 20,
        ),
        _stall("20 viewers", stalls),
    ]


def rules(stage: Stage, _: Path | None) -> list[Verdict]:
    """An alert rule for each machine, all evaluated at once, through the OpenTSDB door."""
    end = int(time.time()) // 60 * 60
    rows = []
    stalls = []
    crowd.rules(stage.front_end, stage.world, end, login=stage.world.authorization)
    for delay in DELAYS:
        with stage.metered(VSCOPE_CACHE_TAIL_S="0.2") as bridge:
            crowd.rules(bridge.url, stage.world, end)  # recorded
            time.sleep(0.25)
            bridge.get("/__meter")
            stage.asked(delay)
            cpu = bridge.cpu_ms()
            ours = crowd.rules(bridge.url, stage.world, end)
            cpu = bridge.cpu_ms() - cpu
            seen = stage.asked(delay)
            stalls.append(orjson.loads(bridge.get("/__meter")))
        direct = crowd.rules(stage.front_end, stage.world, end, login=stage.world.authorization)
        plain = stage.asked()
        rows.append(
            (
                f"{delay} ms a sub-query",
                f"{ours.all_s:.2f} s",
                f"{direct.all_s:.2f} s",
                f"{direct.all_s / ours.all_s:.1f}",
                f"{seen.requests} of {plain.requests}",
                f"{cpu / 1000:.2f} s",
            )
        )
    print(f"{len(stage.world.everyone)} alert rules, one a machine, evaluated at once")
    table(("front end", "bridge", "direct", "times faster", "upstream requests", "processor"), rows)
    return [_stall("alert rules", stalls)]


def variables(_: Stage, __: Path | None) -> list[Verdict]:
    """Template variables at 2,000 machines."""
    rows = []
    stalls = []
    with contextlib.ExitStack() as stack:
        simulator = stack.enter_context(
            Server("large-simulator", uvicorn("simulated:app"), {"VMS": "2000"})
        )
        env = bridge_environment(simulator.url)
        bridge = stack.enter_context(
            Server("large-bridge", uvicorn("metered:app"), env, ready="/readyz")
        )
        for text in ("clusters()", "vms()", f"tag_values({METRIC}, vm_name)"):
            body = orjson.dumps({"target": text})
            first = bridge.post("/search", body)
            bridge.get("/__meter")
            again = timed(20, lambda body=body: bridge.post("/search", body))  # type: ignore[misc]
            choices = len(orjson.loads(first.body))
            stalls.append(orjson.loads(bridge.get("/__meter")))
            rows.append((text, f"{choices:,}", f"{first.wall_ms:.0f} ms", again))
    print("Template variables at 2,000 machines")
    table(("", "choices", "first", "again"), rows)
    return [_stall("variables", stalls)]


def history_only(stage: Stage, python: Path | None) -> list[Verdict]:
    """The panel from the bridge's own recording, without any history of OVHcloud's."""
    seen: dict[str, list[float]] = defaultdict(list)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        with stage.bridge() as bridge:
            answers = [
                bridge.post("/query", ask_bridge(span, stage.machines)).body for span in stage.spans
            ]
        asyncio.run(_record(folder, answers))
        own = {"VSCOPE_HISTORY_DIR": str(folder), "VSCOPE_HISTORY_ORDER": '["recording"]'}
        bridge = stack.enter_context(stage.bridge("history-bridge", **own))
        bridge.post("/query", ask_bridge(stage.spans[0], stage.machines))
        peer = stack.enter_context(stage.peer(python)) if python else None
        for span in stage.spans[1:]:
            body = ask_bridge(span, stage.machines)
            first = bridge.post("/query", body)
            if points(first.body) != SERIES * POINTS:
                raise SystemExit(f"{points(first.body):,} points of the recording")
            seen["recording, cold"].append(first.wall_ms)
            seen["recording, same again"].append(bridge.post("/query", body).wall_ms)
            if peer is not None:
                name = "grafana-pandas-datasource, from memory"
                seen[name].append(peer.post("/query", ask_peer(span)).wall_ms)
        peak_mb = bridge.peak_mb()
    found = {name: Times(tuple(times)) for name, times in seen.items()}
    cold = found["recording, cold"].median
    print(f"History only: {SERIES} series x {POINTS:,} points of the recording")
    rows = [(name, time, f"{time.median / cold:.2f}") for name, time in found.items()]
    table(("", "time", "cold = 1"), rows)
    print(f"bridge: {peak_mb:.0f} MB at most\n")
    return []


async def _record(folder: Path, answers: Sequence[bytes]) -> None:
    """Record the points of panels."""
    now = time.time()
    async with History(folder, Retention(400, 400, 1826), clock=lambda: now) as history:
        for answer in answers:
            series = orjson.loads(answer)
            keys = [
                SeriesKey(METRIC, tuple((key, one["tags"][key]) for key in ("datacenter", "vm")))
                for one in series
            ]
            pairs = np.array([one["datapoints"] for one in series], dtype=np.float64)
            count, many = pairs.shape[:2]
            await history.write(
                PointBatch(
                    tuple(keys),
                    np.repeat(np.arange(count, dtype=np.int32), many),
                    pairs[:, :, 1].ravel().astype(np.int64),
                    pairs[:, :, 0].ravel(),
                )
            )
        await history.maintain(everything=True)


def growth(stage: Stage, python: Path | None) -> list[Verdict]:
    """Ten times the series, and ten times the range."""
    del python
    near = stage.spans[0]
    sizes = {
        f"{SERIES} x {POINTS:,}": (near, stage.machines),
        f"{len(stage.world.everyone)} x {POINTS:,}": (near, None),
        f"{SERIES} x {10 * POINTS:,}": ((near[1] + STEP_S - 10 * SPAN_S, near[1]), stage.machines),
    }
    rows = []
    stalls = []
    parse = 0.0
    many_warm = 0.0
    for name, (span, machines) in sizes.items():
        body = ask_bridge(span, machines)
        with stage.bridge("recording-bridge") as bridge:
            bridge.post("/query", body)
        cold, warm, cpus = [], [], []
        for _ in range(3):
            with stage.metered() as bridge:
                bridge.post("/query", ask_bridge(stage.spans[1], stage.machines[:1]))
                bridge.get("/__meter")
                stage.asked()
                before_mb = bridge.resident_mb()
                first = bridge.post("/query", body)
                seen = stage.asked()
                cold.append(first.wall_ms)
                cpus.append(first.cpu_ms)
                warm += [bridge.post("/query", body).wall_ms for _ in range(5)]
                stalls.append(orjson.loads(bridge.get("/__meter")))
                peak_mb = bridge.peak_mb() - before_mb
        rows.append(
            (
                name,
                f"{points(first.body):,}",
                Times(tuple(cold)),
                Times(tuple(warm)),
                f"{seen.requests}",
                f"{seen.points:,}",
                f"{sorted(cpus)[1]:.0f} ms",
                f"{peak_mb:.0f} MB",
            )
        )
        if machines is None:
            same = DATA / "many.json"
            same.write_bytes(first.body)
            parse = timed(5, lambda body=first.body: orjson.loads(body)).median  # type: ignore[misc]
            many_warm = Times(tuple(warm)).median
    print("Growth")
    table(
        (
            "series x points",
            "points",
            "cold",
            "same again",
            "upstream requests",
            "points fetched",
            "processor, cold",
            "memory, more",
        ),
        rows,
    )
    return [
        Verdict(
            "500 series x 1,440, warm, vs orjson.loads of the answer",
            f"{many_warm / parse:.2f} ({many_warm:.0f} of {parse:.0f} ms)",
            "under 1/3",
            many_warm < parse / 3,
        ),
        _stall("large panels", stalls),
    ]


def memory(_: Stage, __: Path | None) -> list[Verdict]:
    """What a kept bucket value takes, as the interpreter counts it."""
    rows = []
    worst = 0.0
    series, buckets = 500, 5_760
    for name, share in (("no gaps", 1.0), ("10 % gaps", 0.9), ("one bucket in five", 0.2)):
        chance = np.random.default_rng(1)
        need = Need(0, METRIC, (), 60_000, (BucketFunction.AVG,))
        tracemalloc.start()
        shelves = Shelves(1 << 30, Rules())
        roster = Roster({"vm": f"vm-{n}", "datacenter": "dc", "env": "prod"} for n in range(series))
        values = 0
        for at in range(4):
            cells = chance.random((1, series, buckets // 4))
            if share < 1:
                cells[chance.random(cells.shape) > share] = np.nan
            values += int(np.count_nonzero(~np.isnan(cells)))
            grid = Grid(roster, at * buckets // 4 * 60_000, 60_000, cells)
            for _ in shelves.put(need, grid, 0.0, 2**60):
                pass
        del cells, grid
        held, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        worst = max(worst, held / values)
        rows.append((name, f"{values:,}", f"{held / values:.2f}", f"{shelves.nbytes / values:.2f}"))
    print(f"Memory for a kept bucket value, {series} series x {buckets:,} buckets, in bytes")
    table(("", "values", "taken", "accounted for"), rows)
    return [
        Verdict("memory for a kept bucket value", f"{worst:.1f} bytes", "at most 10", worst <= 10)
    ]


def _stall(what: str, meters: list[dict[str, float]]) -> Verdict:
    """Judge the loop's longest stall by its own work: the clock also counts other processes."""
    work = max(meter["busy_ms"] for meter in meters)
    clock = max(meter["stall_ms"] for meter in meters)
    return Verdict(
        f"longest stall of the event loop, {what}",
        f"{work:.0f} ms of work, {clock:.0f} ms by the clock",
        "at most 20 ms",
        work <= 20,
    )


def _at_least(what: str, ratio: float, target: float) -> Verdict:
    return Verdict(what, f"{ratio:.1f} times as fast", f"at least {target:g}", ratio >= target)


def _at_most(what: str, value: float, target: float, unit: str) -> Verdict:
    return Verdict(what, f"{value:.1f} {unit}", f"at most {target:g} {unit}", value <= target)


ALL: Mapping[str, Callable[[Stage, Path | None], list[Verdict]]] = MappingProxyType(
    {
        "panel": panel,
        "refresh": refresh,
        "zoom": zoom,
        "viewers": viewers,
        "rules": rules,
        "variables": variables,
        "history only": history_only,
        "growth": growth,
        "memory": memory,
    }
)
