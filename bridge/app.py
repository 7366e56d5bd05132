"""The wiring: settings in, a running bridge and its web application out."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bridge.catalog import catalogue
from bridge.engine.engine import Engine
from bridge.ovh.api import OvhApi
from bridge.ovh.inventory import Inventory
from bridge.ovh.labels import LabelCache
from bridge.ovh.token import TokenKeeper
from bridge.sources.erlenmeyer import Erlenmeyer
from bridge.sources.services import ServiceSources
from bridge.sources.upstream import Upstream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from bridge.settings import Settings


@dataclass(frozen=True, slots=True)
class Bridge:
    """The parts of a running bridge.

    Attributes:
        apis: OVHcloud's API, by account name.
        keepers: The vScope token of each service asked for so far, by service name.
    """

    settings: Settings
    engine: Engine
    inventory: Inventory
    apis: Mapping[str, OvhApi]
    keepers: Mapping[str, TokenKeeper] = field(default_factory=dict)


@contextlib.asynccontextmanager
async def open_bridge(settings: Settings) -> AsyncIterator[Bridge]:
    """Open the connections of a bridge, without starting to poll.

    Call ``bridge.inventory.poll()`` or run ``bridge.inventory.run()`` to learn what there is.
    """
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
    keepers: dict[str, TokenKeeper] = {}
    labels = LabelCache(lambda: inventory.snapshot)

    def services() -> list[str]:
        known = inventory.snapshot.services.values()
        return [service.name for service in known if service.state != "expired"]

    def open_source(service: str) -> Erlenmeyer:
        account = inventory.snapshot.services[service].account
        keeper = TokenKeeper(
            apis[account],
            service,
            user=accounts[account].metrics_user,
            allowed_hosts=settings.metrics_hosts,
        )
        keepers[service] = keeper
        return Erlenmeyer(
            f"OVHcloud's history of {service}", upstream, keeper, clock=time.monotonic
        )

    engine = Engine(
        ServiceSources(services, open_source),
        catalogue(diskspace_unit=settings.diskspace_unit),
        labels.current,
        source_step_ms=settings.source_step_s * 1000,
        max_points=settings.max_points,
        max_series=settings.max_series,
    )
    try:
        yield Bridge(settings, engine, inventory, apis, keepers)
    finally:
        await asyncio.gather(upstream.close(), *(api.close() for api in apis.values()))
