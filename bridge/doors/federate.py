"""``GET /federate``: the live data for Prometheus, Mimir, VictoriaMetrics and their kind.

Answers are made once for each reading of the services asked for, and given again until the
next one: two Prometheus servers, or one in a hurry, cost nothing.
"""

from __future__ import annotations

import asyncio
import gzip
from types import MappingProxyType
from typing import TYPE_CHECKING

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
from bridge.errors import BadRequestError, UnavailableError
from bridge.offload import in_slices
from bridge.ovh.exposed import blocks, is_fresh
from bridge.ovh.families import FAMILIES, IDENTITY

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from starlette.requests import Request
    from starlette.routing import Route

    from bridge.doors.doorway import Doorway
    from bridge.ovh.objects import ServiceInventory, Snapshot

PARAMETERS = ("service", "kind")

#: About how many samples a kind has for each object, to tell long work from short.
_SAMPLES = 32

_NO_HEADERS: Mapping[str, str] = MappingProxyType({})


def routes(doorway: Doorway) -> list[Route]:
    """Return ``/federate``."""

    async def federate(request: Request) -> Response:
        """Show the live data of all services, or of some, of all kinds of object, or of some."""
        _refuse_unknown(request.query_params.keys())
        services = _services(doorway.snapshot(), _named(request, "service"))
        kinds = _kinds(_named(request, "kind"))
        openmetrics = likes_openmetrics(",".join(request.headers.getlist("accept")))
        key = ("federate", openmetrics, kinds, tuple(map(_edition, services)))
        finished = await doorway.answers.get(
            key, lambda: _answer(doorway, services, kinds, openmetrics=openmetrics)
        )
        headers = {
            "Content-Type": OPENMETRICS_TYPE if openmetrics else TEXT_TYPE,
            "Cache-Control": "no-store",
            "Vary": "Accept, Accept-Encoding",
        }
        if accepts_gzip(request.headers):
            return Response(finished.body, headers={**headers, "Content-Encoding": "gzip"})
        return Response(await asyncio.to_thread(gzip.decompress, finished.body), headers=headers)

    return both("/federate", federate, ["GET"])


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
