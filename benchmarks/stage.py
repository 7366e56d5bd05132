"""What all measurements share: the processes, and what they are asked."""

from __future__ import annotations

import statistics
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

from benchmarks.servers import DATA, HERE, Server, uvicorn
from benchmarks.work import bridge_environment

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from benchmarks.work import World

SERIES = 50
BRIDGE = [sys.executable, "-m", "bridge", "serve"]


@dataclass(frozen=True)
class Asked:
    """What reached the front end."""

    requests: int
    sub_queries: int
    points: int


@dataclass(frozen=True)
class Stage:
    """Everything that all measurements need."""

    replay: Server
    world: World
    spans: tuple[tuple[int, int], ...]

    @property
    def machines(self) -> tuple[str, ...]:
        return self.world.machines[:SERIES]

    @property
    def front_end(self) -> str:
        return f"{self.replay.url}/opentsdb"

    def bridge(self, name: str = "bridge", **settings: str) -> Server:
        env = {**bridge_environment(self.replay.url), **settings}
        server = Server(name, BRIDGE, env, ready="/readyz")
        server.also({"VSCOPE_PORT": str(server.port)})
        return server

    def metered(self, **settings: str) -> Server:
        env = {**bridge_environment(self.replay.url), **settings}
        return Server("metered-bridge", uvicorn("metered:app"), env, ready="/readyz")

    def small(self, *, metered: bool = False) -> Server:
        env = {"UPSTREAM": self.front_end, "AUTHORIZATION": self.world.authorization}
        app = "metered_small:app" if metered else "small_bridge:app"
        return Server("metered-small" if metered else "small", uvicorn(app), env)

    def peer(self, python: Path) -> Server:
        command = [str(python), str(HERE / "peer_server.py"), "{port}", str(DATA / "answer.json")]
        return Server("peer", command)

    def asked(self, delay_ms: int = 0) -> Asked:
        """Return what was asked since the last call; answer this slowly from now on."""
        told = orjson.loads(self.replay.get(f"/__replay?delay_ms={delay_ms}"))
        return Asked(**told)


@dataclass(frozen=True)
class Times:
    """Milliseconds of several rounds."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    def __str__(self) -> str:
        if len(self.values) == 1:
            return f"{self.median:,.0f} ms"
        low, _, high = statistics.quantiles(self.values, n=4)
        digits = 1 if self.median < 100 else 0
        return f"{self.median:,.{digits}f} ms ({low:,.{digits}f} to {high:,.{digits}f})"


def timed(rounds: int, work: Callable[[], object]) -> Times:
    took = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        took.append((time.perf_counter() - start) * 1e3)
    return Times(tuple(took))


def points(body: bytes) -> int:
    return sum(len(series["datapoints"]) for series in orjson.loads(body))


@dataclass(frozen=True)
class Verdict:
    """Whether a target is met."""

    what: str
    figure: str
    target: str
    met: bool


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table, as a person and a Markdown page read it."""
    texts = [list(map(str, row)) for row in (head, *rows)]
    widths = [max(len(row[at]) for row in texts) for at in range(len(head))]
    for number, row in enumerate(texts):
        cells = (
            text.ljust(width) if at == 0 else text.rjust(width)
            for at, (text, width) in enumerate(zip(row, widths, strict=True))
        )
        print("| " + " | ".join(cells) + " |")
        if number == 0:
            bars = ("-" * (width - (at > 0)) + ":" * (at > 0) for at, width in enumerate(widths))
            print("| " + " | ".join(bars) + " |")
    print(flush=True)
