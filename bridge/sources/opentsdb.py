"""An OpenTSDB server (2.3 or 2.4) as a source.

Aggregator ``none`` answers every stored series by itself, downsampled or raw, so OpenTSDB
computes the buckets (exactly: downsampling works in doubles) and the engine does the rest
(reference: opentsdb 1a).
"""

from __future__ import annotations

import asyncio
import base64
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import orjson
from pydantic import SecretStr

from bridge.engine.filters import literal_unions, match_all
from bridge.errors import BadRequestError, TooMuchError, UpstreamError, UpstreamTimeoutError
from bridge.model import FilterKind, Points, TagFilter
from bridge.offload import in_slices
from bridge.sources.answers import text_tags
from bridge.sources.columns import as_buckets, require_at_most
from bridge.sources.dps import BYTES_PER_POINT, read_answer
from bridge.sources.listings import Listings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bridge.model import BucketRequest, Buckets, PointRequest
    from bridge.sources.upstream import Reply, Upstream

    Tags = Mapping[str, str]

#: Filters whose meaning at the server is the engine's; the others are applied here.
_PUSHED = frozenset({FilterKind.ILITERAL_OR, FilterKind.WILDCARD, FilterKind.IWILDCARD})

#: Longest text of the server's own that is passed on.
_LONGEST_MESSAGE = 300


class OpenTsdb:
    """One OpenTSDB server.

    Args:
        upstream: Connections.
        url: Base URL, without ``/api``.
        user: For HTTP Basic, together with ``password``.
        password: For HTTP Basic.
        token: For a bearer, instead.
        clock: Monotonic seconds, for the age of series lists.
    """

    def __init__(
        self,
        upstream: Upstream,
        url: str,
        *,
        user: str | None = None,
        password: SecretStr | None = None,
        token: SecretStr | None = None,
        clock: Callable[[], float],
    ) -> None:
        self._upstream = upstream
        self._url = url.rstrip("/")
        self._authorization = _login(user, password, token)
        self._shown = tuple(filter(None, (password, token, self._authorization)))
        self._listings = Listings(self._look_up, clock)

    @property
    def name(self) -> str:
        """The source's name, for messages."""
        return "OpenTSDB"

    async def buckets(self, request: BucketRequest) -> tuple[Buckets, ...]:
        """Fetch buckets, one upstream request per function, in parallel.

        Raises:
            BadRequestError: The server does not know the metric.
            TooMuchError: The server's own limits.
            UpstreamError, UpstreamTimeoutError: No complete answer.
        """
        functions = sorted(request.functions)
        answers = await asyncio.gather(
            *(
                self._ask(
                    request.metric,
                    request.filters,
                    request.start_ms,
                    request.end_ms - request.step_ms,
                    f"{request.step_ms}ms-{function}",
                )
                for function in functions
            )
        )
        return as_buckets(dict(zip(functions, answers, strict=True)), self.name)

    async def points(self, request: PointRequest) -> tuple[Points, ...]:
        """Fetch raw points, to the millisecond.

        Raises:
            TooMuchError: More points than the request's limit, or the server's.
            BadRequestError, UpstreamError, UpstreamTimeoutError: As ``buckets``.
        """
        answer = await self._ask(
            request.metric, request.filters, request.start_ms, request.end_ms, None
        )
        require_at_most(request.limit, answer)
        return tuple(answer)

    async def lookup(self, metric: str, filters: tuple[TagFilter, ...]) -> tuple[Tags, ...]:
        """List the tags of a metric's series; none when the server does not know it.

        The list of the server's meta table is preferred; where it keeps none, its data
        are scanned.

        Raises:
            UpstreamError, UpstreamTimeoutError: No list.
        """
        return await self._listings.of(metric, filters)

    async def metric_names(self, start: str, limit: int) -> tuple[str, ...]:
        """List the server's metrics that begin with a text.

        Raises:
            UpstreamError, UpstreamTimeoutError: No list.
        """
        words = urlencode({"type": "metrics", "q": start, "max": limit})
        reply = self._accepted(await self.send("GET", f"/api/suggest?{words}", None))
        try:
            names = orjson.loads(reply.body)
        except orjson.JSONDecodeError:
            names = None
        if not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
            raise UpstreamError(f"{self.name} answered a list of metrics that is none")
        return tuple(names)

    async def _look_up(self, metric: str) -> tuple[Tags, ...]:
        return await self._looked_up(metric, use_meta=True) or await self._looked_up(
            metric, use_meta=False
        )

    async def _looked_up(self, metric: str, *, use_meta: bool) -> tuple[Tags, ...]:
        body = orjson.dumps({"metric": metric, "useMeta": use_meta, "limit": 0})
        reply = await self.send("POST", "/api/search/lookup", body)
        if reply.status == 404:  # a name it has never seen
            return ()
        try:
            results = orjson.loads(self._accepted(reply).body)["results"] or ()
            return tuple(text_tags(one["tags"]) for one in results)
        except (orjson.JSONDecodeError, KeyError, TypeError):
            raise UpstreamError(f"{self.name} answered a list of series that is none") from None

    async def _ask(
        self,
        metric: str,
        filters: tuple[TagFilter, ...],
        start_ms: int,
        end_ms: int,
        downsample: str | None,
    ) -> list[Points]:
        """Fetch the series that match, none of them empty."""
        sub_query: dict[str, Any] = {
            "metric": metric,
            "aggregator": "none",
            "filters": _pushed(filters),
        }
        if downsample is not None:
            sub_query["downsample"] = downsample
        # A range without length is refused; a millisecond more holds no further bucket.
        question = {"start": start_ms, "end": max(end_ms, start_ms + 1), "msResolution": True}
        reply = await self._query(question, sub_query)
        if _is_unknown(reply, "tagv"):
            # One of several literals is a value nobody has; the others may match.
            sub_query["filters"] = [
                flt for flt in sub_query["filters"] if flt["type"] != FilterKind.LITERAL_OR
            ]
            reply = await self._query(question, sub_query)
        if _is_unknown(reply, "tagk"):
            return []  # a key that no series anywhere has
        body = self._accepted(reply).body
        answer = await in_slices(read_answer(body, self.name), len(body) // BYTES_PER_POINT)
        matches = match_all(filters)
        return [
            Points(one.tags, one.stamps, one.values)
            for one in answer
            if len(one.stamps) and matches(one.tags)
        ]

    async def _query(self, question: Mapping[str, Any], sub_query: Mapping[str, Any]) -> Reply:
        return await self.send(
            "POST", "/api/query", orjson.dumps({**question, "queries": [sub_query]})
        )

    async def send(
        self, method: str, path: str, body: bytes | None, *, encoding: str = "identity"
    ) -> Reply:
        """Send one request with the login, and return the answer, whatever it says.

        Raises:
            UpstreamError, UpstreamTimeoutError: There is none.
        """
        headers = {"Content-Type": "application/json"}
        if encoding != "identity":
            headers["Content-Encoding"] = encoding
        if self._authorization is not None:
            headers["Authorization"] = self._authorization.get_secret_value()
        return await self._upstream.request(method, self._url + path, body=body, headers=headers)

    def said(self, reply: Reply) -> str:
        """Return OpenTSDB's own words in an answer that is an error, empty where there are none."""
        return self.redacted(_message(reply))

    def redacted(self, text: str) -> str:
        """Blot out what the server says of the credential it was shown."""
        for shown in self._shown:
            text = text.replace(shown.get_secret_value().removeprefix("Basic "), "***")
        return text

    def _accepted(self, reply: Reply) -> Reply:
        """Return a good reply, or raise what a bad one means."""
        if reply.status == 200:
            if reply.content_type not in ("application/json", ""):
                raise UpstreamError(
                    f"{self.name} answered {reply.content_type} where JSON was expected"
                )
            return reply
        said = self.said(reply)
        if reply.status == 400 and said.startswith("No such name for 'metrics'"):
            raise BadRequestError(said, field="metric")
        if reply.status == 413:
            raise TooMuchError(f"{self.name}: {said}")
        if reply.status in (401, 403):
            raise UpstreamError(f"{self.name} refused the credential (HTTP {reply.status})")
        if reply.status in (408, 504):
            raise UpstreamTimeoutError(f"{self.name} ran out of time (HTTP {reply.status})")
        raise UpstreamError(
            f"{self.name} answered HTTP {reply.status}{': ' + said if said else ''}"
        )


def _readable(text: str) -> str:
    """Return one line without control characters, cut to a sensible length."""
    line = " ".join(text.split())
    return "".join(char for char in line if char.isprintable())[:_LONGEST_MESSAGE]


def _login(
    user: str | None, password: SecretStr | None, token: SecretStr | None
) -> SecretStr | None:
    """Return what to say in the header ``Authorization``."""
    if token is not None:
        return SecretStr(f"Bearer {token.get_secret_value()}")
    if user is None and password is None:
        return None
    pair = f"{user or ''}:{password.get_secret_value() if password else ''}"
    return SecretStr(f"Basic {base64.b64encode(pair.encode()).decode()}")


def _pushed(filters: Sequence[TagFilter]) -> list[dict[str, Any]]:
    """Return the filters the server applies; two literals on one key are a union."""
    sent = [flt for flt in filters if flt.kind in _PUSHED]
    sent += [
        TagFilter(key, FilterKind.LITERAL_OR, "|".join(sorted(values)))
        for key, values in literal_unions(filters).items()
    ]
    return [
        {"type": flt.kind, "tagk": flt.key, "filter": flt.text, "groupBy": False} for flt in sent
    ]


def _is_unknown(reply: Reply, kind: str) -> bool:
    return reply.status == 400 and _message(reply).startswith(f"No such name for '{kind}'")


def _message(reply: Reply) -> str:
    """Return the server's own error text, cut to one line."""
    try:
        message = orjson.loads(reply.body)["error"]["message"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return ""
    return _readable(str(message).partition("\n")[0])
