"""Requests recorded from Grafana 9.4, and what they ask in the world of the tests."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

FIXTURES = Path(__file__).parents[1] / "fixtures" / "grafana-9.4"
CPU, MEM = "vscope.vm.cpu.usage.perc", "vscope.vm.mem.usage.perc"

#: The recordings' variable values and what stands for them: two machines' moRefs.
MACHINES = ("vm-web01", "vm-web02")

#: Whole texts of the recordings, with the escapes and groups that Grafana made of
#: variables. A and B stand for the two machines.
TEXTS = {
    "vm.cpu.usage": CPU,
    "vm.mem.used": MEM,
    "vm-web01": f"{CPU}{{vm=A}}",
    "vm-web02": f"{CPU}{{vm=B}}",
    "L:titleonly": f"sum:{CPU}",
    r"vm\.cpu\.usage (vm-web01|vm-web02)": r"vscope\.vm\.cpu\.usage\.perc{vm=(A|B)}",
    "vm.cpu.usage vm-web01,vm-web02": f"{CPU}{{vm={{A,B}}}}",
    "(vm-web01|vm-web02)": f"{CPU}{{vm=(A|B)}}",
    "metrics of (vm-web01|vm-web02)": f"tag_values({CPU}, vm_name, vm=(A|B))",
    "vms of (vm-web01|vm-web02)": f"tag_values({CPU}, vm, vm=(A|B))",
    "deploys vm-web01": "live:task{state=*}",
    "deploys ": "",
    "deploys {vm-web01,vm-web02} vm.cpu.usage": "live:task{state={done,doing,todo}}",
}

#: The recordings' form fields and those that stand for them; None has no counterpart.
FIELDS = {
    "vm": ("vm", None),
    "vms": ("vm", None),
    "vm2": ("group_by", "(vm|cluster)"),
    "re": ("group_by", "(vm|cluster)"),
    "one": ("datacenter", "*"),
    "flag": ("explicit_tags", False),
    "limit": ("downsample", "10m"),
    "format": ("format", None),
    "n": None,
}


@cache
def recorded(name: str) -> dict[str, Any]:
    """Return one recording as it was made."""
    content: dict[str, Any] = json.loads((FIXTURES / f"{name}.json").read_text())
    return content


def names(pattern: str = "") -> list[str]:
    """Return the names of the recordings that match a pattern."""
    found = sorted(path.stem for path in FIXTURES.glob("simp*.json"))
    return [name for name in found if re.search(pattern, name)]


def in_this_world(body: Any, machines: tuple[str, str], now_ms: int) -> Any:
    """Return a recorded body with names and times that exist here, its structure kept."""
    if not isinstance(body, dict):
        return body
    ends = (body.get("range") or {}).get("to")
    shift = now_ms - _ms(ends) if ends else 0
    return _translate(body, machines, shift)


def _translate(value: Any, machines: tuple[str, str], shift: int) -> Any:
    if isinstance(value, dict):
        return {
            key: _payload(one, machines) if key == "payload" else _translate(one, machines, shift)
            for key, one in value.items()
        }
    if isinstance(value, list):
        return [_translate(one, machines, shift) for one in value]
    if not isinstance(value, str):
        return value
    if re.match(r"\d{4}-\d\d-\d\dT", value):
        return _iso(_ms(value) + shift)
    return "cluster" if value == "zone" else _text(value, machines)


def _payload(fields: Any, machines: tuple[str, str]) -> Any:
    if not isinstance(fields, dict):
        return fields
    if "target" in fields:
        return {**fields, "target": _text(fields["target"], machines)}
    if fields.get("type") == "metric":
        return {"type": "vms", "vm": _machines(fields["vms"], machines)}
    translated: dict[str, Any] = {}
    for key, value in fields.items():
        field = FIELDS.get(key, (key, None))
        if field is not None:
            name, instead = field
            translated[name] = _machines(value, machines) if instead is None else instead
    return translated


def _machines(value: Any, machines: tuple[str, str]) -> Any:
    if isinstance(value, list):
        return [_machines(one, machines) for one in value]
    if not isinstance(value, str):
        return value
    for recorded_name, name in zip(MACHINES, machines, strict=True):
        value = value.replace(recorded_name, name)
    return value


def _text(text: str, machines: tuple[str, str]) -> str:
    mapped = TEXTS.get(text)
    if mapped is None:
        return text
    return re.sub(r"\b[AB]\b", lambda match: machines["AB".index(match[0])], mapped)


def _ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def _iso(stamp_ms: int) -> str:
    moment = datetime.fromtimestamp(stamp_ms / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
