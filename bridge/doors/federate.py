"""``GET /federate``: the live data for Prometheus, Mimir, VictoriaMetrics and their kind.

Answers are made once for each reading of the services asked for, and given again until the
next one: two Prometheus servers, or one in a hurry, cost nothing.
"""

from __future__ import annotations

import asyncio
import gzip
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from cachetools import TTLCache
from starlette.responses import Response

from bridge.doors.compression import accepts_gzip, packer
from bridge.doors.exposition import (
    OPENMETRICS_TYPE,
    TEXT_TYPE,
    Exposition,
    likes_openmetrics,
)
from bridge.doors.finished import Finished
from bridge.doors.http import both
from bridge.engine.lexemes import unknown
from bridge.errors import BadRequestError, BridgeError, UnavailableError
from bridge.offload import in_slices
from bridge.ovh.exposed import blocks, is_fresh
from bridge.ovh.families import FAMILIES, IDENTITY

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from starlette.requests import Request
    from starlette.routing import Route

    from bridge.doors.doorway import Doorway
    from bridge.ovh.objects import Poll, ServiceInventory, Snapshot

PARAMETERS = ("service", "kind")

#: About how many samples a kind has for each object, to tell long work from short.
_SAMPLES = 32

#: A question that was asked within so many seconds will be asked again.
LATELY_S = 600.0
_MOST_SCRAPED = 64

_NO_HEADERS: Mapping[str, str] = MappingProxyType({})


class Federation:
    """The door, and the answers it gives.

    What has been scraped lately of a single service is made anew as soon as that service has
    been read, so that no scrape waits for it. (Of many services together it is made when it
    is asked for: each of them is read at a time of its own.)

    Args:
        doorway: The inventory, the limits, what was answered.
    """

    def __init__(self, doorway: Doorway) -> None:
        self._doorway = doorway
        self._scraped: TTLCache[_Asked, None] = TTLCache(_MOST_SCRAPED, LATELY_S, doorway.timer)
        self._making: set[asyncio.Future[Any]] = set()

    def routes(self) -> list[Route]:
        """Return ``/federate``."""
        return both("/federate", self._federate, ["GET"])

    def hear(self, poll: Poll) -> None:
        """Make answers about a service that has just been read; called in the event loop."""
        for asked in list(self._scraped):
            try:
                services = _services(self._doorway.snapshot(), asked.names)
            except BridgeError:
                continue  # who asks will be told
            if [one.name for one in services] == [poll.service.name]:
                making = asyncio.gather(self._finished(services, asked), return_exceptions=True)
                self._making.add(making)
                making.add_done_callback(self._making.discard)

    async def _federate(self, request: Request) -> Response:
        """Show the live data of all services, or of some, of all kinds of object, or of some."""
        _refuse_unknown(request.query_params.keys())
        asked = _Asked(
            _named(request, "service"),
            _kinds(_named(request, "kind")),
            likes_openmetrics(",".join(request.headers.getlist("accept"))),
        )
        services = _services(self._doorway.snapshot(), asked.names)
        finished = await self._finished(services, asked)
        self._scraped[asked] = None
        headers = {
            "Content-Type": OPENMETRICS_TYPE if asked.openmetrics else TEXT_TYPE,
            "Cache-Control": "no-store",
            "Vary": "Accept, Accept-Encoding",
        }
        if accepts_gzip(request.headers):
            return Response(finished.body, headers={**headers, "Content-Encoding": "gzip"})
        return Response(await asyncio.to_thread(gzip.decompress, finished.body), headers=headers)

    async def _finished(self, services: Sequence[ServiceInventory], asked: _Asked) -> Finished:
        key = ("federate", asked.openmetrics, asked.kinds, tuple(map(_edition, services)))
        return await self._doorway.answers.get(
            key,
            lambda: _answer(self._doorway, services, asked.kinds, openmetrics=asked.openmetrics),
        )


class _Asked(NamedTuple):
    """One question: names of services (none for all), kinds, and the format."""

    names: tuple[str, ...]
    kinds: tuple[str, ...]
    openmetrics: bool


async def _answer(
    doorway: Doorway, services: Sequence[ServiceInventory], kinds: tuple[str, ...], *,
    openmetrics: bool,
) -> Finished:  # fmt: skip
    """Write the answer, as gzip: that is how it is asked for, and takes a tenth of the memory."""
    now, max_age = doorway.clock(), doorway.limits.max_live_age_s
    since = now - max_age
    exposition = Exposition([family for family in FAMILIES if family.kind in kinds])

    def steps() -> Iterator[bytes]:
        for service in services:
            for _ in exposition.add(blocks(service, kinds, since=since)):
                yield b""
        packing = packer()
        for part in exposition.text(openmetrics=openmetrics):
            yield packing.compress(part)
        yield packing.flush()

    objects = sum(len(place.vms) for service in services for place in service.datacenters.values())
    parts = await in_slices(steps(), objects * _SAMPLES)
    body = b"".join(parts)
    polled = [
        service.polled_at
        for service in services
        if service.polled_at is not None and is_fresh(service, since=since)
    ]
    oldest = min((*polled, *filter(None, (exposition.oldest,))), default=now)
    started = doorway.timer()
    return Finished(body, _NO_HEADERS, started, started + max(oldest + max_age - now, 0.0))


def _edition(service: ServiceInventory) -> tuple[object, ...]:
    """Return what tells one reading of a service from another."""
    return service.name, service.account, service.state, service.polled_at


def _named(request: Request, name: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(filter(None, request.query_params.getlist(name))))


def _refuse_unknown(names: Iterable[str]) -> None:
    for name in names:
        if name not in PARAMETERS:
            raise BadRequestError(
                unknown("there is no such parameter", name, PARAMETERS), field=name
            )


def _kinds(asked: tuple[str, ...]) -> tuple[str, ...]:
    for kind in asked:
        if kind not in IDENTITY:
            raise BadRequestError(
                unknown(f"there is no kind {kind!r}", kind, IDENTITY), field="kind"
            )
    # The service itself is always told, or nobody would see that its objects are missing.
    return tuple(kind for kind in IDENTITY if not asked or kind in asked or kind == "service")


def _services(snapshot: Snapshot, asked: tuple[str, ...]) -> tuple[ServiceInventory, ...]:
    """Return the services asked for.

    Raises:
        BadRequestError: There is no such service.
        UnavailableError: Nothing of them has been read yet, or it may be one that is not listed.
    """
    known = snapshot.services
    if not known:
        raise UnavailableError("the inventory has not been read yet; see /readyz for the reason")
    for name in asked:
        if name in known:
            continue
        if snapshot.unlisted:
            raise UnavailableError(
                f"the services of the account {snapshot.unlisted[0]!r} are not known yet, so "
                f"{name!r} may be one of them; see /readyz for the reason"
            )
        raise BadRequestError(
            unknown(f"there is no service {name!r}", name, known), field="service"
        )
    services = tuple(known[name] for name in asked) or tuple(known.values())
    if all(service.state == "warming" for service in services):
        raise UnavailableError("the inventory is being read for the first time")
    return services
