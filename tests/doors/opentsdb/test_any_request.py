"""Whatever is asked is answered 200 in a form Grafana can read, or refused 4xx in words."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from tests.doors.opentsdb.clients import read_as_go
from tests.doors.stand import CPU, MEM, NOW
from tests.doors.test_any_body import VALUES, about, mostly
from tests.doors.test_http import assert_union

if TYPE_CHECKING:
    import httpx

KEYS = mostly(
    st.sampled_from(["vm", "cluster", "vm_name"]),
    st.sampled_from(["nicname", "nokey", "", "*", "tv"]),
)
ODD_TEXTS = st.sampled_from(
    [
        *("", "|", "regex(x)", "(", "regexp(()", "wildcard(a)", "a,b", "{}", "x=y"),
        *("not_literal_or(vm-101)", "web*", "$tv"),
    ]
)
TEXTS = mostly(
    st.sampled_from(["*", "vm-101", "vm-101|vm-102", ".*", "regexp(1$)", "literal_or(vm-101)"]),
    ODD_TEXTS,
)
METRICS = mostly(st.sampled_from([CPU, MEM, "vscope.host.net.tx"]), ODD_TEXTS)
AGGREGATORS = st.sampled_from(["avg", "sum", "none", "count", "p95", "diff", "mult", "last"])
DOWNSAMPLES = mostly(
    st.sampled_from(
        [
            *("5m-avg", "1m-undefined", "1m--", "500ms-max", "0all-sum", "1dc-avg"),
            *("10m-count-zero", "1h-dev-null", "7m-p95-nan", "1s-avg", ""),
        ]
    ),
    st.sampled_from(["1m", "x-avg", "1m-none", "9999y-avg", "1ms-avg-zero", "1m-avg-x", "-"]),
)
TIMES = mostly(
    st.sampled_from([NOW - 3600, (NOW - 7200) * 1000, "1h-ago", "2d-ago", f"{NOW - 600}.5"]),
    st.sampled_from(["now", 0, None, -1, "99999999999y-ago", 253402300799, "2026/99/99", "x"]),
)
FILTERS = st.one_of(
    about(
        {"type": st.just(kind), "tagk": KEYS, "filter": st.sampled_from(texts)},
        groupBy=st.booleans(),
    )
    for kind, texts in {
        "literal_or": ["vm-101", "vm-101|vm-103", "*"],
        "wildcard": ["*", "vm-*1", "*1|*2"],
        "regexp": ["1$", "web", "."],
        "not_iliteral_or": ["VM-101", "a|b"],
        "nope": ["x"],
    }.items()
)
RATES = about(
    counter=st.booleans(),
    counterMax=st.sampled_from([0, "", "5", 1e9, 65_535]),
    resetValue=st.sampled_from([0, "0", 10]),
    dropResets=st.booleans(),
)
QUERIES = about(
    {"metric": METRICS, "aggregator": AGGREGATORS},
    downsample=DOWNSAMPLES,
    rate=st.booleans(),
    rateOptions=RATES,
    tags=st.dictionaries(KEYS, TEXTS, max_size=2),
    filters=st.lists(FILTERS, max_size=2),
    explicitTags=st.booleans(),
    tsuids=st.just([]),
)
#: Without the keys that only Grafana's page sends.
BODIES = about(
    {"start": TIMES, "queries": st.lists(QUERIES, min_size=1, max_size=3)},
    end=mostly(st.sampled_from([NOW, NOW * 1000, "now", "", None]), TIMES),
    timezone=mostly(st.sampled_from(["Europe/Paris", ""]), st.just("Mars")),
    useCalendar=st.booleans(),
    arrays=st.just(False),
    delete=st.just(False),
    # What the other endpoints read.
    metric=METRICS,
    tags=st.lists(about({"key": KEYS, "value": TEXTS}), max_size=2),
    limit=mostly(st.sampled_from([0, 1, "3", -1]), st.just("x") | st.integers()),
    type=st.sampled_from(["metrics", "tagk", "tagv"]),
    q=TEXTS,
    max=st.sampled_from([0, 5, 100_000]),
    resolveNames=st.booleans(),
    backScan=st.sampled_from([1, 48, 10**9]),
)
POSTED = ("query", "query/last", "suggest", "search/lookup")
ENDPOINTS = (*POSTED, "aggregators", "config/filters", "version", "annotation")


def check(response: httpx.Response) -> None:
    event(f"status {response.status_code}")
    assert response.headers["content-type"] == "application/json"
    if response.status_code != 200:
        assert response.status_code in {400, 404, 413}
        assert_union(response, response.status_code)


@pytest.mark.parametrize("path", POSTED)
@given(body=mostly(BODIES, VALUES))
@settings(max_examples=150, deadline=None)
def test_any_body(client: httpx.Client, base: str, path: str, body: Any) -> None:
    response = client.post(f"{base}/api/{path}", content=json.dumps(body))
    check(response)
    keys = body if isinstance(body, dict) else {}
    page = {"msResolution", "globalAnnotations", "showQuery"} & keys.keys()
    if path == "query" and response.status_code == 200 and not page:
        read_as_go(response.content, arrays=bool(keys.get("arrays")))


@pytest.mark.parametrize("path", POSTED)
@given(body=st.binary(max_size=60), packed=st.booleans())
@settings(max_examples=50, deadline=None)
def test_any_bytes(client: httpx.Client, base: str, path: str, body: bytes, packed: bool) -> None:
    content = gzip.compress(body) if packed else body
    headers = {"Content-Encoding": "gzip"} if packed else {}
    check(client.post(f"{base}/api/{path}", content=content, headers=headers))


BRACES = st.dictionaries(KEYS, TEXTS, max_size=2).map(
    lambda tags: "{" + ",".join(f"{key}={value}" for key, value in tags.items()) + "}"
)
PARTS = st.lists(
    AGGREGATORS | DOWNSAMPLES | st.sampled_from(["rate", "rate{counter,5}", "explicit_tags", ""]),
    max_size=3,
)
SELECTORS = st.builds(
    lambda parts, metric, groups, others: ":".join([*parts, metric]) + groups + others,
    PARTS,
    METRICS,
    BRACES | st.just(""),
    BRACES | st.just(""),
)
WORDS = st.lists(
    st.one_of(
        st.tuples(st.just("m"), SELECTORS | st.text(max_size=8)),
        st.tuples(st.just("timeseries"), SELECTORS | TEXTS),
        st.tuples(st.sampled_from(["start", "end", "start_time"]), TIMES.map(str)),
        st.tuples(
            st.sampled_from(["type", "q", "max", "limit", "start_index", "back_scan", "tsuid"]),
            st.sampled_from(["metrics", "tagk", "tagv", "cpu", "", "0", "5", "x", "-1"]),
        ),
        st.tuples(
            st.sampled_from(["arrays", "ms", "show_query", "global_annotations", "delete", "tz"]),
            st.sampled_from(["", "true", "false", "Europe/Paris"]),
        ),
    ),
    max_size=5,
)
PRINTABLE = st.characters(min_codepoint=32, max_codepoint=126, exclude_characters="#")
STARTS = [("start", "1h-ago"), ("m", f"avg:{CPU}{{vm=*}}"), ("type", "metrics")]


@pytest.mark.parametrize(
    "path", [*POSTED, "aggregators", "config/filters", "version", "annotation"]
)
@given(words=WORDS, usual=st.booleans())
@settings(max_examples=150, deadline=None)
def test_any_address(
    client: httpx.Client, base: str, path: str, words: list[tuple[str, str]], usual: bool
) -> None:
    check(client.get(f"{base}/api/{path}", params=[*(STARTS if usual else []), *words]))


@given(
    query=st.text(
        st.characters(codec="ascii", min_codepoint=32, max_codepoint=126, exclude_characters="#"),
        max_size=40,
    )
)
@settings(max_examples=100, deadline=None)
def test_any_query_string(client: httpx.Client, base: str, query: str) -> None:
    for path in POSTED:
        check(client.get(f"{base}/api/{path}?{query}"))


@given(path=st.text(max_size=20))
@settings(max_examples=100, deadline=None)
def test_any_path(client: httpx.Client, base: str, path: str) -> None:
    response = client.get(f"{base}/api/{quote(path, errors='replace')}")
    if response.status_code != 404:
        assert path.strip("/").removeprefix("v1/") in ENDPOINTS
    check(response)
