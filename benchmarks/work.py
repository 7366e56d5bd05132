"""What is asked: the machines, the windows, and each server's form of the question."""

from __future__ import annotations

import asyncio
import base64
import time
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import orjson

from bridge.app import open_bridge
from bridge.demo.account import demo_account
from bridge.model import Downsample, FilterKind, Query, TagFilter, Window
from bridge.settings import given_settings

if TYPE_CHECKING:
    from collections.abc import Sequence

METRIC = "vscope.vm.cpu.usage.perc"

#: OVHcloud's own step: finer buckets would be mostly empty.
STEP_S = 300
POINTS = 1_440
SPAN_S = STEP_S * POINTS


@dataclass(frozen=True)
class World:
    """What the simulated OVHcloud holds.

    Attributes:
        machines: moRefs that have a point in every bucket of every window.
        everyone: All moRefs.
        authorization: What the front end accepts.
    """

    machines: tuple[str, ...]
    everyone: tuple[str, ...]
    authorization: str


def windows(count: int) -> tuple[tuple[int, int], ...]:
    """Return spans of ``POINTS`` buckets, each ending where the last one begins, in seconds."""
    end = int(time.time()) // 3600 * 3600
    return tuple(
        (end - SPAN_S * (number + 1), end - SPAN_S * number - STEP_S) for number in range(count)
    )


def bridge_environment(base_url: str) -> dict[str, str]:
    """Return the settings of a bridge whose OVHcloud is at ``base_url``."""
    account = demo_account(base_url)
    secrets = (account.application_secret, account.consumer_key)
    secret, consumer = (value.get_secret_value() if value else "" for value in secrets)
    return {
        "VSCOPE_API_URL": account.api_url or "",
        "VSCOPE_APPLICATION_KEY": account.application_key or "",
        "VSCOPE_APPLICATION_SECRET": secret,
        "VSCOPE_CONSUMER_KEY": consumer,
        "VSCOPE_CALLS_PER_MINUTE": "6000",
        "VSCOPE_METRICS_HOSTS": '["127.0.0.1"]',
        "VSCOPE_POLL_INTERVAL_S": "86400",
        "VSCOPE_PROTOCOL": "opentsdb",
        "VSCOPE_RECORD": "false",
        "VSCOPE_CLIENT_REQUESTS_PER_MINUTE": "0",
        "VSCOPE_SOURCE_STEP_S": str(STEP_S),
        "VSCOPE_LOG_LEVEL": "warning",
    }


def explore(base_url: str, spans: Sequence[tuple[int, int]]) -> World:
    """Ask the simulated OVHcloud, through the bridge's own engine, what it holds."""
    return asyncio.run(_explore(base_url, (spans[0], spans[-1])))


async def _explore(base_url: str, spans: Sequence[tuple[int, int]]) -> World:
    account = demo_account(base_url).model_copy(update={"calls_per_minute": 6000})
    settings = given_settings(
        accounts=(account,), metrics_hosts=("127.0.0.1",), source_step_s=STEP_S, protocol="opentsdb"
    )
    every = TagFilter("vm", FilterKind.WILDCARD, "*", group_by=True)
    complete: Counter[str] = Counter()
    async with open_bridge(settings) as bridge:
        await bridge.inventory.poll()
        for start, end in spans:
            query = Query(
                METRIC,
                Window(start * 1000, end * 1000),
                downsample=Downsample(STEP_S * 1000, "avg"),
                filters=(every,),
            )
            answer = await bridge.engine.query(query)
            complete.update({s.tags["vm"]: len(s.stamps_ms) == POINTS for s in answer.series})
        (keeper,) = bridge.keepers.values()
        token = (await keeper.get()).secret.get_secret_value()
    login = base64.b64encode(f"read:{token}".encode()).decode()
    machines = sorted(name for name, times in complete.items() if times == len(spans))
    return World(tuple(machines), tuple(sorted(complete)), f"Basic {login}")


def grafana_body(span: tuple[int, int], targets: Sequence[str], *, step_s: int = STEP_S) -> bytes:
    """Return the body of a panel's POST /query."""
    start, end = (datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z") for at in span)
    return orjson.dumps(
        {
            "range": {"from": start, "to": end},
            "intervalMs": step_s * 1000,
            "maxDataPoints": (span[1] - span[0]) // step_s + 1,
            "targets": [
                {"refId": chr(65 + at), "target": text, "type": "timeserie"}
                for at, text in enumerate(targets)
            ],
        }
    )


def ask_bridge(
    span: tuple[int, int], machines: Sequence[str] | None, function: str = "avg"
) -> bytes:
    """Return the body of a panel's POST /query; None asks for every machine."""
    chosen = "*" if machines is None else f"literal_or({'|'.join(machines)})"
    return grafana_body(span, [f"5m-{function}:{METRIC}{{vm={chosen}}}"])


def ask_peer(span: tuple[int, int]) -> bytes:
    """Return the body of the same POST /query for grafana-pandas-datasource."""
    return grafana_body(span, ["bench:all"])


def ask_small(span: tuple[int, int], machines: Sequence[str] | None) -> bytes:
    """Return the question that the ten-line bridge passes on."""
    sub_query = {
        "metric": METRIC,
        "aggregator": "zimsum",
        "downsample": f"{STEP_S}s-avg",
        "tags": {"vm": "*" if machines is None else "|".join(machines)},
    }
    # Buckets hang from the end, so these are the bridge's own (reference: opentsdb 2.5).
    asked = {"start": span[0] - 1, "end": span[1] + STEP_S - 1, "queries": [sub_query]}
    return orjson.dumps({"upstream": asked})
