"""``/api/search/lookup``: the series of a metric (reference: opentsdb 1, grafana 4.2).

It fills Grafana's variables, so nothing that matches nothing is an error, and the inventory
answers where the history cannot.
"""

from __future__ import annotations

import hashlib
import time
from typing import TYPE_CHECKING, Any

from bridge.catalog import ENRICHED_LABELS, SERVICE_LABELS
from bridge.doors.in_order import in_order
from bridge.doors.names import known_metric, series_labels
from bridge.doors.opentsdb.filters import bare_filter
from bridge.doors.opentsdb.selector import Selector, parse_selector
from bridge.doors.opentsdb.values import read_count, read_list, read_object, read_text
from bridge.errors import BadRequestError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bridge.catalog import Metric
    from bridge.doors.doorway import Doorway
    from bridge.model import TagFilter

    Tags = Mapping[str, str]

#: Results given when the client names no number.
DEFAULT_LIMIT = 25

#: Any metric, any key, any value.
_ANY = "*"


async def lookup_address(doorway: Doorway, words: Mapping[str, str]) -> dict[str, Any]:
    """Answer ``m=metric{key=value}``, ``limit``, ``start_index``.

    Raises:
        BadRequestError: No ``m``, or one that cannot be read.
    """
    text = words.get("m", "")
    if not text:
        raise BadRequestError("Missing parameter <code>m</code>", field="m")
    return await _answer(doorway, parse_selector(text, "m"), words, "start_index", pairs=True)


async def lookup_body(doorway: Doorway, body: Mapping[str, Any]) -> dict[str, Any]:
    """Answer ``{"metric", "tags": [{"key", "value"}], "limit", "startIndex"}``.

    Raises:
        BadRequestError: A part cannot be read.
    """
    metric = read_text(body, "metric")
    tags = read_list(body, "tags")
    pairs = tuple(
        _pair(read_object(tag, f"tags[{at}]"), f"tags[{at}]") for at, tag in enumerate(tags)
    )
    if not metric and not pairs:
        raise BadRequestError("Missing metric and tags. Please supply at least one", field="metric")
    return await _answer(
        doorway, Selector(metric, pairs), body, "startIndex", pairs=body.get("tags") is not None
    )


def _pair(tag: Mapping[str, Any], field: str) -> tuple[str, str]:
    """Read one tag; without a key, or without a value, it is any."""
    return read_text(tag, "key", field) or _ANY, read_text(tag, "value", field) or _ANY


async def _answer(
    doorway: Doorway, selector: Selector, words: Mapping[str, Any], start: str, *, pairs: bool
) -> dict[str, Any]:
    began = time.perf_counter()
    count = read_count(words, "limit", "Unable to convert 'limit' to a valid number")
    first = read_count(words, start, f"Unable to convert '{start}' to a valid number")
    count, first = DEFAULT_LIMIT if count is None else max(count, 0), max(first or 0, 0)
    found = await find_series(doorway, selector)
    if count and len(found) > count:
        found = _varied(found, [key for key, value in selector.pairs if value == _ANY])
    page = found[first : first + count] if count else found[first:]
    doorway.limits.require_rows(len(page), "series")
    answer: dict[str, Any] = {"type": "LOOKUP"}
    if selector.metric:
        answer["metric"] = selector.metric
    if pairs:
        answer["tags"] = [{"key": key, "value": value} for key, value in selector.pairs]
    return answer | {
        "limit": count,
        "time": round((time.perf_counter() - began) * 1000, 3),
        "results": [
            {"tsuid": tsuid(metric, tags), "metric": metric.name, "tags": tags}
            for metric, tags in page
        ],
        "startIndex": first,
        "totalResults": len(found),
    }


async def find_series(doorway: Doorway, selector: Selector) -> list[tuple[Metric, Tags]]:
    """Return the series that match, in a stable order.

    Raises:
        BadRequestError: A value names a filter type that cannot be compiled.
    """
    every = selector.metric in ("", _ANY)
    names = sorted(doorway.engine.metrics()) if every else [selector.metric]
    known = [metric for name in names if (metric := known_metric(doorway, name)) is not None]
    found = await in_order(_matching(doorway, metric, selector) for metric in known)
    return [(metric, tags) for metric, own in zip(known, found, strict=True) for tags in own]


def _varied(found: list[tuple[Metric, Tags]], keys: Sequence[str]) -> list[tuple[Metric, Tags]]:
    """Put a series of each value that is asked for first, so that a limit cuts none off early.

    Grafana reads the values of one label out of the first thousand series.
    """
    seen: set[tuple[str | None, ...]] = set()
    first: list[tuple[Metric, Tags]] = []
    others: list[tuple[Metric, Tags]] = []
    for metric, tags in found:
        values = tuple(tags.get(key) for key in keys)
        (others if values in seen else first).append((metric, tags))
        seen.add(values)
    return first + others


async def _matching(doorway: Doorway, metric: Metric, selector: Selector) -> list[Tags]:
    filters = read_pairs(metric, selector.pairs, "m")
    if filters is None:
        return []
    anywhere = {value for key, value in selector.pairs if key == _ANY} - {_ANY}
    series = await series_labels(doorway, metric, filters)
    matching = [tags for tags in series if anywhere <= set(tags.values())]
    return sorted(matching, key=lambda tags: sorted(tags.items()))


def read_pairs(
    metric: Metric, pairs: Sequence[tuple[str, str]], field: str
) -> tuple[TagFilter, ...] | None:
    """Return the filters on a metric's labels; None when an empty value can match nothing.

    Grafana writes further values of a variable behind the variable's own name, not the
    label's: ``vm=web01,tv=web02`` (reference: grafana 0a). A key that is no label of the
    metric, behind one with a value, therefore adds a value to that one.

    Raises:
        BadRequestError: A value names a filter type there is not.
    """
    labels = {*metric.all_labels, *SERVICE_LABELS}
    values: list[tuple[str, list[str]]] = []
    for key, value in pairs:
        if key == _ANY:
            continue
        if not value:
            return None
        repeats = bool(values) and _ANY not in values[-1][1] and bool(metric.all_labels)
        if repeats and (key not in labels or key == values[-1][0]):
            values[-1][1].append(value)
        else:
            values.append((key, [value]))
    return tuple(bare_filter(key, "|".join(found), field) for key, found in values)


def tsuid(metric: Metric, tags: Tags) -> str:
    """Return a text that names a series for good: made of what is stored of it."""
    stored = sorted((k, v) for k, v in tags.items() if k not in ENRICHED_LABELS[metric.kind])
    digest = hashlib.blake2b(repr((metric.name, stored)).encode(), digest_size=9)
    return digest.hexdigest().upper()
