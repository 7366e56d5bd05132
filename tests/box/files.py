"""The files that put bridge and Grafana into one box, read as Docker and Grafana read them."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compose_spec import PyOptions

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).parents[2]
PROVISIONING = ROOT / "provisioning"
#: Where the image's build stage works.
BUILD_FOLDERS = ("/tools", "/venv", "/wheels", "/src")


def compose(env: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return the compose file, variables filled in, checked against the specification."""
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    given = env or {}
    text = re.sub(r"\$\{(\w+):-([^}]*)\}", lambda one: given.get(one[1]) or one[2], text)
    options = PyOptions()
    options.apply_merge = True
    parsed = options.from_yaml(text)
    parsed.validate()
    content: dict[str, Any] = parsed.to_dict()
    return content


def expanded(value: Any, env: Mapping[str, str]) -> Any:
    """Expand variables as Grafana does in provisioning files; unknown ones become empty."""
    if isinstance(value, dict):
        return {key: expanded(one, env) for key, one in value.items()}
    if isinstance(value, list):
        return [expanded(one, env) for one in value]
    if not isinstance(value, str):
        return value
    parts = value.split("$$")
    pattern = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
    return "$".join(pattern.sub(lambda one: env.get(one[1] or one[2], ""), p) for p in parts)


def mounts(service: Mapping[str, Any]) -> dict[str, str]:
    """Return what is mounted: target to source."""
    found = {}
    for volume in service.get("volumes", ()):
        if isinstance(volume, dict):
            found[volume["target"]] = volume["source"]
        else:
            source, target, *_ = volume.split(":")
            found[target] = source
    return found


def dockerfile() -> list[list[tuple[str, str]]]:
    """Return the stages of the Dockerfile, each a list of instruction and arguments."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    text = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE)
    text = re.sub(r"\\\n\s*", "", text)
    stages: list[list[tuple[str, str]]] = []
    for line in filter(None, map(str.strip, text.splitlines())):
        word, _, rest = line.partition(" ")
        if word == "FROM":
            stages.append([])
        stages[-1].append((word, rest))
    return stages


def ignored(path: Path) -> bool:
    """Tell whether .dockerignore keeps a file of the repository out of the build."""
    relative = path.relative_to(ROOT)
    rules = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    out = False
    for rule in rules:
        pattern = rule.lstrip("!").removeprefix("**/")
        names = relative.parts if "**/" in rule else relative.parts[:1]
        if any(Path(name).match(pattern) for name in names):
            out = not rule.startswith("!")
    return out


def readable_by_others(path: Path) -> bool:
    """Tell whether another user may read a file, as the users in the containers must."""
    return bool(os.stat(path).st_mode & 0o004)  # noqa: PTH116 -- the bits themselves
