"""The wiring: settings in, a running bridge and its web application out."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from bridge.catalog import catalogue
from bridge.chores import Chores
from bridge.control import serve_control
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
from bridge.doors.traffic import TrafficMiddleware
from bridge.engine.cache import SeriesCache
from bridge.engine.engine import Engine
from bridge.engine.shelves import Rules
from bridge.overview import Overview
from bridge.ovh.api import OvhApi
from bridge.ovh.expiry import ExpiryWatch
from bridge.ovh.inventory import Inventory
from bridge.ovh.labels import LabelCache
from bridge.ovh.recorder import Recorder
from bridge.ovh.token import TokenKeeper
from bridge.recording import RecordingKeeper
from bridge.settings import SettingsError
from bridge.sources.history import History, Retention
from bridge.sources.merged import MergedSources
from bridge.sources.offered import ovhcloud_history
from bridge.sources.opentsdb import OpenTsdb
from bridge.sources.ovhcloud import OvhCloud
from bridge.sources.recorded import recorded
from bridge.sources.services import ServiceSources
from bridge.sources.upstream import Upstream
from bridge.telemetry import BridgeCollector, LoopLag, new_registry

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence
    from pathlib import Path

    from bridge.model import Source
    from bridge.settings import Settings


@dataclass(frozen=True, slots=True)
class Bridge:
    """The parts of a bridge.

    Attributes:
        apis: OVHcloud's API, by account name.
        keepers: The vScope token of each service asked for so far, by service name.
        histories: OVHcloud's history of each of them.
        history: The recording; None without a folder for it.
        recorder: Writes to it.
        recording: Keeps it open.
        expiries: When each account's credential expires, by its name; known while it records.
        chores: Work on it that a person starts.
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
    recorder: Recorder | None = None
    recording: RecordingKeeper | None = None
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
        problem = self.recording.problem() if self.recording else None
        reasons += [problem] if problem else []
        return any(service.state in ("ok", "partial") for service in services), tuple(reasons)

    async def close(self) -> None:
        """Close every connection, and the recording."""
        await self.cache.close()
        await asyncio.gather(self.upstream.close(), *(api.close() for api in self.apis.values()))
        if self.recording is not None:
            await self.recording.close()


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
            keep_s=settings.cache_keep_s,
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

    history = recorder = recording = chores = None
    expiries: dict[str, ExpiryWatch] = {}
    metrics = catalogue(diskspace_unit=settings.diskspace_unit)
    labels = LabelCache(lambda: inventory.snapshot)
    if settings.history_dir is not None:
        history = _recording_of(settings, settings.history_dir)
        expiries = {name: ExpiryWatch(api, clock=time.time) for name, api in apis.items()}
        recorder = Recorder(history, history, expiries)
        chores = Chores(history, settings.history_dir, metrics, upstreams, cache.invalidate)
        control = functools.partial(serve_control, chores, settings.history_dir)
        recording = RecordingKeeper(history, recorder, control)
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

    if history is not None:
        sources["recording"] = recorded(history, metrics, good_s=settings.cache_tail_s)
    if settings.opentsdb_url is not None:
        servers.append(
            OpenTsdb(
                upstream,
                settings.opentsdb_url,
                user=settings.opentsdb_user,
                password=settings.opentsdb_password,
                token=settings.opentsdb_token,
                clock=time.monotonic,
            )
        )
        sources["opentsdb"] = cache.wrap(servers[0])
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
        history,
        recorder,
        recording,
        chores,
        expiries,
    )


def _recording_of(settings: Settings, folder: Path) -> History:
    kept = Retention(settings.history_raw_days, settings.history_10m_days, settings.history_1h_days)
    return History(folder, kept, memory_mb=settings.history_memory_mb)


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
    site = Site(doorway, Overview(bridge).status, answer_s=0.9 * settings.deadline_s)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        recording = [] if bridge.recording is None else [bridge.recording.run()]
        work = (bridge.inventory.run(), lag.run(), *recording)
        running = [asyncio.create_task(one) for one in work]
        # What lives as long as the process need not be walked at every collection.
        gc.collect()
        gc.freeze()
        try:
            yield
        finally:
            for task in running:
                task.cancel()
            # All of them: what still runs must not meet closed connections.
            await asyncio.gather(*running, answers.close(), return_exceptions=True)
            await bridge.close()
            gc.unfreeze()

    return Starlette(
        routes=[
            *operations.routes(bridge.readiness, site.home),
            *site.routes(),
            *measure.routes(registry),
            *openapi.routes(),
            *query.routes(doorway),
            *simplejson.routes(doorway),
            *simpod.routes(doorway),
            *annotations_door.routes(doorway),
            *opentsdb.routes(doorway),
            *rows.routes(doorway),
            *federate.routes(doorway),
        ],
        middleware=[
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
