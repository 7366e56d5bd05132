"""Measures what one panel costs by each of OVHcloud's protocols.

``make bench``, or ``python benchmarks/protocols.py [--rounds N]``. See docs/performance.md.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.servers import Server, uvicorn
from benchmarks.work import METRIC, STEP_S, windows
from bridge.app import open_bridge
from bridge.demo.account import demo_account
from bridge.engine.grammar import parse_downsample
from bridge.model import FilterKind, Query, TagFilter, Window
from bridge.settings import given_settings
from bridge.sources.upstream import Reply, Upstream

if TYPE_CHECKING:
    from collections.abc import Sequence

VMS = 60
QUESTIONS = {"5m-avg": "buckets", "5m-p95": "raw points"}


class Recording(Upstream):
    """Keeps each answer, so that the simulator's own time is in no figure; counts them."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._kept: dict[tuple[str, str, bytes | None], Reply] = {}
        self.requests = self.received = 0

    async def request(self, method: str, url: str, **more: Any) -> Reply:
        key = (method, url, more.get("body"))
        if key not in self._kept:
            self._kept[key] = await super().request(method, url, **more)
        self.requests += 1
        self.received += len(self._kept[key].body)
        return self._kept[key]


def asked(span: tuple[int, int], downsample: str) -> Query:
    every = TagFilter("vm", FilterKind.WILDCARD, "*", group_by=True)
    window = Window(span[0] * 1000, span[1] * 1000)
    return Query(METRIC, window, "avg", parse_downsample(downsample), filters=(every,))


async def measure(url: str, protocol: str, spans: Sequence[tuple[int, int]]) -> None:
    import bridge.app as wiring  # noqa: PLC0415 -- one class of it is replaced

    account = demo_account(url).model_copy(update={"calls_per_minute": 6000})
    settings = given_settings(
        accounts=(account,),
        metrics_hosts=("127.0.0.1",),
        protocol=protocol,
        source_step_s=STEP_S,
    )
    wiring.Upstream = Recording  # type: ignore[misc]
    async with open_bridge(settings) as bridge:
        await bridge.inventory.poll()
        upstream = bridge.upstream
        if not isinstance(upstream, Recording):
            sys.exit("the bridge asks past the recording")
        for downsample, kind in QUESTIONS.items():
            for span in spans:
                await bridge.engine.query(asked(span, downsample))
            upstream.requests = upstream.received = points = 0
            cpu, walls = time.process_time(), []
            for span in spans:
                started = time.perf_counter()
                answer = await bridge.engine.query(asked(span, downsample))
                walls.append(1000 * (time.perf_counter() - started))
                points += sum(len(one.stamps_ms) for one in answer.series)
            cpu = 1000 * (time.process_time() - cpu) / len(spans)
            print(
                f"  {protocol:9} {kind:11} {points // len(spans):>8,} "
                f"{upstream.requests / len(spans):9.1f} "
                f"{upstream.received / points:12.1f} {cpu:8.1f} {statistics.median(walls):10.1f}"
            )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=8, help="windows asked for")
    options = parser.parse_args()
    command = uvicorn("simulated:app")
    with Server("simulator", command, {"VMS": str(VMS)}) as simulator:
        print(f"one panel by each protocol, {VMS} machines, upstream answers from memory")
        print(
            f"  {'':21} {'points':>8} {'requests':>9} {'bytes/point':>12} "
            f"{'cpu ms':>8} {'median ms':>10}"
        )
        for protocol in ("opentsdb", "warp10"):
            asyncio.run(measure(simulator.url, protocol, windows(options.rounds)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
