"""What the page's overview says, gathered from the parts of the bridge.

Nothing but the bridge's own recording is read for it. A part that is added tells about
itself with one more section here.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from bridge.advice import advice_for
from bridge.doors.page.status import (
    Amount,
    Level,
    Link,
    Mark,
    Moment,
    Problem,
    Section,
    Status,
)
from bridge.errors import BridgeError
from bridge.ovh.live import live_rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from bridge.app import Bridge
    from bridge.doors.page.status import Cell
    from bridge.ovh.inventory import AccountState
    from bridge.ovh.objects import ServiceInventory, Snapshot
    from bridge.settings import Settings
    from bridge.sources.history import HistoryStats

#: Seconds that counting what is recorded may take.
_COUNTING_S = 2.0

_SERVICE_LEVELS: Mapping[str, Level] = MappingProxyType(
    {
        "ok": Level.GOOD,
        "warming": Level.WAITING,
        "partial": Level.WARNING,
        "expired": Level.WARNING,
        "failed": Level.BAD,
    }
)
_READABLE = frozenset({"ok", "partial"})
_COUNTED = ("vm", "host", "filer")

#: What the state of a service's vScope token means for its history.
_HISTORY: Mapping[str, tuple[Mark, str]] = MappingProxyType(
    {
        "offered": (Mark("offered", Level.GOOD), "Read when a panel asks."),
        "unknown": (Mark("not asked yet", Level.WAITING), "Asked with the first panel."),
        "not offered": (
            Mark("not offered", Level.NOTE),
            "OVHcloud gives no vScope token for it; asked again daily.",
        ),
        "failed": (
            Mark("failed", Level.WARNING),
            "The token could not be had; asked again in a minute.",
        ),
    }
)


_RECORDING_LEVELS: Mapping[str, Level] = MappingProxyType(
    {
        "recording": Level.GOOD,
        "waiting": Level.WAITING,
        "closed": Level.WARNING,
        "failing": Level.BAD,
    }
)


@dataclass(frozen=True, slots=True)
class Overview:
    """Makes the ``Status`` of a bridge.

    Attributes:
        bridge: Its parts.
    """

    bridge: Bridge

    async def status(self) -> Status:
        """Return the overview of this moment."""
        snapshot = self.bridge.inventory.snapshot
        stats = await self._stats()
        reasons = [*self.bridge.readiness()[1], *(stats.problems if stats else ())]
        problems = tuple(sorted(map(_problem, reasons), key=lambda one: one.level is Level.NOTE))
        counts = _count(snapshot)
        return Status(
            _state(snapshot, problems),
            _summary(snapshot, counts),
            problems,
            (
                _services(snapshot, counts),
                self._recording(stats) if self.bridge.store is None else self._store(),
                self._history(snapshot),
                _accounts(self.bridge.inventory.accounts()),
            ),
        )

    async def _stats(self) -> HistoryStats | None:
        """Count what is recorded; None where that is not known."""
        history, recording = self.bridge.history, self.bridge.recording
        if history is None or recording is None or recording.state == "closed":
            return None
        try:
            async with asyncio.timeout(_COUNTING_S):
                return await history.stats()
        except (BridgeError, TimeoutError):
            return None

    def _recording(self, stats: HistoryStats | None) -> Section:
        columns = ("Folder", "State", "Since", "Newest value", "Series", "Points", "Size")
        settings, recording = self.bridge.settings, self.bridge.recording
        if recording is None:
            hint = "Nothing is recorded: the setting history_dir names no folder."
            return Section("Recording", columns, (), empty=hint)
        mark = Mark(recording.state, _RECORDING_LEVELS[recording.state])
        if not settings.record and recording.state != "closed":
            mark = Mark("only read", Level.NOTE)
        row = (
            str(settings.history_dir),
            mark,
            _moment(stats.first_ms if stats else None),
            _moment(stats.last_ms if stats else None),
            Amount(stats.series if stats else None),
            Amount(stats.points if stats else None),
            Amount(stats.size if stats else None, "bytes"),
        )
        return Section("Recording", columns, (row,))

    def _store(self) -> Section:
        columns = ("Into", "State", "Newest value", "Written", "Waiting", "Refused", "Given up")
        settings, store, recording = self.bridge.settings, self.bridge.store, self.bridge.recording
        if store is None or recording is None:
            return Section("Recording", columns, ())
        state = store.state
        mark = Mark(recording.state, _RECORDING_LEVELS[recording.state])
        if state.problem is not None:
            mark = Mark("waiting for OpenTSDB", Level.BAD)
        elif not settings.record and recording.state != "closed":
            mark = Mark("only read", Level.NOTE)
        row = (
            _server(settings),
            mark,
            _moment(state.written_ms),
            Amount(state.written),
            Amount(state.waiting.points),
            Amount(state.refused),
            Amount(state.given_up),
        )
        return Section("Recording", columns, (row,), note="Points, since the start.")

    def _history(self, snapshot: Snapshot) -> Section:
        rows = tuple(self._origins(snapshot))
        several = len({row[2] for row in rows}) > 1
        return Section(
            "History",
            ("Of", "State", "Comes from", "Meaning"),
            rows,
            note="For each hour of a series, the first that has data counts." if several else "",
            empty="No service is known yet.",
        )

    def _origins(self, snapshot: Snapshot) -> Iterator[tuple[Cell, ...]]:
        """Yield the places history comes from, the strongest first."""
        settings = self.bridge.settings
        recording = self.bridge.earlier or self.bridge.recording
        for source in settings.history_order:
            if source == "recording" and self.bridge.history is not None and recording is not None:
                is_open = recording.state != "closed"
                mark = Mark("open", Level.GOOD) if is_open else Mark("closed", Level.WARNING)
                yield "all services", mark, "the bridge's recording", "Read when a panel asks."
            elif source == "opentsdb" and settings.opentsdb_url is not None:
                place, what = _server(settings), "Read when a panel asks."
                yield "all services", Mark("set", Level.GOOD), place, what
            elif source == "ovhcloud":
                for name in snapshot.services:
                    keeper = self.bridge.keepers.get(name)
                    mark, meaning = _HISTORY[keeper.state if keeper else "unknown"]
                    yield name, mark, "OVHcloud", meaning


def _server(settings: Settings) -> str:
    return f"OpenTSDB at {urlsplit(settings.opentsdb_url or '').netloc}"


def _moment(at_ms: int | None) -> Moment:
    return Moment(None if at_ms is None else at_ms / 1000)


def _problem(reason: str) -> Problem:
    known = advice_for(reason)
    if known is None:
        return Problem(reason)
    return Problem(reason, known.do, Level.NOTE if known.harmless else Level.WARNING)


def _state(snapshot: Snapshot, problems: Iterable[Problem]) -> Mark:
    states = {service.state for service in snapshot.services.values()}
    broken = any(problem.level is not Level.NOTE for problem in problems)
    if states & _READABLE:
        return Mark("Partly working", Level.WARNING) if broken else Mark("Working", Level.GOOD)
    return Mark("Not working", Level.BAD) if broken else Mark("Starting", Level.WAITING)


def _summary(snapshot: Snapshot, counts: Mapping[str, Mapping[str, int]]) -> str:
    if not snapshot.services:
        return "No Hosted Private Cloud service has been read yet."
    total = {kind: sum(of[kind] for of in counts.values()) for kind in _COUNTED}
    return (
        f"{_some(len(snapshot.services), 'service')}: {_some(total['vm'], 'virtual machine')} on "
        f"{_some(total['host'], 'host')}, {_some(total['filer'], 'datastore')}."
    )


def _some(count: int, name: str) -> str:
    return f"{count:,} {name}{'' if count == 1 else 's'}"


def _count(snapshot: Snapshot) -> dict[str, dict[str, int]]:
    """Count the objects that tables show, by service and kind."""
    counts = {name: dict.fromkeys(_COUNTED, 0) for name in snapshot.services}
    for kind in _COUNTED:
        for row in live_rows(snapshot, kind):
            counts[row.service.name][kind] += 1
    return counts


def _services(snapshot: Snapshot, counts: Mapping[str, Mapping[str, int]]) -> Section:
    rows = tuple(
        tuple(_service_cells(service, counts[service.name]))
        for service in snapshot.services.values()
    )
    columns = ("Service", "State", "Last read", "Machines", "Hosts", "Datastores", "Name")
    return Section("Services", columns, rows, empty="No service has been read yet.")


def _service_cells(service: ServiceInventory, counts: Mapping[str, int]) -> Iterator[Cell]:
    seen = service.service
    yield Link(service.name, "live", {"kind": "service", "service": service.name})
    yield Mark(service.state, _SERVICE_LEVELS.get(service.state, Level.WARNING))
    yield Moment(service.polled_at)
    for kind in _COUNTED:
        yield Link(f"{counts[kind]:,}", "live", {"kind": kind, "service": service.name})
    yield seen.value.description if seen else ""


def _accounts(accounts: Iterable[AccountState]) -> Section:
    rows = tuple(
        (
            account.name,
            _account_mark(account),
            account.endpoint,
            Amount(account.services),
            Amount(account.interval_s, "s"),
        )
        for account in accounts
    )
    columns = ("Account", "State", "OVHcloud at", "Services", "Read every")
    return Section("Accounts", columns, rows, empty="No account is configured.")


def _account_mark(account: AccountState) -> Mark:
    if account.problem is not None:
        return Mark("failed", Level.BAD)
    return Mark("ok", Level.GOOD) if account.attempted else Mark("warming", Level.WAITING)
