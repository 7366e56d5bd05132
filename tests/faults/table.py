# ruff: noqa: E501 -- one line a row
"""The fault matrix: what the bridge does when OVHcloud goes wrong.

A row is a fault; what is expected stands in its columns (``outcomes`` says what the words
mean, ``wrongs`` and ``worlds`` what goes wrong):

* **cold**: the bridge was never asked before, and remembers nothing;
* **warm**: it was asked before;
* **recording**: the recorder runs. For faults of history nothing is expected but that it
  goes on; those who ask then get what stands under *cold*, although a recording is there.

Faults of APIv6 concern live tables, those of the two protocols of history concern series;
the other kind is complete meanwhile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.faults import wrongs as w
from tests.faults.outcomes import (
    Complete,
    Fewer,
    GoesOn,
    Lacks,
    No,
    Old,
    Others,
    Partly,
    Row,
    Stops,
)
from tests.faults.worlds import Changed, Nameless, Refused, Skewed, Stranger

if TYPE_CHECKING:
    from tests.faults.outcomes import World
    from tests.faults.wrongs import Wrong

API, TSDB, WARP = "api", "opentsdb", "warp10"
ALL, ON = Complete(), GoesOn()
VM, PCC = r"/vm/", r"/dedicatedCloud/pcc"


def dead(fault: str, wrong: Wrong | World, words: str, where: str = "") -> Row:
    """APIv6 gives nothing, for this reason: one row, since the reason is all that differs."""
    return Row(fault, API, wrong, No(503, words), Old(503, words), Stops(words), where)


def lost(fault: str, part: str, wrong: Wrong | World, words: str, status: int = 502) -> Row:
    """A protocol of history gives nothing, for this reason."""
    return Row(fault, part, wrong, No(status, words), Old(status, words), ON)


def much(fault: str, wrong: Wrong | World, words: str) -> Row:
    """A limit of Warp 10's: the question is too much, which no memory makes good."""
    return Row(fault, WARP, wrong, No(413, words), No(413, words), ON)


BUSY = {"class": "Client::Conflict", "message": "busy"}
GONE = {"class": "Client::NotFound", "message": "does not exist"}
EXPIRED = Changed("credential", {"state": "expired"}, {"state": "validated"})
REFUSED = Changed("credential", {"state": "refused"}, {"state": "validated"})
READ = {"method": "GET", "path": "/dedicatedCloud*"}
TOKEN = {"method": "POST", "path": "/dedicatedCloud/*/user/*"}
NARROWED = Changed("credential", {"rules": [READ]}, {"rules": [READ, TOKEN]})
CUT = "broke off|cannot be decoded|it was cut"
SLOW = "did not answer|no answer within"
NO_JSON = "is no JSON"
HTTP = "did not speak proper HTTP|broke off|without an answer"

# fmt: off
TABLE = (
    # -- APIv6: connections, time, HTTP ----------------------------------------------------
    dead("nobody listens", Refused(), "no connection to OVHcloud"),
    dead("its name cannot be resolved", Nameless(), "cannot be resolved"),
    dead("a stranger's certificate", Stranger(), "TLS failed"),
    dead("closes without a word", w.close_at_once, "it was cut"),
    dead("resets at once", w.reset_at_once, "it was cut"),
    dead("resets inside the headers", w.reset_mid_head, "it was cut|broke off"),
    dead("half closes", w.half_close, "it was cut"),
    dead("closes mid-body", w.close_mid_body, CUT),
    dead("resets mid-body", w.reset_mid_body, CUT),
    dead("slow headers", w.slow_head, SLOW),
    dead("slow body", w.slow_body, SLOW),
    dead("endless headers", w.endless_head, "it was cut|broke off|no usable HTTP"),
    dead("no HTTP", w.no_http, "it was cut|broke off|no usable HTTP"),
    dead("broken chunks", w.broken_chunks, CUT),
    dead("chunks without an end", w.chunks_without_end, CUT),
    dead("a page to sign in, 200", w.sign_in_page, NO_JSON),
    dead("huge body", w.huge, "longer than"),
    dead("gzip bomb", w.bomb, "longer than|compressed"),
    dead("gzip bomb in a gzip bomb", w.bomb_in_bomb, "longer than|compressed"),
    dead("redirects elsewhere", w.elsewhere, "a redirect"),
    Row("JSON said to be text", API, w.text_type, ALL, ALL, ON),
    # -- APIv6: JSON -----------------------------------------------------------------------
    dead("truncated JSON", w.truncated, NO_JSON, "/dedicatedCloud"),
    dead("no UTF-8", w.not_utf8, NO_JSON),
    dead("another type", w.another_type, "was expected"),
    dead("null", w.null, "was expected"),
    dead("empty body", w.empty_200, "was expected"),
    dead("nested too deep", w.too_deep, NO_JSON),
    Row("truncated machines", API, w.truncated, Partly(NO_JSON), Old(503, NO_JSON), Stops(NO_JSON), VM),
    Row("NaN in a machine", API, w.not_a_number, Partly(NO_JSON), Old(503, NO_JSON), Stops(NO_JSON), VM),
    Row("a number beyond doubles", API, w.beyond_double, Partly(NO_JSON), Old(503, NO_JSON), Stops(NO_JSON), VM),
    Row("keys twice, the last true", API, w.keys_twice, ALL, ALL, ON, VM),
    Row("machines listed twice", API, w.listed_twice, ALL, ALL, ON, r"/vm$"),
    # -- APIv6: refusals, its own shape and a gateway's page ---------------------------------
    dead("400", w.status(400), "HTTP 400"),
    dead("401", w.status(401), "does not accept the credential"),
    dead("403", w.status(403), "lacks the right"),
    dead("404", w.status(404), "no such object"),
    dead("408", w.status(408), "HTTP 408"),
    dead("409", w.status(409), "HTTP 409"),
    dead("429", w.status(429), "too many calls"),
    dead("429 for an hour", w.status(429, Retry_After="3600"), "too many calls", VM),
    Row("460", API, w.status(460), No(503, "is expired"), Old(503, "is expired", series=503), Stops("is expired"), PCC),
    dead("500", w.status(500), "HTTP 500"),
    dead("502", w.status(502), "HTTP 502"),
    dead("503", w.status(503), "HTTP 503"),
    dead("504", w.status(504), "HTTP 504"),
    dead("401, a gateway's page", w.status(401, "page"), "does not accept the credential"),
    dead("403, a gateway's page", w.status(403, "page"), "lacks the right"),
    dead("404, a gateway's page", w.status(404, "page"), "no such object"),
    dead("408, a gateway's page", w.status(408, "page"), "HTTP 408"),
    dead("409, a gateway's page", w.status(409, "page"), "HTTP 409"),
    dead("429, a gateway's page", w.status(429, "page"), "too many calls"),
    Row("460, a gateway's page", API, w.status(460, "page"), No(503, "is expired"), Old(503, "is expired", series=503), Stops("is expired"), PCC),
    dead("500, a gateway's page", w.status(500, "page"), "HTTP 500"),
    dead("502, a gateway's page", w.status(502, "page"), "HTTP 502"),
    dead("503, a gateway's page", w.status(503, "page"), "HTTP 503"),
    dead("504, a gateway's page", w.status(504, "page"), "HTTP 504"),
    dead("INVALID_CREDENTIAL", w.api_error(403, "INVALID_CREDENTIAL", "This credential is not valid"), "does not accept the credential"),
    dead("NOT_GRANTED_CALL", w.api_error(403, "NOT_GRANTED_CALL", "This call has not been granted"), "lacks the right"),
    dead("INVALID_SIGNATURE", w.api_error(400, "INVALID_SIGNATURE", "Invalid signature"), "refused the signature", "/dedicatedCloud"),
    dead("QUERY_TIME_OUT", w.api_error(400, "QUERY_TIME_OUT", "Query out of time"), "refused the signature", "/dedicatedCloud"),
    Row("403 for machines", API, w.status(403), Partly("lacks the right"), Old(503, "lacks the right"), Stops("lacks the right"), VM),
    Row("503 for machines", API, w.status(503), Partly("HTTP 503"), Old(503, "HTTP 503"), Stops("HTTP 503"), VM),
    # -- APIv6: batches, and the world -------------------------------------------------------
    Row("batches unsupported", API, w.batch_unsupported, ALL, ALL, ON),
    Row("one of a batch fails", API, w.batch_error(BUSY), Partly("1 of 4 failed"), Old(503, "1 of 4 failed"), Lacks("1 of 4 failed"), VM),
    Row("one of a batch fails in plain text", API, w.batch_error("internal error"), Partly("1 of 4 failed"), Old(503, "1 of 4 failed"), Lacks("1 of 4 failed"), VM),
    Row("one of a batch is gone", API, w.batch_error(GONE), Fewer(), Fewer(), Fewer(), VM),
    Row("a datacenter vanishes", API, w.vanished(1145), Fewer(), Fewer(), Fewer(), PCC, datacenters=2),
    Row("an id is another machine's", API, w.machines(w.reborn), ALL, ALL, Others(), VM),
    Row("the clock is ten minutes ahead", API, Skewed(600), ALL, ALL, ON),
    Row("the clock is ten minutes behind", API, Skewed(-600), ALL, ALL, ON),
    dead("the credential expires", EXPIRED, "does not accept the credential"),
    dead("the credential is refused", REFUSED, "does not accept the credential"),
    # -- OVHcloud's OpenTSDB front end --------------------------------------------------------
    lost("nobody listens", TSDB, Refused(), "refused the connection"),
    lost("a stranger's certificate", TSDB, Stranger(), "certificate that cannot be trusted"),
    lost("closes without a word", TSDB, w.close_at_once, "without an answer"),
    lost("resets at once", TSDB, w.reset_at_once, "without an answer"),
    lost("resets inside the headers", TSDB, w.reset_mid_head, HTTP),
    lost("half closes", TSDB, w.half_close, "without an answer"),
    lost("closes mid-body", TSDB, w.close_mid_body, "broke off"),
    lost("resets mid-body", TSDB, w.reset_mid_body, "broke off"),
    lost("slow headers", TSDB, w.slow_head, SLOW, 504),
    lost("slow body", TSDB, w.slow_body, SLOW, 504),
    lost("endless headers", TSDB, w.endless_head, HTTP),
    lost("no HTTP", TSDB, w.no_http, HTTP),
    lost("broken chunks", TSDB, w.broken_chunks, HTTP),
    lost("chunks without an end", TSDB, w.chunks_without_end, "broke off"),
    lost("JSON said to be text", TSDB, w.text_type, "text/plain where JSON was expected"),
    lost("a page to sign in, 200", TSDB, w.sign_in_page, "text/html where JSON was expected"),
    lost("huge body", TSDB, w.huge, "more than 4 MiB"),
    lost("gzip bomb", TSDB, w.bomb, "compressed, unasked"),
    lost("redirects elsewhere", TSDB, w.elsewhere, "redirects elsewhere"),
    lost("truncated JSON", TSDB, w.truncated, "not complete JSON|list of series that is none"),
    lost("NaN", TSDB, w.not_a_number, "not numbers"),
    lost("a number beyond doubles", TSDB, w.beyond_double, "not numbers"),
    lost("no UTF-8", TSDB, w.not_utf8, "not complete JSON|list of series that is none"),
    lost("another type", TSDB, w.another_type, "list of series"),
    lost("null", TSDB, w.null, "list of series"),
    lost("empty body", TSDB, w.empty_200, "list of series|not complete JSON"),
    lost("nested too deep", TSDB, w.too_deep, "list of series|not complete JSON"),
    Row("stamps twice, the last true", TSDB, w.keys_twice, ALL, ALL, ON),
    lost("401", TSDB, w.status(401, "tsdb"), "refused the token"),
    lost("403", TSDB, w.status(403, "tsdb"), "refused the token"),
    lost("404", TSDB, w.status(404, "tsdb"), "HTTP 404"),
    lost("408", TSDB, w.status(408, "tsdb"), "HTTP 408"),
    lost("409", TSDB, w.status(409, "tsdb"), "HTTP 409"),
    lost("413", TSDB, w.status(413, "tsdb"), "HTTP 413"),
    lost("429", TSDB, w.status(429, "tsdb"), "HTTP 429"),
    lost("460", TSDB, w.status(460, "tsdb"), "HTTP 460"),
    lost("500 for a bad token", TSDB, w.status(500, "tsdb", "invalid character 'i' looking for beginning of value"), "the token was refused, or"),
    lost("500, a page", TSDB, w.status(500, "page"), "HTTP 500"),
    lost("502, a page", TSDB, w.status(502, "page"), "HTTP 502"),
    lost("503, a page", TSDB, w.status(503, "page"), "HTTP 503"),
    lost("504, a page", TSDB, w.status(504, "page"), "HTTP 504"),
    Row("the token is revoked", TSDB, Changed("token", {}), ALL, ALL, ON),
    Row("the token is denied", TSDB, Changed("token", {"mode": "deny"}), ALL, ALL, ON),
    # -- Warp 10 ------------------------------------------------------------------------------
    lost("nobody listens", WARP, Refused(), "refused the connection"),
    lost("resets mid-body", WARP, w.reset_mid_body, "broke off"),
    lost("slow headers", WARP, w.slow_head, SLOW, 504),
    lost("slow body", WARP, w.slow_body, SLOW, 504),
    lost("a page to sign in, 200", WARP, w.sign_in_page, "text/html where JSON was expected"),
    lost("gzip bomb", WARP, w.bomb, "compressed, unasked"),
    lost("redirects elsewhere", WARP, w.elsewhere, "redirects elsewhere"),
    lost("truncated JSON", WARP, w.truncated, "not complete JSON|list of series that is none"),
    lost("NaN", WARP, w.not_a_number, "not complete JSON|not numbers"),
    lost("a number beyond doubles", WARP, w.beyond_double, "not complete JSON|not numbers"),
    lost("another type", WARP, w.another_type, "list of series"),
    lost("empty body", WARP, w.empty_200, "not complete JSON|list of series that is none"),
    Row("stamps twice, the last true", WARP, w.keys_twice, ALL, ALL, ON),
    lost("403", WARP, w.warp10_error("Invalid token", 403), "refused the token"),
    lost("500 for a bad token", WARP, w.warp10_error("Invalid token."), "refused the token"),
    lost("500 for an expired token", WARP, w.warp10_error("Token Expired."), "refused the token"),
    lost("500 for a script", WARP, w.warp10_error("Exception at 'FETCH'"), "HTTP 500"),
    lost("503, a page", WARP, w.status(503, "page"), "HTTP 503"),
    much("the limit of points", w.warp10_error("FETCH exceeded limit of 100 datapoints"), "at most 100 points"),
    much("the limit of series", w.warp10_error("FETCH exceeded limit of 100 Geo Time Series"), "at most 100 series"),
    much("the limit of buckets", w.warp10_error("Bucket count (9) would exceed maximum value of 8"), "at most 8 buckets"),
    much("the limit of work", w.warp10_error("Operation count (9) exceeded maximum of 8"), "too much work"),
    Row("the token is revoked", WARP, Changed("token", {}), ALL, ALL, ON),
    Row("the token expires", WARP, Changed("token", {"mode": "expire"}), ALL, ALL, ON),
    Row("nobody listens, OpenTSDB does", WARP, Refused(), ALL, ALL, ON, protocol="auto"),
    Row("breaks off, OpenTSDB does not", WARP, w.reset_mid_body, ALL, ALL, ON, protocol="auto"),
    Row("the limit of series, OpenTSDB has none", WARP, w.warp10_error("FETCH exceeded limit of 100 Geo Time Series"), ALL, ALL, ON, protocol="auto"),
    # -- between the two -----------------------------------------------------------------------
    Row("no right to the token", TSDB, NARROWED, No(502, "lacks the right"), ALL, ON),
)
# fmt: on
