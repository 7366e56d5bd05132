"""The wiring: settings in, a running bridge and its web application out."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from bridge.catalog import catalogue
from bridge.doors import annotations as annotations_door
from bridge.doors import (
    federate,
    measure,
    openapi,
    opentsdb,
    operations,
    query,
    rows,
    simplejson,
    simpod,
)
from bridge.doors.auth import Admission, AuthMiddleware
from bridge.doors.compression import CompressionMiddleware
from bridge.doors.doorway import Doorway, Limits
from bridge.doors.finished import finished_answers
from bridge.doors.guard import GuardMiddleware
from bridge.doors.headers import HeadersMiddleware
from bridge.doors.http import EXCEPTION_HANDLERS
from bridge.doors.measure import MeasureMiddleware
from bridge.doors.page import Site
from bridge.doors.parts import PartsMiddleware
from bridge.doors.traffic import TrafficMiddleware
from bridge.engine.cache import SeriesCache
from bridge.engine.engine import Engine
from bridge.engine.shelves import Rules
from bridge.overview import Overview
from bridge.ovh.api import OvhApi
from bridge.ovh.expiry import ExpiryWatch
from bridge.ovh.inventory import Inventory
from bridge.ovh.labels import LabelCache
from bridge.ovh.token import TokenKeeper
from bridge.recordings import Recordings, opentsdb_of, recordings_of
from bridge.settings import SettingsError
from bridge.sources.merged import MergedSources
from bridge.sources.offered import ovhcloud_history
from bridge.sources.opentsdb_store import stored
from bridge.sources.ovhcloud import OvhCloud
from bridge.sources.recorded import recorded
from bridge.sources.services import ServiceSources
from bridge.sources.upstream import Upstream
from bridge.telemetry import BridgeCollector, LoopLag, new_registry

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from bridge.chores import Chores
    from bridge.model import Source
    from bridge.ovh.recorder import Recorder
    from bridge.recording import RecordingKeeper
    from bridge.settings import Settings
    from bridge.sources.history import History
    from bridge.sources.opentsdb_store import OpenTsdbStore

#: Seconds for which settled data of a store that several bridges write to are kept.
SHARED_KEEP_S = 600.0
#: Collections of younger objects before Python looks for cycles among the oldest (``gc``).
FULL_COLLECTION = 100


@dataclass(frozen=True, slots=True)
class Bridge:
    """The parts of a bridge.

    Attributes:
        apis: OVHcloud's API, by account name.
        keepers: The vScope token of each service asked for so far, by service name.
        histories: OVHcloud's history of each of them.
        history: The recording; None without a folder for it, or without files in it where
            another store is recorded into.
        store: That store, an OpenTSDB.
        recorder: Writes to either.
        recording: Keeps that one open.
        earlier: Keeps the recording open that was made before the store.
        chores: Work on ``history`` that a person starts.
        expiries: When each account's credential expires, by its name; known while it records.
    """

    settings: Settings
    engine: Engine
    inventory: Inventory
    upstream: Upstream
    cache: SeriesCache
    apis: Mapping[str, OvhApi]
    keepers: Mapping[str, TokenKeeper]
    histories: Mapping[str, OvhCloud]
    history: History | None = None
    store: OpenTsdbStore | None = None
    recorder: Recorder | None = None
    recording: RecordingKeeper | None = None
    earlier: RecordingKeeper | None = None
    chores: Chores | None = None
    expiries: Mapping[str, ExpiryWatch] = field(default_factory=dict)

    def readiness(self) -> tuple[bool, tuple[str, ...]]:
        """Tell whether questions can be answered, and what is wrong, in words."""
        services = self.inventory.snapshot.services.values()
        reasons = [*self.inventory.problems()]
        if not reasons and all(service.state == "warming" for service in services):
            reasons.append("the inventory is being read for the first time")
        reasons += [
            f"{name}: OVHcloud does not offer vScope history; live tables are not affected"
            for name, keeper in self.keepers.items()
            if keeper.state == "not offered"
        ]
        problems = [keeper.problem() for keeper in self.keeping()]
        problems += self.store.problems() if self.store else ()
        reasons += [problem for problem in problems if problem]
        return any(service.state in ("ok", "partial") for service in services), tuple(reasons)

    def keeping(self) -> tuple[RecordingKeeper, ...]:
        """Return what keeps recordings open."""
        return tuple(filter(None, (self.recording, self.earlier)))

    async def close(self) -> None:
        """Close every connection, and the recording."""
        await self.cache.close()
        await asyncio.gather(self.upstream.close(), *(api.close() for api in self.apis.values()))
        for keeper in self.keeping():
            await keeper.close()


def build_bridge(settings: Settings) -> Bridge:
    """Connect the parts, without any I/O."""
    accounts = {account.name: account for account in settings.accounts}
    apis = {
        name: OvhApi(account, proxy=settings.proxy, ca_file=settings.ca_file)
        for name, account in accounts.items()
    }
    inventory = Inventory(
        {name: (account, apis[name]) for name, account in accounts.items()},
        poll_interval_s=settings.poll_interval_s,
    )
    upstream = Upstream(
        concurrency=settings.upstream_concurrency,
        timeout_s=settings.deadline_s * 0.9,
        proxy=settings.proxy,
        ca_file=settings.ca_file,
    )
    cache = SeriesCache(
        Rules(
            settle_s=max(settings.cache_settle_s, 2.0 * settings.source_step_s),
            tail_s=settings.cache_tail_s,
            keep_s=settled_s(settings),
            stale_s=settings.cache_stale_s,
        ),
        max_bytes=settings.cache_mb << 20,
    )
    keepers: dict[str, TokenKeeper] = {}
    histories: dict[str, OvhCloud] = {}
    sources: dict[str, Source] = {}

    servers: list[Source] = []

    def upstreams() -> list[Source]:
        ovhcloud.each()
        # As they are: what is copied once need not be remembered.
        return [*servers, *histories.values()]

    expiries: dict[str, ExpiryWatch] = {}
    metrics = catalogue(diskspace_unit=settings.diskspace_unit)
    labels = LabelCache(lambda: inventory.snapshot)
    if settings.opentsdb_url is not None:
        servers.append(opentsdb_of(settings, upstream))
    kept = Recordings()
    if settings.history_dir is not None:
        folder = settings.history_dir
        expiries = {name: ExpiryWatch(api, clock=time.time) for name, api in apis.items()}
        kept = recordings_of(settings, folder, cache, metrics, expiries, servers, upstreams)
        if kept.recorder is not None:
            recorder = kept.recorder
            labels = LabelCache(lambda: inventory.snapshot, lambda: recorder.eras)
            if settings.record:
                inventory.subscribe(recorder.hear)

    def services() -> list[str]:
        known = inventory.snapshot.services.values()
        return [service.name for service in known if service.state != "expired"]

    def open_source(service: str) -> Source:
        account = inventory.snapshot.services[service].account
        keepers[service] = TokenKeeper(
            apis[account],
            service,
            user=accounts[account].metrics_user,
            allowed_hosts=settings.metrics_hosts,
        )
        histories[service] = OvhCloud(
            service,
            upstream,
            keepers[service],
            protocol=settings.protocol,
            clock=time.monotonic,
        )
        return cache.wrap(histories[service])

    if kept.history is not None:
        sources["recording"] = recorded(kept.history, metrics, good_s=settings.cache_tail_s)
    if servers:
        source: Source = cache.wrap(servers[0])
        if settings.record_into == "opentsdb":
            source = stored(source, metrics, kept.store.late_ms if kept.store else lambda: None)
        sources["opentsdb"] = source
    ovhcloud = ServiceSources(services, open_source)
    if accounts:
        sources["ovhcloud"] = ovhcloud_history(ovhcloud, metrics)

    engine = Engine(
        _one_of(
            [sources[name] for name in settings.history_order if name in sources],
            lambda name: metrics[name].labels if name in metrics else (),
        ),
        metrics,
        labels.current,
        source_step_ms=settings.source_step_s * 1000,
        max_points=settings.max_points,
        max_series=settings.max_series,
        any_metric=settings.opentsdb_url is not None,
    )
    return Bridge(
        settings,
        engine,
        inventory,
        upstream,
        cache,
        apis,
        keepers,
        histories,
        kept.history,
        kept.store,
        kept.recorder,
        kept.recording,
        kept.earlier,
        kept.chores,
        expiries,
    )


def settled_s(settings: Settings) -> float:
    """Return for how long settled data are kept, in seconds.

    Points that another bridge sent late are met when these are read once more.
    """
    if settings.record_into == "opentsdb" and "cache_keep_s" not in settings.model_fields_set:
        return min(settings.cache_keep_s, SHARED_KEEP_S)
    return settings.cache_keep_s


def _one_of(sources: Sequence[Source], identity: Callable[[str], tuple[str, ...]]) -> Source:
    """Make one history of the sources there are, strongest first.

    Raises:
        SettingsError: There is none.
    """
    if not sources:
        raise SettingsError(["history_order: names no source that is configured"])
    return sources[0] if len(sources) == 1 else MergedSources(sources, identity)


@contextlib.asynccontextmanager
async def open_bridge(settings: Settings) -> AsyncIterator[Bridge]:
    """Build a bridge and close it in the end.

    Nothing is read yet: call ``inventory.poll()``, or run ``inventory.run()``.
    """
    bridge = build_bridge(settings)
    try:
        yield bridge
    finally:
        await bridge.close()


def create_app(settings: Settings, *, admission: Admission | None = None) -> Starlette:
    """Build the web application; its lifespan polls and records in the background.

    Args:
        settings: Everything.
        admission: Who may ask, where that changes while the bridge runs; else it is what
            the settings say.
    """
    bridge = build_bridge(settings)
    registry = new_registry()
    registry.register(BridgeCollector(bridge))
    lag = LoopLag(registry)
    answers = finished_answers(settings.answers_mb << 20)
    bridge.cache.watch(answers.forget)
    doorway = Doorway(
        bridge.engine,
        lambda: bridge.inventory.snapshot,
        Limits.from_settings(settings),
        answers=answers,
    )
    federation = federate.Federation(doorway)
    bridge.inventory.subscribe(federation.hear)
    site = Site(doorway, Overview(bridge).status, answer_s=0.9 * settings.deadline_s)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        recording = [keeper.run() for keeper in bridge.keeping()]
        work = (bridge.inventory.run(), lag.run(), *recording)
        running = [asyncio.create_task(one) for one in work]
        # What lives as long as the process need not be walked at every collection, and the
        # rest of what is old not as often as usual: that holds up the event loop.
        gc.collect()
        gc.freeze()
        thresholds = gc.get_threshold()
        gc.set_threshold(*thresholds[:2], FULL_COLLECTION)
        try:
            yield
        finally:
            for task in running:
                task.cancel()
            # All of them: what still runs must not meet closed connections.
            await asyncio.gather(*running, answers.close(), return_exceptions=True)
            await bridge.close()
            gc.set_threshold(*thresholds)
            gc.unfreeze()

    app = Starlette(
        routes=[
            *query.routes(doorway),
            *operations.routes(bridge.readiness, site.home),
            *site.routes(),
            *measure.routes(registry),
            *openapi.routes(),
            *simplejson.routes(doorway),
            *simpod.routes(doorway),
            *annotations_door.routes(doorway),
            *opentsdb.routes(doorway),
            *rows.routes(doorway),
            *federation.routes(),
        ],
        middleware=[
            Middleware(PartsMiddleware),
            Middleware(MeasureMiddleware, registry=registry),
            Middleware(HeadersMiddleware, hsts_s=settings.hsts_s),
            Middleware(GuardMiddleware, deadline_s=settings.deadline_s),
            *_compression(settings.compress_min_bytes),
            Middleware(
                TrafficMiddleware,
                per_minute=settings.client_requests_per_minute,
                running=settings.max_running,
                waiting=settings.max_waiting,
            ),
            *_cors(settings.cors_origins),
            Middleware(AuthMiddleware, admission=admission or Admission(settings.credentials)),
        ],
        exception_handlers=EXCEPTION_HANDLERS,
        lifespan=lifespan,
    )
    # A redirect would lead to whatever host the client has named.
    app.router.redirect_slashes = False
    return app


def _compression(min_bytes: int) -> list[Middleware]:
    return [Middleware(CompressionMiddleware, min_bytes=min_bytes)] if min_bytes else []


def _cors(origins: Sequence[str]) -> list[Middleware]:
    """Answer browsers that ask from pages of these origins (reference: grafana 1.5)."""
    if not origins:
        return []
    return [
        Middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_methods=["GET", "POST"],
            allow_headers=[
                "Authorization",
                "Content-Type",
                "X-Grafana-Org-Id",
                "X-Grafana-Device-Id",
            ],
            allow_credentials=True,
            expose_headers=["Warning", "X-Request-Id"],
        )
    ]
