"""docs/prometheus.md against what the bridge really shows."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics

from bridge.ovh.families import FAMILIES, IDENTITY
from tests.federate.test_prometheus_files import FILES

if TYPE_CHECKING:
    from tests.federate.conftest import Shown

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "prometheus.md").read_text(encoding="utf-8")


def expected_rows() -> list[str]:
    """The rows of the table of metrics."""
    return [
        "| `{}` | {} | {} | {} | {} |".format(
            family.name,
            family.unit,
            ", ".join(f"`{name}`" for name in (*IDENTITY[family.kind], *family.more)),
            family.help,
            f"`{family.recorded}`" if family.recorded else "",
        )
        for family in FAMILIES
    ]


def test_the_table_of_metrics() -> None:
    assert re.findall(r"^\| `vscope_.*$", TEXT, flags=re.MULTILINE) == expected_rows()


def test_the_demo_shows_every_metric_of_the_table(shown: Shown) -> None:
    found = list(read_openmetrics(shown.live_openmetrics))
    samples = {sample.name for family in found for sample in family.samples}
    assert samples == {family.name for family in FAMILIES}
    labels: dict[str, set[str]] = {}
    for family in found:
        for sample in family.samples:
            labels.setdefault(sample.name, set()).update(sample.labels)
    for family in FAMILIES:
        assert labels[family.name] == {*IDENTITY[family.kind], *family.more}, family.name


def test_every_rule_is_listed() -> None:
    listed = re.findall(r"^\| `(Vscope\w+)` \|", TEXT, flags=re.MULTILINE)
    shipped = [
        rule["alert"]
        for name in ("vscope-live", "vscope-bridge")
        for group in FILES[name]["groups"]
        for rule in group["rules"]
    ]
    assert listed == shipped
