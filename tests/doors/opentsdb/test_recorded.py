"""Requests recorded at a real OpenTSDB 2.4.1, over the points it held.

Statuses, series, tags, stamps and numbers are the recorded ones, except where ``DIFFERENT``
says why not. Error texts begin with the recorded ones, except where ``OWN_WORDS`` says so.
"""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.doors.opentsdb.lab import make_lab, recorded
from tests.doors.test_http import assert_union
from tests.servers import serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

FILES = (
    "query_forms",
    "errors",
    "endpoints",
    "numbers",
    "transport",
    "suggest",
    "lookup",
    "timestamps",
    "ordering",
    "last_delete",
    "filters",
    "filters_combined",
    "downsample",
)

#: Why an answer differs on purpose, the status that is right here, and for which requests.
DIFFERENT: list[tuple[str, int, set[str]]] = [
    (
        "nothing can be deleted",
        400,
        {
            "POST delete:true, allow_delete=false",
            "method_override=delete",
            "delete:true on a TSD with allow_delete=true",
        },
    ),
    (
        "so what OpenTSDB deleted is still there",
        200,
        {"read again", "read after delete:true (data are gone although allow_delete=false)"},
    ),
    (
        "nothing can be written",
        404,
        {
            one["what"]
            for name in FILES
            for one in recorded(name)
            if one["request"]["path"] == "/api/put"
        }
        | {"dropcaches", "uid/assign no args", "uid assign existing"},
    ),
    (
        "annotations are the inventory's, nothing can be written",
        405,
        {"annotation create", "global annotation create"},
    ),
    ("annotations are the inventory's", 404, {"annotation get"}),
    (
        "identifiers of series are OpenTSDB's own",
        400,
        {"GET tsuids", "tsuids", "metric + tsuids", "tsuids bad", "tsuids unknown", "tsuid"},
    ),
    ("jsonp lets other sites read", 400, {"GET jsonp"}),
    (
        "a time zone that is named is used",
        200,
        {"GET tz", "GET timezone", "GET 1dc", "GET 1dc tz="},
    ),
    ("OpenTSDB reads 1356998400.5 as milliseconds of 1970", 200, {"POST float start"}),
    ("arrays may be asked for in the body", 200, {"POST arrays in body"}),
    ("tags that are null are none", 200, {"null tags/filters/downsample", "tags null"}),
    ("series without a value are left out", 200, {"rows in window, downsample nan"}),
    (
        "a value that nobody has matches nothing",
        200,
        {
            "unknown tagv",
            "unknown tagv in or",
            "literal_or(web01|nosuch)@host gb",
            "literal_or(web01|nosuch)@host",
            "literal_or(nosuch)@host gb",
            "literal_or(nosuch)@host",
            "literal_or( web01 )@host gb",
            "literal_or( web01 )@host",
        },
    ),
    (
        "of labels outside the catalogue it is not known whether they exist",
        200,
        {"unknown tagk", "wildcard(*)@nokey gb", "unknown tagk literal", "literal_or(x)@nokey gb"},
    ),
    ("Grafana's All", 200, {"literal_or(*)@host gb", "literal_or(*)@host"}),
    ("a value may hold brackets", 200, {"tags fn not_key", "tags unknown fn"}),
    ("Grafana sends null where a range begins now", 200, {"start null"}),
    (
        "a mistake of the client's is no failure of the server's",
        400,
        {
            "no queries field",
            "queries null",
            "JSON null",
            "empty object",
            "percent garbage",
            "GET m=sum:fl%7Bhost=%7D",
            "GET m=sum:fl%7Bhost%7D",
            "GET m=sum:fl%7Bhost=web01",
            "GET m=sum:",
        },
    ),
    ("what follows the JSON is no JSON", 400, {"trailing junk"}),
    (
        "histograms are not served, nor parts of m that OpenTSDB passes over",
        400,
        {
            "percentiles without histograms",
            "GET m=sum:percentiles[98,99.9]:fl",
            "GET m=sum:bad:fl",
            "GET m=sum:none:fl",
            "GET m=sum:rollup_raw:fl",
        },
    ),
    ("a month and a half minute are not a minute", 400, {"1M-avg", "1.5m-avg"}),
    (
        "arithmetic is in doubles",
        200,
        {
            "long overflow in sum",
            "sub-second points, ms, sum",
            "sub-second points, ms, avg",
            "sub-second points, second keys, sum",
            "sub-second points, second keys, avg",
            "start in ms inside the second",
            "start seconds, end ms",
            "end seconds inclusive T+1",
            "fractional start 'T.200'",
            "start string ms",
        },
    ),
    (
        "of several points in one second the last one is answered",
        200,
        {
            "sub-second points, arrays, sum",
            "sub-second points, arrays, none",
            "sub-second points, arrays, avg",
        },
    ),
    (
        "the data hold what was written last",
        200,
        {
            "same second written twice, last write",
            "int then float at the same second (fix_duplicates=true)",
            "second and ms form of one instant",
            "same, msResolution",
        },
    ),
    (
        "only what is under /api is served",
        404,
        {
            "/q gnuplot ascii",
            "/q json",
            "version non-API",
            "version json",
            "root",
            "non-API /suggest",
        },
    ),
    (
        "not served",
        404,
        {
            "/api/query/nosuch",
            "config",
            "api v2 prefix",
            "bad version prefix",
            "stats (first 3)",
            "stats query",
            "histogram",
            "rollup GET",
            "uidmeta",
            "tsmeta by metric",
            "search/tsmeta without plugin",
            "search/ no type",
        },
    ),
    (
        "the limits are the bridge's",
        200,
        {"413: data point limit 10, 400 series", "413 in a batch"},
    ),
    ("was recorded for a question of its own", 200, {"large answer (400 series): headers"}),
    ("lists are not packed", 200, {"gzip accepted", "accept-encoding gzip", "gzip response"}),
    ("lists that match nothing are no errors", 200, {"unknown metric", "pipe"}),
    ("tags need not name a series completely", 200, {"metric only"}),
    ("the bridge says what it is", 200, {"version", "version POST", "trailing slash"}),
    ("the bridge's own words", 200, {"config filters"}),
    ("jsonp is passed over where nothing secret is answered", 200, {"jsonp"}),
    (
        "what only holds the text is suggested too, whatever the case",
        200,
        {"metrics q=lab", "metrics q case", "metrics q middle", "unknown extra key"},
    ),
    ("the data lack metrics of the recorded server", 200, {"metrics no q", "many max=10000"}),
    (
        "keys and values are the inventory's",
        200,
        {"tagk", "tagk q=h", "tagv", "tagv upper", "tagv all"},
    ),
    ("pages are served", 200, {"start_index"}),
    (
        "the data lack metrics of the recorded server ",
        200,
        {"only tags", "star metric", "value only"},
    ),
    ("the data lack this series", 200, {"series without meta entry, POST useMeta:false"}),
    ("the data lack this metric", 400, {"strings read back"}),
    (
        "the total is that of all series, whatever the limit",
        200,
        {"limit 2", "default limit with 30 series", "POST"},
    ),
]

#: Requests that exist by the same name in several files, where only one differs.
EQUAL = {
    ("errors", "unknown metric"),
    ("last_delete", "unknown metric"),
    ("suggest", "POST"),
}

#: Messages that say more than the recorded one, or say it in another way.
OWN_WORDS = {
    "Unable to parse the given JSON": "what is wrong with it",
    "Invalid absolute date": "which forms there are",
    "Invalid duration": "which forms there are",
    "Zero or negative duration": "what to write instead",
    "String index out of range": "what must be there",
    "Cannot invoke": "what must be there",
    "Bad request": "what is bad",
    "Got Infinity": "what to do",
    "Invalid timezone name": "which forms there are",
    "Invalid parameter m=": "which part is missing",
    "unhandled fill policy": "which there are",
    "Invalid downsampling specifier '1m-avg-nan-x'": "which part is wrong",
    "End time [": "now is another time",
    "No such name for 'tagv'": "another part is wrong as well",
    "No such name for 'metrics': 'x'": "what stands before it is wrong already",
    "Missing the aggregation function": "that there is no metric",
    "Page not found": "which one",
    "Unable to resolve one or more UIDs": "an empty list does",
    "Invalid time: ": "which forms there are",
}

CASES = [
    pytest.param(name, number, id=f"{name}-{one['what']}")
    for name in FILES
    for number, one in enumerate(recorded(name))
]


@pytest.fixture(scope="module")
def lab() -> Iterator[str]:
    with serving(make_lab()) as url:
        yield url


def difference(name: str, what: str) -> tuple[str, int] | None:
    if (name, what) in EQUAL:
        return None
    found = [(reason, status) for reason, status, whats in DIFFERENT if what in whats]
    return found[0] if found else None


def test_every_difference_is_one() -> None:
    known = {one["what"] for name in FILES for one in recorded(name)}
    named = [what for _, _, whats in DIFFERENT for what in whats]
    assert set(named) <= known
    assert len(named) == len(set(named))
    assert {(name, one["what"]) for name in FILES for one in recorded(name)} >= EQUAL
    compared = sum(
        difference(name, one["what"]) is None for name in FILES for one in recorded(name)
    )
    print(f"recorded OpenTSDB requests: {compared} alike, {len(CASES) - compared} not, on purpose")


@pytest.mark.parametrize(("name", "number"), CASES)
def test_answers_are_the_recorded_ones(
    client: httpx.Client, lab: str, name: str, number: int
) -> None:
    exchange = recorded(name)[number]
    what, expected = exchange["what"], exchange["response"]
    response = send(client, lab, exchange)
    different = difference(name, what)
    if different is not None:
        assert response.status_code == different[1], (different[0], response.text)
        same = expected["status"] == 200 == response.status_code and (
            comparable(expected_content(expected)) == comparable(response.json())
        )
        assert not same, f"no longer different: {different[0]}"
        return
    assert response.status_code == (expected["status"] or 400), response.text
    if response.status_code == 200:
        assert comparable(response.json()) == approximate(comparable(expected_content(expected)))
    elif response.request.method != "HEAD":
        error = assert_union(response, response.status_code)
        said = str((expected.get("body") or {}).get("error", {}).get("message", ""))
        if not said.startswith(tuple(OWN_WORDS)):
            assert error["message"].startswith(said)


def send(client: httpx.Client, url: str, exchange: dict[str, Any]) -> httpx.Response:
    request = exchange["request"]
    body = request["body"]
    if isinstance(body, dict) and "queries" in body and has_gaps(exchange["response"]):
        body = {**body, "msResolution": body.get("msResolution", False)}
    headers = {
        key: value
        for key, value in (request.get("headers") or {}).items()
        if key != "Transfer-Encoding"
    }
    content = (
        b"" if body is None else (body if isinstance(body, str) else json.dumps(body)).encode()
    )
    if headers.get("Content-Encoding") == "gzip":
        content = gzip.compress(content)
    address = url + request["path"] + ("?" + request["query"] if request["query"] else "")
    return client.request(request["method"], address, content=content, headers=headers)


def has_gaps(response: dict[str, Any]) -> bool:
    """Whether a client must be one that can read null to get what was recorded."""
    text = json.dumps(response.get("body"))
    return '"NaN"' in text or "null" in text


def expected_content(response: dict[str, Any]) -> Any:
    if "body" in response:
        return response["body"]
    try:
        return json.loads(response.get("body_text") or "null")
    except ValueError:
        return response["body_text"]


def comparable(content: Any) -> Any:
    """Bring both sides' answers into one form: order, gaps and what only one side has aside."""
    if isinstance(content, dict) and content.get("type") == "LOOKUP":
        results = sorted((one["metric"], sorted(one["tags"].items())) for one in content["results"])
        return {**content, "results": results, "time": 0}
    if not isinstance(content, list):
        return content
    if content and all(isinstance(one, str) for one in content):
        return sorted(content)
    series = {}
    for element in content:
        if not isinstance(element, dict) or "statsSummary" in element:
            continue
        key = (element.get("metric"), tuple(sorted(element.get("tags", {}).items())))
        if "value" in element:
            series[key, element["timestamp"]] = element["value"]
        elif element["dps"]:
            points = element["dps"]
            pairs = points.items() if isinstance(points, dict) else points
            series[key] = (
                sorted(element["aggregateTags"]),
                isinstance(points, dict),
                [(int(at), None if value == "NaN" else value) for at, value in pairs],
            )
    return series


def approximate(content: Any) -> Any:
    """Compare doubles as such: OpenTSDB keeps whole numbers above 2^53 exactly."""
    if not isinstance(content, dict) or content.get("type") == "LOOKUP":
        return content
    return {
        key: (
            *one[:2],
            [(at, value if value is None else pytest.approx(value)) for at, value in one[2]],
        )
        if isinstance(one, tuple)
        else one
        for key, one in content.items()
    }
