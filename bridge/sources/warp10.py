"""OVHcloud's history by its second protocol, Warp 10.

One script a fetch answers every stored series by itself, with true gaps, for any number of
bucket functions, and raw points to the microsecond (reference: opentsdb 2.7).

The token stands in the script's data rather than in a header: whether the headers Warp 10
can hand to scripts pass OVHcloud's front door is not known, and nothing Warp 10 says about
a script is ever passed on.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np
import orjson

from bridge.engine.filters import match_all
from bridge.errors import UpstreamError
from bridge.model import Points
from bridge.offload import in_slices
from bridge.sources.columns import as_buckets, in_order, require_at_most, too_many_points
from bridge.sources.gts import BYTES_PER_POINT, read_stack
from bridge.sources.listings import Listings, text_tags
from bridge.sources.metrics_platform import FETCH_LIMIT, INTERNAL_LABEL, ask_with_token
from bridge.sources.warp10_errors import Reason, error_of, refusal_of
from bridge.sources.warpscript import (
    BUCKETS,
    POINTS,
    bucket_parameters,
    point_parameters,
    require_plain_name,
    written,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from bridge.model import BucketRequest, Buckets, PointRequest, TagFilter
    from bridge.ovh.token import VscopeToken
    from bridge.sources.answers import AnswerSeries
    from bridge.sources.metrics_platform import Tokens
    from bridge.sources.upstream import Reply, Upstream
    from bridge.sources.warpscript import Script

    Tags = Mapping[str, str]


class Warp10:
    """The history of one service at OVHcloud.

    Args:
        name: For messages.
        upstream: Connections.
        tokens: The service's vScope token.
        clock: Monotonic seconds, for the age of series lists.
    """

    def __init__(
        self, name: str, upstream: Upstream, tokens: Tokens, *, clock: Callable[[], float]
    ) -> None:
        self._name = name
        self._upstream = upstream
        self._tokens = tokens
        self._listings = Listings(self._look_up, clock)
        #: To what the platform's limit of points is raised: None while that was not needed,
        #: 0 where it cannot be.
        self._raised: int | None = None

    @property
    def name(self) -> str:
        """The source's name, for messages."""
        return self._name

    async def lookup(self, metric: str, filters: tuple[TagFilter, ...]) -> tuple[Tags, ...]:
        """List the stored tags of a metric's series.

        Raises:
            BadRequestError: A metric name with a meaning of its own.
            UpstreamError, UpstreamTimeoutError, NotOfferedError: No list.
        """
        require_plain_name(metric)
        return await self._listings.of(metric, filters)

    async def metric_names(self, start: str, limit: int) -> tuple[str, ...]:
        """List nothing: all of OVHcloud's metrics are in the catalogue."""
        del start, limit
        return ()

    async def buckets(self, request: BucketRequest) -> tuple[Buckets, ...]:
        """Fetch epoch-aligned buckets, all functions by one script.

        Raises:
            BadRequestError: A metric name with a meaning of its own, or a broken filter.
            TooMuchError: A limit of the platform's.
            UpstreamError, UpstreamTimeoutError, NotOfferedError: No complete answer.
        """
        matches = match_all(request.filters)
        functions = sorted(request.functions)
        body = await self._run(BUCKETS, bucket_parameters(request, functions))
        shift = 1 - request.step_ms * 1000
        found: dict[int, list[Points]] = {number: [] for number in range(len(functions))}
        for number, one in await self._series(body, lists=len(functions)):
            if matches(one.tags):
                starts = (one.stamps + shift) // 1000
                found[number].append(Points(one.tags, starts, one.values))
        answers = {function: found[number] for number, function in enumerate(functions)}
        return in_order(as_buckets(answers, self._name))

    async def points(self, request: PointRequest) -> tuple[Points, ...]:
        """Fetch raw points, to the millisecond; of several in one the last.

        Raises:
            TooMuchError: More points than the request's limit, or the platform's.
            BadRequestError, UpstreamError, UpstreamTimeoutError, NotOfferedError: As
                ``buckets``.
        """
        matches = match_all(request.filters)
        body = await self._run(POINTS, point_parameters(request), request.limit)
        found = [
            _in_milliseconds(one)
            for _, one in await self._series(body, lists=None)
            if matches(one.tags)
        ]
        require_at_most(request.limit, found)
        return in_order(found)

    async def _series(self, body: bytes, *, lists: int | None) -> list[tuple[int, AnswerSeries]]:
        return await in_slices(
            read_stack(body, self._name, lists=lists), len(body) // BYTES_PER_POINT
        )

    async def _run(
        self, script: Script, parameters: Mapping[str, Any], most: int | None = None
    ) -> bytes:
        """Run a script; where the platform's limit of points is too low, raise it.

        Args:
            script: A constant.
            parameters: Its data but for token and limit.
            most: Points the request may read; None leaves that to the platform.
        """
        while True:
            limit = min(most or FETCH_LIMIT, self._raised or 0)
            text = script.raised if limit else script.plain
            reply = await self._send(partial(self._exec, text, {**parameters, "limit": limit}))
            refusal = refusal_of(reply)
            if refusal is None:
                return self._json(reply)
            if refusal.reason is Reason.POINTS and self._raised is None:
                self._raised = FETCH_LIMIT
            elif refusal.reason is Reason.NOT_RAISED and limit:
                self._raised = min(refusal.limit or 0, limit - 1)
            elif refusal.reason is Reason.POINTS and most is not None and refusal.limit == most:
                raise too_many_points(f"more than {most:,} points", most)
            else:
                raise error_of(refusal, reply.status, self._name)

    async def _look_up(self, metric: str) -> tuple[Tags, ...]:
        # The name is encoded twice: a selector is itself written with percent signs.
        selector = quote(quote(metric, safe="") + "{}", safe="")
        path = f"/api/v0/find?selector={selector}&format=json"
        reply = await self._send(
            lambda token: self._upstream.request(
                "GET",
                _endpoint(token, self._name) + path,
                headers={"X-Warp10-Token": token.secret.get_secret_value()},
            )
        )
        refusal = refusal_of(reply)
        if refusal is not None:
            raise error_of(refusal, reply.status, self._name)
        try:
            return _listed(self._json(reply), metric)
        except (ValueError, KeyError, TypeError):
            raise UpstreamError(f"{self._name} answered a list of series that is none") from None

    async def _send(self, send: Callable[[VscopeToken], Awaitable[Reply]]) -> Reply:
        return await ask_with_token(self._tokens, send, _token_refused)

    async def _exec(self, text: str, parameters: Mapping[str, Any], token: VscopeToken) -> Reply:
        secret = token.secret.get_secret_value()
        return await self._upstream.request(
            "POST",
            _endpoint(token, self._name) + "/api/v0/exec",
            body=written(text, {"token": secret, **parameters}),
            headers={"Content-Type": "text/plain"},
        )

    def _json(self, reply: Reply) -> bytes:
        # Warp 10 names no type when all went well.
        if reply.content_type not in ("application/json", ""):
            raise UpstreamError(
                f"{self._name} answered {reply.content_type} where JSON was expected"
            )
        return reply.body


def _listed(body: bytes, metric: str) -> tuple[Tags, ...]:
    """Return the labels in ``[{"c": class, "l": labels, ...}, ...]``.

    Raises:
        ValueError, KeyError, TypeError: It is no such list.
    """
    listed = orjson.loads(body or b"[]")
    if not isinstance(listed, list):
        raise TypeError
    return tuple(
        {k: v for k, v in text_tags(found["l"]).items() if k != INTERNAL_LABEL}
        for found in listed
        if found["c"] == metric
    )


def _endpoint(token: VscopeToken, who: str) -> str:
    if token.warp_endpoint is None:
        raise UpstreamError(f"{who}: OVHcloud names no address for it")
    return token.warp_endpoint.rstrip("/")


def _token_refused(reply: Reply) -> bool:
    refusal = refusal_of(reply)
    return refusal is not None and refusal.reason is Reason.TOKEN


def _in_milliseconds(one: AnswerSeries) -> Points:
    stamps = one.stamps // 1000
    last = np.append(stamps[1:] != stamps[:-1], True)
    if last.all():
        return Points(one.tags, stamps, one.values)
    return Points(one.tags, stamps[last], one.values[last])
