"""The recording against plain DuckDB: size, reading, writing, memory, opening.

``python benchmarks/history.py`` takes a minute (24 machines, 60 days); ``--full`` is a year of
five-minute points of 3,003 series (316 million) and needs 10 GB of disk and half an hour.
Values are the demo's, brought into the form in which APIv6 gives them: per cents of whole
numbers, and whole numbers.

Every measurement runs in a process of its own, so that its memory is only the recording's.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from bridge.catalog import Kind, catalogue
from bridge.demo.fleet import build_fleet
from bridge.demo.options import DemoOptions
from bridge.demo.signals import vm_values
from bridge.model import (
    BucketFunction,
    BucketRequest,
    FilterKind,
    PointBatch,
    PointRequest,
    SeriesKey,
    TagFilter,
)
from bridge.sources.history import History, Retention, merging
from bridge.sources.history.layout import DAY_MS
from bridge.sources.history.parts import read_parts, scan_tier

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from numpy.typing import NDArray

    from bridge.demo.fleet import VmSpec

STEP_S = 300
NOON = int(datetime(2026, 10, 20, 12, tzinfo=UTC).timestamp())
#: Metrics of a virtual machine that can be recorded.
METRICS = tuple(m.name for m in catalogue().values() if m.kind is Kind.VM and m.live and m.ovhcloud)
YEARS = 5

TARGETS = {
    "bytes a raw point": 5.0,
    "bytes a 10-minute row": 20.0,
    "bytes a 1-hour row": 20.0,
    "writing a poll, of a plain append": 20.0,
    "200 series x 6 hours, of DuckDB's scan": 1.5,
    "1 series x 14 days, of DuckDB's scan": 1.5,
    "longest wait for maintenance, in ms": 100.0,
    "memory in MB": 500.0,
    "opening five years, in seconds": 1.0,
}


class Feed:
    """The points of some machines, as APIv6 would give them."""

    def __init__(self, machines: int, days: int) -> None:
        # The first ones of the demo's cast have stories: dead, silent, with gaps.
        fleet = build_fleet(DemoOptions(vms=machines + 20, history_days=days + 2), NOON)
        self._fleet = fleet
        self.machines: Sequence[VmSpec] = fleet.vms[20:]
        self.keys = tuple(
            SeriesKey(metric, (("datacenter", "pcc-192-0-2-1_datacenter1234"), ("vm", vm.mo_ref)))
            for metric in METRICS
            for vm in self.machines
        )

    def values(self, metric: str, stamps: NDArray[np.int64]) -> NDArray[np.float64]:
        """One row a machine."""
        machines = self.machines
        grid = np.broadcast_to(stamps, (len(machines), len(stamps)))
        values = vm_values(self._fleet, metric, machines, grid)
        if not metric.endswith(".perc"):
            return np.round(values)
        most = [vm.cpu_max if "cpu" in metric else vm.ram_mb for vm in machines]
        whole = np.array(most, dtype=np.float64)[:, None]
        return 100 * np.round(values / 100 * whole) / whole

    def write(self, path: Path, start: int, end: int) -> None:
        """Write the points between two epoch seconds as a file to import."""
        stamps = np.arange(start, end, STEP_S, dtype=np.int64)
        with duckdb.connect() as connection:
            connection.execute("SET memory_limit = '2GB'; SET preserve_insertion_order = false")
            connection.execute(f"SET temp_directory = '{path.parent}'")
            connection.execute(
                "CREATE TABLE feed (metric VARCHAR, vm INT, time BIGINT, value DOUBLE)"
            )
            for metric in METRICS:
                values = self.values(metric, stamps)
                table = {
                    "vm": np.repeat(np.arange(len(self.machines), dtype=np.int32), len(stamps)),
                    "time": np.tile(stamps * 1000, len(self.machines)),
                    "value": values.ravel(),
                }
                connection.register("made", table)
                connection.execute(f"INSERT INTO feed SELECT '{metric}', vm, time, value FROM made")
                connection.unregister("made")
            names = {"name": np.array([vm.mo_ref for vm in self.machines], dtype=np.object_)}
            connection.register("names", {"place": np.arange(len(self.machines)), **names})
            connection.execute(
                "COPY (SELECT metric, time, value, 'pcc-192-0-2-1_datacenter1234' AS datacenter, "
                f"name AS vm FROM feed JOIN names ON vm = place) TO '{path}' (FORMAT parquet)"
            )

    def poll(self, stamp: int) -> PointBatch:
        stamps = np.array([stamp], dtype=np.int64)
        values = np.concatenate([self.values(metric, stamps)[:, 0] for metric in METRICS])
        count = len(self.keys)
        return PointBatch(
            self.keys,
            np.arange(count, dtype=np.int32),
            np.full(count, stamp * 1000, dtype=np.int64),
            values,
        )


def peak_mb() -> float:
    text = Path("/proc/self/status").read_text(encoding="ascii")
    return int(text.split("VmHWM:")[1].split()[0]) / 1024


async def in_turns(rounds: int, **works: Callable[[], Awaitable[Any]]) -> dict[str, float]:
    """Run some works in turns, and return the median milliseconds of each."""
    took: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            begun = time.perf_counter()
            await work()
            took[name].append((time.perf_counter() - begun) * 1e3)
    return {name: statistics.median(own) for name, own in took.items()}


async def fill(folder: Path) -> dict[str, Any]:
    """Import all but the last half day."""
    history = History(folder / "store", Retention(400, 400, 1826), clock=lambda: float(NOON))
    began = time.perf_counter()
    rows = 0
    async with history:
        for path in sorted((folder / "feed").iterdir()):
            rows += (await history.import_file(path)).rows
            print(f"    {path.name}: {rows:,} points", flush=True)
    return {"rows": rows, "seconds": time.perf_counter() - began, "peak": peak_mb()}


async def measure(folder: Path, machines: int, days: int) -> dict[str, Any]:
    feed = Feed(machines, days)
    clock = {"now": float(NOON)}
    found: dict[str, Any] = {}
    async with History(
        folder / "store", Retention(400, 400, 1826), clock=lambda: clock["now"]
    ) as history:
        found |= await writing(history, feed, folder, NOON - 12 * 3600)
        found |= await reading(history, feed)
        clock["now"] += 86_400
        found |= await waiting(history, feed)
        begun = time.perf_counter()
        verified = await history.verify()
        if verified.problems:
            sys.exit("\n".join(verified.problems))
        found["verify_s"] = time.perf_counter() - begun
        stats = await history.stats()
        for name, tier in stats.tiers.items():
            found[name] = {"rows": tier.rows, "files": tier.files, "size": tier.size}
        found["database"] = stats.database_size
    found["peak"] = peak_mb()
    return found


async def waiting(history: History, feed: Feed) -> dict[str, Any]:
    """Move half a day of points into files, and ask questions meanwhile."""
    end = NOON * 1000
    names = TagFilter("vm", FilterKind.WILDCARD, "vm-*")
    request = PointRequest(feed.keys[0].metric, (names,), end - 6 * 3_600_000, end, 10_000_000)

    async def asked() -> float:
        begun = time.perf_counter()
        await history.points(request)
        return (time.perf_counter() - begun) * 1e3

    before = [await asked() for _ in range(40)]
    begun = time.perf_counter()
    running = asyncio.create_task(history.maintain())
    during = [await asked()]
    while not running.done():
        during.append(await asked())
    took, merged = time.perf_counter() - begun, running.result().merged
    return {
        "maintain": {"seconds": took, "parts": merged, "questions": len(during)},
        "waits_ms": max(during) - statistics.median(before),
    }


async def writing(history: History, feed: Feed, folder: Path, midnight: int) -> dict[str, Any]:
    """Write the last half day poll by poll, and the same into a plain table."""
    plain = duckdb.connect(str(folder / "plain.duckdb"))
    plain.execute("CREATE TABLE points (series BIGINT, time BIGINT, value DOUBLE)")
    ours, theirs = [], []
    for stamp in range(midnight, NOON, STEP_S):
        batch = feed.poll(stamp)
        begun = time.perf_counter()
        await history.write(batch)
        ours.append((time.perf_counter() - begun) * 1e3)
        table = {"series": batch.series, "time": batch.stamps_ms, "value": batch.values}
        begun = time.perf_counter()
        plain.register("batch", table)
        plain.execute("INSERT INTO points SELECT series, time, value FROM batch")
        plain.unregister("batch")
        theirs.append((time.perf_counter() - begun) * 1e3)
    plain.close()
    return {"write_ms": statistics.median(ours), "append_ms": statistics.median(theirs)}


async def reading(history: History, feed: Feed) -> dict[str, Any]:
    metric, end = METRICS[0], NOON * 1000
    some = feed.machines[:200]
    names = TagFilter("vm", FilterKind.LITERAL_OR, "|".join(vm.mo_ref for vm in some))
    single = TagFilter("vm", FilterKind.LITERAL_OR, feed.machines[len(feed.machines) // 2].mo_ref)
    store = history._store  # noqa: SLF001 -- to ask its database what it reads itself
    found: dict[str, Any] = {}
    for title, flt, span, until in (
        ("200 series x 6 hours", names, 6 * 3_600_000, end),
        ("200 series x 6 hours, a month ago", names, 6 * 3_600_000, end - 30 * DAY_MS),
        ("1 series x 14 days", single, 14 * DAY_MS, end),
    ):
        request = PointRequest(metric, (flt,), until - span, until - 1, 10_000_000)
        numbers = store.series.select(metric, (flt,)).numbers.tolist()

        async def ours(request: PointRequest = request) -> None:
            await history.points(request)

        async def theirs(
            numbers: list[int] = numbers, first: int = until - span, last: int = until - 1
        ) -> None:
            with store.database.cursor() as cursor:
                parts = read_parts(cursor, start_ms=first, end_ms=last)
                cursor.execute(
                    "SELECT series, time, value FROM (SELECT * FROM recent UNION ALL SELECT * "
                    f"FROM {scan_tier(store.layout, parts, merging.RAW)}) "
                    f"WHERE series BETWEEN {numbers[0]} AND {numbers[-1]} "
                    f"AND series IN ({', '.join(map(str, numbers))}) "
                    f"AND time BETWEEN {first} AND {last} ORDER BY series, time"
                ).fetchnumpy()

        found[title] = await in_turns(15, ours=ours, theirs=theirs)
    for title, days, step in (("30 days in hours", 30, 3_600_000), ("all in days", 365, DAY_MS)):
        wide = BucketRequest(
            metric,
            (names,),
            (end - days * DAY_MS) // step * step,
            end // step * step,
            step,
            frozenset({BucketFunction.AVG}),
        )

        async def buckets(request: BucketRequest = wide) -> None:
            await history.buckets(request)

        found[f"buckets, {title}"] = await in_turns(5, ours=buckets)
    return found


async def five_years(folder: Path, machines: int) -> dict[str, Any]:
    """Open a store of five years with as many files as a large one has."""
    feed = Feed(machines, 2)
    pieces = max(len(feed.keys) // 250, 2)
    merging.MOST_POINTS = merging.SOME_POINTS = len(feed.keys) * 30 // pieces
    days = np.arange(NOON - YEARS * 365 * 86_400, NOON - 2 * 86_400, 86_400, dtype=np.int64)
    place = folder / "years"
    clock = {"now": float(NOON)}
    async with History(place, Retention(75, 400, 1826), clock=lambda: clock["now"]) as history:
        for some in np.array_split(days, YEARS):
            count = len(feed.keys)
            await history.write(
                PointBatch(
                    feed.keys,
                    np.repeat(np.arange(count, dtype=np.int32), len(some)),
                    np.tile(some * 1000, count),
                    np.random.default_rng(1).integers(0, 100, count * len(some)) / 1.0,
                )
            )
            await history.maintain(everything=True)
        for _ in range(4):  # what is too old goes a day after it came
            clock["now"] += 86_400
            await history.maintain()
        files = sum(tier.files for tier in (await history.stats()).tiers.values())
    took = []
    for _ in range(3):
        begun = time.perf_counter()
        async with History(place, Retention(75, 400, 1826), clock=lambda: clock["now"]):
            took.append(time.perf_counter() - begun)
    return {"open_s": statistics.median(took), "files": files}


def run(step: str, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Run one step in a process of its own."""
    command = [
        sys.executable, __file__, "--step", step, "--folder", str(folder),
        "--machines", str(options.machines), "--days", str(options.days),
    ]  # fmt: skip
    lines = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout or ():
            lines.append(line)
            if line.startswith("    "):
                print(line, end="", flush=True)
    if process.returncode:
        sys.exit(process.returncode)
    found: dict[str, Any] = json.loads(lines[-1])
    return found


def make_feed(folder: Path, machines: int, days: int) -> dict[str, Any]:
    """Write what is imported, a file a month."""
    feed = Feed(machines, days)
    midnight = NOON - 12 * 3600
    (folder / "feed").mkdir()
    start = midnight - (days * 86_400 - 12 * 3600)
    at = 0
    while start < midnight:
        end = min(start + 30 * 86_400, midnight)
        feed.write(folder / "feed" / f"{at:02d}.parquet", start, end)
        start, at = end, at + 1
    return {}


def report(found: dict[str, dict[str, Any]]) -> bool:
    """Print what was measured, and whether each target is met."""
    measured, filled = found["measure"], found["fill"]
    raw, ten, hour = measured["raw"], measured["10m"], measured["1h"]
    print(
        f"  {raw['rows']:,} points in {raw['files']} files, {raw['size'] / 1e6:,.0f} MB; roll-ups "
        f"{ten['rows'] + hour['rows']:,} rows, {(ten['size'] + hour['size']) / 1e6:,.0f} MB; "
        f"database {measured['database'] / 1e6:.0f} MB"
    )
    print(
        f"  import: {filled['rows'] / filled['seconds']:,.0f} points a second; "
        f"writing a poll {measured['write_ms']:.1f} ms, plain append "
        f"{measured['append_ms']:.1f} ms"
    )
    for title, own in measured.items():
        if isinstance(own, dict) and "ours" in own:
            theirs = f"; DuckDB {own['theirs']:.1f} ms" if "theirs" in own else ""
            print(f"  {title}: {own['ours']:.1f} ms{theirs}")
    moving = measured["maintain"]
    print(
        f"  half a day into files: {moving['seconds']:.1f} s, {moving['parts']} parts, "
        f"{moving['questions']} questions meanwhile; verifying {measured['verify_s']:.0f} s"
    )
    print(f"  five years: {found['years']['files']} files")
    figures = {
        "bytes a raw point": raw["size"] / raw["rows"],
        "bytes a 10-minute row": ten["size"] / ten["rows"],
        "bytes a 1-hour row": hour["size"] / hour["rows"],
        "writing a poll, of a plain append": measured["write_ms"] / measured["append_ms"],
        **{
            f"{title}, of DuckDB's scan": measured[title]["ours"] / measured[title]["theirs"]
            for title in ("200 series x 6 hours", "1 series x 14 days")
        },
        "longest wait for maintenance, in ms": measured["waits_ms"],
        "memory in MB": max(measured["peak"], filled["peak"]),
        "opening five years, in seconds": found["years"]["open_s"],
    }
    for name, figure in figures.items():
        met = "met" if figure <= TARGETS[name] else "MISSED"
        print(f"  [{met}] {name}: {figure:.2f} (target: at most {TARGETS[name]:g})")
    return all(figure <= TARGETS[name] for name, figure in figures.items())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--machines", type=int, default=24)
    parser.add_argument("--days", type=int, default=60)
    parser.add_argument("--full", action="store_true", help="231 machines, 365 days")
    parser.add_argument("--folder", type=Path, help="for the data; deleted afterwards")
    parser.add_argument("--strict", action="store_true", help="exit 1 when a target is missed")
    parser.add_argument("--step", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.full:
        options.machines, options.days = 231, 365
    if options.step:
        folder = options.folder
        made: Any
        match options.step:
            case "feed":
                made = make_feed(folder, options.machines, options.days)
            case "fill":
                made = asyncio.run(fill(folder))
            case "measure":
                made = asyncio.run(measure(folder, options.machines, options.days))
            case _:
                made = asyncio.run(five_years(folder, options.machines))
        print(json.dumps(made))
        return 0
    folder = Path(tempfile.mkdtemp(prefix="history-", dir=options.folder))
    try:
        series = options.machines * len(METRICS)
        print(f"recording: {series} series, {options.days} days of 5-minute points")
        found = {step: run(step, folder, options) for step in ("feed", "fill", "measure", "years")}
        return 0 if report(found) or not options.strict else 1
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    sys.exit(main())
