"""OVHcloud's OpenTSDB front end (Erlenmeyer), asked so that it answers the truth.

Left to itself it counts buckets back from ``end``, fills gaps to flat lines and merges
series that are not told apart (reference: opentsdb 0 and 2). The recipes here (reference:
opentsdb 2.5, measured in 2.6) give epoch-aligned per-series buckets with true gaps:

* the window runs from one second before the first bucket to the last second of the last
  one, and stamps are shifted back to bucket starts;
* the aggregator is ``zimsum``, which fills nothing, grouped by every label a series has,
  so that each group is one stored series;
* where some series carry only part of the labels of others, grouping cannot tell them
  apart: then raw points (``none``) are fetched and bucketed here.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import orjson

from bridge.engine.downsample import into_buckets
from bridge.engine.filters import literal_unions, match_all
from bridge.errors import BadRequestError, UpstreamError
from bridge.model import Buckets, FilterKind, PointRequest, Points
from bridge.offload import in_slices, turn
from bridge.once import Once
from bridge.sources.answers import text_tags
from bridge.sources.columns import as_buckets, in_order, require_at_most
from bridge.sources.dps import BYTES_PER_POINT, read_answer
from bridge.sources.listings import Listings
from bridge.sources.metrics_platform import (
    FETCH_LIMIT,
    INTERNAL_LABEL,
    MAX_LITERALS,
    ask_with_token,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from bridge.model import BucketRequest, TagFilter
    from bridge.ovh.token import VscopeToken
    from bridge.sources.answers import AnswerSeries
    from bridge.sources.metrics_platform import Tokens
    from bridge.sources.upstream import Reply, Upstream

    Stamps = NDArray[np.int64]
    Tags = Mapping[str, str]


class Erlenmeyer:
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

    @property
    def name(self) -> str:
        """The source's name, for messages."""
        return self._name

    async def lookup(self, metric: str, filters: tuple[TagFilter, ...]) -> tuple[Tags, ...]:
        """List the stored tags of a metric's series.

        Raises:
            BadRequestError: A metric name that could change the script.
            UpstreamError, UpstreamTimeoutError, NotOfferedError: No list.
        """
        _refuse_script(metric, "metric")
        return await self._listings.of(metric, filters)

    async def metric_names(self, start: str, limit: int) -> tuple[str, ...]:
        """List nothing: all of OVHcloud's metrics are in the catalogue."""
        del start, limit
        return ()

    async def buckets(self, request: BucketRequest) -> tuple[Buckets, ...]:
        """Fetch epoch-aligned buckets, one upstream request per function, in parallel.

        Raises:
            BadRequestError: Text that could change the script.
            UpstreamError, UpstreamTimeoutError, NotOfferedError: No complete answer.
        """
        selector = _selector(request.metric, request.filters)
        keys = {tuple(tags) for tags in await self._listings.of(request.metric)}
        listed = set(map(frozenset, keys))
        if any(one < other for one, other in itertools.permutations(listed, 2)):
            return await self._buckets_of_points(request)
        label_sets = sorted((labels for labels in listed if selector.keys() <= labels), key=sorted)
        parts = await asyncio.gather(
            *(
                self._buckets_of_labels(request, dict.fromkeys(sorted(labels), "*") | selector)
                for labels in label_sets
            )
        )
        await turn()
        for labels, part in zip(label_sets, parts, strict=True):
            if any(buckets.tags.keys() != labels for buckets in part):
                # A series with more labels has appeared: its group may have merged others.
                self._listings.forget(request.metric)
                return await self._buckets_of_points(request)
        matches = match_all(request.filters)
        return in_order(buckets for part in parts for buckets in part if matches(buckets.tags))

    async def _buckets_of_labels(
        self, request: BucketRequest, tags: Mapping[str, str]
    ) -> tuple[Buckets, ...]:
        functions = sorted(request.functions)
        answers = await asyncio.gather(
            *(
                self._ask(
                    {
                        "metric": request.metric,
                        "aggregator": "zimsum",
                        "downsample": f"{request.step_ms // 1000}s-{function}",
                        "tags": tags,
                    },
                    request.start_ms // 1000 - 1,
                    request.end_ms // 1000 - 1,
                    shift_s=1 - request.step_ms // 1000,
                )
                for function in functions
            )
        )
        return as_buckets(dict(zip(functions, answers, strict=True)), self._name)

    async def points(self, request: PointRequest) -> tuple[Points, ...]:
        """Fetch raw points, whole seconds (the front end drops fractions).

        Raises:
            TooMuchError: More points than the request's limit.
            BadRequestError, UpstreamError, UpstreamTimeoutError, NotOfferedError: As
                ``buckets``.
        """
        selector = _selector(request.metric, request.filters)
        answer = await self._ask(
            {"metric": request.metric, "aggregator": "none", "tags": selector},
            -(-request.start_ms // 1000),
            request.end_ms // 1000,
        )
        require_at_most(request.limit, answer)
        matches = match_all(request.filters)
        return in_order(points for points in answer if matches(points.tags))

    async def _buckets_of_points(self, request: BucketRequest) -> tuple[Buckets, ...]:
        raw = await self.points(
            PointRequest(
                request.metric,
                request.filters,
                request.start_ms,
                request.end_ms - 1,
                FETCH_LIMIT,
            )
        )

        def reduce() -> tuple[Buckets, ...]:
            made = []
            for series in raw:
                columns = {
                    function: into_buckets(
                        series.stamps_ms, series.values, request.step_ms, function
                    )
                    for function in request.functions
                }
                stamps = next(iter(columns.values()))[0]
                made.append(
                    Buckets(series.tags, stamps, {f: line[1] for f, line in columns.items()})
                )
            return tuple(made)

        return await asyncio.to_thread(reduce)

    async def _look_up(self, metric: str) -> tuple[Tags, ...]:
        reply = await self._send("GET", f"/api/search/lookup?m={quote(metric, safe='')}", None)
        try:
            results = orjson.loads(reply.body)["results"] or []
            return tuple(
                {k: v for k, v in text_tags(result["tags"]).items() if k != INTERNAL_LABEL}
                for result in results
            )
        except (orjson.JSONDecodeError, KeyError, TypeError):
            raise UpstreamError(f"{self._name} answered a list of series that is none") from None

    async def _ask(
        self, sub_query: dict[str, Any], start_s: int, end_s: int, *, shift_s: int = 0
    ) -> list[Points]:
        body = orjson.dumps({"start": start_s, "end": end_s, "queries": [sub_query]})
        reply = await self._send("POST", "/api/query", body)
        answer = await in_slices(
            read_answer(reply.body, self._name), len(reply.body) // BYTES_PER_POINT
        )
        return list(_in_ms(answer, shift_s))

    async def _send(self, method: str, path: str, body: bytes | None) -> Reply:
        reply = await ask_with_token(
            self._tokens,
            lambda token: self._send_as(token, method, path, body),
            lambda reply: reply.status in _MAYBE_TOKEN,
        )
        if reply.status == 200:
            if reply.content_type not in ("application/json", ""):
                raise UpstreamError(
                    f"{self._name} answered {reply.content_type} where JSON was expected"
                )
            return reply
        raise UpstreamError(self._refusal(reply))

    async def _send_as(
        self, token: VscopeToken, method: str, path: str, body: bytes | None
    ) -> Reply:
        login = base64.b64encode(f"read:{token.secret.get_secret_value()}".encode()).decode()
        return await self._upstream.request(
            method,
            token.opentsdb_endpoint.rstrip("/") + path,
            body=body,
            headers={"Authorization": f"Basic {login}", "Content-Type": "application/json"},
        )

    def _refusal(self, reply: Reply) -> str:
        if reply.status == 500:
            # Its text hides the cause: a bad token, a limit and a broken script look alike.
            return (
                f"{self._name} failed (HTTP 500): the token was refused, "
                "or the query exceeds a limit of OVHcloud's"
            )
        if reply.status in (401, 403):
            return f"{self._name} refused the token (HTTP {reply.status})"
        if 300 <= reply.status < 400:
            return f"{self._name} redirects elsewhere (HTTP {reply.status}), which is not followed"
        return f"{self._name} answered HTTP {reply.status}"


#: Statuses that a refused token can hide behind (reference: ovh 4).
_MAYBE_TOKEN = (401, 403, 500)


def _selector(metric: str, filters: tuple[TagFilter, ...]) -> dict[str, str]:
    """Return the tags that narrow a fetch without ever losing a matching series.

    Raises:
        BadRequestError: Text that could change the script.
    """
    _refuse_script(metric, "metric")
    for flt in filters:
        _refuse_script(flt.key, "tag key")
        _refuse_script(flt.text, f"filter on '{flt.key}'", pattern=_is_pattern(flt))
    wanted = literal_unions(filters)
    return {
        flt.key: "|".join(sorted(wanted[flt.key]))
        if flt.key in wanted and len(wanted[flt.key]) <= MAX_LITERALS
        else "*"
        for flt in filters
    }


def _is_pattern(flt: TagFilter) -> bool:
    """Whether the text stays here: only literals travel upstream."""
    return flt.kind is not FilterKind.LITERAL_OR


def _refuse_script(text: str, what: str, *, pattern: bool = False) -> None:
    """Refuse text that would be read as part of a script (reference: opentsdb 0, fact 10)."""
    if pattern:
        return
    for at, char in enumerate(text):
        if char in "'%" or not char.isprintable():
            raise BadRequestError(
                f"the {what} holds the character {char!r}, which OVHcloud's history cannot carry",
                position=at,
            )
    for part in text.split("|"):
        if part.startswith(("~", "=")):
            raise BadRequestError(
                f"the {what} begins with {part[0]!r}, which has a meaning of its own "
                "in OVHcloud's history",
                position=text.index(part),
            )


def _in_ms(answer: Iterable[AnswerSeries], shift_s: int) -> Iterator[Points]:
    """Shift stamps and make milliseconds of them; series that share stamps go on to do so."""
    moved: Once[Stamps, Stamps] = Once(lambda stamps: (stamps + shift_s) * 1000)
    for one in answer:
        yield Points(one.tags, moved.of(one.stamps), one.values)
