"""Measures the bridge against others in one run and says which targets are met.

``make bench``, or ``python benchmarks/run.py [--rounds N]``. See docs/performance.md for
what is measured, and for results.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import random
import sys
import time
from pathlib import Path

import structlog

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks import cases
from benchmarks.peer import peer_python
from benchmarks.servers import DATA, Server, uvicorn
from benchmarks.stage import Stage, Verdict, points, table
from benchmarks.work import POINTS, ask_bridge, ask_small, explore, windows

MACHINES = 504


def record(stage: Stage) -> None:
    """Let the replay server see every question once, and keep one answer for the peer."""
    with stage.bridge("recording-bridge", VSCOPE_CACHE_MB="0") as bridge, stage.small() as small:
        for span in stage.spans:
            answer = bridge.post("/query", ask_bridge(span, stage.machines)).body
            same = small.post("/query", ask_small(span, stage.machines)).body
            wanted = len(stage.machines) * POINTS
            if not points(answer) == points(same) == wanted:
                sys.exit(f"not the same work: {points(answer)} and {points(same)} points")
        (DATA / "answer.json").write_bytes(answer)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10, help="rounds of the race")
    parser.add_argument("--only", default="", help="cases whose name begins so")
    parser.add_argument("--strict", action="store_true", help="exit 1 when a target is missed")
    options = parser.parse_args()
    # What the bridge's parts say about themselves is no result.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    random.seed(1)
    python = peer_python()
    verdicts: list[Verdict] = []
    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        simulator = stack.enter_context(
            Server("simulator", uvicorn("simulated:app"), {"VMS": str(MACHINES)})
        )
        replay = stack.enter_context(
            Server("replay", uvicorn("replay:app"), {"SIMULATOR": simulator.url})
        )
        spans = windows(options.rounds + 1)
        stage = Stage(replay, explore(replay.url, spans), spans)
        record(stage)
        for name, case in cases.ALL.items():
            if name.startswith(options.only):
                print(f"{name} ({time.monotonic() - began:.0f} s)", file=sys.stderr)
                verdicts += case(stage, python)
    table(
        ("target", "figure", "to reach", ""),
        [(v.what, v.figure, v.target, "met" if v.met else "MISSED") for v in verdicts],
    )
    return 0 if all(v.met for v in verdicts) or not options.strict else 1


if __name__ == "__main__":
    sys.exit(main())
