"""How the bridge grows with services: memory, polls, recording, questions, ``/federate``.

``python benchmarks/scale.py`` starts a simulated OVHcloud of 1, 5 and 20 services with 2,000
virtual machines each, and a bridge in front of it, and prints a Markdown table: about ten
minutes. ``--services 1 --vms 200`` is a quick look, ``--federate`` measures ``/federate`` alone.

The rate limit of the simulated OVHcloud is off and the bridge's is raised, so a poll takes as
long as the work in it; what it would take under 60 calls a minute is computed from its calls, as
the bridge computes it. Six hours of three metrics are recorded beforehand.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import http.client
import json
import math
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import numpy as np
from prometheus_client.parser import text_string_to_metric_families

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.servers import Server
from benchmarks.work import bridge_environment
from bridge.catalog import Kind
from bridge.demo.fleet import SERVICE, build_fleet, build_fleets
from bridge.demo.noise import smooth
from bridge.demo.options import DemoOptions
from bridge.model import PointBatch, SeriesKey
from bridge.ovh.grid import stretched_s
from bridge.ovh.inventory import SHARE
from bridge.ovh.readings import tags_of
from bridge.sources.history import History, Retention

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bridge.demo.fleet import Fleet

HOSTS_OF = 33
"""Virtual machines for each host."""
CALLS_A_MINUTE = 60
WANTED_S = 120
HISTORY_S = 6 * 3600
STEP_S = 300
REPEATS = 5
RECORDED = {
    Kind.VM: ("vscope.vm.cpu.usage.perc", "vscope.vm.cpu.ready"),
    Kind.DATASTORE: ("vscope.filer.datastore.diskspace.used.perc",),
}


@dataclass
class Outcome:
    """One column of the table."""

    services: int
    figures: dict[str, str] = field(default_factory=dict)

    def tell(self, name: str, value: float, unit: str = "") -> None:
        digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
        self.figures[name] = f"{value:,.{digits}f}{f' {unit}' if unit else ''}"
        print(f"  {self.services} x: {name}: {self.figures[name]}", file=sys.stderr, flush=True)


def record_past(options: DemoOptions, folder: Path) -> None:
    """Record six hours of a few metrics of every object, ending now."""
    asyncio.run(_record_past(options, folder))


async def _record_past(options: DemoOptions, folder: Path) -> None:
    now = int(time.time())
    stamps = np.arange(now - HISTORY_S, now, STEP_S, dtype=np.int64) // STEP_S * STEP_S
    async with History(folder, Retention(400, 1100, 3650)) as history:
        for service, fleet in build_fleets(options, now).items():
            for metric, kind in [(m, k) for k, names in RECORDED.items() for m in names]:
                keys, seeds = _objects(fleet, service, metric, kind)
                grid = np.broadcast_to(stamps, (len(keys), len(stamps)))
                values = np.round(100 * smooth(np.array(seeds, dtype=np.uint64), 1, grid, 3600), 2)
                await history.write(
                    PointBatch(
                        keys,
                        np.repeat(np.arange(len(keys), dtype=np.int32), len(stamps)),
                        np.tile(stamps * 1000, len(keys)),
                        values.ravel(),
                    )
                )


def _objects(
    fleet: Fleet, service: str, metric: str, kind: Kind
) -> tuple[tuple[SeriesKey, ...], list[int]]:
    labels = {place.datacenter_id: place.label for place in fleet.places}
    first = fleet.places[0].datacenter_id
    found = (
        [(one.mo_ref, one.datacenter_id, one.key) for one in fleet.vms]
        if kind is Kind.VM
        else [(one.name, one.datacenter_id or first, one.key) for one in fleet.stores]
    )
    keys = tuple(
        SeriesKey(metric, tags_of((kind, labels[place], name), service)) for name, place, _ in found
    )
    return keys, [key for _, _, key in found]


class Asker:
    """Asks one bridge, and keeps what it said of itself last."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=600)

    def ask(
        self, path: str, body: Any = None, *, accept: str = "*/*", encoding: str = "identity"
    ) -> tuple[int, bytes]:
        headers = {"Accept": accept, "Accept-Encoding": encoding}
        data = None if body is None else json.dumps(body)
        for last in (False, True):
            try:
                self._connection.request("GET" if data is None else "POST", path, data, headers)
                reply = self._connection.getresponse()
                return reply.status, reply.read()
            except (http.client.BadStatusLine, ConnectionError):
                # A connection that nobody used for a while is closed.
                self._connection.close()
                if last:
                    raise
        raise AssertionError

    def figures(self) -> dict[str, float]:
        """Its own figures: by name, those with labels added up."""
        found: dict[str, float] = {}
        _, text = self.ask("/metrics")
        for family in text_string_to_metric_families(text.decode()):
            for sample in family.samples:
                name = sample.name
                if name == "vscope_bridge_service_polled_timestamp_seconds":
                    found["oldest"] = min(sample.value, found.get("oldest", math.inf))
                    found["polled"] = found.get("polled", 0) + 1
                elif name == "vscope_bridge_event_loop_lag_seconds_bucket":
                    found[f"lag_{sample.labels['le']}"] = sample.value
                else:
                    found[name] = found.get(name, 0.0) + sample.value
        return found

    def timed(self, outcome: Outcome, name: str, path: str, body: Any = None) -> None:
        """Ask a few times what is remembered by nobody, and tell the median."""
        took = []
        for number in range(REPEATS):
            one = body(number) if callable(body) else body
            where = path if one is not None or "{n}" not in path else path.format(n=number)
            started = time.perf_counter()
            status, answer = self.ask(where, one)
            took.append(time.perf_counter() - started)
            if status != 200:
                outcome.figures[name] = f"{status}"
                print(f"  {name}: {status} {answer[:300]!r}", file=sys.stderr)
                return
        outcome.tell(name, 1000 * statistics.median(took), "ms")


@contextlib.contextmanager
def running(options: DemoOptions, history: Path | None, interval_s: int) -> Iterator[Server]:
    """Run the simulated OVHcloud and a bridge in front of it."""
    simulate = [
        *(sys.executable, "-m", "bridge", "simulate", "--port", "{port}", "--no-token"),
        *("--vms", str(options.vms), "--hosts", str(options.hosts)),
        *("--services", str(options.services)),
    ]
    with Server("scale-simulator", simulate) as simulator:
        env = {
            **bridge_environment(simulator.url),
            "VSCOPE_CALLS_PER_MINUTE": "100000",
            "VSCOPE_POLL_INTERVAL_S": str(interval_s),
            "VSCOPE_MAX_LIVE_AGE_S": "86400",
            "VSCOPE_RECORD": "false" if history is None else "true",
            "VSCOPE_PROTOCOL": "auto",
            **({"VSCOPE_HISTORY_DIR": str(history)} if history else {}),
        }
        server = Server(
            "scale-bridge", [sys.executable, "-m", "bridge", "serve"], env, ready="/healthz"
        )
        server.also({"VSCOPE_PORT": str(server.port)})
        with server:
            yield server


def measure(options: DemoOptions) -> Outcome:
    """Measure one size."""
    outcome = Outcome(options.services)
    # Room for the questions between the second poll and the third.
    interval_s = 50 + 10 * options.services
    with tempfile.TemporaryDirectory(prefix="vscope-scale-") as name:
        history = Path(name)
        record_past(options, history)
        started = time.time()
        with running(options, history, interval_s) as server:
            asker = Asker(server)
            first = _until_polled(asker, options, after=started)
            outcome.tell("first poll, calls", first["vscope_bridge_ovh_calls_total"])
            outcome.tell("start to all services read", first["oldest"] - started, "s")
            _until_recorded(asker, first)
            before, cpu = asker.figures(), server.cpu_ms()
            second = _until_polled(asker, options, after=first["newest"])
            second = _until_recorded(asker, second)
            _polls(outcome, before, second, cpu_ms=server.cpu_ms() - cpu)
            outcome.tell("memory after two polls", server.resident_mb(), "MB")
            _federate(outcome, asker, SERVICE)
            _questions(outcome, asker, options)
            outcome.tell("memory after the questions", server.resident_mb(), "MB")
            outcome.tell("memory, peak", server.peak_mb(), "MB")
            lag = asker.figures()
            late = lag["lag_+Inf"] - lag["lag_0.1"]
            outcome.tell(
                "looks at the event loop later than 0.1 s", 100 * late / lag["lag_+Inf"], "%"
            )
    return outcome


def _polls(
    outcome: Outcome, before: dict[str, float], after: dict[str, float], *, cpu_ms: float
) -> None:
    calls = after["vscope_bridge_ovh_calls_total"] - before["vscope_bridge_ovh_calls_total"]
    outcome.tell("poll, calls", calls)
    outcome.tell("poll, processor time with recording", cpu_ms / 1000, "s")
    needed_s = 60 * calls / (CALLS_A_MINUTE * SHARE)
    outcome.tell("poll at 60 calls a minute takes", needed_s / 60, "min")
    outcome.tell("interval the bridge makes of that", stretched_s(WANTED_S, needed_s) / 60, "min")
    points = "vscope_bridge_recording_points_total"
    outcome.tell("points recorded in a poll", after[points] - before[points])


def _until_polled(asker: Asker, options: DemoOptions, *, after: float) -> dict[str, float]:
    """Wait until every service has been read after a moment; return the figures then."""
    while True:
        found = asker.figures()
        if found.get("polled", 0) == options.services and found["oldest"] > after:
            return {**found, "newest": time.time()}
        time.sleep(0.25)


def _until_recorded(asker: Asker, known: dict[str, float]) -> dict[str, float]:
    """Wait until the bridge rests: everything is read, recorded and tidied up."""
    while True:
        before = asker.server.cpu_ms()
        time.sleep(3)
        if asker.server.cpu_ms() - before < 300:
            return {**known, **asker.figures(), "newest": known["newest"]}


def _federate(outcome: Outcome, asker: Asker, service: str) -> None:
    """Measure /federate: the first answer of a reading, and the same again."""
    for what, query in (("all", "?"), ("one service", f"?service={service}")):
        accept = "application/openmetrics-text; version=1.0.0"
        for number, again in enumerate(("first", "again", "again")):
            started, cpu_ms = time.perf_counter(), asker.server.cpu_ms()
            _, packed = asker.ask(f"/federate{query}", accept=accept, encoding="gzip")
            took_ms = 1000 * (time.perf_counter() - started)
            if number != 1:
                outcome.tell(f"/federate, {what}, {again} answer", took_ms, "ms")
                spent_ms = asker.server.cpu_ms() - cpu_ms
                outcome.tell(f"/federate, {what}, {again} answer, processor", spent_ms, "ms")
        outcome.tell(f"/federate, {what}, as gzip", len(packed) / 1e6, "MB")
        _, plain = asker.ask(f"/federate{query}", accept=accept)
        outcome.tell(f"/federate, {what}, size", len(plain) / 1e6, "MB")
        outcome.tell(f"/federate, {what}, samples", plain.count(b"\n") - plain.count(b"\n#") - 1)


def _questions(outcome: Outcome, asker: Asker, options: DemoOptions) -> None:
    service, place = SERVICE, build_fleet(options, time.time()).places[0].label
    now = int(time.time()) // 60 * 60

    def opentsdb(metric: str, minutes: int, tags: str, number: int) -> str:
        # Another end each time, so that no finished answer is given again.
        end = now - 60 * number
        m = quote(f"avg:5m-avg:{metric}{{{tags}}}")
        return f"/api/query?start={end - 60 * minutes}&end={end}&m={m}"

    def ask(name: str, metric: str, minutes: int, tags: str) -> None:
        took, busy, cold = [], [], 0.0
        for number in range(REPEATS):
            started, before = time.perf_counter(), asker.server.cpu_ms()
            status, answer = asker.ask(opentsdb(metric, minutes, tags, number))
            spent = 1000 * (time.perf_counter() - started)
            busy.append(asker.server.cpu_ms() - before)
            if status != 200:
                outcome.figures[name] = f"{status}"
                print(f"  {name}: {status} {answer[:300]!r}", file=sys.stderr)
                return
            cold = cold or spent
            took.append(spent)
        outcome.tell(f"{name}, cold", cold, "ms")
        outcome.tell(f"{name}, median of {REPEATS}", statistics.median(took), "ms")
        outcome.tell(f"{name}, processor", statistics.median(busy), "ms")

    cpu, ready = RECORDED[Kind.VM]
    ask("panel: clusters of a service, 6 h", cpu, 360, f"servicename={service},cluster=*")
    ask("panel: clusters of all services, 6 h", cpu, 360, "servicename=*,cluster=*")
    ask("rule: machines of a datacenter, 15 min", ready, 15, f"datacenter={place},vm=*")
    ask("rule: machines of all services, 15 min", ready, 15, "datacenter=*,vm=*")
    ask("rule: all datastores, 30 min", RECORDED[Kind.DATASTORE][0], 30, "datacenter=*,datastore=*")
    variable = lambda text: {"payload": {"target": text}, "range": {}}  # noqa: E731
    asker.timed(outcome, "variable: services", "/variable", variable("services()"))
    asker.timed(
        outcome, "variable: machines of a datacenter", "/variable", variable(f"vms({place})")
    )
    live = urlencode({"target": f"live:vm{{service={service}}}"})
    asker.timed(outcome, "table: machines of a service", f"/rows?{live}")
    live = urlencode({"target": "live:host"})
    asker.timed(outcome, "table: all hosts", f"/rows?{live}")


def table(outcomes: list[Outcome]) -> str:
    names = list(dict.fromkeys(name for one in outcomes for name in one.figures))
    head = [f"{one.services} x" for one in outcomes]
    lines = [f"| | {' | '.join(head)} |", f"|---|{'---:|' * len(head)}"]
    lines += [
        f"| {name} | {' | '.join(one.figures.get(name, '') for one in outcomes)} |"
        for name in names
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--services", type=int, nargs="+", default=[1, 5, 20])
    parser.add_argument("--vms", type=int, default=2_000, help="of each service")
    parser.add_argument("--federate", action="store_true", help="/federate alone")
    given = parser.parse_args()
    outcomes = []
    for services in given.services:
        hosts = max(given.vms // HOSTS_OF, 8)
        options = DemoOptions(vms=given.vms, hosts=hosts, services=services, offer_token=False)
        outcomes.append(federate_alone(options) if given.federate else measure(options))
    print(f"\n{given.vms:,} virtual machines in each service\n\n{table(outcomes)}")


def federate_alone(options: DemoOptions) -> Outcome:
    """Measure /federate on an otherwise idle bridge."""
    outcome = Outcome(options.services)
    started = time.time()
    with running(options, None, 86_400) as server:
        asker = Asker(server)
        _until_polled(asker, options, after=started)
        time.sleep(2)
        _federate(outcome, asker, SERVICE)
    return outcome


if __name__ == "__main__":
    main()
