"""``history`` and ``backfill``: the recording, in the hands of a person.

The work is done here when no bridge has the recording open, and by the running bridge, asked
over its control socket, when one has.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

import httpx
import orjson
import typer

from bridge.app import open_bridge
from bridge.chores import Told
from bridge.commands.errors import CommandError, UsageError
from bridge.commands.progress import progress
from bridge.control import SOCKET, short_path
from bridge.errors import BadRequestError, BridgeError
from bridge.moments import parse_moment
from bridge.sources.history import HistoryInUseError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from bridge.chores import Chores
    from bridge.settings import Settings
    from bridge.sources.history import ExportRequest

DAY_S = 86_400.0

#: How far back a backfill looks: OVHcloud's page offered a year at most (reference: ovh 2.3).
LOOK_BACK_DAYS = 400


class Keeper(Protocol):
    """Whoever has the recording open."""

    async def stats(self) -> dict[str, Any]:
        """Return what it holds."""

    def export(self, request: ExportRequest) -> AsyncIterator[bytes]:
        """Give points."""

    def work(self, name: str, asked: dict[str, Any]) -> AsyncIterator[Told]:
        """Do a piece of long work."""

    def import_file(self, path: Path) -> AsyncIterator[Told]:
        """Store the points of a file."""


class _Here:
    """This process has it open."""

    def __init__(self, chores: Chores) -> None:
        self.stats = chores.stats
        self.export = chores.export
        self.import_file = chores.import_file
        self._chores = chores

    def work(self, name: str, asked: dict[str, Any]) -> AsyncIterator[Told]:
        match name:
            case "verify":
                return self._chores.verify()
            case "compact":
                return self._chores.compact()
            case "backup":
                return self._chores.backup()
            case "set-aside":
                return self._chores.set_aside(asked["path"])
            case _:
                return self._chores.backfill(**asked)


class _There:
    """A running bridge has it open, and is asked over its control socket."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def stats(self) -> dict[str, Any]:
        answer = await self._client.get("/stats")
        if answer.is_error:
            raise _refusal(answer.content)
        found: dict[str, Any] = orjson.loads(answer.content)
        return found

    async def export(self, request: ExportRequest) -> AsyncIterator[bytes]:
        body = orjson.dumps(asdict(request))
        async with self._client.stream("POST", "/export", content=body) as answer:
            if answer.is_error:
                raise _refusal(await answer.aread())
            async for piece in answer.aiter_bytes():
                yield piece

    async def work(self, name: str, asked: dict[str, Any]) -> AsyncIterator[Told]:
        body = orjson.dumps(asked, default=str)
        async for told in self._lines(f"/{name}", body):
            yield told

    async def import_file(self, path: Path) -> AsyncIterator[Told]:
        async def pieces() -> AsyncIterator[bytes]:
            with path.open("rb") as file:
                while piece := await asyncio.to_thread(file.read, 1 << 20):
                    yield piece

        async for told in self._lines(f"/import?name={path.suffix}", pieces()):
            yield told

    async def _lines(self, path: str, body: bytes | AsyncIterator[bytes]) -> AsyncIterator[Told]:
        async with self._client.stream("POST", path, content=body) as answer:
            async for line in answer.aiter_lines():
                said = orjson.loads(line)
                if "error" in said:
                    raise _refusal(line.encode())
                yield Told(said["text"], said.get("result"))


def _refusal(body: bytes) -> CommandError:
    return CommandError(orjson.loads(body)["error"]["message"])


@contextlib.asynccontextmanager
async def keeper(settings: Settings, *, poll: bool = False) -> AsyncIterator[Keeper]:
    """Open the recording, or find the bridge that has it open.

    Args:
        settings: Say which folder.
        poll: Whether OVHcloud's services must be known.

    Raises:
        CommandError: Neither works.
    """
    folder = settings.history_dir
    if folder is None or not folder.is_dir():
        raise CommandError(f"nothing is recorded in {folder}")
    async with open_bridge(settings) as bridge:
        if bridge.history is None or bridge.chores is None:
            raise CommandError(f"nothing is recorded in {folder}: the bridge records into OpenTSDB")
        try:
            await bridge.history.open()
        except HistoryInUseError as error:
            in_use = error
        else:
            if poll:
                async with progress("Reading the inventory"):
                    await bridge.inventory.poll()
            yield _Here(bridge.chores)
            return
    with short_path(folder / SOCKET) as name:
        transport = httpx.AsyncHTTPTransport(uds=name)
        async with httpx.AsyncClient(
            transport=transport,
            base_url="http://bridge",
            timeout=httpx.Timeout(None, connect=5.0),  # long work may be silent for long
            trust_env=False,
        ) as client:
            try:
                yield _There(client)
            except httpx.ConnectError:
                raise CommandError(in_use.message) from None
            except httpx.TransportError:
                raise CommandError("the bridge that has the recording open went away") from None


async def show(settings: Settings, *, as_json: bool) -> None:
    """Print what the recording holds."""
    async with keeper(settings) as kept:
        stats = await kept.stats()
    if as_json:
        typer.echo(orjson.dumps(stats, option=orjson.OPT_INDENT_2))
        return
    typer.echo("\n".join(_summary(stats)))


def _summary(stats: dict[str, Any]) -> list[str]:
    lines = [
        f"folder         {stats['folder']}",
        f"span           {_moment(stats['first_ms'])} to {_moment(stats['last_ms'])}",
        f"points since   {_moment(stats['oldest_raw_ms'])} (before that, roll-ups)",
        f"metrics        {stats['metrics']:,}",
        f"series         {stats['series']:,}",
        f"points         {stats['points']:,}",
        f"not in files   {stats['recent'] + stats['late']:,} of them",
        f"size           {_bytes(stats['size'])}",
        f"database       {_bytes(stats['database_size'])} of it",
    ]
    lines += [
        f"tier {name:<10}{tier['rows']:,} rows in {tier['files']:,} files, {_bytes(tier['size'])}"
        for name, tier in stats["tiers"].items()
    ]
    lines += [
        f"last written   {_moment(stats['written_ms'])}",
        f"maintained     {_moment(stats['maintained_ms'])}",
    ]
    lines += [f"set aside      {stats['set_aside']:,} files"] if stats["set_aside"] else []
    return lines + [f"problem        {problem}" for problem in stats["problems"]]


def _moment(at_ms: int | None) -> str:
    if at_ms is None:
        return "never"
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def _bytes(size: int) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024 or unit == "GiB":
            return f"{size:,.0f} {unit}" if unit == "B" else f"{size:,.1f} {unit}"
        size /= 1024  # type: ignore[assignment]  # shown with a digit behind the point
    raise AssertionError("unreachable")


async def export(settings: Settings, request: ExportRequest, output: Path | None) -> None:
    """Write points to a file, or to standard output.

    Raises:
        CommandError: It exists already, or cannot be written.
    """
    async with keeper(settings) as kept:
        stream = kept.export(request)
        # What is refused must not leave an empty file behind.
        first = await anext(stream, b"")
        try:
            file = sys.stdout.buffer if output is None else output.open("xb")
        except OSError as error:
            raise CommandError(f"cannot write {output}: {error.strerror}") from None
        size = 0
        try:
            while first:
                size += len(first)
                await asyncio.to_thread(file.write, first)
                first = await anext(stream, b"")
        finally:
            if output is not None:
                file.close()
    typer.echo(f"{size:,} bytes written", err=True)


async def import_files(settings: Settings, paths: Sequence[Path]) -> None:
    """Store the points of files, one after another."""
    async with keeper(settings) as kept:
        for path in paths:
            if not path.is_file():
                raise UsageError(f"{path}: there is no such file")
            await _print(kept.import_file(path), str(path))


async def work(settings: Settings, name: str, **asked: Any) -> None:
    """Do a piece of long work."""
    async with keeper(settings, poll=name == "backfill") as kept:
        await _print(kept.work(name, asked), name)


@dataclass(frozen=True, slots=True)
class Span:
    """A span of time as a person writes it."""

    start: str
    end: str

    def read(self) -> tuple[int, int]:
        """Return both ends in epoch milliseconds.

        Raises:
            UsageError: One cannot be understood, or they are in the wrong order.
        """
        now = time.time()
        try:
            start, end = parse_moment(self.start, now=now), parse_moment(self.end, now=now)
        except BadRequestError as error:
            raise UsageError(error.message) from None
        if start >= end:
            raise UsageError(f"--from {self.start} is not before --to {self.end}")
        return start, end


async def _print(told: AsyncIterator[Told], subject: str) -> None:
    """Tell of progress on standard error, at times, and of the result on standard output."""
    last = time.monotonic()
    async for one in told:
        if one.result is not None:
            figures = ", ".join(f"{key} {_text(value)}" for key, value in one.result.items())
            typer.echo(f"{subject}: {figures}")
            if one.result.get("problems"):
                raise BridgeError("problems were found")
        elif time.monotonic() - last > 1.0:
            typer.echo(f"{subject}: {one.text}", err=True)
            last = time.monotonic()


def _text(value: Any) -> str:
    match value:
        case bool() | None:
            return str(value).lower()
        case int():
            return f"{value:,}"
        case list() | tuple():
            return "; ".join(map(str, value)) or "none"
        case _:
            return str(value)
