"""Grafana's formats of provisioning files that hold no alert rules (reference: grafana 5)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from tests.guide.provisioning import Datasources, Duration, Expanded, Strict, Uid


class ProviderOptions(Strict):
    """Where the files are."""

    path: Annotated[str, StringConstraints(pattern=r"^/.*[^/]$")]
    foldersFromFilesStructure: bool  # noqa: N815 -- Grafana's name, as all below


class Provider(Strict):
    """One folder of dashboards."""

    name: Expanded
    orgId: int  # noqa: N815
    folder: Expanded
    folderUid: Uid | Literal[""]  # noqa: N815
    type: Literal["file"]
    disableDeletion: bool  # noqa: N815
    updateIntervalSeconds: Annotated[int, Field(ge=10)]  # noqa: N815
    allowUiUpdates: bool  # noqa: N815
    options: ProviderOptions


class Providers(Strict):
    """A file in provisioning/dashboards."""

    apiVersion: Literal[1]  # noqa: N815
    providers: list[Provider]


class Receiver(Strict):
    """One way to tell somebody."""

    uid: Uid
    type: Literal["email", "webhook", "slack", "pagerduty"]
    settings: dict[str, Any]
    disableResolveMessage: bool  # noqa: N815


class ContactPoint(Strict):
    """Somebody to tell."""

    orgId: int  # noqa: N815
    name: Expanded
    receivers: Annotated[list[Receiver], Field(min_length=1)]


class Policy(Strict):
    """Whom to tell about what."""

    orgId: int  # noqa: N815
    receiver: Expanded
    group_by: Annotated[list[str], Field(min_length=1)]
    group_wait: Duration
    group_interval: Duration
    repeat_interval: Duration


class Notifications(Strict):
    """A file in provisioning/alerting without rules."""

    apiVersion: Literal[1]  # noqa: N815
    contactPoints: list[ContactPoint]  # noqa: N815
    policies: list[Policy]


#: The format of a file by a key that only it has.
FORMATS: dict[str, type[Datasources | Providers | Notifications]] = {
    "datasources": Datasources,
    "providers": Providers,
    "contactPoints": Notifications,
}
