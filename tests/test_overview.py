"""What the overview says of a bridge, and what is advised: one place for the texts."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import requests

from bridge.advice import ADVICE, advice_for
from bridge.app import build_bridge
from bridge.demo import demo_account
from bridge.doors.page.status import Amount, Level, Link, Mark, Moment
from bridge.overview import Overview
from bridge.ovh.errors import Call
from bridge.ovh.refusals import refusal
from bridge.ovh.wire import _explain
from bridge.settings import Settings

if TYPE_CHECKING:
    from bridge.app import Bridge
    from bridge.doors.page.status import Section, Status

OPERATIONS = Path(__file__).parents[1] / "docs" / "operations.md"


def test_the_table_of_the_document_is_the_pages() -> None:
    text = OPERATIONS.read_text(encoding="utf-8")
    table = text.partition("| reason says | what to do |")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| (.+?) \| (.+) \|$", table, flags=re.MULTILINE)
    assert rows == [(one.says, one.do) for one in ADVICE]


CALL = Call("GET", "/dedicatedCloud/pcc-1/task")


@pytest.mark.parametrize(
    ("status", "payload", "says"),
    [
        (403, {"errorCode": "INVALID_CREDENTIAL", "message": "no"}, "accept the credential"),
        (403, {"errorCode": "NOT_GRANTED_CALL", "message": "no"}, "lacks the right"),
        (400, {"errorCode": "INVALID_SIGNATURE", "message": "no"}, "refused the signature"),
        (460, {"message": "expired"}, "service is expired"),
        (429, {"message": "slow down"}, "too many calls"),
        (502, None, "answered HTTP"),
    ],
)
def test_refusals_as_they_are_worded_are_advised(
    status: int, payload: dict[str, str] | None, says: str
) -> None:
    error = refusal(CALL, status, payload, redact=lambda text: text)
    advice = advice_for(error.message)
    assert advice is not None, error.message
    assert says in advice.says


@pytest.mark.parametrize(
    "failure",
    [
        requests.exceptions.ConnectTimeout(),
        requests.exceptions.ConnectionError(),
        requests.exceptions.ReadTimeout(),
        requests.exceptions.ProxyError(),
        requests.exceptions.SSLError(),
    ],
)
def test_lost_connections_are_advised(failure: Exception) -> None:
    message = _explain(CALL, failure).message
    assert advice_for(message) is not None, message


def test_what_nobody_has_met_gets_no_advice() -> None:
    assert advice_for("the moon is full") is None
    assert advice_for("") is None


async def overview_of(bridge: Bridge) -> Status:
    status = await Overview(bridge).status()
    for one in status.sections:
        assert all(len(cells) == len(one.columns) for cells in one.rows), one.title
    return status


def section(status: Status, title: str) -> Section:
    return next(one for one in status.sections if one.title == title)


@pytest.fixture
async def bridge(simulator: str) -> Bridge:
    account = demo_account(simulator).model_copy(update={"calls_per_minute": 6_000})
    return build_bridge(Settings(accounts=(account,), metrics_hosts=("127.0.0.1",)))


async def test_before_and_after_the_first_poll(bridge: Bridge) -> None:
    try:
        first = await overview_of(bridge)
        assert first.state == Mark("Starting", Level.WAITING)
        assert [one.level for one in first.problems] == [Level.NOTE]
        assert "a minute" in first.problems[0].advice
        assert section(first, "Services").rows == ()
        assert section(first, "Accounts").rows[0][1] == Mark("warming", Level.WAITING)

        await bridge.inventory.poll()
        status = await overview_of(bridge)
        assert status.state == Mark("Working", Level.GOOD)
        assert status.problems == ()
        assert re.fullmatch(
            r"1 service: \d+ virtual machines on \d+ hosts, \d+ datastores\.", status.summary
        )
        (row,) = section(status, "Services").rows
        assert isinstance(row[0], Link)
        assert row[1] == Mark("ok", Level.GOOD)
        assert isinstance(row[2], Moment)
        assert isinstance(row[3], Link)
        assert row[3].query == {"kind": "vm", "service": row[0].text}
        (history,) = section(status, "History").rows
        assert history[1] == Mark("not asked yet", Level.WAITING)
        assert section(status, "Accounts").rows[0][1] == Mark("ok", Level.GOOD)
        assert section(status, "Recording").rows == ()
        assert "history_dir" in section(status, "Recording").empty
    finally:
        await bridge.close()


async def test_a_broken_account_is_told_with_what_to_do() -> None:
    account = demo_account("http://127.0.0.1:9")
    bridge = build_bridge(Settings(accounts=(account,)))
    try:
        await bridge.inventory.poll()
        status = await overview_of(bridge)
    finally:
        await bridge.close()
    assert status.state == Mark("Not working", Level.BAD)
    (problem,) = status.problems
    assert 'account "demo"' in problem.text
    assert "firewall" in problem.advice
    assert section(status, "Accounts").rows[0][1] == Mark("failed", Level.BAD)


async def test_a_store_of_ones_own_is_named_without_its_password(bridge: Bridge) -> None:
    try:
        await bridge.inventory.poll()
        settings = Settings(
            opentsdb_url="http://tsdb.example:4242/x",
            opentsdb_user="u",
            opentsdb_password="secret-marked",
        )
        status = await overview_of(replace(bridge, settings=settings))
    finally:
        await bridge.close()
    first, second = section(status, "History").rows
    assert first[2] == "OpenTSDB at tsdb.example:4242"
    assert second[2] == "OVHcloud"
    assert "secret-marked" not in repr(status)


async def test_what_is_recorded_is_told(simulator: str, tmp_path: Path) -> None:
    account = demo_account(simulator).model_copy(update={"calls_per_minute": 6_000})
    folder = tmp_path / "history"
    settings = Settings(
        accounts=(account,), metrics_hosts=("127.0.0.1",), history_dir=folder, record=True
    )
    bridge = build_bridge(settings)
    assert bridge.recording is not None
    running = asyncio.create_task(bridge.recording.run())
    try:
        closed = section(await overview_of(bridge), "Recording")
        assert closed.rows[0][1] == Mark("closed", Level.WARNING)
        await bridge.inventory.poll()
        async with asyncio.timeout(30):
            while not (bridge.recorder and bridge.recorder.state.points):  # noqa: ASYNC110 -- no event tells
                await asyncio.sleep(0.02)
        status = await overview_of(bridge)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await bridge.close()
    (row,) = section(status, "Recording").rows
    folder_told, mark, since, newest, series, points, size = row
    assert folder_told == str(folder)
    assert mark == Mark("recording", Level.GOOD)
    assert isinstance(since, Moment)
    assert since.at_s is not None
    assert newest == since
    assert isinstance(series, Amount)
    assert series.value is not None
    assert series.value > 500
    assert isinstance(points, Amount)
    assert points.value == bridge.recorder.state.points
    assert isinstance(size, Amount)
    assert size.unit == "bytes"
    origins = [cells[2] for cells in section(status, "History").rows]
    assert origins == ["the bridge's recording", "OVHcloud"]


async def test_a_recording_that_cannot_be_opened_is_told(simulator: str, tmp_path: Path) -> None:
    account = demo_account(simulator).model_copy(update={"calls_per_minute": 6_000})
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    bridge = build_bridge(Settings(accounts=(account,), history_dir=blocked / "history"))
    assert bridge.recording is not None
    running = asyncio.create_task(bridge.recording.run())
    try:
        await bridge.inventory.poll()
        async with asyncio.timeout(30):
            while bridge.recording.problem() is None:  # noqa: ASYNC110 -- no event tells
                await asyncio.sleep(0.02)
        status = await overview_of(bridge)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await bridge.close()
    assert status.state == Mark("Partly working", Level.WARNING)
    (problem,) = status.problems
    assert "Tried again every 30 s" in problem.advice
    assert section(status, "Recording").rows[0][1] == Mark("closed", Level.WARNING)
