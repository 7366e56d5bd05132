"""Sets up grafana-pandas-datasource, which needs libraries of its day, beside the bridge."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from benchmarks.servers import HERE

if TYPE_CHECKING:
    from pathlib import Path

_ENVIRONMENT = HERE / ".venv-peer"
_REQUIREMENTS = HERE / "peer-requirements.txt"


def peer_python() -> Path | None:
    """Return the peer's interpreter, or None with the reason printed.

    It is only ever installed from PyPI (it is AGPL) and needs Python 3.11.
    """
    python = _ENVIRONMENT / "bin" / "python"
    stamp = _ENVIRONMENT / "installed.txt"
    wanted = _REQUIREMENTS.read_text()
    if stamp.exists() and stamp.read_text() == wanted:
        return python
    if sys.version_info[:2] != (3, 11):
        print("peer skipped: its pandas has wheels for Python 3.11 only", file=sys.stderr)
        return None
    print(f"installing the peer into {_ENVIRONMENT} ...", file=sys.stderr)
    try:
        subprocess.run([sys.executable, "-m", "venv", "--clear", _ENVIRONMENT], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "-r", _REQUIREMENTS], check=True)
    except subprocess.CalledProcessError as error:
        print(f"peer skipped: {error}", file=sys.stderr)
        return None
    stamp.write_text(wanted)
    return python
