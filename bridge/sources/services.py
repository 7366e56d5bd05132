"""One source over the histories of several services, asked side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import structlog

from bridge.engine.filters import literals
from bridge.errors import UnavailableError
from bridge.model import FilterKind
from bridge.sources.several import ask_all

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from bridge.model import BucketRequest, Buckets, PointRequest, Points, Source, TagFilter

ResultT = TypeVar("ResultT")

_log = structlog.get_logger(__name__)


class ServiceSources:
    """The union of the services' sources; a failing service fails the fetch loudly.

    Unless the request may lack it: then it is told what is missing.

    A fetch that names datacenters asks only the services they belong to (the label is
    ``{serviceName}_datacenter{id}``; reference: ovh 2.1). A service whose history is not
    offered is left out, unless that leaves none.

    Args:
        services: Gives the names of the services there are now; empty while warming up.
        open_source: Makes the source of one service; called once a service.
    """

    def __init__(
        self, services: Callable[[], Sequence[str]], open_source: Callable[[str], Source]
    ) -> None:
        self._services = services
        self._open_source = open_source
        self._sources: dict[str, Source] = {}

    @property
    def name(self) -> str:
        """The source's name, for messages."""
        return "OVHcloud's history"

    def each(self) -> tuple[Source, ...]:
        """Return the source of every service there is now."""
        return tuple(self._source(name) for name in self._services())

    async def buckets(self, request: BucketRequest) -> tuple[Buckets, ...]:
        """Fetch buckets of every service concerned."""
        return await self._gather(
            request.filters, lambda source: source.buckets(request), request.on_missing
        )

    async def points(self, request: PointRequest) -> tuple[Points, ...]:
        """Fetch raw points of every service concerned."""
        return await self._gather(
            request.filters, lambda source: source.points(request), request.on_missing
        )

    async def lookup(
        self, metric: str, filters: tuple[TagFilter, ...]
    ) -> tuple[Mapping[str, str], ...]:
        """List the series of every service concerned; one that fails is only logged."""
        return await self._gather(filters, lambda source: source.lookup(metric, filters), _log_gap)

    async def metric_names(self, start: str, limit: int) -> tuple[str, ...]:
        """List nothing: all of OVHcloud's metrics are in the catalogue."""
        del start, limit
        return ()

    async def _gather(
        self,
        filters: tuple[TagFilter, ...],
        fetch: Callable[[Source], Awaitable[tuple[ResultT, ...]]],
        on_missing: Callable[[str], None] | None,
    ) -> tuple[ResultT, ...]:
        names = self._concerned(filters)
        if not names:
            raise UnavailableError(
                "no service of OVHcloud's has been read yet; see /readyz for the reason"
            )
        parts = await ask_all([self._source(name) for name in names], fetch, on_missing=on_missing)
        return tuple(item for part in parts for item in part)

    def _source(self, name: str) -> Source:
        if name not in self._sources:
            self._sources[name] = self._open_source(name)
        return self._sources[name]

    def _concerned(self, filters: tuple[TagFilter, ...]) -> list[str]:
        names = list(self._services())
        wanted: set[str] = set()
        for flt in filters:
            if flt.key == "datacenter" and flt.kind is FilterKind.LITERAL_OR:
                wanted |= {label.rpartition("_datacenter")[0] for label in literals(flt)}
        return [name for name in names if name in wanted] or names


def _log_gap(what: str) -> None:
    _log.warning("series_not_listed", reason=what)
