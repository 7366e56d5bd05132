"""``check``: whether OVHcloud gives the bridge all it needs, one line a fact."""

from __future__ import annotations

import time
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import typer

from bridge.app import open_bridge
from bridge.commands.progress import progress
from bridge.commands.rights import missing_rules, reading_rules, token_rules
from bridge.errors import BridgeError, NotOfferedError
from bridge.model import Downsample, FilterKind, Query, TagFilter, Window
from bridge.ovh.errors import OvhNotGrantedError
from bridge.ovh.token import TokenKeeper
from bridge.recordings import opentsdb_of
from bridge.settings import matcher
from bridge.sources.opentsdb_store import PutClient

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from bridge.app import Bridge
    from bridge.ovh.objects import ServiceInventory
    from bridge.settings import Account, Settings
    from bridge.sources.ovhcloud import Protocol

METRIC = "vscope.vm.cpu.usage.perc"
LOOK_BACK_MS = 3_600_000
PROTOCOLS: Mapping[Protocol, str] = MappingProxyType(
    {"warp10": "Warp 10", "opentsdb": "OpenTSDB", "auto": "either"}
)


class Verdict(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    verdict: Verdict
    subject: str
    text: str

    def __str__(self) -> str:
        """Return the line, in columns."""
        return f"{self.verdict:<8} {self.subject:<11} {self.text}"


async def run_check(settings: Settings) -> bool:
    """Print what is found as it is found.

    Returns:
        Whether nothing failed.
    """
    well = True
    async for finding in findings(settings):
        typer.echo(finding)
        well = well and finding.verdict is not Verdict.FAILED
    return well


async def findings(settings: Settings) -> AsyncIterator[Finding]:
    """Check every account, then every service."""
    yield _ok("settings", str(settings.config) if settings.config else "no settings file")
    async with open_bridge(settings) as bridge:
        for account in settings.accounts:
            async for finding in _account(bridge, account):
                yield finding
        async with progress("Reading the inventory"):
            await bridge.inventory.poll()
        if settings.opentsdb_url is not None:
            async for finding in _opentsdb(bridge, settings):
                yield finding
        services = bridge.inventory.snapshot.services.values()
        in_services = {service.problem for service in services}
        for problem in bridge.inventory.problems():
            if not any(text and text in problem for text in in_services):
                yield _failed("services", problem)
        if not services:
            yield _failed("services", "no Hosted Private Cloud service can be seen")
        if settings.record:
            yield _recorded(settings, [service.name for service in services])
        for service in services:
            yield _service(service)
            if service.state not in {"expired", "failed"}:
                async for finding in _history(bridge, service, settings):
                    yield finding


async def _opentsdb(bridge: Bridge, settings: Settings) -> AsyncIterator[Finding]:
    """Check that OpenTSDB answers and, where it is recorded into, that it takes points."""
    server = opentsdb_of(settings, bridge.upstream)
    try:
        async with progress("Asking OpenTSDB"):
            metrics = await server.metric_names("vscope.", 1_000)
            yield _ok("opentsdb", f"answers; {len(metrics)} metrics begin with vscope.")
            if settings.record_into != "opentsdb" or not settings.record:
                return
            learnt = await PutClient(server).learn()
    except BridgeError as error:
        yield _failed("opentsdb", error.message)
        return
    yield _ok("opentsdb", "takes points; none was written")
    if not learnt.known:
        yield _warning("opentsdb", "does not tell its settings (/api/config)")
    for demand in learnt.demands():
        yield _warning("opentsdb", demand)


def _recorded(settings: Settings, services: Sequence[str]) -> Finding:
    """Tell which services this bridge records, and which names in the setting are none."""
    records = matcher(settings.record_services)
    unknown = [one for one in settings.record_services if not any(map(matcher((one,)), services))]
    if unknown and unknown != ["*"]:
        return _warning("recording", f"record_services: no service is called {', '.join(unknown)}")
    recorded = [service for service in services if records(service)]
    into = "OpenTSDB" if settings.record_into == "opentsdb" else "the embedded store"
    return _ok("recording", f"{len(recorded)} of {len(services)} services, into {into}")


async def _account(bridge: Bridge, account: Account) -> AsyncIterator[Finding]:
    """Check that the credential is valid and what it allows."""
    api = bridge.apis[account.name]
    path = "/auth/currentCredential" if account.client_id is None else "/auth/details"
    try:
        async with progress(f"Asking OVHcloud about the credential of {account.name}"):
            answer = await api.get(path)
    except OvhNotGrantedError as error:
        yield _warning("credential", f"{account.name}: {error.message}")
        return
    except BridgeError as error:
        yield _failed("credential", f"{account.name}: {error.message}")
        return
    details: dict[str, Any] = answer if isinstance(answer, dict) else {}
    status = details.get("status", "validated")
    expiry = details.get("expiration")
    until = f"expires {expiry}" if expiry else "does not expire"
    if status != "validated":
        yield _failed("credential", f"{account.name}: OVHcloud says {status}, {until}")
        return
    where = account.api_url or account.endpoint
    yield _ok("credential", f"{account.name}: valid at {where}, {until}")
    granted = details.get("allowedRoutes" if account.client_id else "rules")
    if account.client_id and granted is None:
        yield _ok("rights", f"{account.name}: given by IAM policies, seen in the lines below")
        return
    missing = missing_rules(reading_rules(account.services), granted)
    for rule in missing:
        yield _failed("rights", f"{account.name}: lacks {rule}")
    for service in account.services or ("*",):
        # One of the two names suffices.
        calls = token_rules((service,))
        if missing_rules(calls, granted) == calls:
            text = f"{account.name}: lacks {calls[0]}, needed for OVHcloud's history"
            yield _warning("rights", text)
            break
    else:
        if not missing:
            yield _ok("rights", f"{account.name}: every right is there")


def _service(service: ServiceInventory) -> Finding:
    datacenters = service.datacenters.values()
    stores = len(service.datastores) + sum(len(each.datastores) for each in datacenters)
    text = (
        f"{service.name}: {len(datacenters)} datacenters, "
        f"{sum(len(each.hosts) for each in datacenters)} hosts, "
        f"{sum(len(each.vms) for each in datacenters)} virtual machines, {stores} datastores"
    )
    if service.state == "ok":
        return _ok("service", text)
    verdict = Verdict.WARNING if service.state == "partial" else Verdict.FAILED
    return Finding(verdict, "service", f"{service.name} is {service.state}: {service.problem}")


async def _history(
    bridge: Bridge, service: ServiceInventory, settings: Settings
) -> AsyncIterator[Finding]:
    """Check the vScope token, then that history can be read with it."""
    account = next(each for each in settings.accounts if each.name == service.account)
    keeper = TokenKeeper(
        bridge.apis[account.name],
        service.name,
        user=account.metrics_user,
        allowed_hosts=settings.metrics_hosts,
    )
    try:
        async with progress(f"Asking for the vScope token of {service.name}"):
            token = await keeper.get()
    except NotOfferedError as error:
        yield _warning("token", _about(service, error))
        return
    except BridgeError as error:
        yield _failed("token", _about(service, error))
        return
    endpoints = " and ".join(filter(None, (token.warp_endpoint, token.opentsdb_endpoint)))
    yield _ok("token", f"{service.name}: offered, history at {endpoints}")
    labels = "|".join(each.label for each in service.datacenters.values())
    if not labels:
        return
    now_ms = int(time.time() * 1000)
    query = Query(
        METRIC,
        Window(now_ms - LOOK_BACK_MS, now_ms),
        downsample=Downsample(settings.source_step_s * 1000, "avg"),
        filters=(TagFilter("datacenter", FilterKind.LITERAL_OR, labels),),
    )
    try:
        async with progress(f"Reading history of {service.name}"):
            answer = await bridge.engine.query(query)
    except BridgeError as error:
        yield _failed("history", _about(service, error))
        return
    text = f"{service.name}: {len(answer.series)} series of {METRIC} in the last hour"
    yield _ok("history", text) if answer.series else _warning("history", text)
    history = bridge.histories.get(service.name)
    if history is not None and history.protocol is not None:
        fallen_back = history.protocol == "opentsdb" and settings.protocol == "auto"
        named = f"{service.name}: {PROTOCOLS[history.protocol]}, because {history.reason}"
        yield _warning("protocol", named) if fallen_back else _ok("protocol", named)


def _about(service: ServiceInventory, error: BridgeError) -> str:
    prefix = f"{service.name}: "
    return prefix + error.message.removeprefix(prefix)


def _ok(subject: str, text: str) -> Finding:
    return Finding(Verdict.OK, subject, text)


def _warning(subject: str, text: str) -> Finding:
    return Finding(Verdict.WARNING, subject, text)


def _failed(subject: str, text: str) -> Finding:
    return Finding(Verdict.FAILED, subject, text)
