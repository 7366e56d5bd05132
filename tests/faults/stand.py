"""The real bridge on a real socket, in the loop of the cells, and those who ask it."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import json
import logging
import socket
import time
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import httpx
import structlog
import uvicorn
from jinja2 import Environment
from jinja2.bccache import Bucket, BytecodeCache
from tenacity import wait_random_exponential

from bridge import app
from bridge import recording as recording_module
from bridge.demo import demo_account
from bridge.doors.page import html
from bridge.logs import configure_logs
from bridge.ovh import api, inventory, poll, token, wire
from bridge.settings import given_settings
from bridge.sources import circuit, ovhcloud, upstream
from tests.faults.upstream import DOMAIN, NAMES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping
    from pathlib import Path

    from starlette.types import ASGIApp, Receive, Scope, Send

    from tests.faults.upstream import Upstream

DEADLINE_S = 5.0
#: What a client waits beyond the deadline before it says that the bridge hangs.
HANG_S = 20.0
CPU, RX = "vscope.vm.cpu.usage.perc", "vscope.vm.net.rx"
HOUR_S = 3600

#: Logs of the cell whose work is being done.
LINES: contextvars.ContextVar[list[str]] = contextvars.ContextVar("LINES")
STRAY: list[str] = []


class CellStream:
    """Where the process's log goes: to the cell that it is about."""

    def write(self, text: str) -> int:
        LINES.get(STRAY).append(text)
        return len(text)

    def flush(self) -> None:
        pass

    def isatty(self) -> bool:
        return False


def set_up_process() -> None:
    """Log as the bridge does, and let what takes minutes take seconds.

    Only waiting times and sizes change, and in one place, so that what is tried is the
    real thing; this process does nothing else.
    """
    configure_logs("debug", "json", stream=CellStream())  # type: ignore[arg-type]  # is one
    structlog.configure(cache_logger_on_first_use=False)
    logging.getLogger("asyncio").setLevel(logging.DEBUG)
    wire.TIMEOUT_S = (1.0, 1.5)
    wire.ANSWER_TIME_S = 2.0
    wire.MAX_ANSWER_BYTES = upstream.MAX_ANSWER_BYTES = 4 << 20
    poll.SLOW_S = inventory.SLOW_S = 2.0
    poll.EXPIRED_S = 0.5
    api.LONGEST_PAUSE_S = 1
    api.wait_random_exponential = lambda **_: wait_random_exponential(0.02, 0.1)  # type: ignore[assignment]
    inventory.FIRST_RETRY_S = 0.25
    token.BETWEEN_S = 0.2
    token.NOT_OFFERED_S = 0.5
    circuit.FIRST_PAUSE_S = 0.25
    circuit.LONGEST_PAUSE_S = 0.5
    ovhcloud.SET_ASIDE_S = 0.5
    recording_module.RETRY_S = 1.0
    _know_names()
    # Hundreds of bridges in one process: what each does at its start is done once.
    html.Environment = functools.partial(Environment, bytecode_cache=_Compiled())  # type: ignore[misc, assignment]
    app.gc = SimpleNamespace(  # type: ignore[attr-defined]
        collect=int, freeze=int, unfreeze=int, get_threshold=tuple, set_threshold=lambda *_: None
    )


class _Compiled(BytecodeCache):
    """Templates that another bridge has compiled."""

    def __init__(self) -> None:
        self._code: dict[str, Any] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        bucket.code = self._code.get(bucket.key)

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._code[bucket.key] = bucket.code


def _know_names() -> None:
    """Resolve the cells' own host names as long as they exist; others as ever."""
    asked = socket.getaddrinfo

    def resolve(host: Any, *how: Any, **more: Any) -> Any:
        if isinstance(host, str) and host.endswith(DOMAIN):
            if host not in NAMES:
                raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
            host = "127.0.0.1"
        return asked(host, *how, **more)

    socket.getaddrinfo = resolve


@dataclass(frozen=True)
class Reply:
    """What somebody got."""

    who: str
    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    @property
    def notices(self) -> str:
        """Everything a panel is told about what it lacks."""
        told = self.json if self.status == 200 else []
        texts = [
            notice["text"]
            for element in told
            for notice in element.get("meta", {}).get("notices", ())
        ]
        return "; ".join(texts)

    @property
    def message(self) -> str:
        told = self.json
        return str(told["error"]["message"] if "error" in told else told.get("message", ""))

    def __str__(self) -> str:
        return f"{self.who}: {self.status} {dict(self.headers)} {self.text[:600]}"


@dataclass
class Bridge:
    """One running bridge.

    Attributes:
        replies: Everything it has answered.
        lines: Its log.
        patient: Whether to ask again where this machine is too busy for the deadline.
    """

    client: httpx.AsyncClient
    lines: list[str]
    replies: list[Reply] = field(default_factory=list)
    patient: bool = True

    async def ask(self, who: str, method: str, path: str, **how: Any) -> Reply:
        """Ask; require that an answer comes."""
        for _ in range(6):
            async with asyncio.timeout(DEADLINE_S + HANG_S):
                answer = await self.client.request(method, path, **how)
            reply = Reply(who, answer.status_code, dict(answer.headers), answer.text)
            self.replies.append(reply)
            if not self.patient or "(setting deadline_s)" not in reply.text:
                break
        return reply

    # those who ask

    async def panel(self, start_s: float, end_s: float) -> Reply:
        target = {"refId": "A", "target": f"max:5m-max:{CPU}{{vm=*}}", "type": "timeserie"}
        body = {
            "range": {"from": _iso(start_s), "to": _iso(end_s)},
            "intervalMs": 300_000,
            "maxDataPoints": 1_000,
            "targets": [target],
        }
        return await self.ask("panel", "POST", "/query", json=body)

    async def alert(self, start_s: float, end_s: float) -> Reply:
        query = {"metric": CPU, "aggregator": "max", "downsample": "5m-max", "tags": {"vm": "*"}}
        body = {"start": int(start_s * 1000), "end": int(end_s * 1000), "queries": [query]}
        headers = {"FromAlert": "true"}
        return await self.ask("alert", "POST", "/api/query", json=body, headers=headers)

    async def rows(self, start_s: float, end_s: float) -> Reply:
        asked = {
            "target": f"max:5m-max:{CPU}{{vm=*}}",
            "from": int(start_s * 1000),
            "to": int(end_s * 1000),
        }
        return await self.ask("rows", "GET", "/rows", params=asked)

    async def live_panel(self) -> Reply:
        body = {"targets": [{"refId": "A", "target": "live:vm", "type": "table"}]}
        return await self.ask("live panel", "POST", "/query", json=body)

    async def live_rows(self) -> Reply:
        return await self.ask("live rows", "GET", "/rows", params={"target": "live:vm"})

    async def variable(self) -> Reply:
        return await self.ask("variable", "POST", "/search", json={"target": "services()"})

    async def page(self) -> Reply:
        return await self.ask("page", "GET", "/", headers={"Accept": "text/html"})

    async def readiness(self) -> tuple[bool, str]:
        """Return whether ``/readyz`` says yes, and what it says is wrong."""
        reply = await self.ask("readyz", "GET", "/readyz")
        return reply.status == 200, "; ".join(reply.json["reasons"])

    async def figures(self) -> dict[str, float]:
        reply = await self.ask("figures", "GET", "/metrics")
        lines = (line.rsplit(" ", 1) for line in reply.text.splitlines() if line[:1] != "#")
        return {name: float(value) for name, value in lines}

    async def recent(self) -> tuple[Reply, Reply, Reply]:
        """Ask for the last hour in each of three ways."""
        now = time.time()
        span = (now - HOUR_S, now)
        return await asyncio.gather(self.panel(*span), self.alert(*span), self.rows(*span))

    async def settled(self, at_s: float) -> tuple[Reply, Reply]:
        """Ask for hours that are long over."""
        span = (at_s - 8 * HOUR_S, at_s - 2 * HOUR_S)
        return await asyncio.gather(self.panel(*span), self.alert(*span))

    async def live(self) -> tuple[Reply, Reply]:
        return await asyncio.gather(self.live_panel(), self.live_rows())


def _iso(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(seconds))


class _Server(uvicorn.Server):
    """One of several in a process, which leaves its signals alone."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _in_cell(inner: ASGIApp, lines: list[str]) -> ASGIApp:
    async def served(scope: Scope, receive: Receive, send: Send) -> None:
        LINES.set(lines)
        await inner(scope, receive, send)

    return served


@contextlib.asynccontextmanager
async def running(
    up: Upstream, folder: Path, *, protocol: str, poll_s: int, record: bool, remembers: bool
) -> AsyncIterator[Bridge]:
    """Run a bridge over the upstream, and end it."""
    account = demo_account(up.url("api")).model_copy(update={"calls_per_minute": 1_000_000})
    more: dict[str, Any] = {"history_dir": folder / "history"} if record else {}
    up.authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    settings = given_settings(
        accounts=(account,),
        poll_interval_s=poll_s,
        deadline_s=DEADLINE_S,
        ca_file=folder / "ca.pem",
        metrics_hosts=("127.0.0.1",),
        protocol=protocol,
        record=record,
        history_memory_mb=64,
        cache_mb=16 if remembers else 0,
        answers_mb=16 if remembers else 0,
        cache_tail_s=0.05,
        client_requests_per_minute=0,
        **more,
    )
    lines: list[str] = []
    LINES.set(lines)
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    config = uvicorn.Config(
        _in_cell(app.create_app(settings), lines),
        lifespan="on",
        ws="none",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=3,
        timeout_keep_alive=600,
    )
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[listening]))
    while not server.started:
        await asyncio.sleep(0.01)
        assert not task.done(), "the bridge did not start"
    base = f"http://127.0.0.1:{listening.getsockname()[1]}"
    try:
        # Plain HTTP: to read the system's authorities would take longer than the cell.
        async with httpx.AsyncClient(
            base_url=base,
            timeout=DEADLINE_S + HANG_S,
            verify=False,  # noqa: S501
        ) as client:
            yield Bridge(client, lines)
    finally:
        server.should_exit = True
        async with asyncio.timeout(30):
            await task
        listening.close()


async def until(what: str, holds: Callable[[], Any], *, within_s: float = 100.0) -> Any:
    """Wait until a condition holds; return what it gave.

    Raises:
        AssertionError: It did not come about; the text says what was waited for.
    """
    ends = time.monotonic() + within_s
    while not (found := await holds()):
        assert time.monotonic() < ends, f"waited {within_s:g} s in vain for: {what}"
        await asyncio.sleep(0.05)
    return found
