"""Everything but queries: suggest, lookup, last points, static lists."""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from bridge.demo.erlenmeyer.request import AGGREGATORS as KNOWN
from bridge.demo.erlenmeyer.request import DOWNSAMPLERS, CrashError, RefusedError
from bridge.demo.erlenmeyer.selectors import selector

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bridge.demo.shelf import Shelf

AGGREGATORS = sorted(KNOWN | DOWNSAMPLERS)
FILTERS = {
    "literal_or": {
        "examples": "host=literal_or(web01),  host=literal_or(web01|web02|web03)  "
        '{"type":"literal_or","tagk":"host","filter":"web01|web02|web03","groupBy":false}',
        "description": "Accepts one or more exact values and matches if the series contains any "
        "of them. Multiple values can be included and must be separated by the | (pipe) "
        "character. The filter is case sensitive and will not allow characters that TSDB does "
        "not allow at write time.",
    },
    "regexp": {
        "examples": "host=regexp(.*)  "
        '{"type":"regexp","tagk":"host","filter":".*","groupBy":false}',
        "description": "Provides full, POSIX compliant regular expression using the built in "
        "Java Pattern class. Note that an expression containing curly braces {} will not parse "
        "properly in URLs. If the pattern is not a valid regular expression then an exception "
        "will be raised.",
    },
    "wildcard": {
        "examples": "host=wildcard(web*),  host=wildcard(web*.tsdb.net)  "
        '{"type":"wildcard","tagk":"host","filter":"web*.tsdb.net","groupBy":false}',
        "description": "Performs pre, post and in-fix glob matching of values. The globs are "
        "case sensitive and multiple wildcards can be used. The wildcard character is the * "
        "(asterisk). At least one wildcard must be present in the filter value. A wildcard by "
        "itself can be used as well to match on any value for the tag key.",
    },
}
_TYPES = ("metrics", "tagk", "tagv")
_IDENTIFIER = re.compile(r"[-a-zA-Z0-9_./]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_DEFAULT_MAX = 25


@dataclass(frozen=True, slots=True)
class Suggest:
    """A checked suggest request."""

    kind: str
    text: str
    most: int


@dataclass(frozen=True, slots=True)
class Lookup:
    """A checked lookup request; ``tags`` is None when a POST left it out."""

    metric: str
    tags: tuple[tuple[str, str], ...] | None


@dataclass(frozen=True, slots=True)
class LastOf:
    """One series whose newest point is asked for."""

    metric: str
    tags: Mapping[str, str]


def _object(body: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(body)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def suggest_request(method: str, query: Mapping[str, Sequence[str]], body: bytes) -> Suggest | None:
    """Read a suggest request; None is an empty 400 (an unknown key, a bad number).

    Raises:
        RefusedError: a wrong type.
        CrashError: what makes the original panic (a line break, a negative ``max``).
    """
    if method == "GET":
        if set(query) - {"type", "q", "max"}:
            return None
        fields: dict[str, Any] = {key: values[-1] for key, values in query.items()}
        number = str(fields.get("max") or 0)
        if not re.fullmatch(r"[+-]?[0-9]+", number):
            return None
        fields["max"] = int(number)
    else:
        # The original forgets the error of a broken body and goes on with what it has.
        fields = _object(body) or {}
    kind, text, most = fields.get("type"), str(fields.get("q") or ""), fields.get("max") or 0
    if kind not in _TYPES:
        raise RefusedError("Invalid type value (must be 'metrics', 'tagk' or 'tagv')", 500)
    if _CONTROL.search(text) or not isinstance(most, int) or most < 0:
        raise CrashError
    return Suggest(kind, text, most or _DEFAULT_MAX)


def suggest(shelf: Shelf, wanted: Suggest) -> list[str]:
    """List names: metrics that contain the text, tag keys and values that begin with it."""
    names = shelf.names(selector("~.*"), {})
    if wanted.kind == "metrics":
        found = {name.metric for name in names if wanted.text in name.metric}
    else:
        found = set()
        for name in names:
            parts = name.labels.keys() if wanted.kind == "tagk" else name.labels.values()
            found.update(part for part in parts if part.startswith(wanted.text))
    return sorted(found)[: wanted.most]


def _expression(text: str, tag: re.Pattern[str]) -> tuple[str, list[tuple[str, str]]] | None:
    """Split ``metric{key=value,...}``; None when it is ill formed."""
    text = text.strip()
    left, right = text.find("{"), text.find("}")
    if not text:
        return None
    if (left, right) == (-1, -1):
        return text, []
    if not (0 <= left < right - 3 and right == len(text) - 1):
        return None
    tags = []
    for definition in text[left + 1 : right].split(","):
        match = tag.fullmatch(definition)
        if match is None:
            return None
        tags.append((match.group(1), match.group(2)))
    return text[:left], tags


_TAG = re.compile(r"([-a-zA-Z0-9_./]+)=(\*|[-a-zA-Z0-9_./]+)")
_PLAIN_TAG = re.compile(r"([-a-zA-Z0-9_./]+)=([-a-zA-Z0-9_./]+)")


def lookup_request(method: str, query: Mapping[str, Sequence[str]], body: bytes) -> Lookup:
    """Read a lookup request.

    Raises:
        RefusedError: with Erlenmeyer's own words.
        CrashError: any method but GET and POST.
    """
    if method == "GET":
        text = (query.get("m") or [""])[0]
        parts = _expression(text, _TAG)
        if parts is None:
            raise RefusedError(f"can't parse query param 'm={text}'")
        wanted = Lookup(parts[0], tuple(parts[1]))
    elif method == "POST":
        fields = _object(body)
        if fields is None:
            raise RefusedError("unexpected end of JSON input")
        tags = fields.get("tags")
        wanted = Lookup(
            str(fields.get("metric") or ""),
            None
            if tags is None
            else tuple((str(tag.get("key", "")), str(tag.get("value", ""))) for tag in tags),
        )
    else:
        raise CrashError
    texts = [wanted.metric] if wanted.metric not in {"", "*"} else []
    for key, value in wanted.tags or ():
        texts += [key] if value == "*" else [key, value]
    if not all(_IDENTIFIER.fullmatch(text) for text in texts):
        raise RefusedError("Unable to build a backend query from the request")
    return wanted


def lookup(shelf: Shelf, wanted: Lookup) -> dict[str, Any]:
    """List series; ``limit`` is ignored and ``time`` is in microseconds."""
    began = time.perf_counter_ns()
    texts: dict[str, str] = {}
    for key, value in wanted.tags or ():
        known = texts.get(key)
        if value == "*":
            texts[key] = "~.*"
        elif known is None:
            texts[key] = value
        elif known != "~.*":
            texts[key] = f"~{known.removeprefix('~')}|{value}"
    metric = "~.*" if wanted.metric in {"", "*"} else "=" + wanted.metric
    names = shelf.names(selector(metric), {key: selector(text) for key, text in texts.items()})
    tags = None
    if wanted.tags is not None:
        tags = [{"key": key, "value": value} for key, value in wanted.tags]
    return {
        "type": "LOOKUP",
        "limit": 25,
        "startIndex": 0,
        "metric": wanted.metric,
        "tags": tags,
        "time": (time.perf_counter_ns() - began) // 1000,
        "totalResults": len(names),
        "results": [
            {"metric": n.metric, "tsuid": 0, "tags": dict(sorted(n.labels.items()))} for n in names
        ],
    }


def last_request(
    method: str, query: Mapping[str, Sequence[str]], body: bytes
) -> tuple[LastOf, ...]:
    """Read a request for newest points.

    Raises:
        RefusedError: ``Bad request``.
    """
    wanted = []
    if method == "GET":
        if "timeseries" not in query:
            raise RefusedError("Bad request")
        for text in query["timeseries"]:
            parts = _expression(text, _PLAIN_TAG)
            if parts is None or not _IDENTIFIER.fullmatch(parts[0]):
                raise RefusedError("Bad request")
            if len(dict(parts[1])) != len(parts[1]):
                raise RefusedError("Bad request")
            wanted.append(LastOf(parts[0], dict(parts[1])))
        return tuple(wanted)
    fields = _object(body) if method == "POST" else None
    if fields is None:
        raise RefusedError("Bad request")
    for entry in fields.get("queries") or []:
        one = LastOf(str(entry.get("metric") or ""), dict(entry.get("tags") or {}))
        texts = [one.metric, *one.tags.keys(), *one.tags.values()]
        if not all(_IDENTIFIER.fullmatch(str(text)) for text in texts):
            raise RefusedError("Unable to build a backend query from the request")
        wanted.append(one)
    return tuple(wanted)


def last(shelf: Shelf, wanted: Sequence[LastOf]) -> bytes:
    """Return the newest points as JSON; values are text, stamps are seconds."""
    points = []
    for one in wanted:
        labels = {key: selector("=" + value) for key, value in one.tags.items()}
        points += [
            {
                "metric": series.name.metric,
                "timestamp": int(series.stamps_us[-1]) // 1_000_000,
                "value": str(float(series.values[-1])),
                "tags": dict(sorted(series.name.labels.items())),
                "tsuid": 0,
            }
            for series in shelf.last(selector("=" + one.metric), labels)
        ]
    return orjson.dumps(points)
