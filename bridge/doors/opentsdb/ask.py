"""One ``/api/query``, read: what is asked, and in which form the answer goes out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bridge.engine.functions import AGGREGATORS, DOWNSAMPLERS
from bridge.engine.lexemes import unknown
from bridge.errors import BadRequestError

if TYPE_CHECKING:
    from bridge.model import Query, Rate, Window


@dataclass(frozen=True, slots=True)
class SubQuery:
    """One of the queries of a request.

    Attributes:
        field: Where it stands, ``queries[0]`` or ``m[0]``.
        query: What the engine is asked.
        downsample: As the client wrote it, for ``showQuery``.
    """

    field: str
    query: Query
    downsample: str | None = None

    @property
    def is_live(self) -> bool:
        """Whether the inventory answers it: ``live:task{...}`` in the place of a metric."""
        return self.query.metric.startswith("live:")


@dataclass(frozen=True, slots=True)
class Ask:
    """One request.

    Attributes:
        window: The range of all its queries.
        queries: In the client's order, equal ones included.
        milliseconds: Stamps are milliseconds, not seconds.
        arrays: Points are ``[[stamp, value]]``, not ``{"stamp": value}``.
        gaps: A value that a fill policy leaves open is null. Otherwise the point is left out:
            Grafana's server reads null as 0 and fails at "NaN" (reference: grafana 0a).
        show_query: Every series repeats its query.
        annotations: The first series carries the tasks of the range.
    """

    window: Window
    queries: tuple[SubQuery, ...]
    milliseconds: bool
    arrays: bool
    gaps: bool
    show_query: bool
    annotations: bool


def check_aggregator(name: str, field: str) -> str:
    """Return the name of an aggregator that is served.

    Raises:
        BadRequestError: In OpenTSDB's words, with the accepted ones.
    """
    if not name:
        raise BadRequestError(
            f"Missing the aggregation function (accepted: {', '.join(sorted(AGGREGATORS))})",
            field=field,
        )
    if name not in AGGREGATORS:
        problem = f"No such aggregation function: {name}"
        raise BadRequestError(unknown(problem, name, sorted(AGGREGATORS)), field=field)
    return name


def check_downsampler(name: str, field: str) -> str:
    """Return the name of a downsampling function that is served.

    Raises:
        BadRequestError: In OpenTSDB's words, with the accepted ones.
    """
    if name == "none":
        raise BadRequestError("cannot use the NONE aggregator for downsampling", field=field)
    if name not in DOWNSAMPLERS:
        problem = f"No such downsampling function: {name}"
        raise BadRequestError(unknown(problem, name, sorted(DOWNSAMPLERS)), field=field)
    return name


def refuse_delete() -> BadRequestError:
    """Return the refusal of every wish to delete; the words are OpenTSDB's."""
    return BadRequestError(
        "Deleting data is not enabled", field="tsd.http.query.allow_delete=false"
    )


def refuse_tsuids(field: str) -> BadRequestError:
    """Return the refusal of series named by their identifiers."""
    return BadRequestError(
        "tsuids are not served; name the metric, and its series by tags or filters", field=field
    )


def echo(sub_query: SubQuery, index: int) -> dict[str, Any]:
    """Return a query as OpenTSDB shows it with ``showQuery``."""
    query = sub_query.query
    return {
        "aggregator": query.aggregator,
        "metric": query.metric,
        "tsuids": None,
        "downsample": sub_query.downsample,
        "rate": query.rate is not None,
        "filters": [
            {"tagk": one.key, "filter": one.text, "group_by": one.group_by, "type": one.kind}
            for one in query.filters
        ],
        "percentiles": None,
        "index": index,
        "rollupTable": "raw",
        "preAggregate": False,
        "rateOptions": _rate_options(query.rate),
        "rollupUsage": None,
        "explicitTags": query.explicit_tags,
        "useFuzzyFilter": True,
        "useMultiGets": True,
        "showHistogramBuckets": False,
        "filterTagKs": None,
        "tags": {one.key: f"{one.kind}({one.text})" for one in query.filters if one.group_by},
        "histogramQuery": False,
    }


def _rate_options(rate: Rate | None) -> dict[str, Any] | None:
    if rate is None:
        return None
    return {
        "counter": rate.counter,
        "counterMax": rate.counter_max,
        "resetValue": rate.reset_value,
        "dropResets": rate.drop_resets,
    }
