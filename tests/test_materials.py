"""The bill of materials names what the lock file installs, and an audit cannot pass unasked."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
LOCK = ROOT / "requirements.lock"


def recipe(target: str) -> list[str]:
    """The command of a make target, with this interpreter's programs."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8").replace("\\\n", " ")
    found = re.search(rf"^{target}:.*\n\t(.*)$", makefile, re.MULTILINE)
    assert found, target
    return shlex.split(found[1].replace("$(BIN)", str(Path(sys.executable).parent)))


def locked() -> dict[str, str]:
    pinned = re.findall(r"^([\w.-]+)==([^ ;\\]+)", LOCK.read_text(encoding="utf-8"), re.MULTILINE)
    return dict(pinned)


def test_the_bill_of_materials_is_the_lock_file(tmp_path: Path) -> None:
    command = recipe("sbom")
    command[command.index("sbom.cdx.json")] = str(tmp_path / "sbom.cdx.json")
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=100)
    bill = json.loads((tmp_path / "sbom.cdx.json").read_bytes())
    assert bill["bomFormat"] == "CycloneDX"
    assert bill["metadata"]["component"]["name"] == "vscope-bridge"
    assert {one["name"]: one["version"] for one in bill["components"]} == locked()
    for one in bill["components"]:
        assert one["purl"].startswith(f"pkg:pypi/{one['name']}@{one['version']}")
        assert any(place.get("hashes") for place in one["externalReferences"]), one["name"]
    # Nothing that differs from one time to the next.
    assert "serialNumber" not in bill
    assert "timestamp" not in bill["metadata"]


def test_an_audit_that_could_not_ask_is_no_pass() -> None:
    command = recipe("audit")
    assert "--strict" in command
    assert str(LOCK.name) in command
