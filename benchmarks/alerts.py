"""Measures an alert rule over 500 machines: what one evaluation costs, and where.

``make bench``, or ``python benchmarks/alerts.py [--rounds N]``. See docs/performance.md.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import sys
import time
from pathlib import Path

import orjson

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.servers import Server, Timing, uvicorn
from benchmarks.work import METRIC, bridge_environment

MACHINES = 504
SPAN_S = 900
#: What has to be reached, as the middle of all rounds.
EVALUATION_MS = 150.0

#: What an evaluation asks, by the version of Grafana that asks it so.
FORMS = {
    "Grafana 8 to 12: 1m-avg, milliseconds": ("/api/query", "1m-avg", 1000),
    "Grafana 12.4 and 13: 1s-avg, arrays": ("/api/query?arrays=true", "1s-avg", 1),
}


def evaluation(end_s: int, downsample: str, unit: int) -> bytes:
    """Return the body Grafana's server posts: one series a machine, the last 15 minutes."""
    query = {"metric": METRIC, "aggregator": "avg", "downsample": downsample, "tags": {"vm": "*"}}
    span = {"start": (end_s - SPAN_S) * unit, "end": end_s * unit}
    return orjson.dumps({**span, "queries": [query]})


def upstream_queries(simulator: Server) -> int:
    counted = orjson.loads(simulator.get("/_simulator/calls"))
    return int(counted["sub_queries"] + counted["scripts"])


def evaluate(bridge: Server, form: tuple[str, str, int], rounds: int) -> list[Timing]:
    """Evaluate once a simulated minute; every window is new to the bridge."""
    path, downsample, unit = form
    last = int(time.time()) // 60 * 60
    return [
        bridge.post(path, evaluation(last - 60 * back, downsample, unit))
        for back in range(rounds, -1, -1)
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="evaluations of each form")
    parser.add_argument("--strict", action="store_true", help="exit 1 when a target is missed")
    options = parser.parse_args()
    met = True
    with contextlib.ExitStack() as stack:
        simulator = stack.enter_context(
            Server("simulator", uvicorn("simulated:app"), {"VMS": str(MACHINES)})
        )
        command = [sys.executable, "-m", "bridge", "serve"]
        bridge = Server("bridge", command, bridge_environment(simulator.url), ready="/readyz")
        bridge.also({"VSCOPE_PORT": str(bridge.port)})
        stack.enter_context(bridge)
        print(f"alert rule over all machines, last {SPAN_S // 60} minutes, {options.rounds} rounds")
        for name, form in FORMS.items():
            evaluate(bridge, form, 0)  # fetches the token and the list of series
            before, simulator_ms = upstream_queries(simulator), simulator.cpu_ms()
            timings = evaluate(bridge, form, options.rounds)
            asked = (upstream_queries(simulator) - before) / len(timings)
            simulator_ms = (simulator.cpu_ms() - simulator_ms) / len(timings)
            series = orjson.loads(timings[-1].body)
            if len(series) < MACHINES * 0.9:
                sys.exit(f"not the work that was meant: {len(series)} series")
            walls = [timing.wall_ms for timing in timings]
            middle = statistics.median(walls)
            reached = middle < EVALUATION_MS
            met = met and reached
            print(f"  {name}")
            print(
                f"    {len(series)} series, {sum(len(one['dps']) for one in series):,} points, "
                f"{len(timings[-1].body):,} bytes, {asked:.1f} upstream queries"
            )
            print(
                f"    [{'met' if reached else 'MISSED'}] median {middle:.0f} ms "
                f"({min(walls):.0f} to {max(walls):.0f}; target: < {EVALUATION_MS:.0f} ms, the "
                "simulated OVHcloud's own time included)"
            )
            print(
                "    processor time: bridge "
                f"{statistics.fmean(timing.cpu_ms for timing in timings):.0f} ms, "
                f"simulated OVHcloud {simulator_ms:.0f} ms"
            )
    return 0 if met or not options.strict else 1


if __name__ == "__main__":
    sys.exit(main())
