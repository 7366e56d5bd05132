"""Queries of the datasources that ``grafana-foundation-sdk`` has no classes for.

What each is saved as: reference grafana 2.3, 3.1, 4.2 and 5.3.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Self

from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models.dashboard import AnnotationTarget

from bridge.catalog import catalogue
from bridge.ovh.live import live_columns
from dashboards.source.datasources import INFINITY, JSON, OPENTSDB

if TYPE_CHECKING:
    from collections.abc import Mapping

    from grafana_foundation_sdk.models.dashboard import DataSourceRef

    from bridge.ovh.live import Column

METRICS = catalogue()
NOTHING: Mapping[str, str] = MappingProxyType({})
#: Infinity's names of column types; times are epoch milliseconds.
_COLUMN_TYPES = {
    "string": "string",
    "number": "number",
    "boolean": "boolean",
    "time": "timestamp_epoch",
}


@dataclass(frozen=True, kw_only=True)
class Query(Builder[Dataquery], Dataquery):
    """One query of a panel.

    Attributes:
        ref_id: Its letter; a panel numbers its queries itself.
    """

    ref_id: str = "A"

    def build(self) -> Self:
        """Return itself, for it is what is written."""
        return self

    def lettered(self, ref_id: str) -> Self:
        """Return the same query under another letter."""
        return replace(self, ref_id=ref_id)

    @property
    def datasource(self) -> DataSourceRef:
        """Whom it asks."""
        raise NotImplementedError

    @property
    def unit(self) -> str:
        """Grafana's identifier of the unit of what it answers, where there is one."""
        return ""

    def to_json(self) -> dict[str, object]:
        """Return what Grafana saves."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class OpenTsdb(Query):
    """A query of Grafana's OpenTSDB datasource.

    Attributes:
        metric: A name of the catalogue.
        alias: Legend with ``$tag_<label>``.
        where: Filters, label to value; a variable may hold several values, or all of them.
        by: Labels that make a line of their own for each value.
        aggregator: ``none`` leaves every stored series by itself.
        function: How the points of one step become one.
        interval: Step; empty takes the panel's.
    """

    metric: str
    alias: str
    where: Mapping[str, str] = field(default_factory=dict)
    by: tuple[str, ...] = ()
    aggregator: str = "none"
    function: str = "avg"
    interval: str = ""

    @property
    def datasource(self) -> DataSourceRef:
        """Grafana's own OpenTSDB datasource."""
        return OPENTSDB

    @property
    def unit(self) -> str:
        """The metric's."""
        return METRICS[self.metric].unit

    @property
    def legend(self) -> str:
        """The legend for Grafana 13.2 and newer, which knows labels and no aliases."""
        return re.sub(r"\$tag_(\w+)", r"${__field.labels.\1}", self.alias)

    def to_json(self) -> dict[str, object]:
        """Return what Grafana saves; an empty bucket is asked for as null, which is a gap."""
        filters = [
            {"type": "literal_or", "tagk": label, "filter": text, "groupBy": label in self.by}
            for label, text in self.where.items()
        ] + [
            {"type": "wildcard", "tagk": label, "filter": "*", "groupBy": True}
            for label in self.by
            if label not in self.where
        ]
        return {
            "refId": self.ref_id,
            "datasource": OPENTSDB,
            "metric": self.metric,
            "aggregator": self.aggregator,
            "alias": self.alias,
            "downsampleInterval": self.interval,
            "downsampleAggregator": self.function,
            "downsampleFillPolicy": "null",
            "disableDownsampling": False,
            "filters": filters,
        }


@dataclass(frozen=True, kw_only=True)
class Live(Query):
    """A live table, through Infinity or the JSON datasource.

    Attributes:
        kind: vm, host, filer, ...
        columns: Names of the table's columns, in order.
        where: Filters on any of its columns; variables are written ``${name:regex}``.
        renamed: Other names for columns in the answer.
        form: Infinity's word for what comes of it.
        simpod: Through the JSON datasource, which answers every column under its own name.
    """

    kind: str
    columns: tuple[str, ...]
    where: Mapping[str, str] = field(default_factory=dict)
    renamed: Mapping[str, str] = field(default_factory=dict)
    form: str = "table"
    simpod: bool = False

    @property
    def datasource(self) -> DataSourceRef:
        """Infinity or the JSON datasource."""
        return JSON if self.simpod else INFINITY

    @property
    def unit(self) -> str:
        """The first column's."""
        return self.described()[0].unit or ""

    def described(self) -> list[Column]:
        """Return the columns as the bridge describes them.

        Raises:
            KeyError: The table has no such column.
        """
        known = {column.name: column for column in live_columns(self.kind)}
        return [known[name] for name in self.columns]

    @property
    def target(self) -> str:
        """The target text."""
        filters = ",".join(f"{name}={text}" for name, text in self.where.items())
        return f"live:{self.kind}{{{filters}}}" if filters else f"live:{self.kind}"

    def to_json(self) -> dict[str, object]:
        """Return what Grafana saves."""
        if self.simpod:
            return SimPod(ref_id=self.ref_id, target=self.target).to_json()
        columns = [
            {
                "selector": column.name,
                "text": self.renamed.get(column.name, column.name),
                "type": _COLUMN_TYPES[column.type],
            }
            for column in self.described()
        ]
        # The backend's parser is the only one that works everywhere, alert rules included.
        return {
            "refId": self.ref_id,
            "datasource": INFINITY,
            "type": "json",
            "source": "url",
            "parser": "backend",
            "format": self.form,
            "url": "/rows",
            "url_options": {
                "method": "GET",
                "data": "",
                "params": [{"key": "target", "value": self.target}],
            },
            "root_selector": "",
            "columns": columns,
            "filters": [],
        }


@dataclass(frozen=True, kw_only=True)
class SimPod(Query):
    """A query of the JSON datasource by simPod: one target text."""

    target: str

    @property
    def datasource(self) -> DataSourceRef:
        """The JSON datasource."""
        return JSON

    def to_json(self) -> dict[str, object]:
        """Return what Grafana saves."""
        return {
            "refId": self.ref_id,
            "datasource": JSON,
            "editorMode": "code",
            "target": self.target,
            "payload": "",
        }


class QueryTarget(AnnotationTarget, Builder[AnnotationTarget]):
    """A query as the target of an annotation; the package's own class knows tags only."""

    def __init__(self, query: Query) -> None:
        super().__init__()
        self.query = query

    def build(self) -> AnnotationTarget:
        """Return itself, for it is what is written."""
        return self

    def to_json(self) -> dict[str, object]:
        """Return the query as it is saved."""
        return self.query.to_json()
