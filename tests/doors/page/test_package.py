"""The wheel carries everything the page is made of."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_the_wheel_has_templates_and_files(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    packed = set(zipfile.ZipFile(wheel).namelist())
    page = ROOT / "bridge" / "doors" / "page"
    ours = [path for path in page.rglob("*") if path.suffix in {".html", ".css", ".js", ".svg"}]
    assert len(ours) >= 10
    assert {str(path.relative_to(ROOT)) for path in ours} <= packed
