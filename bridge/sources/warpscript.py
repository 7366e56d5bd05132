"""The scripts sent to Warp 10: constants, and data that cannot become code.

A script's first line is one quoted literal of base64url letters, which decodes to a JSON
object; everything variable stands in it: the token, names, values, times. The rest never
changes (reference: opentsdb 2.7; measured: hostile names and values stay data). The form is
chosen so that the number of operations does not grow with the number of series: Warp 10
allows 1,000 operations a script unless told otherwise.

``FETCHDOUBLE`` rather than ``FETCH``, as OVHcloud's front end does: a series may hold whole
and broken numbers, and ``FETCH`` would cut all of them down to the kind of the newest.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import orjson

from bridge.engine.filters import literal_unions
from bridge.errors import BadRequestError
from bridge.model import BucketFunction, FilterKind
from bridge.sources.metrics_platform import MAX_LITERALS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bridge.model import BucketRequest, PointRequest, TagFilter

#: Warp 10's words for the bucket functions; all of them exact (reference: opentsdb 2.6).
BUCKETIZERS: Mapping[BucketFunction, str] = MappingProxyType(
    {
        BucketFunction.AVG: "mean",
        BucketFunction.SUM: "sum",
        BucketFunction.COUNT: "count",
        BucketFunction.MIN: "min",
        BucketFunction.MAX: "max",
        BucketFunction.FIRST: "first",
        BucketFunction.LAST: "last",
    }
)

_PARAMETERS = """\
B64URL-> 'UTF-8' BYTES-> JSON-> 'p' STORE JSONSTRICT
"""
_RAISE = """\
$p 'token' GET AUTHENTICATE $p 'limit' GET LIMIT
"""
_FETCH = """\
[ $p 'token' GET $p 'class' GET $p 'labels' GET $p 'end' GET $p 'timespan' GET ]
FETCHDOUBLE
"""
_SORT = """\
SORT
"""
_BUCKETIZE = """\
'g' STORE
{ 'mean' bucketizer.mean 'sum' bucketizer.sum 'count' bucketizer.count
'min' bucketizer.min 'max' bucketizer.max 'first' bucketizer.first 'last' bucketizer.last }
'b' STORE
$p 'functions' GET
<% DROP 'f' STORE
[ $g $b $f GET $p 'lastbucket' GET $p 'bucketspan' GET $p 'bucketcount' GET ] BUCKETIZE SORT %>
LMAP
"""


@dataclass(frozen=True, slots=True)
class Script:
    """One constant script, in two forms.

    Attributes:
        plain: Within Warp 10's own limit of points a script may fetch.
        raised: Raises that limit first, which Warp 10 2 allows whoever has a token, up to a
            hard limit, and Warp 10 3 does not.
    """

    plain: str
    raised: str


def _script(body: str) -> Script:
    return Script(_PARAMETERS + _FETCH + body, _PARAMETERS + _RAISE + _FETCH + body)


#: Answers, for each function, the bucketized series.
BUCKETS = _script(_BUCKETIZE)

#: Answers the series.
POINTS = _script(_SORT)


def written(text: str, parameters: Mapping[str, Any]) -> bytes:
    """Return a script with its data.

    Args:
        text: A form of a ``Script``.
        parameters: What it reads from its data.

    Raises:
        BadRequestError: A name or value that is no text.
    """
    try:
        data = base64.urlsafe_b64encode(orjson.dumps(parameters)).rstrip(b"=")
    except TypeError:
        raise BadRequestError("a name or a filter holds half a character") from None
    return b"'" + data + b"'\n" + text.encode()


def bucket_parameters(
    request: BucketRequest, functions: Sequence[BucketFunction]
) -> dict[str, Any]:
    """Return the data of ``BUCKETS`` but for the token, in microseconds.

    Warp 10 counts buckets back from ``lastbucket``, each (stamp - span, stamp]; stamped with
    its last microsecond, a bucket covers [start, start + span).
    """
    last = request.end_ms * 1000 - 1
    return {
        **_series(request.metric, request.filters),
        "end": last,
        "timespan": (request.end_ms - request.start_ms) * 1000,
        "lastbucket": last,
        "bucketspan": request.step_ms * 1000,
        "bucketcount": (request.end_ms - request.start_ms) // request.step_ms,
        "functions": [BUCKETIZERS[function] for function in functions],
    }


def point_parameters(request: PointRequest) -> dict[str, Any]:
    """Return the data of ``POINTS`` but for the token, in microseconds.

    ``FETCH`` covers (end - timespan, end].
    """
    return {
        **_series(request.metric, request.filters),
        "end": request.end_ms * 1000 + 999,
        "timespan": (request.end_ms - request.start_ms + 1) * 1000,
    }


def _series(metric: str, filters: Sequence[TagFilter]) -> dict[str, Any]:
    require_plain_name(metric)
    return {"class": metric, "labels": selectors(filters)}


def require_plain_name(metric: str) -> None:
    """Refuse a metric name that Warp 10 would read as a selector.

    Raises:
        BadRequestError: It begins with ``~`` (a regular expression) or ``=``.
    """
    if metric.startswith(("~", "=")):
        raise BadRequestError(
            f"the metric begins with {metric[0]!r}, which has a meaning of its own "
            "in OVHcloud's history",
            position=0,
        )


def selectors(filters: Sequence[TagFilter]) -> dict[str, str]:
    """Return label selectors that narrow a fetch without ever losing a matching series.

    Only what Java's regular expressions say exactly as the engine does: literals, and
    literals with ``*`` between them. In parentheses, because Warp 10 looks for the longest
    run of letters outside of them before it tries the expression (reference: opentsdb 2.3).
    """
    found: dict[str, str] = {}
    for key, values in literal_unions(filters).items():
        if len(values) == 1:
            found[key] = "=" + next(iter(values))
        elif len(values) <= MAX_LITERALS:
            found[key] = f"~({'|'.join(re.escape(value) for value in sorted(values))})"
    for flt in filters:
        if flt.kind is FilterKind.WILDCARD and flt.key not in found and flt.text.strip("*"):
            parts = ".*".join(re.escape(part) for part in flt.text.split("*"))
            found[flt.key] = f"~((?s:{parts}))"
    return found
