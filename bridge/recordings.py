"""The wiring of what is recorded: the part of ``app`` that ends in a recorder."""

from __future__ import annotations

import functools
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bridge.chores import Chores
from bridge.control import serve_control
from bridge.ovh.readings import SAMPLE_AGE
from bridge.ovh.recorder import Recorder
from bridge.ovh.samples import samples_of
from bridge.recording import RecordingKeeper
from bridge.settings import matcher
from bridge.sources.history import History, Retention
from bridge.sources.opentsdb import OpenTsdb
from bridge.sources.opentsdb_store import PUT_TIMEOUT_S, PUTS, SPOOL, Filling, OpenTsdbStore
from bridge.sources.upstream import Upstream

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from bridge.engine.cache import SeriesCache
    from bridge.metric import Metric
    from bridge.model import Source
    from bridge.ovh.expiry import ExpiryWatch
    from bridge.settings import Settings


@dataclass(frozen=True, slots=True)
class Recordings:
    """What is recorded into, see ``Bridge`` for the meanings."""

    history: History | None = None
    store: OpenTsdbStore | None = None
    recorder: Recorder | None = None
    recording: RecordingKeeper | None = None
    earlier: RecordingKeeper | None = None
    chores: Chores | None = None


def recordings_of(
    settings: Settings,
    folder: Path,
    cache: SeriesCache,
    metrics: Mapping[str, Metric],
    expiries: Mapping[str, ExpiryWatch],
    servers: Sequence[Source],
    upstreams: Callable[[], Sequence[Source]],
) -> Recordings:
    """Connect the recording, or the OpenTSDB in its place and what was recorded before."""
    record = functools.partial(
        Recorder, expiries=expiries, records=matcher(settings.record_services)
    )
    history = chores = work = None
    into_opentsdb = settings.record_into == "opentsdb"
    if not into_opentsdb or History.is_in(folder):
        kept = Retention(
            settings.history_raw_days, settings.history_10m_days, settings.history_1h_days
        )
        history = History(folder, kept, memory_mb=settings.history_memory_mb)
        chores = Chores(history, folder, metrics, upstreams, cache.invalidate)
        work = functools.partial(serve_control, chores, folder)
    works = () if work is None else (work,)
    if history is not None and not into_opentsdb:
        recorder = record(history, history)
        keeper = RecordingKeeper(history, recorder, *works)
        return Recordings(history, None, recorder, keeper, None, chores)
    store = _store_of(settings, folder, cache)
    known = Filling(servers[0], metrics)
    recorder = record(store, known, samples=functools.partial(samples_of, known, store.last))
    earlier = None if history is None else RecordingKeeper(history, None, *works)
    return Recordings(history, store, recorder, RecordingKeeper(store, recorder), earlier, chores)


def opentsdb_of(settings: Settings, upstream: Upstream) -> OpenTsdb:
    """Return the OpenTSDB of the settings, which name one, over these connections."""
    return OpenTsdb(
        upstream,
        settings.opentsdb_url or "",
        user=settings.opentsdb_user,
        password=settings.opentsdb_password,
        token=settings.opentsdb_token,
        clock=time.monotonic,
    )


def _store_of(settings: Settings, folder: Path, cache: SeriesCache) -> OpenTsdbStore:
    # Connections of its own: what is written must not wait for what is read.
    upstream = Upstream(
        concurrency=PUTS,
        timeout_s=PUT_TIMEOUT_S,
        proxy=settings.proxy,
        ca_file=settings.ca_file,
        leave_alone=False,
    )
    return OpenTsdbStore(
        folder / SPOOL,
        upstream,
        opentsdb_of(settings, upstream),
        spool_bytes=settings.spool_mb << 20,
        remembered=SAMPLE_AGE.values(),
        late_s=settings.cache_settle_s,
        on_late=lambda since_ms: cache.invalidate(start_ms=since_ms),
    )
