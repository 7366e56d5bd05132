"""Grafana's provisioning files (reference: grafana 5.1, 5.3): what it reads, and nothing else.

Grafana passes over keys it does not know, so that a misspelt one would be a silent default.
Here nothing unknown is allowed.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from bridge.engine.functions import AGGREGATORS, DOWNSAMPLERS, FILLS
from bridge.model import FilterKind

OPENTSDB, INFINITY = "opentsdb", "yesoreyeram-infinity-datasource"
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def seconds(duration: str) -> int:
    """Read a duration of Prometheus' form with one unit."""
    return int(duration[:-1]) * _UNITS[duration[-1]]


def _expanded(text: str) -> str:
    """These texts have environment variables put in: a dollar must be doubled."""
    if "$" in text.replace("$$", ""):
        raise ValueError("a dollar is read as an environment variable here")
    return text


def _template(text: str) -> str:
    """Raw up to Grafana 11; newer ones put in environment variables in braces."""
    if "${" in text:
        raise ValueError("a dollar and brace are read as an environment variable in annotations")
    if text.count("{{") != text.count("}}"):
        raise ValueError("unclosed template")
    return text


Expanded = Annotated[str, StringConstraints(min_length=1), AfterValidator(_expanded)]
Template = Annotated[str, StringConstraints(min_length=1), AfterValidator(_template)]
Duration = Annotated[Expanded, StringConstraints(pattern=r"^[1-9][0-9]*[smhd]$")]
RefId = Annotated[str, StringConstraints(pattern=r"^[A-Z]$")]
Uid = Annotated[Expanded, StringConstraints(pattern=r"^[a-zA-Z0-9_-]{1,40}$")]


class Strict(BaseModel):
    """Refuses what it does not know."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Reference(Strict):
    """Whom a model asks."""

    type: str
    uid: str


class TsdbFilter(Strict):
    """A filter of the OpenTSDB editor."""

    type: FilterKind = Field(strict=False)
    tagk: str
    filter: str
    groupBy: bool  # noqa: N815 -- Grafana's name


class OpenTsdbModel(Strict):
    """A query of the OpenTSDB datasource; numbers of counters are texts."""

    refId: RefId  # noqa: N815 -- Grafana's name, as all below
    datasource: Reference
    metric: str
    aggregator: Literal[tuple(sorted(AGGREGATORS))]  # type: ignore[valid-type]
    downsampleInterval: str  # noqa: N815
    downsampleAggregator: Literal[tuple(sorted(DOWNSAMPLERS))]  # type: ignore[valid-type]  # noqa: N815
    downsampleFillPolicy: Literal[FILLS]  # type: ignore[valid-type]  # noqa: N815
    filters: list[TsdbFilter]
    shouldComputeRate: bool = False  # noqa: N815
    isCounter: bool = False  # noqa: N815
    counterMax: str | None = None  # noqa: N815
    counterResetValue: str | None = None  # noqa: N815
    explicitTags: bool = False  # noqa: N815
    intervalMs: int  # noqa: N815
    maxDataPoints: int  # noqa: N815


class Parameter(Strict):
    """One parameter of an address."""

    key: str
    value: str


class UrlOptions(Strict):
    """How Infinity asks."""

    method: Literal["GET"]
    params: list[Parameter]


class InfinityColumn(Strict):
    """A declared column."""

    selector: str
    text: str
    type: Literal["string", "number", "boolean", "timestamp_epoch"]


class InfinityModel(Strict):
    """A query of Infinity; only its backend parser works in rules."""

    refId: RefId  # noqa: N815
    datasource: Reference
    type: Literal["json"]
    source: Literal["url"]
    parser: Literal["backend"]
    format: Literal["timeseries", "table"]
    url: Literal["/rows"]
    url_options: UrlOptions
    root_selector: Literal[""]
    columns: list[InfinityColumn]
    filters: list[Any]
    intervalMs: int  # noqa: N815
    maxDataPoints: int  # noqa: N815


class ReduceSettings(Strict):
    """Without dropNN a missing value is NaN, and fires."""

    mode: Literal["dropNN"]


class ReduceModel(Strict):
    """One number of each series; never the last one (reference: grafana 0a)."""

    refId: RefId  # noqa: N815
    datasource: Reference
    type: Literal["reduce"]
    expression: RefId
    reducer: Literal["mean", "max", "min"]
    settings: ReduceSettings


class MathModel(Strict):
    """Numbers of two queries, joined by their labels: here one, where the other is a state."""

    refId: RefId  # noqa: N815
    datasource: Reference
    type: Literal["math"]
    expression: Annotated[str, StringConstraints(pattern=r"^\$[A-Z] \* \(\$[A-Z] == -?[0-9]+\)$")]

    @property
    def terms(self) -> tuple[str, str, float]:
        """The step that is passed on, the step that decides, and its wanted value."""
        number, state, wanted = re.findall(r"-?[A-Z0-9]+", self.expression)
        return number, state, float(wanted)


class Evaluator(Strict):
    """The comparison."""

    type: Literal["gt", "lt"]
    params: Annotated[list[int | float], Field(min_length=1, max_length=1)]


class Condition(Strict):
    """One comparison."""

    evaluator: Evaluator


class ThresholdModel(Strict):
    """What fires."""

    refId: RefId  # noqa: N815
    datasource: Reference
    type: Literal["threshold"]
    expression: RefId
    conditions: Annotated[list[Condition], Field(min_length=1, max_length=1)]


class RelativeRange(Strict):
    """Seconds back from the evaluation."""

    from_: int = Field(alias="from", gt=0)
    to: int = Field(ge=0)


Model = OpenTsdbModel | InfinityModel | ReduceModel | MathModel | ThresholdModel


class Query(Strict):
    """One step of a rule."""

    refId: RefId  # noqa: N815
    datasourceUid: Uid  # noqa: N815
    relativeTimeRange: RelativeRange | None = None  # noqa: N815
    model: Model

    @model_validator(mode="after")
    def _agrees(self) -> Query:
        if (self.model.refId, self.model.datasource.uid) != (self.refId, self.datasourceUid):
            raise ValueError("refId and datasource stand twice and must agree")
        kinds = {"vscope-opentsdb": OPENTSDB, "vscope-infinity": INFINITY, "__expr__": "__expr__"}
        if kinds[self.datasourceUid] != self.model.datasource.type:
            raise ValueError("this datasource is of another type")
        asks = isinstance(self.model, OpenTsdbModel | InfinityModel)
        if asks is not (self.relativeTimeRange is not None):
            raise ValueError("queries need a time range, expressions have none")
        return self


class Rule(Strict):
    """One alert rule. Left-out states have surprising defaults, so both must be written."""

    uid: Uid
    title: Annotated[Expanded, StringConstraints(max_length=190)]
    condition: RefId
    for_: Duration = Field(alias="for")
    noDataState: Literal["NoData", "Alerting", "OK"]  # noqa: N815
    execErrState: Literal["Error", "Alerting", "OK"]  # noqa: N815
    isPaused: bool = False  # noqa: N815
    labels: dict[str, Expanded]
    annotations: dict[str, Template]
    data: Annotated[list[Query], Field(min_length=2)]

    @model_validator(mode="after")
    def _chain(self) -> Rule:
        known: set[str] = set()
        for query in self.data:
            if query.refId in known:
                raise ValueError("refIds repeat")
            used = re.findall(r"[A-Z]", getattr(query.model, "expression", ""))
            if not known.issuperset(used):
                raise ValueError(f"{query.refId} uses what does not stand before it")
            known.add(query.refId)
        last = self.data[-1]
        if self.condition != last.refId or not isinstance(last.model, ThresholdModel):
            raise ValueError("the condition is the threshold at the end")
        if not {"summary", "description", "runbook"} <= set(self.annotations):
            raise ValueError("an alert says what is wrong, why that matters and what to do")
        return self

    @property
    def labels_named(self) -> set[str]:
        """Labels of series that the messages use."""
        return {
            name
            for text in self.annotations.values()
            for name in re.findall(r"\$labels\.(\w+)", text)
        }

    @property
    def values_named(self) -> set[str]:
        """Steps whose numbers the messages use."""
        return {
            name
            for text in self.annotations.values()
            for name in re.findall(r"\$values\.(\w+)", text)
        }


class Group(Strict):
    """Rules evaluated together."""

    orgId: int  # noqa: N815
    name: Expanded
    folder: Expanded
    interval: Duration
    rules: list[Rule]

    @model_validator(mode="after")
    def _durations(self) -> Group:
        every = seconds(self.interval)
        if every % 10:
            raise ValueError("the interval is no multiple of the scheduler's ten seconds")
        for rule in self.rules:
            if seconds(rule.for_) % every:
                raise ValueError(f"{rule.uid}: for is no multiple of the interval")
        return self


class Alerting(Strict):
    """A file in provisioning/alerting."""

    apiVersion: Literal[1]  # noqa: N815
    groups: list[Group]


class DatasourceJson(Strict):
    """Settings of a datasource; those of OpenTSDB are numbers (reference: grafana 4.3)."""

    tsdbVersion: Literal[1, 2, 3, 4] | None = None  # noqa: N815
    tsdbResolution: Literal[1, 2] | None = None  # noqa: N815
    lookupLimit: int | None = None  # noqa: N815
    auth_method: Literal["none", "basicAuth", "bearerToken"] | None = None
    allowedHosts: list[str] | None = None  # noqa: N815
    timeoutInSeconds: int | None = None  # noqa: N815
    timeout: int | None = None
    customHealthCheckEnabled: bool | None = None  # noqa: N815
    customHealthCheckUrl: str | None = None  # noqa: N815
    defaultEditorMode: Literal["code", "builder"] | None = None  # noqa: N815
    httpHeaderName1: str | None = None  # noqa: N815


class DatasourceSecrets(Strict):
    """Secrets of a datasource, from the environment."""

    basicAuthPassword: str | None = None  # noqa: N815
    bearerToken: str | None = None  # noqa: N815
    httpHeaderValue1: str | None = None  # noqa: N815


class Datasource(Strict):
    """One datasource."""

    name: str
    uid: Uid
    type: Literal[
        "opentsdb",
        "yesoreyeram-infinity-datasource",
        "grafana-simple-json-datasource",
        "simpod-json-datasource",
    ]
    access: Literal["proxy"]
    url: str
    basicAuth: bool | None = None  # noqa: N815
    basicAuthUser: str | None = None  # noqa: N815
    jsonData: DatasourceJson | None = None  # noqa: N815
    secureJsonData: DatasourceSecrets | None = None  # noqa: N815

    @model_validator(mode="after")
    def _whole(self) -> Datasource:
        settings = self.jsonData or DatasourceJson()
        if self.type == OPENTSDB and None in {
            settings.tsdbVersion,
            settings.tsdbResolution,
            settings.lookupLimit,
        }:
            raise ValueError("OpenTSDB needs tsdbVersion, tsdbResolution and lookupLimit")
        if (self.basicAuth is True) is not (self.basicAuthUser is not None):
            raise ValueError("basicAuth needs a user")
        if (settings.httpHeaderName1 is None) is not (
            (self.secureJsonData or DatasourceSecrets()).httpHeaderValue1 is None
        ):
            raise ValueError("a header needs a name and a value")
        if settings.auth_method == "bearerToken" and not settings.allowedHosts:
            raise ValueError("Infinity sends credentials to allowed hosts only")
        return self


class Datasources(Strict):
    """A file in provisioning/datasources."""

    apiVersion: Literal[1]  # noqa: N815
    datasources: list[Datasource]


class _UniqueKeys(yaml.SafeLoader):
    """Refuses a key that stands twice, of which Grafana would take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=deep) for key, _ in node.value]
        if len(set(keys)) != len(keys):
            raise ValueError(f"a key stands twice among {keys}")
        return super().construct_mapping(node, deep)


def read_yaml(text: str) -> Any:
    """Read a provisioning file."""
    return yaml.load(text, Loader=_UniqueKeys)  # noqa: S506 -- a SafeLoader all the same
