"""The datasources the dashboards ask, by the identifiers of ``provisioning/``."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import DataSourceRef

OPENTSDB = DataSourceRef(type_val="opentsdb", uid="vscope-opentsdb")
INFINITY = DataSourceRef(type_val="yesoreyeram-infinity-datasource", uid="vscope-infinity")
JSON = DataSourceRef(type_val="simpod-json-datasource", uid="vscope-json")
