"""``query``: ask OVHcloud once, through the same engine as Grafana's panels."""

from __future__ import annotations

import csv
import io
import math
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import orjson

from bridge.app import open_bridge
from bridge.commands.errors import CommandError, UsageError
from bridge.commands.progress import progress
from bridge.engine.grammar import LiveTarget, parse_target
from bridge.engine.parts import format_downsample
from bridge.engine.steps import choose_step
from bridge.errors import BadRequestError
from bridge.model import Downsample, Query, Window
from bridge.moments import parse_moment
from bridge.ovh.live import live_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bridge.app import Bridge
    from bridge.engine.grammar import SeriesTarget
    from bridge.model import Series
    from bridge.ovh.objects import Snapshot
    from bridge.settings import Settings

DEFAULT_POINTS = 60

Cell = str | int | float | bool | None


class Format(StrEnum):
    """How the answer is written."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class Rows:
    """A table: names of columns, which of them are epoch milliseconds, and cells."""

    names: tuple[str, ...]
    times: frozenset[str]
    cells: tuple[tuple[Cell, ...], ...]
    notices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Asked:
    """What the person asked for; ``points`` is the most points of one series."""

    target: str
    start: str = "now-1h"
    end: str = "now"
    points: int = DEFAULT_POINTS


async def run_query(settings: Settings, asked: Asked) -> Rows:
    """Ask and return the answer as rows, one a point, or one an object of a live table.

    Raises:
        UsageError: the target or a time cannot be understood.
        BridgeError: OVHcloud, or the query, failed.
    """
    now = time.time()
    target, window = _read(asked, now)
    async with open_bridge(settings) as bridge:
        async with progress("Reading the inventory"):
            await bridge.inventory.poll()
        snapshot = bridge.inventory.snapshot
        if not any(service.polled_at for service in snapshot.services.values()):
            reasons = bridge.inventory.problems()
            raise CommandError("; ".join(reasons) or "no Hosted Private Cloud service can be seen")
        if isinstance(target, LiveTarget):
            return _live(snapshot, target, now)
        return await _history(bridge, _query(settings, target, window, asked.points))


async def explain_query(settings: Settings, asked: Asked) -> str:
    """Say how a target would be fetched, without fetching it.

    Raises:
        UsageError: the target or a time cannot be understood.
        BadRequestError: it asks for what is not served.
    """
    target, window = _read(asked, time.time())
    if isinstance(target, LiveTarget):
        return "read from the inventory; the history is not asked"
    query = _query(settings, target, window, asked.points)
    async with open_bridge(settings) as bridge:
        plan = bridge.engine.explain(query)
    spec = query.downsample
    lines = [
        f"metric       {query.metric}",
        f"window       {_moment(window.start_ms)} to {_moment(window.end_ms)}",
        f"read         {_moment(plan.scan_start_ms)} to {_moment(plan.scan_end_ms)}",
        f"fetch        {plan.reason}",
        f"downsample   {format_downsample(spec) if spec else 'none'}",
        f"rate         {'per second' if query.rate else 'none'}",
        f"aggregator   {query.aggregator}",
    ]
    return "\n".join(lines)


def _moment(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _read(asked: Asked, now: float) -> tuple[SeriesTarget | LiveTarget, Window]:
    try:
        window = Window(parse_moment(asked.start, now=now), parse_moment(asked.end, now=now))
    except BadRequestError as error:
        raise UsageError(error.message) from None
    if window.start_ms >= window.end_ms:
        raise UsageError(f"--from {asked.start} is not before --to {asked.end}")
    try:
        target = parse_target(asked.target)
    except BadRequestError as error:
        where = "" if error.position is None else f" (at character {error.position + 1})"
        raise UsageError(f"the target cannot be read: {error.message}{where}") from None
    return target, window


def write_rows(rows: Rows, form: Format) -> str:
    """Return the rows as text."""
    if form is Format.JSON:
        objects = [dict(zip(rows.names, row, strict=True)) for row in rows.cells]
        return orjson.dumps(objects, option=orjson.OPT_INDENT_2).decode()
    texts = [
        [
            _text(cell, is_time=name in rows.times)
            for name, cell in zip(rows.names, row, strict=True)
        ]
        for row in rows.cells
    ]
    if form is Format.CSV:
        buffer = io.StringIO()
        csv.writer(buffer, lineterminator="\n").writerows([rows.names, *texts])
        return buffer.getvalue().rstrip("\n")
    return _aligned([list(rows.names), *texts], numbers=_numeric(rows))


def _live(snapshot: Snapshot, target: LiveTarget, now: float) -> Rows:
    table = live_table(
        snapshot, target.kind, target.filters, now=now, show_hidden=target.show_hidden
    )
    return Rows(
        names=tuple(column.name for column in table.columns),
        times=frozenset(column.name for column in table.columns if column.type == "time"),
        cells=table.rows,
    )


def _query(settings: Settings, target: SeriesTarget, window: Window, points: int) -> Query:
    step_ms = choose_step(
        window,
        interval_ms=None,
        max_points=points,
        source_step_ms=settings.source_step_s * 1000,
    )
    return Query(
        metric=target.metric,
        window=window,
        aggregator=target.aggregator or "none",
        downsample=target.downsample or Downsample(step_ms, "avg"),
        rate=target.rate,
        filters=target.filters,
        explicit_tags=target.explicit_tags,
    )


async def _history(bridge: Bridge, query: Query) -> Rows:
    async with progress("Reading history"):
        answer = await bridge.engine.query(query)
    keys = sorted({key for series in answer.series for key in series.tags})
    return Rows(
        names=("time", "metric", *keys, "value"),
        times=frozenset({"time"}),
        cells=tuple(row for series in answer.series for row in _points(series, keys)),
        notices=answer.notices,
    )


def _points(series: Series, keys: Sequence[str]) -> Iterable[tuple[Cell, ...]]:
    labels = (series.metric, *(series.tags.get(key) for key in keys))
    stamps: list[int] = series.stamps_ms.tolist()
    values: list[float] = series.values.tolist()
    for stamp, value in zip(stamps, values, strict=True):
        yield stamp, *labels, value if math.isfinite(value) else None


def _text(cell: Any, *, is_time: bool) -> str:
    if cell is None:
        return ""
    if is_time:
        moment = datetime.fromtimestamp(cell / 1000, UTC).isoformat(timespec="seconds")
        return moment.replace("+00:00", "Z")
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() and abs(cell) < 1e15 else f"{cell:.6g}"
    return str(cell)


def _numeric(rows: Rows) -> list[bool]:
    return [
        name not in rows.times
        and all(cell is None or type(cell) in {int, float} for cell in column)
        for name, column in zip(
            rows.names,
            zip(*rows.cells, strict=True) if rows.cells else ((),) * len(rows.names),
            strict=True,
        )
    ]


def _aligned(lines: list[list[str]], *, numbers: list[bool]) -> str:
    """Write columns side by side, numbers to the right; control characters become spaces."""
    clean = [
        ["".join(char if char.isprintable() else " " for char in cell) for cell in line]
        for line in lines
    ]
    widths = [max(map(len, column)) for column in zip(*clean, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(line, widths, numbers, strict=True)
        ).rstrip()
        for line in clean
    )
