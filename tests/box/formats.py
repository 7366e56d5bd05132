"""Grafana's formats of provisioning files (reference: grafana 5), strict."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictInt, StringConstraints

Uid = Annotated[str, StringConstraints(pattern=r"^[\w-]{1,40}$")]
Text = Annotated[str, StringConstraints(min_length=1)]
Duration = Annotated[str, StringConstraints(pattern=r"^(\d+(ms|[smhdw]))+$")]
#: Grafana keeps its own pseudo datasource for expressions.
Asked = Uid | Literal["__expr__"]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Common(Strict):
    timeout: StrictInt = 30
    httpHeaderName1: Text = "Authorization"  # noqa: N815 -- Grafana's word


class OpenTsdbJson(Common):
    tsdbVersion: StrictInt  # noqa: N815
    tsdbResolution: StrictInt  # noqa: N815
    lookupLimit: StrictInt  # noqa: N815


class InfinityJson(Strict):
    auth_method: Literal["none", "bearerToken", "basicAuth"]
    allowedHosts: list[Text]  # noqa: N815
    timeoutInSeconds: StrictInt  # noqa: N815
    customHealthCheckEnabled: bool  # noqa: N815
    customHealthCheckUrl: Text  # noqa: N815
    httpHeaderName1: Text  # noqa: N815


class SimPodJson(Common):
    defaultEditorMode: Literal["code", "builder"]  # noqa: N815


class Headers(Strict):
    httpHeaderValue1: Text  # noqa: N815


class Datasource(Strict):
    name: Text
    uid: Uid
    type: Text
    access: Literal["proxy"]
    url: Annotated[str, StringConstraints(pattern=r"^https?://[^/]+$")]
    jsonData: dict[str, Any]  # noqa: N815
    secureJsonData: Headers  # noqa: N815


#: What each type of datasource may have in ``jsonData``.
JSON_DATA: dict[str, type[Strict]] = {
    "opentsdb": OpenTsdbJson,
    "yesoreyeram-infinity-datasource": InfinityJson,
    "simpod-json-datasource": SimPodJson,
    "grafana-simple-json-datasource": Common,
}


class Datasources(Strict):
    apiVersion: Literal[1]  # noqa: N815
    datasources: list[Datasource]


class ProviderOptions(Strict):
    path: Annotated[str, StringConstraints(pattern=r"^/")]
    foldersFromFilesStructure: bool  # noqa: N815


class Provider(Strict):
    name: Text
    orgId: StrictInt  # noqa: N815
    folder: Text
    folderUid: Uid  # noqa: N815
    type: Literal["file"]
    disableDeletion: bool  # noqa: N815
    updateIntervalSeconds: StrictInt  # noqa: N815
    allowUiUpdates: bool  # noqa: N815
    options: ProviderOptions


class Providers(Strict):
    apiVersion: Literal[1]  # noqa: N815
    providers: list[Provider]


class RelativeRange(Strict):
    from_: StrictInt = Field(alias="from")
    to: StrictInt


class RuleQuery(Strict):
    refId: Text  # noqa: N815
    queryType: str = ""  # noqa: N815
    relativeTimeRange: RelativeRange | None = None  # noqa: N815
    datasourceUid: Asked  # noqa: N815
    model: dict[str, Any]


class Rule(Strict):
    uid: Uid
    title: Annotated[str, StringConstraints(min_length=1, max_length=190)]
    condition: Text
    data: list[RuleQuery]
    for_: Duration = Field(alias="for")
    noDataState: Literal["NoData", "Alerting", "OK", "KeepLast"]  # noqa: N815
    execErrState: Literal["Error", "Alerting", "OK", "KeepLast"]  # noqa: N815
    dashboardUid: Uid | None = None  # noqa: N815
    panelId: StrictInt | None = None  # noqa: N815
    annotations: dict[str, str] = {}
    labels: dict[str, str] = {}
    isPaused: bool = False  # noqa: N815


class Group(Strict):
    orgId: StrictInt  # noqa: N815
    name: Text
    folder: Text
    interval: Duration
    rules: list[Rule]


class Receiver(Strict):
    uid: Uid
    type: Text
    settings: dict[str, Any]
    disableResolveMessage: bool = False  # noqa: N815


class ContactPoint(Strict):
    orgId: StrictInt  # noqa: N815
    name: Text
    receivers: list[Receiver]


class Policy(Strict):
    orgId: StrictInt  # noqa: N815
    receiver: Text
    group_by: list[Text]
    group_wait: Duration
    group_interval: Duration
    repeat_interval: Duration


class Alerting(Strict):
    apiVersion: Literal[1]  # noqa: N815
    groups: list[Group] = []
    contactPoints: list[ContactPoint] = []  # noqa: N815
    policies: list[Policy] = []


#: The format of a file by a key that only it has.
FORMATS: dict[str, type[Strict]] = {
    "datasources": Datasources,
    "providers": Providers,
    "groups": Alerting,
    "contactPoints": Alerting,
}
