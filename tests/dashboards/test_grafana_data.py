"""Grafana's own code, ``@grafana/data`` from npm, reads what the running demo answers.

This gathers the answers; the checks are in ``tests/grafana-data``, in Node.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dashboards.source.panels import GAP_MS
from tests.dashboards.grafana import Chosen, Request, Span, range_of, requests_of
from tests.dashboards.walk import FILES

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx

    from tests.dashboards.walk import Walk

FOLDER = Path(__file__).parents[1] / "grafana-data"
CPU = "vscope.vm.cpu.usage.perc"
#: The simulated machine whose figures are missing for hours, and one of the steady ones.
GAPPY, STEADY = "fax-gateway", "web-01"


def answered(client: httpx.Client, path: str, body: Any) -> Any:
    answer = client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def simplejson(client: httpx.Client) -> dict[str, Any]:
    """Return what SimpleJSON asks and gets (reference: grafana 1.3)."""
    now = int(time.time())
    body = {"range": range_of(Span(now - 3 * 86_400, now)), "intervalMs": 600_000}
    body |= {"maxDataPoints": 600, "adhocFilters": [], "scopedVars": {}, "timezone": "browser"}

    def query(text: str, kind: str) -> dict[str, Any]:
        target = {"target": text, "refId": "A", "type": kind}
        answer = answered(client, "/query", {**body, "targets": [target]})
        request = Request("simplejson", "POST", "/query")
        return {"request": asdict(request), "answer": answer}

    asked = {"annotation": {"query": "live:task"}, "range": body["range"]}
    return {
        "series": query(f"{CPU}{{vm_name={GAPPY}|{STEADY}}}", "timeserie"),
        "table": query("live:vm", "table"),
        "annotations": answered(client, "/annotations", asked),
        "options": answered(client, "/search", {"target": "vms()"}),
    }


def gaps(client: httpx.Client) -> dict[str, Any]:
    """Return one machine's line as each way gives it, and a steady one."""
    now = int(time.time())
    span = Span(now - 3 * 86_400, now)

    def asked(vm_name: str, way: str, fill: str) -> dict[str, Any]:
        target = {
            "refId": "A",
            "datasource": {"type": "opentsdb"},
            "metric": CPU,
            "aggregator": "none",
            "alias": "",
            "downsampleInterval": "10m",
            "downsampleAggregator": "avg",
            "downsampleFillPolicy": fill,
            "filters": [
                {"type": "literal_or", "tagk": "vm_name", "filter": vm_name, "groupBy": False}
            ],
        }
        saved = {"targets": [target]}
        (request,) = (one for one in requests_of(saved, Chosen(), span) if one.of == way)
        answer = answered(client, request.path, request.body)
        return {"request": asdict(request), "saved": saved, "answer": answer}

    steady = asked(STEADY, "opentsdb server", "null")
    silent = json.loads(json.dumps(steady))
    (series,) = silent["answer"]
    stamps = sorted(series["dps"], key=int)
    missing = GAP_MS // 600_000 + 1
    for stamp in stamps[100 : 100 + missing]:
        del series["dps"][stamp]
    return {
        "unfilled": asked(GAPPY, "opentsdb browser", ""),
        "browser": asked(GAPPY, "opentsdb browser", "null"),
        "server": {**silent, "insertNulls": GAP_MS},
        "steady": steady,
    }


@pytest.mark.timeout(300)
def test_grafanas_own_code_reads_the_answers(
    demo: httpx.Client, opened: Callable[[Path], Walk], tmp_path: Path
) -> None:
    node = shutil.which("node")
    if node is None or not (FOLDER / "node_modules").is_dir():
        if os.environ.get("CI"):
            pytest.fail("Node 20 and npm are needed: make test installs what they run")
        pytest.skip("needs Node 20 and npm")
    walks = [opened(path) for path in FILES]
    told = {
        "walks": [
            {
                "board": one.board,
                "span": asdict(one.span),
                "asked": [vars(asked) | {"request": vars(asked.request)} for asked in one.asked],
            }
            for one in walks
        ],
        "simplejson": simplejson(demo),
        "gaps": {"series": gaps(demo)},
    }
    answers = tmp_path / "answers.json"
    answers.write_text(json.dumps(told))
    done = subprocess.run(
        [node, "--test", "--test-reporter=tap", str(FOLDER / "contract.test.mjs")],
        env={**os.environ, "GRAFANA_ANSWERS": str(answers)},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    failed = "\n".join(line for line in done.stdout.splitlines() if "not ok" in line)
    assert done.returncode == 0, f"{failed}\n{done.stdout[-6000:]}\n{done.stderr[-2000:]}"
