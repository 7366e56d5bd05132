"""Prometheus' own word on the exposition and on the rule files.

Building these checks takes a minute or two the first time on a machine, and nothing after that.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.federate.conftest import Shown

pytestmark = pytest.mark.timeout(900)
RULES = sorted((Path(__file__).parents[2] / "provisioning/prometheus/rules").glob("*.yml"))


def check(program: Path, *arguments: str, text: str = "") -> tuple[int, list[str]]:
    done = subprocess.run(
        [str(program), *arguments], input=text, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout.splitlines()


def test_the_live_data_pass_check_metrics(promcheck: Path, shown: Shown) -> None:
    assert check(promcheck, "metrics", text=shown.live) == (0, [])


def test_the_bridges_own_figures_pass_check_metrics(promcheck: Path, shown: Shown) -> None:
    _, problems = check(promcheck, "metrics", text=shown.figures)
    # Python's client has its own ways with its own figures.
    assert [problem for problem in problems if problem.startswith("vscope_")] == []


def test_check_metrics_finds_something(promcheck: Path) -> None:
    wrong = "# TYPE vscope_vm_ready_milliseconds gauge\nvscope_vm_ready_milliseconds 1\n"
    code, problems = check(promcheck, "metrics", text=wrong)
    assert code == 1
    assert len(problems) == 2, "no help, and no base unit"


def test_prometheus_loads_the_rules(promcheck: Path) -> None:
    assert check(promcheck, "rules", *map(str, RULES)) == (0, [])


def test_check_rules_finds_something(promcheck: Path, tmp_path: Path) -> None:
    text = RULES[0].read_text().replace("time()", "tim()", 1)
    (tmp_path / "wrong.yml").write_text(text)
    code, problems = check(promcheck, "rules", str(tmp_path / "wrong.yml"))
    assert code == 1
    assert "tim" in problems[0]
