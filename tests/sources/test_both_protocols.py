"""What holds for OVHcloud's history by either protocol, over real sockets."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Literal

import httpx
import pytest

from bridge.demo.account import demo_account
from bridge.engine.downsample import into_buckets
from bridge.errors import TooMuchError, UpstreamError, UpstreamTimeoutError
from bridge.model import BucketFunction, BucketRequest, FilterKind, PointRequest, TagFilter
from bridge.ovh.api import OvhApi
from bridge.ovh.token import TokenKeeper
from bridge.sources.erlenmeyer import Erlenmeyer
from bridge.sources.upstream import Upstream
from bridge.sources.warp10 import Warp10
from tests.servers import serving
from tests.sources.lab import BASE_S, SERIES, Lab, RevokedOnce

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping

    from bridge.sources.metrics_platform import Tokens

Way = Literal["OpenTSDB", "Warp 10 2.11.1", "Warp 10 3.5.0"]
WAYS: tuple[Way, ...] = ("OpenTSDB", "Warp 10 2.11.1", "Warp 10 3.5.0")


def source_by(way: Way, upstream: Upstream, tokens: Tokens) -> Erlenmeyer | Warp10:
    kind = Erlenmeyer if way == "OpenTSDB" else Warp10
    return kind("the history", upstream, tokens, clock=time.monotonic)


@pytest.fixture(params=WAYS, scope="module")
def way(request: pytest.FixtureRequest) -> Way:
    found: Way = request.param
    return found


@pytest.fixture(scope="module")
def lab(way: Way) -> Iterator[Lab]:
    lab = Lab(version="3.5.0" if way.endswith("3.5.0") else "2.11.1")
    with serving(lab.app) as lab.url:
        yield lab


@pytest.fixture
async def source(lab: Lab, way: Way) -> AsyncIterator[Erlenmeyer | Warp10]:
    upstream = Upstream(concurrency=4, timeout_s=5)
    yield source_by(way, upstream, lab)
    await upstream.close()


def key(tags: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((k, v) for k, v in tags.items() if k != ".app"))


@pytest.mark.parametrize("step_s", [60, 300, 900, 3600])
@pytest.mark.parametrize("metric", ["lab.cap", "lab.used"])
async def test_buckets_are_those_of_the_stored_points(
    source: Erlenmeyer | Warp10, metric: str, step_s: int
) -> None:
    functions = frozenset(BucketFunction)
    start, end = BASE_S + 3600 * 0, BASE_S + 7200
    got = await source.buckets(
        BucketRequest(metric, (), start * 1000, end * 1000, step_s * 1000, functions)
    )
    stored = {key(s.name.labels): s for s in SERIES if s.name.metric == metric}
    assert {key(b.tags) for b in got} == stored.keys()
    for buckets in got:
        series = stored[key(buckets.tags)]
        for function in functions:
            stamps, values = into_buckets(
                series.stamps_us // 1000, series.values, step_s * 1000, function
            )
            assert buckets.stamps_ms.tolist() == stamps.tolist()
            assert buckets.columns[function] == pytest.approx(values, rel=1e-12)


async def test_points_are_the_stored_ones_both_ends_included(
    source: Erlenmeyer | Warp10,
) -> None:
    wanted = (TagFilter("vm", FilterKind.LITERAL_OR, "vm-1|vm-2"),)
    start, end = (BASE_S + 77) * 1000, (BASE_S + 17 + 600) * 1000
    got = await source.points(PointRequest("lab.cap", wanted, start, end, 1000))
    assert {p.tags["vm"] for p in got} == {"vm-1", "vm-2"}
    one = next(p for p in got if p.tags["vm"] == "vm-1")
    assert one.stamps_ms[0] == start
    assert one.stamps_ms[-1] == end
    with pytest.raises(TooMuchError, match="max_points"):
        await source.points(PointRequest("lab.cap", wanted, start, end, 5))


async def test_a_dead_series_ends(source: Erlenmeyer | Warp10) -> None:
    wanted = (TagFilter("vm", FilterKind.LITERAL_OR, "vm-2"),)
    request = BucketRequest(
        "lab.cap",
        wanted,
        BASE_S * 1000,
        (BASE_S + 7200) * 1000,
        300_000,
        frozenset({BucketFunction.AVG}),
    )
    (dead,) = await source.buckets(request)
    assert dead.stamps_ms[-1] == (BASE_S + 2400) * 1000


@pytest.mark.parametrize(
    ("kind", "text", "vms"),
    [
        (FilterKind.LITERAL_OR, "vm-1", {"vm-1"}),
        (FilterKind.LITERAL_OR, "vm-1|vm-3", {"vm-1", "vm-3"}),
        (FilterKind.ILITERAL_OR, "VM-1", {"vm-1"}),
        (FilterKind.NOT_LITERAL_OR, "vm-1", {"vm-2", "vm-3"}),
        (FilterKind.NOT_ILITERAL_OR, "VM-1", {"vm-2", "vm-3"}),
        (FilterKind.WILDCARD, "*-2", {"vm-2"}),
        (FilterKind.WILDCARD, "*", {"vm-1", "vm-2", "vm-3"}),
        (FilterKind.WILDCARD, "vm.*", set()),
        (FilterKind.IWILDCARD, "VM*2", {"vm-2"}),
        (FilterKind.REGEXP, "[12]$", {"vm-1", "vm-2"}),
    ],
)
async def test_filters(
    source: Erlenmeyer | Warp10, kind: FilterKind, text: str, vms: set[str]
) -> None:
    wanted = (TagFilter("vm", kind, text),)
    request = PointRequest("lab.cap", wanted, BASE_S * 1000, (BASE_S + 7200) * 1000, 10_000)
    assert {p.tags["vm"] for p in await source.points(request)} == vms
    assert {tags["vm"] for tags in await source.lookup("lab.cap", wanted)} == vms


async def test_a_filter_on_a_label_that_some_series_lack(source: Erlenmeyer | Warp10) -> None:
    wanted = (TagFilter("datacenter", FilterKind.REGEXP, "."),)
    window = (BASE_S * 1000, (BASE_S + 7200) * 1000)
    got = await source.buckets(
        BucketRequest("lab.used", wanted, *window, 300_000, frozenset({BucketFunction.SUM}))
    )
    assert {b.tags["datacenter"] for b in got} == {"d1", "d2"}
    got = await source.points(PointRequest("lab.used", wanted, *window, 10_000))
    assert {b.tags["datacenter"] for b in got} == {"d1", "d2"}


async def test_a_metric_nobody_stored_is_empty(source: Erlenmeyer | Warp10) -> None:
    assert await source.lookup("lab.none", ()) == ()
    request = BucketRequest("lab.none", (), 0, 3_600_000, 60_000, frozenset(BucketFunction))
    assert await source.buckets(request) == ()
    assert await source.points(PointRequest("lab.none", (), 0, 3_600_000, 10)) == ()
    assert await source.metric_names("lab", 10) == ()


@pytest.mark.parametrize("how", ["revoke", "expire", "deny"])
async def test_a_token_that_is_no_longer_valid_is_renewed(way: Way, how: str) -> None:
    lab = RevokedOnce(version="3.5.0" if way.endswith("3.5.0") else "2.11.1")
    lab.how = how
    window = (BASE_S * 1000, (BASE_S + 7200) * 1000)
    with serving(lab.app) as lab.url:
        upstream = Upstream(concurrency=4, timeout_s=5)
        source = source_by(way, upstream, lab)
        assert len(await source.lookup("lab.cap", ())) == 3
        assert len(await source.points(PointRequest("lab.cap", (), *window, 10_000))) == 3
        functions = frozenset({BucketFunction.SUM})
        request = BucketRequest("lab.cap", (), *window, 300_000, functions)
        assert len(await source.buckets(request)) == 3
        await upstream.close()


FAULTS = [
    ("down", {}, UpstreamError, "HTTP 50[03]"),
    ("html", {}, UpstreamError, "HTTP 504"),
    ("truncated", {}, UpstreamError, "broke off|not complete"),
    ("wrong_type", {}, UpstreamError, "history answered"),
    ("reset", {}, UpstreamError, "closed the connection"),
    ("status", {"status": 429}, UpstreamError, "HTTP 429"),
    ("status", {"status": 500}, UpstreamError, "HTTP 500"),
    ("status", {"status": 401}, UpstreamError, "refused the token"),
    ("status", {"status": 302}, UpstreamError, "redirects"),
    ("slow", {"seconds": 30}, UpstreamTimeoutError, "did not answer within 0.5 s"),
]


@pytest.mark.parametrize(("mode", "options", "kind", "words"), FAULTS)
@pytest.mark.parametrize("target", ["opentsdb", "warp10"])
async def test_a_broken_upstream_is_said_and_then_forgotten(
    simulator: str,
    target: str,
    mode: str,
    options: dict[str, int],
    kind: type[Exception],
    words: str,
) -> None:
    upstream = Upstream(concurrency=4, timeout_s=0.5)
    api = OvhApi(demo_account(simulator))
    (service,) = await api.get("/dedicatedCloud")
    tokens = TokenKeeper(api, service, user="admin", allowed_hosts=("127.0.0.1",))
    secret = (await tokens.get()).secret.get_secret_value()
    source = source_by("OpenTSDB" if target == "opentsdb" else "Warp 10 2.11.1", upstream, tokens)
    now = int(time.time())
    metric = "vscope.host.cpu.usage.perc"
    request = PointRequest(metric, (), (now - 3600) * 1000, now * 1000, 100_000)
    try:
        async with httpx.AsyncClient(base_url=simulator) as control:
            fault = {"target": target, "mode": mode, **options}
            (await control.post("/_simulator/faults", json=fault)).raise_for_status()
            for asked in (source.points(request), source.lookup(metric, ())):
                with pytest.raises(kind, match=words) as caught:
                    await asked
                assert secret not in str(caught.value)
            (await control.delete("/_simulator/faults")).raise_for_status()
            assert await source.points(request)
            assert await source.lookup(metric, ())
    finally:
        await upstream.close()
        await api.close()


async def test_series_come_in_the_order_of_their_tags(way: Way) -> None:
    lab = Lab(SERIES[::-1], version="3.5.0" if way.endswith("3.5.0") else "2.11.1")
    window = (BASE_S * 1000, (BASE_S + 7200) * 1000)
    with serving(lab.app) as lab.url:
        upstream = Upstream(concurrency=4, timeout_s=5)
        source = source_by(way, upstream, lab)
        points = await source.points(PointRequest("lab.cap", (), *window, 10_000))
        functions = frozenset({BucketFunction.SUM})
        buckets = await source.buckets(BucketRequest("lab.cap", (), *window, 60_000, functions))
        await upstream.close()
    for found in (points, buckets):
        assert [one.tags["vm"] for one in found] == ["vm-1", "vm-2", "vm-3"]
