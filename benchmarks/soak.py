"""Asks the demo like a wall of dashboards for a while, and watches its memory.

``make soak``, or ``python benchmarks/soak.py [--minutes N] [--vms N] [--askers N]``. Ends
with 1 when an answer failed, or when memory grew after the first quarter by more than
``GROWTH_MB``.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import os
import random
import re
import signal
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent
GROWTH_MB = 25.0
SAMPLE_S = 1.0
REPORT_S = 30.0
TARGETS = (
    "avg:vscope.vm.cpu.usage.perc{cluster=*}",
    "vscope.host.cpu.usage.perc",
    "max:vscope.vm.mem.usage.perc{vm_name=*}",
    "sum:rate:vscope.vm.net.rx{cluster=*}",
    "live:vm",
    "live:host",
)
DICE = random.SystemRandom()
HOURS = (1, 3, 6, 24, 72)


@dataclass
class Tally:
    """What has been seen so far."""

    wall_ms: list[float] = field(default_factory=list)
    resident_mb: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def growth_mb(self) -> float:
        """Return what memory grew by from the second quarter to the last one."""
        quarter = max(len(self.resident_mb) // 4, 1)
        early = self.resident_mb[quarter : 2 * quarter] or self.resident_mb
        return statistics.median(self.resident_mb[-quarter:]) - statistics.median(early)


@contextlib.contextmanager
def demo(vms: int) -> Iterator[tuple[str, int]]:
    """Run the demo; yield the bridge's address and process number."""
    command = [sys.executable, "-m", "bridge", "demo", "--port", "0", "--vms", str(vms)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            text = ""
            while process.stdout and "Ctrl-C" not in text:
                line = process.stdout.readline()
                if not line:
                    sys.exit("the demo did not start")
                text += line
            found = re.search(r"^vScope bridge +(\S+)$", text, flags=re.MULTILINE)
            if found is None:
                sys.exit("the demo did not say where it listens")
            yield found[1], process.pid
        finally:
            process.send_signal(signal.SIGTERM)


def question() -> dict[str, Any]:
    """Return a panel's request: some targets over some hours up to now."""
    now = time.time()
    start, end = (
        datetime.fromtimestamp(stamp, UTC).isoformat()
        for stamp in (now - 3600 * DICE.choice(HOURS), now)
    )
    targets = DICE.sample(TARGETS, k=DICE.randint(1, 3))
    return {
        "range": {"from": start, "to": end},
        "intervalMs": 60_000,
        "maxDataPoints": DICE.choice((100, 500, 1000)),
        "targets": [{"refId": chr(65 + i), "target": text} for i, text in enumerate(targets)],
    }


async def ask(client: httpx.AsyncClient, tally: Tally) -> None:
    """Ask one question after another, without end."""
    while True:
        body = question()
        started = time.perf_counter()
        answer = await client.post("/query", json=body)
        tally.wall_ms.append((time.perf_counter() - started) * 1000)
        if answer.status_code != httpx.codes.OK or not answer.json():
            texts = [target["target"] for target in body["targets"]]
            tally.failures.append(f"{answer.status_code} {texts}: {answer.text[:200]}")


async def watch(pid: int, tally: Tally) -> None:
    """Note the memory of the bridge, and say from time to time how it goes."""
    for second in itertools.count(1):
        await asyncio.sleep(SAMPLE_S)
        pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])  # noqa: ASYNC240 -- never touches a disk
        tally.resident_mb.append(pages * os.sysconf("SC_PAGE_SIZE") / 1e6)
        if second % int(REPORT_S / SAMPLE_S) == 0:
            print(line(tally), flush=True)


def line(tally: Tally) -> str:
    return (
        f"{len(tally.resident_mb):>6} s  {len(tally.wall_ms):>8} answers  "
        f"median {statistics.median(tally.wall_ms or [0]):7.1f} ms  "
        f"memory {tally.resident_mb[-1]:6.1f} MB  {len(tally.failures)} failures"
    )


async def soak(url: str, pid: int, *, seconds: float, askers: int) -> Tally:
    tally = Tally()
    async with httpx.AsyncClient(base_url=url, timeout=60, trust_env=False) as client:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds), asyncio.TaskGroup() as group:
                group.create_task(watch(pid, tally))
                for _ in range(askers):
                    group.create_task(ask(client, tally))
    return tally


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--vms", type=int, default=200)
    parser.add_argument("--askers", type=int, default=8)
    options = parser.parse_args()
    with demo(options.vms) as (url, pid):
        work = soak(url, pid, seconds=options.minutes * 60, askers=options.askers)
        tally = asyncio.run(work)
    for failure in tally.failures[:10]:
        print(failure)
    growth = tally.growth_mb()
    well = not tally.failures and growth <= GROWTH_MB
    print(f"{line(tally)}\nmemory grew by {growth:.1f} MB (limit {GROWTH_MB:.0f} MB)")
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
