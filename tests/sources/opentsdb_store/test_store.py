"""The store against an OpenTSDB on a real socket that misbehaves in every known way."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr
from structlog.testing import capture_logs

from bridge.errors import BridgeError, UnavailableError, UpstreamError
from bridge.model import PointRequest
from bridge.sources.opentsdb import OpenTsdb
from bridge.sources.opentsdb_store import SPOOL, OpenTsdbStore, PutClient
from bridge.sources.opentsdb_store import put as put_module
from bridge.sources.opentsdb_store import store as store_module
from bridge.sources.opentsdb_store.reading import CatchingUp
from bridge.sources.upstream import Upstream
from tests.sources.opentsdb_store.points import CPU, STAMP, as_dict, batch, key, machines
from tests.sources.opentsdb_store.sending import sending
from tests.sources.opentsdb_store.tsd import Tsd, running

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from bridge.model import PointBatch, Source

NOW = time.time


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "FIRST_WAIT_S", 0.001)
    monkeypatch.setattr(store_module, "LONGEST_WAIT_S", 0.01)


@contextlib.asynccontextmanager
async def storing(
    tsd: Tsd, folder: Path, *, timeout_s: float = 20.0, token: str | None = None, **more: Any
) -> AsyncIterator[OpenTsdbStore]:
    upstream = Upstream(concurrency=8, timeout_s=timeout_s, leave_alone=False)
    server = OpenTsdb(
        upstream, tsd.url, token=SecretStr(token) if token else None, clock=time.monotonic
    )
    store = OpenTsdbStore(
        folder / SPOOL, upstream, server, **{"spool_bytes": 1 << 24, "late_s": 1e12, **more}
    )
    async with sending(store):
        yield store


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 -- what is waited for is no event
            await asyncio.sleep(0.002)


async def empty(store: OpenTsdbStore) -> None:
    await until(lambda: not store.state.waiting.polls)


def expected(*batches: PointBatch) -> dict[Any, float]:
    return {
        (key.metric, key.tags, stamp // 1000 if stamp % 1000 == 0 else stamp): value
        for one in batches
        for (key, stamp), value in as_dict(one).items()
    }


async def test_what_is_written_arrives_as_decimal_numbers(tmp_path: Path) -> None:
    values = {key(vm="a"): 18.0, key(vm="b"): 0.1, key(vm="c"): 1e300, key(vm="d"): -0.0}
    sent = [batch(values), batch(values, STAMP + 250), machines(1_234, STAMP + 1000)]
    async with running() as tsd, storing(tsd, tmp_path) as store:
        for one in sent:
            await store.write(one)
        await empty(store)
        assert tsd.points == expected(*sent)
        # An integer would be stored beside a decimal number of the same time, not over it.
        assert all(isinstance(value, float) for value in tsd.points.values())
        assert {encoding for _, encoding in tsd.bodies} == {"gzip"}
        state = store.state
        assert (state.written, state.refused, state.given_up) == (4 + 4 + 1_234, 0, 0)
        assert state.written_ms == STAMP + 1000
        assert store.problems() == ()


troubles = st.lists(
    st.sampled_from(["reset", "lost", "cut", "timedout", 500, 503, 429, 408]), max_size=12
)


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(troubles, st.integers(1, 4), st.booleans())
async def test_nothing_is_lost_or_out_of_order_whatever_breaks(
    queue: list[str | int], polls: int, one_by_one: bool
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        if one_by_one:
            patch.setattr(store_module, "TOGETHER", 0)
        await sent_through(queue, polls, one_by_one=one_by_one)


async def sent_through(queue: list[str | int], polls: int, *, one_by_one: bool) -> None:
    sent = [machines(3, STAMP + number * 1000) for number in range(polls)]
    with tempfile.TemporaryDirectory() as folder:
        async with running() as tsd, storing(tsd, Path(folder)) as store:
            tsd.troubles.extend(queue)
            for one in sent:
                await store.write(one)
            await empty(store)
            assert tsd.points == expected(*sent)
            if one_by_one:
                assert all(before[2] <= after[2] for before, after in pairwise(tsd.writes))
            assert (store.state.written, store.state.refused) == (3 * polls, 0)
            assert store.state.problem is None


async def test_a_server_that_does_not_answer_is_waited_for(tmp_path: Path) -> None:
    async with running() as tsd, storing(tsd, tmp_path, timeout_s=0.3) as store:
        tsd.troubles.append("hang")
        await store.write(machines(2))
        await empty(store)
        assert tsd.points == expected(machines(2))


async def test_a_server_that_is_away_is_told_of_and_catches_up(tmp_path: Path) -> None:
    sent = [machines(40, STAMP + number * 1000) for number in range(6)]
    async with running() as tsd, storing(tsd, tmp_path) as store:
        await store.write(sent[0])
        await empty(store)
        await tsd.stop()
        with capture_logs() as logs:
            for one in sent[1:4]:
                await store.write(one)
            await until(lambda: store.state.problem is not None)
            [problem] = store.problems()
            assert problem.startswith("OpenTSDB is not written to: 127.0.0.1 ")
            assert problem.endswith("3 polls (120 points) wait in the spool")
            await tsd.start()
            for one in sent[4:]:
                await store.write(one)
            await empty(store)
        assert tsd.points == expected(*sent)
        assert len(tsd.writes) == 240
        assert store.problems() == ()
        events = [log["event"] for log in logs]
        assert events.count("opentsdb_written_again") == 1


async def test_what_waits_survives_a_restart(tmp_path: Path) -> None:
    sent = [machines(5, STAMP + number * 1000) for number in range(3)]
    async with running() as tsd:
        await tsd.stop()
        async with storing(tsd, tmp_path) as store:
            for one in sent:
                await store.write(one)
            await until(lambda: store.state.problem is not None)
        await tsd.start()
        with capture_logs() as logs:
            async with storing(tsd, tmp_path) as store:
                await empty(store)
        assert tsd.points == expected(*sent)
        assert {"event": "spool_not_empty", "polls": 3, "points": 15, "log_level": "info"} in logs


async def test_refused_points_are_named_once_and_hold_up_nothing(tmp_path: Path) -> None:
    async with running() as tsd, storing(tsd, tmp_path) as store:
        tsd.refuses = lambda point: "Unknown metric" if point["tags"]["vm"] == "vm-1" else None
        with capture_logs() as logs:
            for number in range(3):
                await store.write(machines(4, STAMP + number * 1000))
            await empty(store)
        assert len(tsd.points) == 9
        assert (store.state.written, store.state.refused) == (9, 3)
        [named] = [log for log in logs if log["event"] == "points_not_taken"]
        assert (named["metric"], named["tags"]["vm"]) == (CPU, "vm-1")
        [problem] = store.problems()
        assert problem.endswith(f"such as {CPU}{{servicename=pcc-1,vm=vm-1}}: Unknown metric")


BAD = {
    "a space": key(vm="vm 1"),
    "a letter beyond ISO 8859-1": key(vm="Жук"),
    "nine tags": key(**{f"tag{number}": "x" for number in range(7)}),
    "an empty value": key(vm=""),
}


@pytest.mark.parametrize("bad", BAD.values(), ids=list(BAD))
async def test_what_opentsdb_cannot_keep_is_not_sent(bad: Any, tmp_path: Path) -> None:
    async with running() as tsd, storing(tsd, tmp_path) as store:
        await store.write(batch({bad: 1.0, key(vm="é-1_./"): 2.0}))
        await empty(store)
        assert tsd.points == expected(batch({key(vm="é-1_./"): 2.0}))
        assert store.state.refused == 1
        assert "does not take 1 series" in store.problems()[0]


async def test_a_server_may_allow_more(tmp_path: Path) -> None:
    async with running() as tsd:
        tsd.config = {
            **(tsd.config or {}),
            "tsd.core.tag.allow_specialchars": " ()",
            "tsd.storage.max_tags": "9",
        }
        nine = key(vm="a (1)", **{f"tag{number}": "x" for number in range(7)})
        async with storing(tsd, tmp_path) as store:
            await store.write(batch({nine: 1.0}))
            await empty(store)
            assert tsd.points == expected(batch({nine: 1.0}))


@pytest.mark.parametrize("beyond", ["reset", "html", "413"])
@pytest.mark.parametrize("told", [True, False], ids=["told wrongly", "not told"])
@pytest.mark.parametrize("packed", [True, False], ids=["gzip", "plain"])
async def test_bodies_are_no_larger_than_the_server_takes(
    beyond: str, *, told: bool, packed: bool, tmp_path: Path
) -> None:
    async with running() as tsd:
        tsd.beyond, tsd.gzip, tsd.largest = beyond, packed, 4_100
        tsd.config = tsd.config if told else None
        async with storing(tsd, tmp_path) as store:
            for number in range(2):
                await store.write(machines(700, STAMP + number * 1000, value=1 / 3))
            await empty(store)
            both = [machines(700, STAMP + number * 1000, value=1 / 3) for number in range(2)]
            assert tsd.points == expected(*both)
            assert store.state.refused == 0
            assert {encoding for _, encoding in tsd.bodies} == {"gzip" if packed else "identity"}


async def test_a_refused_credential_gives_nothing_up(tmp_path: Path) -> None:
    async with running() as tsd:
        tsd.login = "Bearer right"
        async with storing(tsd, tmp_path, token="wrong") as store:
            await store.write(machines(2))
            await until(lambda: store.state.problem is not None)
            assert store.state.problem == "OpenTSDB refused the credential (HTTP 401)"
        async with storing(tsd, tmp_path, token="right") as store:
            await empty(store)
            assert tsd.points == expected(machines(2))


async def test_a_server_that_takes_no_puts_is_told_of(tmp_path: Path) -> None:
    async with running() as tsd:
        tsd.writable = False
        async with storing(tsd, tmp_path) as store:
            await store.write(machines(2))
            await until(lambda: store.state.problem is not None)
            assert "tsd.mode not ro?" in str(store.state.problem)
            assert store.state.refused == 0
            tsd.writable = True
            await empty(store)
            assert tsd.points == expected(machines(2))


async def test_a_doubtful_failure_is_believed_only_beside_successes(tmp_path: Path) -> None:
    async with running() as tsd, storing(tsd, tmp_path) as store:
        tsd.refuses = lambda point: (
            "Unexpected exception" if point["tags"]["vm"] == "vm-1" else None
        )
        await store.write(machines(3))
        await empty(store)
        assert (store.state.written, store.state.refused) == (2, 1)
        # Where nothing is stored at all, the server is broken, not the point.
        tsd.refuses = lambda _: "Unexpected exception"
        await store.write(machines(3, STAMP + 1000))
        seen = len(tsd.bodies)
        await until(lambda: len(tsd.bodies) > seen + 3 * put_module._TRIES)
        assert store.state.refused == 1
        tsd.refuses = lambda _: None
        await empty(store)
        assert store.state.written == 5


async def test_a_full_spool_gives_up_the_oldest_and_says_so(tmp_path: Path) -> None:
    async with running() as tsd:
        await tsd.stop()
        async with storing(tsd, tmp_path, spool_bytes=120_000) as store:
            with capture_logs() as logs:
                for number in range(12):
                    await store.write(machines(2_000, STAMP + number * 1000, value=number / 7))
            kept = store.state.waiting.polls
            assert 1 < kept < 12
            assert store.state.given_up_polls == 12 - kept
            assert store.state.given_up == (12 - kept) * 2_000
            assert f"{12 - kept} polls" in " ".join(store.problems())
            assert sum(log["polls"] for log in logs if log["event"] == "spool_full") == 12 - kept
            await tsd.start()
            await empty(store)
            stamps = {stamp for _, _, stamp in tsd.points}
            assert stamps == {STAMP // 1000 + number for number in range(12 - kept, 12)}


async def test_a_spool_that_fails_is_told_of_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running() as tsd, storing(tsd, tmp_path) as store:
        database = store._spool._database
        monkeypatch.setattr(store._spool, "_database", None)
        with capture_logs() as logs:
            store._wake.set()
            await until(lambda: store.state.problem == "the spool is not open")
            with pytest.raises(BridgeError, match="not open"):
                await store.write(machines(2))
        assert [log["event"] for log in logs] == ["spool_failed"]
        monkeypatch.setattr(store._spool, "_database", database)
        await store.write(machines(2))
        await empty(store)
        assert tsd.points == expected(machines(2))


async def test_points_that_come_late_are_told_of(tmp_path: Path) -> None:
    told: list[int] = []
    now_ms = int(NOW()) * 1000
    async with (
        running() as tsd,
        storing(tsd, tmp_path, late_s=300.0, on_late=told.append) as store,
    ):
        await store.write(machines(1, now_ms))
        await empty(store)
        assert told == []
        for minutes in (20, 30):
            await store.write(machines(1, now_ms - minutes * 60_000))
        await until(lambda: bool(told) and min(told) == now_ms - 30 * 60_000)


async def test_what_should_be_set_otherwise_is_said(tmp_path: Path) -> None:
    async with running() as tsd:
        tsd.config = {"tsd.core.auto_create_metrics": "false"}
        async with storing(tsd, tmp_path) as store:
            await store.write(machines(1))
            await empty(store)
            names, duplicates = store.problems()
            assert "tsd.core.auto_create_metrics" in names
            assert "tsd.storage.fix_duplicates" in duplicates


async def test_looking_writes_nothing() -> None:
    async with running() as tsd:
        upstream = Upstream(concurrency=2, timeout_s=5.0)
        client = PutClient(OpenTsdb(upstream, tsd.url, clock=time.monotonic))
        try:
            assert (await client.learn()).known
            tsd.config = None
            assert not (await client.learn()).known
            tsd.writable = False
            with pytest.raises(UpstreamError, match="takes no points"):
                await client.learn()
        finally:
            await upstream.close()
        assert tsd.points == {}


async def test_a_closed_store_says_so(tmp_path: Path) -> None:
    async with running() as tsd:
        async with storing(tsd, tmp_path) as store:
            pass
        with pytest.raises(BridgeError, match="not open"):
            await store.write(machines(1))


async def test_what_waits_for_long_is_owned_up_to(tmp_path: Path) -> None:
    now = STAMP / 1000
    async with (
        running() as tsd,
        storing(tsd, tmp_path, late_s=300.0, clock=lambda: now) as store,
    ):
        source = CatchingUp(cast("Source", Nothing()), store.late_ms)
        told: list[str] = []

        def ask(end_ms: int, on_missing: Callable[[str], None] | None) -> Awaitable[object]:
            request = PointRequest("m", (), end_ms - 1000, end_ms, 10, on_missing)
            return source.points(request)

        await tsd.stop()
        await store.write(machines(3, STAMP))
        await ask(STAMP + 1000, None)
        now += 301
        await ask(STAMP - 1, None)
        with pytest.raises(UnavailableError, match="wait to be stored"):
            await ask(STAMP, None)
        await ask(STAMP, told.append)
        assert told == ["points since 2023-11-14 22:14:00 UTC wait to be stored in OpenTSDB"]
        await tsd.start()
        await empty(store)
        await ask(STAMP, None)


class Nothing:
    """A source without points."""

    async def points(self, _: PointRequest) -> tuple[()]:
        return ()
