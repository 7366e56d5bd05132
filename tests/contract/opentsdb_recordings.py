"""What Grafana's OpenTSDB datasource was recorded to ask, in the world of the tests."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

from tests.contract.recordings import CPU, FIXTURES, MEM, recorded

NET = "vscope.vm.net.rx"
METRICS = {"vm.cpu.usage": CPU, "vm.mem.used": MEM, "vm.net.bytes": NET}

#: The end of the recorded ranges that have none of their own, epoch milliseconds.
RECORDED_NOW = 1_767_247_200_000


@dataclass(frozen=True)
class World:
    """What exists here.

    Attributes:
        machines: moRefs that stand for web01 and web02.
        cluster: The cluster of both, for the recordings' zone.
        now_ms: The present.
    """

    machines: tuple[str, str]
    cluster: str
    now_ms: int


def opentsdb_names(pattern: str = "") -> list[str]:
    """Return the names of the recordings that match a pattern."""
    found = sorted(path.stem for path in FIXTURES.glob("opentsdb-*.json"))
    return [name for name in found if re.search(pattern, name)]


def body_here(name: str, world: World) -> dict[str, Any]:
    """Return a recorded body with names and times that exist here, its structure kept."""
    body = recorded(name)["request"]["body"]
    shift = world.now_ms - body.get("end", RECORDED_NOW)
    shift -= shift % 60_000
    moved = {key: body[key] + shift for key in ("start", "end") if key in body}
    queries = [_query(one, world) for one in body["queries"]]
    return {key: {**body, **moved, "queries": queries}[key] for key in body}


def words_here(name: str, world: World) -> str:
    """Return a recorded query string with names that exist here."""
    pairs = parse_qsl(recorded(name)["request"]["query"], keep_blank_values=True)
    named = [(key, _selector(text, world) if key == "m" else text) for key, text in pairs]
    return urlencode(named, quote_via=quote)


def _query(query: dict[str, Any], world: World) -> dict[str, Any]:
    here = {**query, "metric": METRICS[query["metric"]]}
    if "tags" in here:
        here["tags"] = {_key(key): _value(text, world) for key, text in query["tags"].items()}
    if "filters" in here:
        here["filters"] = [
            {**one, "tagk": _key(one["tagk"]), "filter": _value(one["filter"], world)}
            for one in query["filters"]
        ]
    return here


def _selector(text: str, world: World) -> str:
    metric, brace, inner = text.partition("{")
    pairs = [pair.split("=") for pair in inner.rstrip("}").split(",")] if brace else []
    tags = ",".join(f"{_key(key)}={_value(value, world)}" for key, value in pairs)
    return METRICS[metric] + (f"{{{tags}}}" if brace else "")


def _key(key: str) -> str:
    return "cluster" if key == "zone" else key


def _value(text: str, world: World) -> str:
    named = {"web01": world.machines[0], "web02": world.machines[1], "a": world.cluster}
    parts = [named.get(part, part) for part in text.split("|")]
    return "|".join("vm-*" if part == "web*" else part for part in parts)
