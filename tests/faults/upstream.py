"""OVHcloud over real sockets, that can go wrong in any byte.

The good answers are the simulator's. How they go over the wire is decided here: three
listeners (APIv6, the OpenTSDB front end, Warp 10), each with its own address, and one fault
at a time, which may answer in place of the simulator, change its answer, or break it off.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import re
import socket
import ssl
import struct
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import orjson
import trustme

from bridge.demo.server import create_simulator

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from starlette.types import Message

    from bridge.demo.options import DemoOptions

#: Names that this process's resolver knows, all of them of this domain.
NAMES: set[str] = set()
DOMAIN = ".cell.test"

PARTS = ("api", "opentsdb", "warp10")
#: Values of a machine that are only ever sent inside an answer that must not be believed.
POISON = 666_000_000.0

_ONE_MACHINE = re.compile(r"/vm/[\d,]+$")


@dataclass(frozen=True)
class Asked:
    """One request as it came over the wire."""

    part: str
    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def secrets(self) -> str:
        """Whatever it carries to prove who asks, as a careless server would quote it."""
        names = ("authorization", "x-ovh-consumer", "x-ovh-signature", "x-warp10-token")
        quoted = [self.headers[name] for name in names if name in self.headers]
        return " ".join([*quoted, self.body.decode(errors="replace")])[:2_000]


@dataclass(frozen=True)
class Answer:
    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)

    def saying(self, value: Any) -> Answer:
        return replace(self, body=orjson.dumps(value))


@dataclass
class Hit:
    """One request that a fault decides on.

    Attributes:
        answer: Makes the true answer.
    """

    asked: Asked
    answer: Callable[[], Awaitable[Answer]]
    writer: asyncio.StreamWriter
    upstream: Upstream

    async def send(self, answer: Answer) -> None:
        """Send an answer as a good server does."""
        self.writer.write(head(answer, f"Content-Length: {len(answer.body)}") + answer.body)
        await self.writer.drain()

    def reset(self) -> None:
        """End the connection so that the other side reads an error."""
        self.writer.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )
        self.writer.transport.abort()

    def close(self) -> None:
        """End the connection in good order."""
        self.writer.close()


def head(answer: Answer, *more: str) -> bytes:
    """Return status line and headers."""
    lines = [f"HTTP/1.1 {answer.status} Whatever", *(f"{k}: {v}" for k, v in answer.headers), *more]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


@dataclass
class Served:
    """A value of one machine that went out in a true answer."""

    machine: str
    value: float
    at: float


@dataclass
class Upstream:
    """The listeners, and what went over them.

    Attributes:
        options: Size of the simulated company.
        secure: Whether HTTPS is spoken.
        named: Whether APIv6 has a name instead of an address.
        skew_s: By how much OVHcloud's clock is ahead.
        fault: Decides on requests; None while all is well.
        hits: Requests the fault has decided on.
        served: Values of machines sent so far.
        trespassed: What came where a redirect pointed to.
        strangers: Parts that show a certificate that nobody trusts.
        tokens: The vScope tokens handed out.
    """

    options: DemoOptions
    secure: bool = False
    named: bool = False
    skew_s: float = 0.0
    fault: Any = None
    where: re.Pattern[str] = re.compile("")
    part: str = ""
    hits: int = 0
    served: list[Served] = field(default_factory=list)
    trespassed: list[Asked] = field(default_factory=list)
    ports: dict[str, int] = field(default_factory=dict)
    strangers: set[str] = field(default_factory=set)
    tokens: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.app = create_simulator(self.options, clock=lambda: time.time() + self.skew_s)
        self._servers: dict[str, asyncio.Server] = {}
        self._writers: dict[str, set[asyncio.StreamWriter]] = {}
        self._numbers = itertools.count(1)
        self.authority, self._stranger = _authorities()

    def _tls(self, part: str) -> ssl.SSLContext:
        """Return a context that shows a certificate of a stranger's while told so."""
        contexts = []
        for signer in (self.authority, self._stranger):
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            signer.issue_cert("127.0.0.1", f"*{DOMAIN}").configure_cert(context)
            contexts.append(context)
        own, other = contexts

        def choose(one: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
            one.context = other if part in self.strangers else own

        own.sni_callback = choose  # type: ignore[assignment]  # asyncio wraps no sockets
        return own

    @property
    def name(self) -> str:
        """APIv6's host name; only this process knows it."""
        return f"api-{self.ports['api']}{DOMAIN}"

    def url(self, part: str) -> str:
        host = self.name if self.named and part == "api" else "127.0.0.1"
        return f"http{'s' if self.secure else ''}://{host}:{self.ports[part]}"

    async def open(self) -> None:
        for part in (*PARTS, "elsewhere"):
            self._writers[part] = set()
            await self.listen(part)
        NAMES.add(self.name)

    async def listen(self, part: str) -> None:
        """Listen, at the same address as before."""
        self._servers[part] = await asyncio.start_server(
            lambda reader, writer: self._connection(part, reader, writer),
            "127.0.0.1",
            self.ports.get(part, 0),
            ssl=self._tls(part) if self.secure else None,
            reuse_address=True,
        )
        self.ports[part] = self._servers[part].sockets[0].getsockname()[1]

    async def hang_up(self, part: str) -> None:
        """Stop listening, and end all connections."""
        self._servers[part].close()
        self.drop(part)
        await asyncio.sleep(0)

    def drop(self, part: str) -> None:
        """End all connections."""
        for writer in list(self._writers[part]):
            writer.transport.abort()

    async def close(self) -> None:
        for part in self._servers:
            await self.hang_up(part)

    async def control(self, path: str, body: Mapping[str, Any]) -> None:
        """Change the simulated world."""
        asked = Asked("api", "POST", f"/_simulator/{path}", {"host": "x"}, orjson.dumps(body))
        answer = await self._simulated(asked)
        assert answer.status == 200, answer.body

    async def _connection(
        self, part: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._writers[part].add(writer)
        try:
            while (asked := await _read_request(part, reader)) is not None:
                await self._exchange(asked, writer)
        except (OSError, ssl.SSLError, asyncio.IncompleteReadError):
            pass
        finally:
            self._writers[part].discard(writer)
            with contextlib.suppress(OSError):
                writer.close()

    async def _exchange(self, asked: Asked, writer: asyncio.StreamWriter) -> None:
        if asked.part == "elsewhere":
            self.trespassed.append(asked)
        hit = Hit(asked, lambda: self._answer(asked, poisoned=True), writer, self)
        decided = self.fault is not None and self._concerns(asked)
        if decided:
            self.hits += 1
            await self.fault(hit)
        else:
            await hit.send(await self._answer(asked, poisoned=False))

    def _concerns(self, asked: Asked) -> bool:
        return asked.part == self.part and bool(self.where.search(asked.path))

    async def _answer(self, asked: Asked, *, poisoned: bool) -> Answer:
        """Return the true answer; each machine's ``netRx`` is a number never sent before.

        There are no tasks: making up a month of them would take longer than all else.
        """
        if asked.path.endswith("/globalTasks"):
            return Answer(200, (("Content-Type", "application/json"),), b"[]")
        answer = await self._simulated(asked)
        if answer.status != 200 or asked.part != "api":
            return answer
        if asked.path.endswith(("metricsToken", "MetricsToken")):
            named: dict[str, str] = answer.json
            self.tokens.add(named["token"])
            for key, part in (("opentsdbEndpoint", "opentsdb"), ("warpEndpoint", "warp10")):
                named[key] = f"{self.url(part)}/{part}"
            return answer.saying(named)
        if not _ONE_MACHINE.search(asked.path):
            return answer
        told = answer.json
        for vm in machines_of(told):
            value = (POISON if poisoned else 0.0) + next(self._numbers) / 8
            vm["netRx"] = value
            if not poisoned:
                self.served.append(Served(vm["moRef"], value, time.time()))
        return answer.saying(told)

    def believe(self, told: Any) -> None:
        """Take off the poison from an answer that may be believed after all."""
        for vm in machines_of(told):
            vm["netRx"] = vm["netRx"] % POISON
            self.served.append(Served(vm["moRef"], vm["netRx"], time.time()))

    async def _simulated(self, asked: Asked) -> Answer:
        raw, _, query = asked.target.partition("?")
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": asked.method,
            "scheme": "https" if self.secure else "http",
            "path": unquote(raw),
            "raw_path": raw.encode("latin-1"),
            "query_string": query.encode("latin-1"),
            "headers": [
                (k.encode("latin-1"), v.encode("latin-1")) for k, v in asked.headers.items()
            ],
            "root_path": "",
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 1),
        }
        start: Message = {}
        body = bytearray()
        given = iter([{"type": "http.request", "body": asked.body}])

        async def receive() -> Message:
            return next(given, {"type": "http.disconnect"})

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                start.update(message)
            body.extend(message.get("body", b""))

        await self.app(scope, receive, send)
        headers = [(k.decode("latin-1"), v.decode("latin-1")) for k, v in start["headers"]]
        kept = tuple(pair for pair in headers if pair[0].lower() != "content-length")
        return Answer(start["status"], kept, bytes(body))


@functools.cache
def _authorities() -> tuple[trustme.CA, trustme.CA]:
    """Return one that the bridges trust, and one that they do not."""
    return trustme.CA(), trustme.CA()


def machines_of(told: Any) -> list[dict[str, Any]]:
    """Return the machines in an answer: one, or a batch of them."""
    if isinstance(told, dict):
        return [told] if "moRef" in told else []
    items = [item for item in told if isinstance(item, dict)] if isinstance(told, list) else []
    return [item["value"] for item in items if "moRef" in (item.get("value") or ())]


async def _read_request(part: str, reader: asyncio.StreamReader) -> Asked | None:
    try:
        raw = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = raw.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ")
    pairs = (line.partition(":") for line in lines if line)
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Asked(part, method, target, headers, body)
