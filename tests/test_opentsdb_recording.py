"""A running bridge that records into an OpenTSDB: figures, readiness, page, and ``check``."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from bridge.app import create_app, settled_s
from bridge.commands.check import findings
from bridge.demo.account import demo_account
from bridge.demo.options import DemoOptions
from bridge.demo.server import create_simulator
from bridge.settings import SettingsError, given_settings
from bridge.sources.history import History
from tests.servers import serving
from tests.sources.opentsdb_store import tsd as fake
from tests.sources.opentsdb_store.points import machines
from tests.test_recording import figures, ready, reasons, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from bridge.settings import Settings
    from tests.sources.opentsdb_store.tsd import Tsd

WRITTEN = "vscope_bridge_store_points_written_total"


@pytest.fixture(scope="module")
def simulator() -> Iterator[str]:
    options = DemoOptions(vms=6, hosts=3, datacenters=1, offer_token=False)
    with serving(create_simulator(options)) as url:
        yield url


def settings_of(simulator: str, tsd: Tsd, folder: Path, **more: Any) -> Settings:
    account = demo_account(simulator).model_copy(update={"calls_per_minute": 6_000})
    return given_settings(
        accounts=(account,),
        **{
            "history_dir": folder,
            "poll_interval_s": 1,
            "record_into": "opentsdb",
            "opentsdb_url": tsd.url,
            **more,
        },
    )


async def wait(condition: Callable[[], bool]) -> None:
    await asyncio.to_thread(until, condition)


async def test_polls_arrive_and_what_is_wrong_is_said(simulator: str, tmp_path: Path) -> None:
    async with fake.running() as tsd:
        with serving(create_app(settings_of(simulator, tsd, tmp_path)), lifespan="on") as url:
            await wait(lambda: ready(url) and figures(url)[WRITTEN] > 200)
            now = await asyncio.to_thread(figures, url)
            assert now["vscope_bridge_store_failing"] == 0
            assert now["vscope_bridge_store_points_refused_total"] == 0
            assert now['vscope_bridge_recording_state{state="recording"}'] == 1
            assert await asyncio.to_thread(reasons, url) == []
            stamps = {stamp for _, _, stamp in tsd.points}
            assert len(stamps) > 1
            assert now["vscope_bridge_store_written_timestamp_seconds"] in stamps
            await tsd.stop()
            await wait(lambda: figures(url)["vscope_bridge_store_failing"] == 1)
            await wait(lambda: figures(url)["vscope_bridge_store_spooled_polls"] > 1)
            [said] = await asyncio.to_thread(reasons, url)
            assert said.startswith("OpenTSDB is not written to: ")
            assert await asyncio.to_thread(ready, url), "live data are not affected"
            html = {"Accept": "text/html"}
            page = await asyncio.to_thread(httpx.get, url, headers=html)
            assert "waiting for OpenTSDB" in page.text
            assert f"OpenTSDB at 127.0.0.1:{tsd.port}" in page.text
            await tsd.start()
            await wait(lambda: figures(url)["vscope_bridge_store_failing"] == 0)
        stamps = {stamp for metric, _, stamp in tsd.points if metric == "vscope.vm.sample.age"}
        assert sorted(stamps) == list(range(min(stamps), max(stamps) + 1)), "a poll is missing"


async def test_two_bridges_started_apart_write_the_same_stamps(
    simulator: str, tmp_path: Path
) -> None:
    async with fake.running() as tsd, fake.running() as other:
        first = settings_of(simulator, tsd, tmp_path / "a", poll_interval_s=2)
        second = settings_of(simulator, other, tmp_path / "b", poll_interval_s=2)
        with serving(create_app(first), lifespan="on") as url:
            await wait(lambda: figures(url).get(WRITTEN, 0) > 0)
            await asyncio.sleep(0.7)
            with serving(create_app(second), lifespan="on") as later:
                await wait(lambda: figures(later).get(WRITTEN, 0) > 300)
                await wait(lambda: other.points.keys() <= tsd.points.keys())
        assert other.points
        assert all(stamp % 2 == 0 for _, _, stamp in tsd.points)


async def test_what_was_recorded_before_stays_readable(simulator: str, tmp_path: Path) -> None:
    async with History(tmp_path) as history:
        await history.write(machines(1))
    async with fake.running() as tsd:
        settings = settings_of(simulator, tsd, tmp_path, history_order=("recording",))
        with serving(create_app(settings), lifespan="on") as url:
            await wait(lambda: ready(url) and figures(url).get(WRITTEN, 0) > 0)
            query = {"metric": "vscope.vm.cpu.usage.perc", "aggregator": "none"}
            body = {"start": 1_700_000_000, "end": 1_700_000_100, "queries": [query]}
            reply = await asyncio.to_thread(httpx.post, f"{url}/api/query", json=body)
            assert [one["dps"] for one in reply.json()] == [{"1700000040": 0.5}]


@pytest.mark.parametrize(("more", "keep_s"), [({}, 600.0), ({"cache_keep_s": 7_200.0}, 7_200.0)])
def test_settled_data_of_a_shared_store_are_read_again_soon(
    more: dict[str, float], keep_s: float
) -> None:
    shared = {"record_into": "opentsdb", "opentsdb_url": "http://127.0.0.1:1", **more}
    assert settled_s(given_settings(**shared)) == keep_s
    assert settled_s(given_settings()) == 21_600


async def test_check_tells_whether_it_can_be_written_to(simulator: str, tmp_path: Path) -> None:
    async with fake.running() as tsd:
        settings = settings_of(simulator, tsd, tmp_path, record_services=("pcc-other*",))

        async def said() -> list[str]:
            return [str(one) async for one in findings(settings)]

        lines = "\n".join(await said())
        assert "ok       opentsdb    takes points; none was written" in lines
        assert "warning  recording   record_services: no service is called pcc-other*" in lines
        tsd.config = {"tsd.core.auto_create_metrics": "true"}
        assert "warning  opentsdb    OpenTSDB cannot read an hour" in "\n".join(await said())
        tsd.writable = False
        assert "failed   opentsdb    OpenTSDB takes no points" in "\n".join(await said())
        assert tsd.points == {}


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"record_into": "opentsdb"}, "expected opentsdb_url too"),
        ({"record_services": ("pcc-[1]",)}, "expected names of services"),
        ({"spool_mb": 1}, "spool_mb"),
    ],
)
def test_wrong_settings_are_named(wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        given_settings(**wrong)
