"""The body of ``POST /api/query``, read as strictly (and as loosely) as Go does."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bridge.demo.erlenmeyer.times import DURATION, YEAR_ONE_US, duration_us, parse_time

if TYPE_CHECKING:
    from collections.abc import Mapping

AGGREGATORS = frozenset(
    {"avg", "sum", "zimsum", "min", "max", "mimmin", "mimmax", "dev", "none", "count"}
    | {"p50", "p75", "p90", "p95", "p99", "p999"}
)
DOWNSAMPLERS = (AGGREGATORS | {"first", "last"}) - {"none"}
_DOWNSAMPLE = re.compile(DURATION + r"-([^-]+)(?:-(.+))?", re.DOTALL)
_FILLS = frozenset({"", "none", "nan", "zero"})
_INT64 = range(-(2**63), 2**63)


class RefusedError(Exception):
    """The request is refused with plain text; ``status`` is the HTTP status."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.message = message
        self.status = status


class CrashError(Exception):
    """The original panics here and answers 500 ``Internal Server Error``."""


class _Number(str):
    """A JSON number as it was written (times are read from the text)."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class RateOptions:
    """How a rate is asked for; see ``evaluate`` for what Erlenmeyer makes of it."""

    counter: bool = False
    counter_max: int | None = None
    reset_value: int | None = None
    drop_resets: bool = False


@dataclass(frozen=True, slots=True)
class FilterSpec:
    """One entry of ``filters``."""

    kind: str
    key: str
    expression: str
    group_by: bool


@dataclass(frozen=True, slots=True)
class SubQuery:
    """One entry of ``queries``; ``downsample`` is not checked before it is run."""

    metric: str
    aggregator: str
    downsample: str | None = None
    rate: bool = False
    rate_options: RateOptions | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    filters: tuple[FilterSpec, ...] = ()
    explicit_tags: bool = False


@dataclass(frozen=True, slots=True)
class QueryRequest:
    """A whole request, times in epoch microseconds."""

    start_us: int
    end_us: int
    queries: tuple[SubQuery, ...]
    ms_resolution: bool = False
    delete: bool = False


@dataclass(frozen=True, slots=True)
class Downsampling:
    """A checked ``downsample``; a span of 0 is one bucket for everything."""

    span_us: int
    function: str
    fill: str


def _bad() -> RefusedError:
    return RefusedError("can't parse query")


def _refuse(text: str) -> Any:
    raise ValueError(text)


def _get(source: Mapping[str, Any], name: str) -> Any:
    """Find a field the way Go does: exact name first, else whatever the case."""
    if name in source:
        return source[name]
    for key, value in source.items():
        if key.lower() == name.lower():
            return value
    return None


def _text(source: Mapping[str, Any], name: str) -> str:
    value = _get(source, name)
    if value is None:
        return ""
    if not isinstance(value, str) or isinstance(value, _Number):
        raise _bad()
    return value


def _flag(source: Mapping[str, Any], name: str) -> bool:
    value = _get(source, name)
    if value is None:
        return False
    if not isinstance(value, bool):
        raise _bad()
    return value


def _whole(source: Mapping[str, Any], name: str) -> int | None:
    value = _get(source, name)
    if value is None:
        return None
    if not isinstance(value, _Number) or not re.fullmatch("-?[0-9]+", value):
        raise _bad()
    if int(value) not in _INT64:
        raise _bad()
    return int(value)


def _table(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise _bad()
    return value


def _rows(source: Mapping[str, Any], name: str) -> list[Any]:
    value = _get(source, name)
    if value is None:
        return []
    if not isinstance(value, list):
        raise _bad()
    return value


def _moment(source: Mapping[str, Any], name: str, missing: int, now: float) -> int:
    value = _get(source, name)
    if value is None:
        return missing
    if not isinstance(value, str):
        raise _bad()
    try:
        return parse_time(value, now)
    except (ValueError, OverflowError) as error:
        raise _bad() from error


def _rate_options(source: Mapping[str, Any]) -> RateOptions | None:
    value = _get(source, "rateOptions")
    if value is None:
        return None
    table = _table(value)
    return RateOptions(
        counter=_flag(table, "counter"),
        counter_max=_whole(table, "counterMax"),
        reset_value=_whole(table, "resetValue"),
        drop_resets=_flag(table, "dropResets"),
    )


def _tags(source: Mapping[str, Any]) -> dict[str, str]:
    value = _get(source, "tags")
    if value is None:
        return {}
    table = _table(value)
    return {key: _text(table, key) for key in table}


def _sub_query(source: Mapping[str, Any]) -> SubQuery:
    downsample = _get(source, "downsample")
    filters = []
    for entry in _rows(source, "filters"):
        table = _table({} if entry is None else entry)
        filters.append(
            FilterSpec(
                _text(table, "type"),
                _text(table, "tagk"),
                _text(table, "filter"),
                _flag(table, "groupBy"),
            )
        )
    return SubQuery(
        metric=_text(source, "metric"),
        aggregator=_text(source, "aggregator"),
        downsample=None if downsample is None else _text(source, "downsample"),
        rate=_flag(source, "rate"),
        rate_options=_rate_options(source),
        tags=_tags(source),
        filters=tuple(filters),
        explicit_tags=_flag(source, "explicitTags"),
    )


def parse_request(body: bytes, now: float) -> QueryRequest:
    """Read and check a query.

    Raises:
        RefusedError: with Erlenmeyer's own words.
        CrashError: a ``null`` among the queries.
    """
    try:
        decoded = json.loads(
            body.decode(), parse_int=_Number, parse_float=_Number, parse_constant=_refuse
        )
    except (ValueError, RecursionError) as error:
        raise _bad() from error
    source = _table({} if decoded is None else decoded)
    start = _moment(source, "start", YEAR_ONE_US, now)
    end = _moment(source, "end", int(now * 1e6), now)
    entries = [
        None if entry is None else _sub_query(_table(entry)) for entry in _rows(source, "queries")
    ]
    request = QueryRequest(
        start_us=start,
        end_us=end,
        queries=tuple(entry for entry in entries if entry is not None),
        ms_resolution=_flag(source, "msResolution"),
        delete=_flag(source, "delete"),
    )
    if start > end:
        raise RefusedError("Invalid query: Start date is after end date")
    for query in entries:
        if query is None:
            raise CrashError
        if not query.metric:
            raise RefusedError("Invalid query: missing metric name")
        if query.aggregator not in AGGREGATORS:
            raise RefusedError(f"Invalid query: invalid aggregator {query.aggregator}")
    return request


def parse_downsample(text: str) -> Downsampling:
    """Check a ``downsample`` text.

    Raises:
        RefusedError: with Erlenmeyer's own words.
    """
    match = _DOWNSAMPLE.fullmatch(text)
    if match is None:
        raise RefusedError(f"Wrong downsampling value: {text}")
    count, unit, function, fill = match.groups()
    if function not in DOWNSAMPLERS:
        raise RefusedError(f"Downsampling operator '{function}' is not available")
    if (fill or "") not in _FILLS:
        raise RefusedError(f"Downsampling fill policy '{fill}' is not available")
    return Downsampling(duration_us(count, unit), function, fill or "none")
