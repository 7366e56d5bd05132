"""The spool: bytes and back, its file, its limit, and a process that is killed."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.catalog import Kind
from bridge.errors import BridgeError
from bridge.model import LabelEra, PointBatch, SeriesKey
from bridge.sources.opentsdb_store.packing import pack, unpack
from bridge.sources.opentsdb_store.spool import SPOOL, Spool
from tests.sources.opentsdb_store.points import AGE, STAMP, as_dict, batch, key, machines

MB = 1 << 20
texts = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=8)
keys = st.builds(
    SeriesKey, texts, st.dictionaries(texts, texts, max_size=3).map(lambda d: tuple(d.items()))
)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(keys, min_size=1, max_size=6, unique=True).flatmap(
        lambda found: st.tuples(
            st.just(found),
            st.lists(
                st.tuples(
                    st.integers(0, len(found) - 1),
                    st.integers(-(2**62), 2**62),
                    st.floats(allow_nan=False, allow_infinity=False),
                ),
                max_size=20,
            ),
        )
    )
)
def test_packed_points_come_back_as_they_were(
    made: tuple[list[SeriesKey], list[tuple[int, int, float]]],
) -> None:
    found, points = made
    before = PointBatch(
        tuple(found),
        np.array([at for at, _, _ in points], dtype=np.int32),
        np.array([stamp for _, stamp, _ in points], dtype=np.int64),
        np.array([value for _, _, value in points], dtype=np.float64),
    )
    after = unpack(pack(before))
    assert after.keys == before.keys
    assert after.series.tolist() == before.series.tolist()
    assert after.stamps_ms.tolist() == before.stamps_ms.tolist()
    assert after.values.tobytes() == before.values.tobytes()


@pytest.mark.parametrize("bad", [b"", b"\x01", b"nonsense" * 9, b"\x02" + bytes(30)])
def test_other_bytes_are_refused(bad: bytes) -> None:
    with pytest.raises(ValueError, match="packed"):
        unpack(bad)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.sampled_from(["put", "send", "reopen", "era"]), max_size=30))
def test_it_is_a_queue_whatever_happens_to_the_process(steps: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "spool" / SPOOL
        spool = Spool(path, MB)
        spool.open()
        model: list[int] = []
        eras: list[int] = []
        for number, step in enumerate(steps):
            stamp = STAMP + number * 1000
            if step == "put":
                assert spool.put(machines(3, stamp)) == (0, 0)
                model.append(stamp)
            elif step == "era":
                spool.put(batch({}), [LabelEra(Kind.VM, "d", "vm-1", (("host", "h"),), stamp)])
                eras.append(stamp)
            elif step == "reopen":
                spool.close()
                spool = Spool(path, MB)
                spool.open()
            elif model:
                [oldest] = spool.oldest()
                assert as_dict(oldest.batch) == as_dict(machines(3, model.pop(0)))
                spool.remove(oldest.number)
                assert spool.first() != oldest.number
            waiting = spool.waiting()
            assert (waiting.polls, waiting.points) == (len(model), 3 * len(model))
            assert waiting.oldest_ms == (model[0] if model else None)
            assert [era.since_ms for era in spool.eras()] == eras
        spool.close()


def test_a_full_spool_gives_up_the_oldest(tmp_path: Path) -> None:
    spool = Spool(tmp_path / SPOOL, MB // 4)
    spool.open()
    chance = np.random.default_rng(1)
    given_up = [0, 0]
    for poll in range(10):
        values = chance.random(4_000)
        big = batch({key(vm=f"vm-{n}"): value for n, value in enumerate(values)}, STAMP + poll)
        given_up = [a + b for a, b in zip(given_up, spool.put(big), strict=True)]
        assert spool.waiting().size <= MB // 4
    waiting = spool.waiting()
    assert waiting.polls > 2
    assert waiting.polls + given_up[0] == 10
    assert waiting.points + given_up[1] == 10 * 4_000
    assert waiting.oldest_ms == STAMP + given_up[0]
    while oldest := spool.oldest():
        spool.remove(oldest[0].number)
    assert spool.waiting().size < 200_000  # the room is given back
    spool.close()
    assert (tmp_path / SPOOL).stat().st_size < 200_000


def test_small_polls_are_taken_together(tmp_path: Path) -> None:
    spool = Spool(tmp_path / SPOOL, MB)
    spool.open()
    for size in (3, 4, 50, 1):
        spool.put(machines(size))

    def sizes(points: int) -> list[int]:
        return [len(one.batch.values) for one in spool.oldest(points)]

    assert [sizes(points) for points in (0, 6, 7, 56, 58, 999)] == [
        [3],
        [3],
        [3, 4],
        [3, 4],
        [3, 4, 50, 1],
        [3, 4, 50, 1],
    ]
    spool.remove(spool.oldest(7)[-1].number)
    assert sizes(999) == [50, 1]


def test_one_poll_larger_than_the_spool_is_kept(tmp_path: Path) -> None:
    spool = Spool(tmp_path / SPOOL, 8192)
    spool.open()
    assert spool.put(machines(2_000)) == (0, 0)
    assert spool.put(machines(2_000, STAMP + 1)) == (1, 2_000)
    assert spool.waiting().polls == 1


def test_eras_and_the_newest_ages_stay(tmp_path: Path) -> None:
    spool = Spool(tmp_path / SPOOL, MB, [AGE])
    spool.open()
    era = LabelEra(Kind.VM, "d", "vm-1", (("cluster", "c"), ("host_name", "h")), STAMP)
    ended = LabelEra(Kind.VM, "d", "vm-1", era.labels, STAMP, STAMP + 5)
    spool.put(batch({key(): 1.0, key(AGE): 7.0}), [era])
    spool.put(batch({key(): 2.0, key(AGE): 8.0}, STAMP + 1), [ended])
    spool.put(batch({key(AGE, servicename="pcc-2"): 9.0}, STAMP + 2))
    while oldest := spool.oldest():
        spool.remove(oldest[0].number)
    spool.close()
    spool.open()
    assert spool.eras() == (ended,)
    assert [as_dict(one) for one in spool.last()] == [
        {(key(AGE), STAMP + 1): 8.0},
        {(key(AGE, servicename="pcc-2"), STAMP + 2): 9.0},
    ]


def test_what_is_wrong_with_the_file_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.sources.opentsdb_store.spool._LOCK_S", 0.05)
    first, second = (Spool(tmp_path / SPOOL, MB) for _ in range(2))
    first.open()
    with pytest.raises(BridgeError, match="another bridge uses it"):
        second.open()
    first.close()
    second.open()
    second._database.execute("PRAGMA user_version=99")  # type: ignore[union-attr]
    second.close()
    with pytest.raises(BridgeError, match="newer bridge"):
        first.open()
    with pytest.raises(BridgeError, match="not open"):
        first.put(machines(1))
    broken = tmp_path / "broken" / SPOOL
    broken.parent.mkdir()
    broken.write_bytes(b"no database at all" * 500)
    with pytest.raises(BridgeError, match="damaged"):
        Spool(broken, MB).open()
    (tmp_path / "file").write_text("")
    with pytest.raises(BridgeError, match="spool"):
        Spool(tmp_path / "file" / SPOOL, MB).open()


WRITER = """
import sys
from pathlib import Path
from bridge.sources.opentsdb_store.spool import Spool
from tests.sources.opentsdb_store.points import STAMP, machines
spool = Spool(Path(sys.argv[1]), 1 << 30)
spool.open()
number = int(sys.argv[2])
while True:
    spool.put(machines(200, STAMP + number))
    print(number, flush=True)
    number += 1
"""


def test_a_killed_process_loses_nothing_it_has_promised(tmp_path: Path) -> None:
    path, promised = tmp_path / SPOOL, 0
    for wanted in (3, 15):
        command = [sys.executable, "-c", WRITER, str(path), str(promised)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for line in process.stdout:
                promised = int(line) + 1
                if promised >= wanted:
                    break
            process.send_signal(signal.SIGKILL)
            # What was promised between the last line read and the end counts too.
            promised = max(
                [promised, *(int(line) + 1 for line in process.stdout if line[-1:] == "\n")]
            )
        spool = Spool(path, 1 << 30)
        spool.open()
        kept = spool.waiting().polls
        assert kept in {promised, promised + 1}  # it died between the disk and the word
        promised = kept
        spool.close()
    spool.open()
    for number in range(promised):
        [oldest] = spool.oldest()
        assert as_dict(oldest.batch) == as_dict(machines(200, STAMP + number))
        spool.remove(oldest.number)
    assert spool.oldest() == ()
