"""One cell of the table: one fault, one bridge, and what must hold.

Whatever the cell, ``run_cell`` requires of it that every request ends, nothing secret shows,
the log knows of no mistake, nobody follows a redirect, and the bridge works again by itself.
"""

from __future__ import annotations

import asyncio
import base64
import json
import math
import re
import tempfile
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from bridge.demo.apiv6.credentials import APPLICATION_SECRET, CONSUMER_KEY
from bridge.demo.options import DemoOptions
from bridge.model import PointRequest
from bridge.sources.history import History
from tests.faults.outcomes import (
    Complete,
    Fewer,
    GoesOn,
    Lacks,
    No,
    Old,
    Others,
    Partly,
    Stops,
    World,
    says,
)
from tests.faults.stand import LINES, RX, STRAY, Bridge, Reply, running, until
from tests.faults.upstream import POISON, Upstream

if TYPE_CHECKING:
    from tests.faults.outcomes import Row

#: Events that are a mistake of the bridge's, or the loss of what it had.
MISTAKES = re.compile(
    r'"event": ?"(request_failed|recorder_failed|poll_failed|recording_failed_to_open'
    r"|recording_work_failed|maintenance_failed|chore_failed|answer_broken_off|points_refused"
    r'|tag_values_failed)"|Traceback|never retrieved|never awaited|Unclosed|Exception in'
)
LEFT_ALONE = "is left alone"
#: Machines, hosts, and machines shown in live tables, by the number of datacenters.
SIZES = {1: (4, 2, 4), 2: (20, 4, 17)}


class Truth(NamedTuple):
    """What a healthy upstream's answers look like."""

    panel: dict[str, Any]
    alert: dict[str, Any]
    series: int
    machines: int


async def run_cell(row: Row, column: str) -> None:
    """Run one cell.

    Raises:
        AssertionError: It is not as the table says.
    """
    vms, hosts, _ = SIZES[row.datacenters]
    options = DemoOptions(vms=vms, hosts=hosts, datacenters=row.datacenters, history_days=2)
    world = row.wrong if isinstance(row.wrong, World) else World()
    up = Upstream(options, secure=world.secure, named=world.named)
    await up.open()
    try:
        with tempfile.TemporaryDirectory(prefix="cell-") as folder:
            cell = Cell(row, up, Path(folder))
            await getattr(cell, column)()
    finally:
        await up.close()
    assert not up.trespassed, f"a redirect was followed: {up.trespassed}"


class Cell:
    """The three ways to run a row."""

    def __init__(self, row: Row, up: Upstream, folder: Path) -> None:
        self.row = row
        self.up = up
        self.folder = folder
        self.is_api = row.part == "api"
        self.was_well = False
        self.at_s = math.floor(time.time() / 3600) * 3600

    # columns

    async def cold(self) -> None:
        """The bridge was never asked before, and remembers nothing anyway."""
        expected = self.row.cold
        await self._begin()
        async with self._bridge(record=False, remembers=False) as bridge:
            bridge.patient = getattr(expected, "status", 0) != 504
            await until("the fault is known", lambda: self._known(bridge, expected))
            recent, live = await bridge.recent(), await bridge.live()
            settled = await bridge.settled(self.at_s)
            others = await bridge.variable(), await bridge.page()
            await self._end()
            truth = await self._recovered(bridge)
            self._check_cold(expected, recent, live, settled, truth)
            self._check_all(bridge, others)

    async def warm(self) -> None:
        """It was asked before, and remembers."""
        expected = self.row.warm
        async with self._bridge(record=False, remembers=True) as bridge:
            before = await self._recovered(bridge)
            self.was_well = True
            await self._begin()
            await until("the fault is known", lambda: self._known(bridge, expected))
            recent, live = await bridge.recent(), await bridge.live()
            settled = await bridge.settled(self.at_s)
            others = await bridge.variable(), await bridge.page()
            await self._end()
            after = await self._recovered(bridge)
            self._check_warm(expected, recent, live, before)
            if getattr(expected, "series", 200) == 200:
                assert_same(settled, before)
            assert before == after, f"{before}, and later {after}"
            self._check_all(bridge, others)

    async def recording(self) -> None:
        """The recorder runs: before, while and after."""
        expected = self.row.recording
        async with self._bridge(record=True, remembers=False) as bridge:
            bridge.patient = getattr(self.row.cold, "status", 0) != 504
            await until("points are recorded", lambda: self._recorded_since(bridge, 0.0))
            self.was_well = True
            began = time.time()
            await self._begin()
            await until("the fault is known", lambda: self._known(bridge, expected))
            if isinstance(expected, GoesOn | Lacks | Fewer | Others):
                await until("recording goes on", lambda: self._recorded_since(bridge, began + 1))
            if not self.is_api:
                self._check_cold_alert(await bridge.recent())
            ended = time.time()
            await self._end()
            await until("recording resumes", lambda: self._recorded_since(bridge, ended + 1))
            await until("all is well", lambda: self._is_well(bridge))
            self._check_all(bridge, ())
        await self._check_store(expected, began, ended)

    # the fault

    async def _begin(self) -> None:
        up, row = self.up, self.row
        up.hits = 0
        if isinstance(row.wrong, World):
            await row.wrong.begin(up, row.part)
        else:
            up.part, up.where, up.fault = row.part, re.compile(row.where), row.wrong

    async def _end(self) -> None:
        if isinstance(self.row.wrong, World):
            await self.row.wrong.end(self.up, self.row.part)
        self.up.fault = None
        for part in ("api", "opentsdb", "warp10"):
            self.up.drop(part)  # those that wait for the rest of a slow answer

    def _bridge(self, *, record: bool, remembers: bool) -> Any:
        protocol = self.row.protocol or ("opentsdb" if self.is_api else self.row.part)
        return running(
            self.up,
            self.folder,
            protocol=protocol,
            poll_s=1 if self.is_api or record else 600,
            record=record,
            remembers=remembers,
        )

    # waiting

    async def _known(self, bridge: Bridge, expected: Any) -> bool:
        """Whether the bridge has met the fault."""
        ready, reasons = await bridge.readiness()
        if not self.is_api:
            # History is read when somebody asks.
            return ready
        if isinstance(expected, Fewer):
            live = await bridge.live_panel()
            return not reasons and live.status == 200 and await self._is_smaller(live)
        words = getattr(expected, "words", None)
        if words is not None:
            # Of a service that was read before, the list of services alone is no loss.
            before = r"is (failed|partial|expired): .*" if self.was_well else ""
            return says(reasons, f"{before}({words})")
        world = isinstance(self.row.wrong, World)
        return ready and (world or self.up.hits > 2)

    async def _is_smaller(self, live: Reply) -> bool:
        rows = live.json[0]["rows"]
        return 0 < len(rows) < SIZES[self.row.datacenters][2]

    async def _is_well(self, bridge: Bridge) -> bool:
        return await bridge.readiness() == (True, "")

    async def _recovered(self, bridge: Bridge) -> Truth:
        """Wait until every door answers completely; return what."""

        async def well() -> Truth | None:
            if not await self._is_well(bridge):
                return None
            recent, live = await bridge.recent(), await bridge.live()
            settled = await bridge.settled(self.at_s)
            replies = (*recent, *live, *settled)
            if any(reply.status != 200 or "warning" in reply.headers for reply in replies):
                return None
            if len(live[0].json[0]["rows"]) != SIZES[self.row.datacenters][2]:
                return None
            return Truth(
                *points_of(settled),
                len(recent[0].json),
                len(live[0].json[0]["rows"]),
            )

        found: Truth = await until("every door answers completely again", well)
        assert found.series > 2, found
        return found

    async def _recorded_since(self, bridge: Bridge, moment: float) -> bool:
        figures = await bridge.figures()
        written = figures.get("vscope_bridge_recording_written_timestamp_seconds", 0.0)
        return written > moment and figures["vscope_bridge_recording_points_total"] > 0

    # checking

    def _check_cold(
        self,
        expected: Any,
        recent: tuple[Reply, ...],
        live: tuple[Reply, ...],
        settled: tuple[Reply, ...],
        truth: Truth,
    ) -> None:
        concerned = live if self.is_api else (*recent, *settled)
        if isinstance(expected, Complete):
            assert_complete(recent, live, truth)
            assert_same(settled, truth)
            return
        if isinstance(expected, Fewer):
            assert_fewer(recent, live, truth)
            return
        if isinstance(expected, Partly):
            panel, rows = live if self.is_api else (recent[0], recent[2])
            assert_partly(panel, expected.words)
            assert rows.status in {502, 503, 504}, rows
            assert says(rows.message, expected.words), rows
            return
        assert isinstance(expected, No)
        for reply in concerned:
            self._check_refused(reply, expected.status, f"{expected.words}|/readyz")
        if self.is_api:
            # Nobody can tell whose history to read, or it is read as ever.
            assert {reply.status for reply in recent} in ({503}, {200}), recent
            assert all("warning" not in reply.headers for reply in recent), recent
        else:
            assert_complete((), live, truth)

    def _check_cold_alert(self, recent: tuple[Reply, ...]) -> None:
        """What is recorded must not stand for the whole history."""
        expected = self.row.cold
        panel, alert, rows = recent
        if isinstance(expected, Complete):
            assert {alert.status, rows.status, panel.status} == {200}, recent
            assert "warning" not in panel.headers, panel
            return
        for reply in (alert, rows):
            assert reply.status >= 400, reply
        if panel.status == 200:
            assert_partly(panel, getattr(expected, "words", ""))

    def _check_warm(
        self, expected: Any, recent: tuple[Reply, ...], live: tuple[Reply, ...], truth: Truth
    ) -> None:
        if isinstance(expected, Complete):
            assert_complete(recent, live, truth)
            return
        if isinstance(expected, Fewer):
            assert_fewer(recent, live, truth)
            return
        if isinstance(expected, No):  # not for want of an answer
            for reply in recent:
                assert reply.status == expected.status, reply
                assert says(reply.message, expected.words), reply
            return
        assert isinstance(expected, Old)
        if self.is_api:
            if expected.series == 200:
                assert_complete(recent, (), truth)
            assert {reply.status for reply in recent} == {expected.series}, recent
            panel, blind = live[0], live[1:]
        else:
            assert_complete((), live, truth)
            panel, blind = recent[0], recent[1:]
        assert_partly(panel, expected.words)
        assert int(panel.headers["age"]) < 120, panel
        for reply in blind:
            self._check_refused(reply, expected.status, expected.words)

    def _check_refused(self, reply: Reply, status: int, words: str) -> None:
        """A reason is given, or the host is left alone by now, having failed that often."""
        if self.is_api or LEFT_ALONE not in reply.message:
            assert reply.status == status, reply
            assert says(reply.message, words), reply
        else:
            assert reply.status == 502, reply

    def _check_all(self, bridge: Bridge, others: tuple[Reply, ...]) -> None:
        for reply in others:
            assert reply.status == 200, reply
        mistakes = [line for line in bridge.lines if MISTAKES.search(line)]
        assert not mistakes, f"the log tells of a mistake: {mistakes[0][:3_000]}"
        told = "".join([*bridge.lines, *STRAY]) + json.dumps(
            [[dict(reply.headers), reply.text] for reply in bridge.replies]
        )
        for reply in bridge.replies:
            assert reply.status != 500, reply
        for secret in self._secrets():
            assert secret not in told, f"{secret} shows: {_around(told, secret)}"

    def _secrets(self) -> set[str]:
        handed = self.up.tokens
        basic = {base64.b64encode(f"read:{one}".encode()).decode() for one in handed}
        return {APPLICATION_SECRET, CONSUMER_KEY, *handed, *basic}

    async def _check_store(self, expected: Any, began: float, ended: float) -> None:
        """Every recorded value was sent in a true answer, after its stamp; none is missing."""
        async with History(self.folder / "history", memory_mb=64) as history:
            found = await history.points(PointRequest(RX, (), 0, 4_000_000_000_000, 10**6))
        sent = {one.value: one for one in self.up.served}
        times: dict[str, list[float]] = {}
        for series in found:
            machine = series.tags["vm"]
            for stamp, value in zip(
                (series.stamps_ms / 1000).tolist(), series.values.tolist(), strict=True
            ):
                assert value < POISON, f"{machine}: a poisoned value was recorded at {stamp}"
                assert value in sent, f"{machine}: nobody sent {value}, recorded at {stamp}"
                origin = sent[value]
                assert origin.machine == machine, f"{machine}: recorded what is {origin}"
                assert stamp <= origin.at < stamp + 15, f"{machine}: {stamp} has {origin}"
                times.setdefault(machine, []).append(origin.at)
        assert times, "nothing was recorded"
        on = {
            machine for machine, moments in times.items() if any(began < t < ended for t in moments)
        }
        before = {machine for machine, moments in times.items() if min(moments) < began}
        resumed = {machine for machine, moments in times.items() if max(moments) > ended}
        assert before <= resumed, f"not resumed: {before - resumed}"
        if isinstance(expected, GoesOn):
            assert before <= on, f"not recorded meanwhile: {before - on}"
        if isinstance(expected, Lacks | Fewer):
            assert on, "nothing was recorded meanwhile"
            assert on != before, "nothing was missing"
        if isinstance(expected, Others):
            assert on - before, "no other machine was recorded"
            assert before - on, "what is gone was recorded all the same"
        if isinstance(expected, Stops):
            late = {m: [t for t in times[m] if began + 3 < t < ended] for m in on}
            assert not any(late.values()), f"recorded meanwhile: {late}"


def assert_complete(recent: tuple[Reply, ...], live: tuple[Reply, ...], truth: Truth) -> None:
    for reply in (*recent, *live):
        assert reply.status == 200, reply
        assert "warning" not in reply.headers, reply
    if recent:
        assert len(recent[0].json) == truth.series, recent[0]
        assert not recent[0].notices, recent[0]
    if live:
        assert len(live[0].json[0]["rows"]) == truth.machines, live[0]
        assert not live[0].notices, live[0]


def assert_fewer(recent: tuple[Reply, ...], live: tuple[Reply, ...], truth: Truth) -> None:
    """What is gone is gone from live tables; history stays."""
    assert_complete(recent, (), truth)
    for reply in live:
        assert reply.status == 200, reply
        assert "warning" not in reply.headers, reply
    assert not live[0].notices, live[0]
    assert 0 < len(live[0].json[0]["rows"]) < truth.machines, live[0]


def assert_partly(panel: Reply, words: str) -> None:
    """A panel has something, and says what it lacks, in the answer and in a header."""
    assert panel.status == 200, panel
    words = f"{words}|{LEFT_ALONE}"
    assert says(panel.notices, words), panel
    assert says(panel.headers.get("warning", ""), words.replace('"', "'")), panel


def points_of(settled: tuple[Reply, ...]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the points of each machine; names and the like may change with the inventory."""
    panel, alert = settled
    return (
        {one["tags"]["vm"]: one["datapoints"] for one in panel.json},
        {one["tags"]["vm"]: one["dps"] for one in alert.json},
    )


def assert_same(settled: tuple[Reply, ...], truth: Truth) -> None:
    """What is long over is given as it is, without a word of doubt."""
    panel, alert = settled
    assert panel.status == alert.status == 200, settled
    assert "warning" not in panel.headers, panel
    found = points_of(settled)
    assert found == (truth.panel, truth.alert), f"{found} instead of {truth}"


def _around(text: str, part: str) -> str:
    at = text.find(part)
    return text[max(0, at - 300) : at + len(part) + 50]


async def run_one(row: Row, column: str) -> str | None:
    """Run a cell; return what is wrong, or None."""
    LINES.set([])
    try:
        async with asyncio.timeout(300):
            await run_cell(row, column)
    except Exception as error:  # noqa: BLE001 -- told as the cell's failure
        frames = traceback.format_list(traceback.extract_tb(error.__traceback__)[-3:])
        return f"{type(error).__name__}: {error}\n{''.join(frames)}"
    return None
