"""HTTP towards a time-series back end: one pool, bounded, with honest errors.

Written against the httpx API; the transport underneath is aiohttp's, because httpx's own
pool is quadratic in the requests in flight (reference: performance 2.2).
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import aiohttp
import httpx
from httpx_aiohttp.transport import AiohttpResponseStream, AiohttpTransport
from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt

from bridge.errors import UpstreamError, UpstreamTimeoutError
from bridge.sources.circuit import Circuit

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pydantic import SecretStr

#: The largest answer read, in bytes: about ten million points.
MAX_ANSWER_BYTES = 256 * 1024 * 1024


#: Bytes taken from a connection at once; small reads cost more than they save.
READ_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Reply:
    """An upstream's complete answer; names of headers are in lower case."""

    status: int
    content_type: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


class Upstream:
    """A pool of connections to a few hosts; none of them gets in another's way.

    Args:
        concurrency: Requests in flight to one host at most; more wait.
        timeout_s: Seconds for one request, connect included.
        proxy: Outbound proxy URL.
        ca_file: PEM file of a private certificate authority, instead of the system's.
        leave_alone: Whether a host that keeps failing is not asked for a while; for callers
            that do not wait between tries themselves.
    """

    def __init__(
        self,
        *,
        concurrency: int,
        timeout_s: float,
        proxy: SecretStr | None = None,
        ca_file: Path | None = None,
        leave_alone: bool = True,
    ) -> None:
        self._leave_alone = leave_alone
        trusted = ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
        self._timeout_s = timeout_s
        self._concurrency = concurrency
        self._hosts: dict[str, _Host] = {}
        self._client = httpx.AsyncClient(
            transport=_Transport(
                verify=trusted,
                trust_env=False,
                proxy=httpx.Proxy(proxy.get_secret_value()) if proxy else None,
                client=lambda: aiohttp.ClientSession(
                    connector=aiohttp.TCPConnector(
                        ssl=trusted, limit=0, limit_per_host=concurrency, keepalive_timeout=30.0
                    ),
                    read_bufsize=READ_BYTES,
                ),
            ),
            timeout=httpx.Timeout(timeout_s, connect=min(timeout_s, 5.0)),
            trust_env=False,
            headers={"Accept-Encoding": "identity", "User-Agent": "vscope-bridge"},
        )

    async def request(
        self,
        method: str,
        url: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Send one request and read its whole answer.

        Raises:
            UpstreamTimeoutError: No complete answer in time.
            UpstreamError: No connection, a broken or an over-long answer, or a host that is
                left alone because it keeps failing.
        """
        address = httpx.URL(url)
        host = self._hosts.setdefault(
            address.netloc.decode(), _Host(address.host, self._concurrency)
        )
        with host.circuit.request() if self._leave_alone else contextlib.nullcontext():
            return await self._request(host, method, url, body, dict(headers or {}))

    async def _request(
        self, host: _Host, method: str, url: str, body: bytes | None, headers: dict[str, str]
    ) -> Reply:
        try:
            async with asyncio.timeout(self._timeout_s), host.slots:
                async for attempt in AsyncRetrying(
                    retry=retry_if_exception(_lost), stop=stop_after_attempt(2), reraise=True
                ):
                    with attempt:
                        return await self._exchange(method, url, body, headers)
        except TimeoutError:
            raise self._too_slow(host.name) from None
        except (httpx.HTTPError, aiohttp.ClientError, OSError, ValueError) as error:
            cause = error.__cause__ or error
            if isinstance(cause, TimeoutError):
                raise self._too_slow(host.name) from None
            raise UpstreamError(f"{host.name} {_in_words(cause)}") from None
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _too_slow(self, host: str) -> UpstreamTimeoutError:
        return UpstreamTimeoutError(f"{host} did not answer within {self._timeout_s:g} s")

    async def _exchange(
        self, method: str, url: str, body: bytes | None, headers: dict[str, str]
    ) -> Reply:
        async with self._client.stream(method, url, content=body, headers=headers) as response:
            encoding = response.headers.get("content-encoding", "identity")
            if encoding != "identity":
                raise UpstreamError(f"{response.url.host} answered compressed, unasked")
            parts = []
            size = 0
            async for part in response.aiter_raw():
                size += len(part)
                if size > MAX_ANSWER_BYTES:
                    raise UpstreamError(
                        f"{response.url.host} answered more than {MAX_ANSWER_BYTES >> 20} MiB"
                    )
                parts.append(part)
            # While it copies many megabytes, a thread lets the interpreter go.
            large = size > 4 * READ_BYTES
            content = await asyncio.to_thread(b"".join, parts) if large else b"".join(parts)
            kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
            return Reply(response.status_code, kind, content, dict(response.headers.items()))

    def circuits(self) -> Mapping[str, bool]:
        """Return the hosts asked so far, and whether each is left alone just now."""
        return {host.name: host.circuit.is_open for host in self._hosts.values()}

    async def close(self) -> None:
        """Close every connection."""
        await self._client.aclose()


class _Host:
    """What is kept of one host: its name, its share of requests, its state."""

    def __init__(self, name: str, concurrency: int) -> None:
        self.name = name
        self.slots = asyncio.Semaphore(concurrency)
        self.circuit = Circuit(name, time.monotonic)


class _Transport(AiohttpTransport):
    """aiohttp's connections, read in larger pieces than the transport's own."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await super().handle_async_request(request)
        if isinstance(response.stream, AiohttpResponseStream):
            response.stream.CHUNK_SIZE = READ_BYTES
        return response


def _lost(error: BaseException) -> bool:
    """Whether a connection died before its answer began: every call here may be repeated."""
    return isinstance(
        error.__cause__, (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)
    ) and not isinstance(error.__cause__, aiohttp.ClientConnectorError)


#: Transport errors in words; their own texts can quote URLs and headers.
_WORDS: tuple[tuple[type[BaseException], str], ...] = (
    (aiohttp.ClientConnectorCertificateError, "has a certificate that cannot be trusted"),
    (aiohttp.ClientConnectorSSLError, "could not agree on TLS"),
    (aiohttp.ClientConnectorDNSError, "cannot be found (name resolution failed)"),
    (aiohttp.ClientHttpProxyError, "cannot be reached through the proxy"),
    (aiohttp.ClientProxyConnectionError, "cannot be reached through the proxy"),
    (aiohttp.ClientConnectorError, "refused the connection"),
    (aiohttp.ClientPayloadError, "broke off in the middle of its answer"),
    (aiohttp.ClientConnectionError, "closed the connection without an answer"),
)


def _in_words(error: BaseException) -> str:
    for kind, words in _WORDS:
        if isinstance(error, kind):
            return words
    return f"did not speak proper HTTP ({type(error).__name__})"
