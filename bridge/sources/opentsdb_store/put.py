"""Points to OpenTSDB by ``POST /api/put``, until each is stored or refused for good.

Measured on 2.4.1 (default settings and others):

- Any decimal number is stored in eight bytes, so it takes the place of another one of the
  same series and time; a number without a point is stored as an integer, beside it. So
  every value is sent with a point or an exponent.
- Without ``sync`` the answer comes before the point is stored, and a dying TSD loses it.
- ``details`` names each point that is not stored, with the reason; the others are stored.
- gzip is taken by every server, and body limits count what is compressed.
- A body above the limit gets a 400 in HTML, or its connection closed without an answer.
"""

from __future__ import annotations

import asyncio
import zlib
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from bridge.errors import UpstreamError, UpstreamTimeoutError
from bridge.offload import in_slices
from bridge.sources.opentsdb_store.cluster import SAFE_BYTES, ClusterSettings
from bridge.sources.opentsdb_store.names import Names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from bridge.model import PointBatch, SeriesKey
    from bridge.sources.opentsdb import OpenTsdb
    from bridge.sources.upstream import Reply

    #: A point's series and its stamp as it is sent.
    PointId = tuple[str, tuple[tuple[str, str], ...], int]
    Refused = Callable[[PointId, str], None]

#: Points of one request: more gain nothing (docs/performance.md).
POINTS = 500
#: Requests at the same time; the server gathers their points into one flush a second.
CONCURRENCY = 8
#: Seconds for one request. The server gives up a little earlier, and names what is missing.
TIMEOUT_S = 30.0
_SYNC_MS = 25_000
#: What an error says that goes away by itself. "Unexpected exception" stands for failures of
#: HBase and for names that cannot be kept, so it is believed only after some tries.
_PASSING = ("Please throttle", "Write timedout", "Timeout exception", "Storage exception")
_DOUBTFUL = "Unexpected exception"
_TRIES = 8
_LONGEST_REASON = 300
#: What the server says to a put without points, which shows that it takes puts.
_NOTHING_SENT = "No datapoints"


@dataclass(eq=False)
class Delivery:
    """The points of some polls on their way.

    Attributes:
        waiting: What has to be stored yet: the JSON of each point.
        stored: How many are stored.
        refused: How many never will be.
        reason: Why one of them waits still.
        tries: How often points failed for no clear reason.
    """

    waiting: dict[PointId, bytes]
    stored: int = 0
    refused: int = 0
    reason: str = ""
    tries: Counter[PointId] = field(default_factory=Counter)


class PutClient:
    """Writes to one OpenTSDB.

    Args:
        server: Where to.
        on_refused: Told of every point that is given up, with the reason.
    """

    def __init__(self, server: OpenTsdb, on_refused: Refused = lambda _, __: None) -> None:
        self._server = server
        self._on_refused = on_refused
        self.settings = ClusterSettings()
        self._gzip = True
        self._limit = SAFE_BYTES
        # A limit that was learnt holds until the server has been away.
        self._away = True

    async def learn(self) -> ClusterSettings:
        """Ask the server for its settings, and whether it takes puts; nothing is written.

        Raises:
            UpstreamError, UpstreamTimeoutError: It cannot be written to.
        """
        try:
            reply = await self._server.send("GET", "/api/config", None)
            told = _json(reply) if reply.status == 200 else None
            for self._gzip in (True, False):
                reply = await self._put(_gzipped(b"[]") if self._gzip else b"[]")
                said = self._server.said(reply)
                if reply.status in {200, 204} or said.startswith(_NOTHING_SENT):
                    break
            else:
                raise self._unwritable(reply)
        except (UpstreamError, UpstreamTimeoutError):
            self._away = True
            raise
        # A proxy may keep the settings to itself.
        self.settings = ClusterSettings.of(told) if isinstance(told, dict) else ClusterSettings()
        if self._away:
            self._limit = self.settings.body_bytes
        self._away = False
        return self.settings

    async def lines(self, batches: Iterable[PointBatch]) -> Delivery:
        """Return what is to be sent of batches; what cannot be stored is refused here."""
        delivery = Delivery({})
        for batch in batches:
            for refused in await in_slices(self._lines(batch, delivery), len(batch.values)):
                delivery.refused += refused
        return delivery

    def _lines(self, batch: PointBatch, delivery: Delivery) -> Iterator[int]:
        names = Names(self.settings.most_tags, self.settings.special)
        columns = zip(
            batch.series.tolist(), batch.stamps_ms.tolist(), batch.values.tolist(), strict=True
        )
        for series, stamp_ms, value in columns:
            key = batch.keys[series]
            reason = names.why_not(key)
            # Whole seconds take half the room.
            stamp = stamp_ms if stamp_ms % 1000 else stamp_ms // 1000
            point = key.metric, key.tags, stamp
            if reason is not None:
                self._on_refused(point, reason)
            else:
                delivery.waiting[point] = _line(key, stamp, value)
            yield int(reason is not None)

    async def round(self, delivery: Delivery) -> None:
        """Send what waits of a delivery, once.

        Raises:
            UpstreamError, UpstreamTimeoutError: Something of it waits still.
        """
        places = asyncio.Semaphore(CONCURRENCY)
        failures: list[UpstreamError | UpstreamTimeoutError] = []
        points = list(delivery.waiting)

        async def send(piece: list[PointId]) -> None:
            async with places:
                if failures:
                    return
                try:
                    await self._piece(delivery, piece)
                except (UpstreamError, UpstreamTimeoutError) as error:
                    failures.append(error)

        async with asyncio.TaskGroup() as group:
            for start in range(0, len(points), POINTS):
                group.create_task(send(points[start : start + POINTS]))
        self._give_up_doubtful(delivery)
        if failures:
            raise failures[0]
        if delivery.waiting:
            raise UpstreamError(f"OpenTSDB did not store all points: {delivery.reason}")

    async def _piece(self, delivery: Delivery, piece: list[PointId]) -> None:
        body = b"[" + b",".join(delivery.waiting[point] for point in piece) + b"]"
        packed = _gzipped(body) if self._gzip else body
        if len(packed) > self._limit and len(piece) > 1:
            await self._halves(delivery, piece)
            return
        try:
            reply = await self._put(packed)
        except UpstreamError:
            # A body that is too large is not always answered.
            self._limit = max(SAFE_BYTES, min(self._limit, len(packed) // 2))
            raise
        answer = _json(reply)
        refusal = self._server.said(reply) if reply.status == 400 else ""
        if reply.status in {200, 400} and isinstance(answer, dict) and "errors" in answer:
            self._read(delivery, piece, answer["errors"])
        elif reply.status == 204:
            self._read(delivery, piece, [])
        elif reply.status in {400, 413} and not refusal and len(packed) > SAFE_BYTES:
            # In HTML: what the body says has not been looked at.
            self._limit = max(SAFE_BYTES, len(packed) // 2)
            if len(piece) == 1:
                raise self._unwritable(reply)
            await self._halves(delivery, piece)
        elif refusal and len(piece) > 1:
            await self._halves(delivery, piece)
        elif refusal:
            self._refuse(delivery, piece[0], refusal)
        else:
            raise self._unwritable(reply)

    async def _halves(self, delivery: Delivery, piece: list[PointId]) -> None:
        middle = len(piece) // 2
        await self._piece(delivery, piece[:middle])
        await self._piece(delivery, piece[middle:])

    def _read(self, delivery: Delivery, piece: list[PointId], errors: Any) -> None:
        """Take an answer that names what is not stored."""
        failed: dict[PointId, str] = {}
        try:
            for one in errors:
                point = one["datapoint"]
                tags = tuple(sorted(point["tags"].items()))
                reason = self._server.redacted(str(one["error"]))[:_LONGEST_REASON]
                failed[point["metric"], tags, point["timestamp"]] = reason
        except (KeyError, TypeError, AttributeError):
            raise UpstreamError("OpenTSDB named points that it was not sent") from None
        if not failed.keys() <= set(piece):
            raise UpstreamError("OpenTSDB named points that it was not sent")
        for point in piece:
            why = failed.get(point)
            if why is None:
                del delivery.waiting[point]
                delivery.stored += 1
            elif why.startswith(_PASSING):
                delivery.reason = why
            elif why.startswith(_DOUBTFUL):
                delivery.reason = why
                delivery.tries[point] += 1
            else:
                self._refuse(delivery, point, why)

    def _give_up_doubtful(self, delivery: Delivery) -> None:
        """Refuse what failed again and again while points beside it were stored."""
        if delivery.stored:
            for point, tries in list(delivery.tries.items()):
                if tries >= _TRIES:
                    del delivery.tries[point]
                    self._refuse(delivery, point, f"{_DOUBTFUL}, {tries} times")

    def _refuse(self, delivery: Delivery, point: PointId, reason: str) -> None:
        if delivery.waiting.pop(point, None) is not None:
            delivery.refused += 1
            self._on_refused(point, reason)

    async def _put(self, body: bytes) -> Reply:
        path = f"/api/put?details&sync&sync_timeout={_SYNC_MS}"
        encoding = "gzip" if self._gzip else "identity"
        return await self._server.send("POST", path, body, encoding=encoding)

    def _unwritable(self, reply: Reply) -> UpstreamError:
        if reply.status in {401, 403}:
            return UpstreamError(f"OpenTSDB refused the credential (HTTP {reply.status})")
        if reply.status in {404, 405}:
            return UpstreamError(
                f"OpenTSDB takes no points at this address (HTTP {reply.status}): is opentsdb_url "
                "right, and tsd.mode not ro?"
            )
        said = self._server.said(reply)
        return UpstreamError(f"OpenTSDB answered HTTP {reply.status}{': ' + said if said else ''}")


def _line(key: SeriesKey, stamp: int, value: float) -> bytes:
    return orjson.dumps(
        {"metric": key.metric, "timestamp": stamp, "value": value, "tags": dict(key.tags)}
    )


def _gzipped(body: bytes) -> bytes:
    packer = zlib.compressobj(1, wbits=31)
    return packer.compress(body) + packer.flush()


def _json(reply: Reply) -> Any:
    try:
        return orjson.loads(reply.body)
    except orjson.JSONDecodeError:
        return None
