"""The inventory of all accounts, polled in the background and shared by everyone.

Accounts do not wait for each other: each has its own loop, interval and back-off, as each
has its own rate limit. After every poll of a service a new snapshot takes the old one's
place in one assignment.
"""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

import structlog

from bridge.ovh.errors import Call, OvhError, OvhRateLimitedError, broke, gist
from bridge.ovh.grid import next_start, stretched_s
from bridge.ovh.objects import Poll, ServiceInventory, Snapshot
from bridge.ovh.poll import SLOW_S, ServicePoller
from bridge.ovh.reader import HOPELESS
from bridge.ovh.together import together

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bridge.ovh.api import OvhApi
    from bridge.ovh.throttle import Clock, Sleep
    from bridge.settings import Account

SHARE = 0.75
"""Part of an account's rate limit that polling may use; the rest is for tokens and retries."""
FIRST_RETRY_S = 5.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class AccountState:
    """How reading one account goes.

    Attributes:
        name: The account's name in the settings.
        endpoint: OVHcloud region, ``ovh-eu``, or the address that stands in for it.
        problem: Why its services cannot be listed, None when they can.
        attempted: Whether that has been tried yet.
        services: How many services it shows.
        interval_s: Seconds between two polls.
    """

    name: str
    endpoint: str
    problem: str | None
    attempted: bool
    services: int
    interval_s: float


class AccountPoller:
    """Polls all services of one account.

    Args:
        account: Settings of the account.
        api: Its API.
        poll_interval_s: Wanted seconds between the starts of two polls.
        publish: Called whenever a service has changed.
        tell: Called after every attempt to read a service.
        clock: Epoch seconds.
    """

    def __init__(
        self,
        account: Account,
        api: OvhApi,
        *,
        poll_interval_s: float,
        publish: Callable[[], None],
        tell: Callable[[Poll], None],
        clock: Clock,
    ) -> None:
        self.account = account
        self.interval_s = poll_interval_s
        self.problem: str | None = None
        self.services: dict[str, ServicePoller] = {}
        self.attempted = False
        self.polled = False
        self._api = api
        self._wanted_interval_s = poll_interval_s
        self._publish = publish
        self._tell = tell
        self._clock = clock
        # Not all bridges of the world at the same second.
        self._phase = random.uniform(0.25, 0.75)  # noqa: S311 -- nothing to guess here
        self._listed_at: float | None = None
        self._failures = 0
        self._retry_after_s = 0.0
        self._said_stretched = False
        self._polling = asyncio.Lock()

    async def poll(self) -> None:
        """Read the list of services when due, then every service, all at once."""
        async with self._polling:
            calls = self._api.calls
            await self._list_services()
            await together(*(self._poll(poller) for poller in tuple(self.services.values())))
            self._stretch(self._api.calls - calls)
            states = {poller.inventory.state for poller in self.services.values()}
            well = self.problem is None and (not states or bool(states - {"failed", "warming"}))
            self._failures = 0 if well else self._failures + 1
            self.attempted = True
            self.polled = self.polled or well

    def pause_s(self, started_at: float) -> float:
        """Return how long to wait after a poll: shorter while nothing works yet.

        Args:
            started_at: When it started, epoch seconds.
        """
        now = self._clock()
        if not started_at <= now < started_at + 10 * self.interval_s:
            # The clock was set: what it said at the start says nothing now.
            started_at = now
        pause = next_start(started_at, now, self.interval_s, self._phase) - now
        if self._failures:
            pause = min(pause, FIRST_RETRY_S * 2.0 ** min(self._failures - 1, 16))
        return max(pause, self._retry_after_s)

    @property
    def listed(self) -> bool:
        """Whether the names of its services are known."""
        return self._listed_at is not None

    def fail(self, problem: str) -> None:
        """Note a failure outside of OVHcloud's answers."""
        self.problem = problem
        self.attempted = True
        self._failures += 1

    async def _list_services(self) -> None:
        self._retry_after_s = 0.0
        due = self._listed_at is None or not 0 <= self._clock() - self._listed_at < SLOW_S
        if not due and self.problem is None:
            return
        try:
            names = await self._names()
        except OvhError as error:
            self._listing_failed(error)
            return
        self.problem = None
        self._listed_at = self._clock()
        self.services = {
            name: self.services.get(name)
            or ServicePoller(self._api, self.account.name, name, clock=self._clock)
            for name in names
        }
        self._publish()

    async def _names(self) -> tuple[str, ...]:
        if self.account.services:
            return self.account.services
        path = "/dedicatedCloud"
        names = await self._api.get(path)
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise broke(Call("GET", path), "a list of service names was expected")
        return tuple(sorted(filter(None, names)))

    def _listing_failed(self, error: OvhError) -> None:
        if gist(self.problem) != gist(error.message):
            log.warning("account_failed", account=self.account.name, reason=error.message)
        self.problem = error.message
        if isinstance(error, OvhRateLimitedError):
            self._retry_after_s = float(error.retry_after)
        if isinstance(error, HOPELESS):
            for poller in self.services.values():
                poller.fail(error.message)
            self._publish()

    async def _poll(self, poller: ServicePoller) -> None:
        started_at = self._clock()
        # With a broken credential or no way to OVHcloud one call has shown it.
        if self.problem is None or poller.inventory.problem != self.problem:
            before = poller.inventory
            await poller.poll()
            if poller.inventory is not before:
                self._publish()
        self._tell(Poll(poller.inventory, started_at, self.interval_s))

    def _stretch(self, calls: int) -> None:
        """Poll less often when a poll needs more calls than its share of the limit."""
        needed_s = 60.0 * calls / (self.account.calls_per_minute * SHARE)
        self.interval_s = stretched_s(self._wanted_interval_s, needed_s)
        if self.interval_s > self._wanted_interval_s and not self._said_stretched:
            self._said_stretched = True
            log.warning(
                "poll_interval_stretched",
                account=self.account.name,
                calls=calls,
                calls_per_minute=self.account.calls_per_minute,
                interval_s=round(self.interval_s),
                wanted_s=round(self._wanted_interval_s),
            )


class Inventory:
    """Everything OVHcloud shows now.

    Args:
        accounts: By name, settings and API of each; where two accounts show the same
            service, the first one's view is taken.
        poll_interval_s: Wanted seconds between two polls.
        clock: Epoch seconds.
        sleep: Coroutine that waits, in seconds.
    """

    def __init__(
        self,
        accounts: Mapping[str, tuple[Account, OvhApi]],
        *,
        poll_interval_s: float,
        clock: Clock = time.time,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._wanted_interval_s = poll_interval_s
        self._snapshot = Snapshot()
        self._polled = asyncio.Event()
        self._listeners: list[Callable[[Poll], None]] = []
        self._pollers = tuple(
            AccountPoller(
                account,
                api,
                poll_interval_s=poll_interval_s,
                publish=self._publish,
                tell=self._tell,
                clock=clock,
            )
            for account, api in accounts.values()
        )

    @property
    def snapshot(self) -> Snapshot:
        """What is known at this moment; immutable, empty before the first poll."""
        return self._snapshot

    @property
    def interval_s(self) -> float:
        """Seconds between two polls, stretched where the rate limit demands it."""
        return max((poller.interval_s for poller in self._pollers), default=self._wanted_interval_s)

    def accounts(self) -> tuple[AccountState, ...]:
        """Return how reading each account goes, in the order of the settings."""
        return tuple(
            AccountState(
                poller.account.name,
                poller.account.api_url or poller.account.endpoint,
                poller.problem,
                poller.attempted,
                len(poller.services),
                poller.interval_s,
            )
            for poller in self._pollers
        )

    def problems(self) -> tuple[str, ...]:
        """Return what is wrong now, as sentences that name the account or service."""
        found = [
            f'account "{poller.account.name}": {poller.problem}'
            for poller in self._pollers
            if poller.problem is not None
        ]
        found += [
            f"{service.name} is {service.state}: {service.problem}"
            for service in self._snapshot.services.values()
            if service.problem is not None
        ]
        return tuple(found)

    def subscribe(self, listener: Callable[[Poll], None]) -> None:
        """Have ``listener`` called after every attempt to read a service, failed ones too.

        It is called in the event loop and must neither block nor raise.
        """
        self._listeners.append(listener)

    async def poll(self) -> None:
        """Make one complete poll of all accounts."""
        await together(*(self._poll(poller) for poller in self._pollers))

    async def run(self) -> None:
        """Poll for ever; nothing but cancellation ends it."""
        await together(*(self._run(poller) for poller in self._pollers))
        # Only without accounts does this line come up.
        await asyncio.Event().wait()

    async def ready(self, timeout_s: float) -> bool:
        """Wait until each account has been tried and at least one has been read.

        Returns:
            Whether that has come about within ``timeout_s`` seconds.
        """
        try:
            async with asyncio.timeout(timeout_s):
                await self._polled.wait()
        except TimeoutError:
            return False
        return True

    async def _run(self, poller: AccountPoller) -> None:
        while True:
            started_at = self._clock()
            await self._poll(poller)
            await self._sleep(poller.pause_s(started_at))

    async def _poll(self, poller: AccountPoller) -> None:
        try:
            await poller.poll()
        except Exception:  # a background loop must outlive a mistake in one poll
            log.exception("poll_failed", account=poller.account.name)
            poller.fail("the last poll ended with an internal error; the log has the details")
        # One broken account must not keep the others' data back.
        if all(each.attempted for each in self._pollers) and any(
            each.polled for each in self._pollers
        ):
            self._polled.set()

    def _publish(self) -> None:
        services: dict[str, ServiceInventory] = {}
        for poller in self._pollers:
            for name, service in poller.services.items():
                services.setdefault(name, service.inventory)
        self._snapshot = Snapshot(
            services=MappingProxyType(dict(sorted(services.items()))),
            version=self._snapshot.version + 1,
            unlisted=tuple(one.account.name for one in self._pollers if not one.listed),
        )

    def _tell(self, poll: Poll) -> None:
        shown = self._snapshot.services.get(poll.service.name)
        # Of a service that two accounts show, the first one's view counts.
        if shown is not None and shown.account == poll.service.account:
            for listener in self._listeners:
                listener(poll)
