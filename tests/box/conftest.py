"""The image's build stage, run by its own commands in folders of its own."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.box.files import BUILD_FOLDERS, ROOT, dockerfile
from tests.commands import environment

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The virtual environment that the image holds, the bridge's wheel installed in it."""
    top = tmp_path_factory.mktemp("image")
    source = top / "src"
    source.mkdir()

    def here(command: str) -> str:
        """Return a command with this test's folders and Python."""
        command = re.sub(r"^python ", f"{sys.executable} ", command)
        return re.sub(rf"(?<![\w./])({'|'.join(BUILD_FOLDERS)})(?=[/\s]|$)", rf"{top}\1", command)

    for word, rest in dockerfile()[0]:
        if word == "COPY":
            *names, _ = rest.split()
            for name in names:
                if (ROOT / name).is_dir():
                    shutil.copytree(ROOT / name, source / name)
                else:
                    shutil.copy(ROOT / name, source)
        elif word == "RUN":
            done = subprocess.run(
                ["sh", "-c", here(rest)],  # noqa: S607 -- as Docker does
                cwd=source,
                env=environment(HOME=str(top)),
                capture_output=True,
                text=True,
                timeout=300,
                check=False,
            )
            assert done.returncode == 0, f"{rest}\n{done.stdout}\n{done.stderr}"
    return top / "venv"
