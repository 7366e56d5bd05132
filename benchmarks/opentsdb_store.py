"""Records into a real OpenTSDB, at size and through failures: part of ``make soak``.

``python benchmarks/opentsdb_store.py [--minutes N]``: write throughput, reading six hours of
200 series back through the cache, an OpenTSDB that is away for a minute, and two bridges of
which one is killed every ten seconds for N minutes. Everything written is compared with what
is stored. ``VSCOPE_TEST_OPENTSDB_URL`` names a running server; else one is started (a JDK 17
and Maven are needed).
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.live.conftest import running_opentsdb
from tests.live.store_runs import (
    expected,
    go_away,
    kill_in_turn,
    poll_of,
    read_back,
    six_hours,
    stored,
    write,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

VMS, METRICS, POLLS = 2_000, 25, 4
AWAY_S, KILL_S = 60.0, 10.0


def tell(what: str, figures: Mapping[str, object]) -> None:
    shown = (f"{k} {v:,.2f}" if isinstance(v, float) else f"{k} {v}" for k, v in figures.items())
    print(f"{what}: {'; '.join(shown)}", flush=True)


def require(*, holds: bool, what: str) -> None:
    if not holds:
        sys.exit(f"not so: {what}")


async def size(url: str, place: Path, run: str) -> None:
    metrics = [f"{run}.size.{number}" for number in range(METRICS)]
    first_s = int(time.time()) - 3_600
    batches = [poll_of(metrics, VMS, first_s + number * 120, number) for number in range(POLLS)]
    tell("first poll, all names new", await write(url, place / "first", batches[:1]))
    tell("polls after it", await write(url, place / "size", batches[1:]))
    last_s = first_s + POLLS * 120
    found = stored(url, metrics[-1], first_s - 1, last_s)
    require(holds=found == expected(batches, metrics[-1]), what="what is stored was written")


async def hours(url: str, place: Path, run: str) -> None:
    batches = six_hours(f"{run}.hours")
    tell("200 series x 6 h, written", await write(url, place / "hours", batches))
    took = await read_back(url, f"{run}.hours", batches)
    tell("read back, seconds", {what: round(seconds, 4) for what, seconds in took.items()})


async def away(url: str, place: Path, run: str) -> None:
    metric = f"{run}.away"
    batches, figures = await go_away(
        url, place / "away", metric, away_s=AWAY_S, every_s=1.0, vms=500
    )
    first_s = int(batches[0].stamps_ms[0]) // 1000
    found = stored(url, metric, first_s - 1, first_s + 3_600)
    require(holds=found == expected(batches, metric), what="nothing is lost or doubled")
    tell(f"away for {AWAY_S:.0f} s, nothing lost or doubled", figures)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=3.0)
    minutes = parser.parse_args().minutes
    run = f"bench.{time.time_ns() // 1_000_000}"
    with tempfile.TemporaryDirectory(prefix="opentsdb-store-") as name:
        place = Path(name)
        (place / "opentsdb").mkdir()
        (place / "bridges").mkdir()
        with running_opentsdb(place / "opentsdb") as url:
            asyncio.run(size(url, place, run))
            asyncio.run(hours(url, place, run))
            asyncio.run(away(url, place, run))
            times = max(2, round(minutes * 60 / KILL_S))
            figures = kill_in_turn(
                place / "bridges", url, times=times, every_s=KILL_S, poll_s=5, vms=50
            )
            tell("two recorders, one killed every 10 s", figures)
            require(holds=not figures["failed"], what="a retry hides every failed request")
            require(holds=figures["longest gap, polls"] <= 2, what="no gap is over two polls")


if __name__ == "__main__":
    try:
        main()
    except RuntimeError as error:  # no OpenTSDB can be started here
        sys.exit(str(error))
