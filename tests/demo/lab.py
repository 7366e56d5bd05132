"""A shelf of given series, and the series behind the recorded answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from starlette.applications import Starlette
from starlette.routing import Route

from bridge.demo.erlenmeyer.front import PREFIX, Erlenmeyer, not_found
from bridge.demo.erlenmeyer.request import CrashError
from bridge.demo.shelf import FetchLimitError, Name, StoredSeries, selected
from bridge.demo.warp10.front import PREFIX as WARP10
from bridge.demo.warp10.front import Warp10

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from bridge.demo.shelf import Selector, Shelf
    from bridge.demo.warp10.versions import Limits, Version

READ_TOKEN = "READTOKEN.read_token-0001"
DENIED_TOKEN = "DENIEDTOKEN.0001"
EXPIRED_TOKEN = "EXPIREDTOKEN.0001"
T0 = 1_700_000_100


class ListShelf:
    """Holds series in memory."""

    def __init__(self, series: Iterable[StoredSeries]) -> None:
        self.series = tuple(series)

    def _matching(self, metric: Selector, labels: Mapping[str, Selector]) -> list[StoredSeries]:
        return [
            series
            for series in self.series
            if metric.matches(series.name.metric) and selected(series.name.labels, labels)
        ]

    def names(self, metric: Selector, labels: Mapping[str, Selector]) -> Sequence[Name]:
        return [series.name for series in self._matching(metric, labels)]

    def select(
        self,
        metric: Selector,
        labels: Mapping[str, Selector],
        start_us: int,
        end_us: int,
        limit: int,
    ) -> Sequence[StoredSeries]:
        found = []
        for series in self._matching(metric, labels):
            keep = (series.stamps_us >= start_us) & (series.stamps_us <= end_us)
            if keep.any():
                found.append(StoredSeries(series.name, series.stamps_us[keep], series.values[keep]))
        if sum(len(series.values) for series in found) > limit:
            raise FetchLimitError
        return found

    def last(self, metric: Selector, labels: Mapping[str, Selector]) -> Sequence[StoredSeries]:
        return [
            StoredSeries(series.name, series.stamps_us[-1:], series.values[-1:])
            for series in self._matching(metric, labels)
        ]


class BrokenShelf(ListShelf):
    """Fails every time: the backend is down, or a limit is reached."""

    def __init__(self, error: type[Exception]) -> None:
        super().__init__(())
        self._error = error

    def _matching(self, metric: Selector, labels: Mapping[str, Selector]) -> list[StoredSeries]:
        del metric, labels
        raise self._error


def series(
    metric: str, labels: Mapping[str, str], points: Iterable[tuple[float, float]]
) -> StoredSeries:
    """Build a series; stamps in seconds."""
    pairs = sorted(points)
    return StoredSeries(
        Name(metric, dict(labels)),
        np.array([round(stamp * 1e6) for stamp, _ in pairs], dtype=np.int64),
        np.array([value for _, value in pairs], dtype=np.float64),
    )


def _steps(numbers: Iterable[int], first: float) -> list[tuple[float, float]]:
    return [(T0 + 300 * number, first + number) for number in numbers]


#: What the captures made with real Warp 10 were recorded from (read off the raw ones).
LAB = (
    series("lab.cap", {"datacenter": "d1", "vm": "vm-1"}, _steps(range(12), 10)),
    series("lab.cap", {"datacenter": "d1", "vm": "vm-2"}, _steps(range(5), 20)),
    series("lab.cap", {"datacenter": "d1", "vm": "vm-3"}, _steps([0, 1, 2, 8, 9, 10, 11], 30)),
    *(
        series("lab.ip", {"host": host}, [(T0, 1.0)])
        for host in ("172.17.86.51", "172.17.86.52", "172.18.86.51")
    ),
    series("lab.counter", {"vm": "vm-1"}, _steps(range(3), 1)),
    series("lab.many", {"vm": "vm-1"}, _steps(range(3), 1)),
    series("lab.five", {"vm": "vm-1"}, _steps(range(3), 1)),
)
#: The data of OVHcloud's OpenTSDB guide, behind the captures made with a stand-in.
GUIDE = tuple(
    series(
        "sys.cpu.nice",
        {"host": host, "dc": "lga"},
        zip((1346846400, 1346846800, 1346847000, 1346847000.005), values, strict=True),
    )
    for host, values in (("web01", (18, 19, 20, 19)), ("web02", (9, 8, 7, 10)))
)
SHELVES: Mapping[str, ListShelf] = {
    "lab": ListShelf(LAB),
    "guide": ListShelf(GUIDE),
    "down": BrokenShelf(CrashError),
    "limit": BrokenShelf(FetchLimitError),
}


class LabTokens:
    """One token may read, one is deny-listed, one has expired."""

    def may_read(self, token: str) -> bool:
        return token == READ_TOKEN

    def denied(self, token: str) -> bool:
        return token == DENIED_TOKEN

    def expired(self, token: str) -> bool:
        return token == EXPIRED_TOKEN


def erlenmeyer_app(
    shelf: Shelf, clock: Callable[[], float], *, error_letter: str = "i"
) -> Starlette:
    """Return just the OpenTSDB front end, over ``shelf``."""
    front = Erlenmeyer(shelf, LabTokens(), clock, error_letter=error_letter)

    async def other(request: Request) -> Response:
        del request
        return not_found()

    methods = ["GET", "POST", "PUT", "DELETE", "OPTIONS"]
    return Starlette(
        routes=[
            Route(PREFIX, front.answer, methods=methods),
            Route(f"{PREFIX}/{{path:path}}", front.answer, methods=methods),
            Route("/{path:path}", other, methods=methods),
        ]
    )


def warp10_app(
    shelf: Shelf, *, version: Version = "2.11.1", limits: Limits | None = None
) -> Starlette:
    """Return just Warp 10, over ``shelf``."""
    front = Warp10(shelf, LabTokens(), version=version, limits=limits, application="lab")
    return Starlette(
        routes=[Route(f"{WARP10}/{{path:path}}", front.answer, methods=["GET", "POST"])]
    )
