"""What is Warp 10's own: one script a query, exact times, limits, and refusals told apart."""

from __future__ import annotations

import base64
import json
import time
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route
from structlog.testing import capture_logs

from bridge.demo.warp10.versions import Limits
from bridge.errors import BadRequestError, TooMuchError, UpstreamError
from bridge.model import BucketFunction, BucketRequest, FilterKind, PointRequest, TagFilter
from bridge.sources.upstream import Upstream
from bridge.sources.warp10 import Warp10
from bridge.sources.warp10_errors import PlatformLimitError
from tests.demo.test_warp10 import SCRIPTS
from tests.servers import serving
from tests.sources.lab import BASE_S, SERIES, Lab, line

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request

    from bridge.demo.warp10.versions import Version

WINDOW = (BASE_S * 1000, (BASE_S + 7200) * 1000)
EVERYTHING = BucketRequest("lab.cap", (), *WINDOW, 300_000, frozenset(BucketFunction))


@asynccontextmanager
async def source_over(platform: Lab | Answering) -> AsyncIterator[Warp10]:
    upstream = Upstream(concurrency=4, timeout_s=5)
    try:
        with serving(platform.app) as platform.url:
            yield Warp10("the history", upstream, platform, clock=time.monotonic)
    finally:
        await upstream.close()


async def test_one_script_answers_every_function() -> None:
    lab = Lab()
    async with source_over(lab) as source:
        assert len(await source.buckets(EVERYTHING)) == 3
    assert lab.routes == {"exec": 1}
    assert lab.warp10.counters.unknown_scripts == 0


async def test_lists_are_remembered() -> None:
    lab = Lab()
    async with source_over(lab) as source:
        for filters in ((), (TagFilter("vm", FilterKind.LITERAL_OR, "vm-1"),)):
            await source.lookup("lab.cap", filters)
    assert lab.routes == {"find": 1}


async def test_literals_and_wildcards_travel_and_the_rest_is_filtered_here() -> None:
    lab = Lab()
    async with source_over(lab) as source:
        for kind, text in (
            (FilterKind.LITERAL_OR, "vm-1|vm-3"),
            (FilterKind.WILDCARD, "vm*2"),
            (FilterKind.REGEXP, "[12]$"),
        ):
            wanted = (TagFilter("vm", kind, text),)
            await source.points(PointRequest("lab.cap", wanted, *WINDOW, 10_000))
    labels = [data_of(body)["labels"] for body in lab.asked]
    assert labels == [{"vm": r"~(vm\-1|vm\-3)"}, {"vm": r"~((?s:vm.*2))"}, {}]


def data_of(script: bytes) -> Any:
    first = script.partition(b"\n")[0].strip(b"'")
    return json.loads(base64.urlsafe_b64decode(first + b"=" * (-len(first) % 4)))


SUB_SECOND = [0.0005, 0.25, 0.2503, 0.9995, 1.5, 1.9999, 2.0]


async def test_times_within_a_second_are_exact() -> None:
    lab = Lab([line({"vm": "vm-1"}, SUB_SECOND)])
    stored = lab_values(lab)
    async with source_over(lab) as source:
        start = BASE_S * 1000
        (one,) = await source.points(PointRequest("lab.cap", (), start, start + 5000, 10))
        # Two points of one millisecond are one, the later.
        assert (one.stamps_ms - start).tolist() == [0, 250, 999, 1500, 1999, 2000]
        assert one.values.tolist() == [stored[n] for n in (0, 2, 3, 4, 5, 6)]
        (one,) = await source.points(PointRequest("lab.cap", (), start + 1, start + 999, 10))
        assert (one.stamps_ms - start).tolist() == [250, 999]
        functions = frozenset({BucketFunction.COUNT, BucketFunction.LAST})
        request = BucketRequest("lab.cap", (), start, start + 3000, 1000, functions)
        (buckets,) = await source.buckets(request)
        assert (buckets.stamps_ms - start).tolist() == [0, 1000, 2000]
        assert buckets.columns[BucketFunction.COUNT].tolist() == [4, 2, 1]
        assert buckets.columns[BucketFunction.LAST].tolist() == [stored[n] for n in (3, 5, 6)]


def lab_values(lab: Lab) -> list[float]:
    (only,) = lab.warp10._shelf.series  # type: ignore[attr-defined]
    found: list[float] = only.values.tolist()
    return found


SMALL = Limits(points=50)
TIGHT = Limits(points=50, points_hard=100)


async def test_the_platforms_default_limit_is_raised_once_found_out() -> None:
    lab = Lab(limits=SMALL)
    async with source_over(lab) as source:
        assert len(await source.buckets(EVERYTHING)) == 3
        assert lab.routes == {"exec": 2}
        assert len(await source.buckets(EVERYTHING)) == 3
        assert lab.routes == {"exec": 3}
        assert len(await source.points(PointRequest("lab.cap", (), *WINDOW, 5_000))) == 3
    assert lab.warp10.counters.unknown_scripts == 0


@pytest.mark.parametrize(
    ("version", "limits", "most"), [("2.11.1", TIGHT, 100), ("3.5.0", SMALL, 50)]
)
async def test_a_limit_that_cannot_be_raised_is_named(
    version: Version, limits: Limits, most: int
) -> None:
    few = (TagFilter("vm", FilterKind.LITERAL_OR, "vm-2"),)
    lab = Lab(version=version, limits=limits)
    async with source_over(lab) as source:
        for _ in range(2):
            with pytest.raises(PlatformLimitError, match=f"at most {most} points at once"):
                await source.buckets(EVERYTHING)
            assert len(await source.points(PointRequest("lab.cap", few, *WINDOW, 90))) == 1


@pytest.mark.parametrize("limits", [Limits(), SMALL])
async def test_more_points_than_asked_for(limits: Limits) -> None:
    lab = Lab(limits=limits)
    async with source_over(lab) as source:
        with pytest.raises(TooMuchError, match=r"limit of 60 \(setting max_points") as caught:
            await source.points(PointRequest("lab.cap", (), *WINDOW, 60))
        assert not isinstance(caught.value, PlatformLimitError)


async def test_limits_of_series_and_buckets() -> None:
    lab = Lab(limits=Limits(series=2, buckets=100))
    async with source_over(lab) as source:
        with pytest.raises(PlatformLimitError, match="at most 2 series at once: narrow the"):
            await source.buckets(EVERYTHING)
        one = (TagFilter("vm", FilterKind.LITERAL_OR, "vm-1"),)
        request = BucketRequest("lab.cap", one, *WINDOW, 1000, frozenset({BucketFunction.SUM}))
        with pytest.raises(PlatformLimitError, match=r"at most 100 buckets .* wider interval"):
            await source.buckets(request)


class Answering:
    """A Warp 10 that answers everything in one way, and tokens for it."""

    def __init__(self, status: int, body: str, headers: dict[str, str]) -> None:
        async def answer(_request: Request) -> Response:
            self.asked += 1
            return Response(body.encode(), status, headers)

        self.asked = 0
        self.renewed = 0
        self.app = Starlette(routes=[Route("/warp10/{path:path}", answer, methods=["GET", "POST"])])
        self.url = ""
        self._lab = Lab()

    async def get(self) -> Any:
        self._lab.url = self.url
        return await self._lab.get()

    async def renew(self, _rejected: Any) -> Any:
        self.renewed += 1
        self._lab.tokens.revoke()
        return await self.get()


MEANINGS = {
    "bad_token": (UpstreamError, "refused the token"),
    "expired_token": (UpstreamError, "refused the token"),
    "write_token": (UpstreamError, "refused the token"),
    "fetch_limit": (PlatformLimitError, "at most 100 points at once"),
    "max_gts": (PlatformLimitError, "at most 3 series at once"),
    "too_many_buckets": (PlatformLimitError, "at most 1,000,000 buckets a series"),
    "bad_regexp": (UpstreamError, r"the history failed \(HTTP 500\)"),
    "bad_unknown_function": (UpstreamError, r"the history failed \(HTTP 500\)"),
    "bad_newline_in_literal": (UpstreamError, r"the history failed \(HTTP 500\)"),
    "bad_percent_in_literal": (UpstreamError, r"the history failed \(HTTP 500\)"),
}


@pytest.mark.parametrize("with_header", [True, False])
@pytest.mark.parametrize(
    "name", [name for name, one in SCRIPTS.items() if one["response"]["status"] == 500]
)
async def test_recorded_refusals_are_understood_and_never_relayed(
    name: str, with_header: bool
) -> None:
    recorded = SCRIPTS[name]["response"]
    quoted = "=>'SECRETTOKEN'<="
    headers = {k: v for k, v in recorded["headers"].items() if k.startswith("X-Warp10-Err")}
    if with_header:
        headers["X-Warp10-Error-Message"] = quoted + headers["X-Warp10-Error-Message"]
    else:
        headers.clear()
    headers["Content-Type"] = recorded["headers"]["Content-Type"]
    warp10 = Answering(500, recorded["body"].replace("<title>", f"<title>{quoted}"), headers)
    kind, words = next(
        meaning for part, meaning in MEANINGS.items() if part in name.removeprefix("exec_")
    )
    with capture_logs() as logs:
        async with source_over(warp10) as source:
            with pytest.raises(kind, match=words) as caught:
                await source.buckets(EVERYTHING)
    told = f"{caught.value!r} {caught.value.__cause__} {logs}"
    for secret in ("SECRETTOKEN", "FETCH", "Exception", "Unclosed"):
        assert secret not in told
    assert warp10.renewed == (1 if kind is UpstreamError and "token" in words else 0)
    assert warp10.asked <= 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("(Token revoked.)", "refused the token"),
        ("(Application suspended or closed.)", "refused the token"),
        ("(Missing or invalid token.)", "refused the token"),
        ("(Operation count (1001) exceeded maximum of 1000)", "too much work"),
        ("(token bucket)", "failed"),
    ],
)
async def test_other_words_of_warp10s(text: str, words: str) -> None:
    warp10 = Answering(500, "", {"X-Warp10-Error-Message": text})
    async with source_over(warp10) as source:
        with pytest.raises((UpstreamError, TooMuchError), match=words):
            await source.points(PointRequest("lab.cap", (), *WINDOW, 10))


@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        (200, "", "", "not complete JSON"),
        (200, "[[", "", "not complete JSON"),
        (200, "{}", "", "not a list of series"),
        (200, "[[[]]]", "", "for each function"),
        (200, "<html>", "text/html", "answered text/html where JSON was expected"),
        (204, "", "", r"failed \(HTTP 204\)"),
        (404, "", "", r"failed \(HTTP 404\)"),
        (403, "", "", r"refused the token \(HTTP 403\)"),
        (301, "", "", "redirects elsewhere"),
    ],
)
async def test_wrong_answers(status: int, body: str, kind: str, words: str) -> None:
    warp10 = Answering(status, body, {"Content-Type": kind} if kind else {})
    async with source_over(warp10) as source:
        with pytest.raises(UpstreamError, match=words):
            await source.buckets(EVERYTHING)


@pytest.mark.parametrize("body", ["[\n\n]\n", "[]"])
async def test_an_empty_list(body: str) -> None:
    warp10 = Answering(200, body, {})
    async with source_over(warp10) as source:
        assert await source.lookup("lab.cap", ()) == ()


@pytest.mark.parametrize("body", ["", "[\n{", "{}", "[1]", '[{"c":"lab.cap"}]', "null"])
async def test_a_list_that_is_none(body: str) -> None:
    warp10 = Answering(200, body, {})
    async with source_over(warp10) as source:
        with pytest.raises(UpstreamError, match="a list of series that is none"):
            await source.lookup("lab.cap", ())


async def test_functions_that_disagree_are_no_answer() -> None:
    one = {"c": "m", "l": {"vm": "a"}, "a": {}, "la": 0}
    answers = [
        [[{**one, "v": [[1_000, 2.0]]}], [{**one, "v": [[9_000, 2]]}]],
        [[{**one, "v": [[1, 2.0]]}], []],
    ]
    functions = frozenset({BucketFunction.SUM, BucketFunction.COUNT})
    for answer in answers:
        warp10 = Answering(200, json.dumps([answer]), {})
        async with source_over(warp10) as source:
            with pytest.raises(UpstreamError, match=r"for one function|different series"):
                await source.buckets(BucketRequest("m", (), 0, 10, 10, functions))


@pytest.mark.parametrize("name", ["a{}", "a b", "a%7B%7D", "a+b", "a'b", "日", "a{vm=x}", "%"])
async def test_a_list_is_of_the_metric_alone(name: str) -> None:
    odd = replace(SERIES[0], name=replace(SERIES[0].name, metric=name))
    plain = replace(SERIES[1], name=replace(SERIES[1].name, metric="a"))
    lab = Lab([odd, plain])
    async with source_over(lab) as source:
        assert [tags["vm"] for tags in await source.lookup(name, ())] == ["vm-1"]
        (points,) = await source.points(PointRequest(name, (), *WINDOW, 500))
        assert points.tags == {"datacenter": "d1", "vm": "vm-1"}


@pytest.mark.parametrize("name", ["~.*", "=lab.cap"])
async def test_a_name_with_a_meaning_of_its_own_is_refused_before_anything_is_sent(
    name: str,
) -> None:
    lab = Lab()
    async with source_over(lab) as source:
        with pytest.raises(BadRequestError, match="meaning of its own"):
            await source.lookup(name, ())
        with pytest.raises(BadRequestError, match="meaning of its own"):
            await source.points(PointRequest(name, (), *WINDOW, 500))
    assert not lab.routes
