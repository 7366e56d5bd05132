"""``/query``: what SimpleJSON and simPod JSON panels ask (reference: grafana 1.3, 2.3, 7.2).

Both send Grafana's whole data request and read the same answer. A request of simPod for
annotations comes here too.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple
from zoneinfo import ZoneInfo

from cachetools.keys import hashkey

from bridge.doors.adhoc import AdHoc, compare_rows, narrow_series, read_adhoc, split_live
from bridge.doors.annotations import annotation_table, wants_annotations
from bridge.doors.compression import accepts_gzip
from bridge.doors.datapoints import json_list
from bridge.doors.fields import positive, read_window
from bridge.doors.finished import Finished
from bridge.doors.frames import Result, SeriesResult, TableResult, count_points, elements
from bridge.doors.http import JsonResponse, PlacedError, both, clipped, kind_of, read_object
from bridge.doors.in_order import in_order
from bridge.doors.payload import Wanted, apply_payload
from bridge.doors.titles import Named
from bridge.engine.engine import overall
from bridge.engine.grammar import LiveTarget, SeriesTarget, parse_target
from bridge.errors import BadRequestError, BridgeError, TooMuchError
from bridge.model import Freshness, Query
from bridge.offload import in_slices
from bridge.ovh.fresh import lacking
from bridge.ovh.live import Table, live_columns, live_table

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping, Sequence

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

    from bridge.doors.doorway import Doorway
    from bridge.model import Answer, Downsample, TagFilter, Window
    from bridge.ovh.objects import Snapshot

#: Longest name of a query, which each series repeats.
MAX_REF_ID = 200
#: What SimpleJSON sends for a target that has not been chosen yet.
_PLACEHOLDER = "select metric"


@dataclass(frozen=True, slots=True)
class Target:
    """One visible target of a request.

    Attributes:
        field: Where it stands, ``targets[0]``.
        ref_id: The client's name of it.
        wanted: Text and payload, read.
    """

    field: str
    ref_id: str
    wanted: Wanted


@dataclass(frozen=True, slots=True)
class Ask:
    """What holds for all targets of a request.

    Attributes:
        window: None when the request has no range, which live tables do not need.
        interval_ms: The step the client wishes for.
        max_points: The most points it can draw.
        adhoc: Filters for every target.
        timezone: For calendar intervals.
    """

    window: Window | None
    interval_ms: int | None
    max_points: int | None
    adhoc: tuple[AdHoc, ...]
    timezone: str


def routes(doorway: Doorway) -> list[Route]:
    """Return ``/query``."""

    async def query(request: Request) -> Response:
        """Answer the visible targets of a panel, in their order."""
        body = await read_object(request, max_bytes=doorway.limits.max_body_bytes)
        return await answer(doorway, body, gzip=accepts_gzip(request.headers))

    return both("/query", query, ["POST"])


async def answer(doorway: Doorway, body: Mapping[str, Any], *, gzip: bool = False) -> JsonResponse:
    """Answer one data request; one failing target fails the whole answer.

    What one of several sources failed to give is left out: a notice at the panel and a
    ``Warning`` header say so.

    Args:
        doorway: Everything.
        body: The request.
        gzip: Whether the client reads gzip.

    Raises:
        BadRequestError: A part of the request cannot be read; ``field`` names it.
        TooMuchError: More targets or series than the limits allow.
        PlacedError: A target's query failed.
    """
    visible = _visible(doorway, body)
    if wants_annotations(body, visible):
        return JsonResponse(annotation_table(doorway, body, visible))
    targets = [_read_target(doorway, field, one) for field, one in visible if _is_chosen(one)]
    series = any(isinstance(target.wanted.target, SeriesTarget) for target in targets)
    window = read_window(body) if series or body.get("range") is not None else None
    ask = Ask(
        window,
        positive(body, "intervalMs"),
        positive(body, "maxDataPoints"),
        read_adhoc(body),
        _timezone(body),
    )
    questions = [_question(doorway, ask, target) for target in targets]
    key = _edition(doorway, questions)
    if key is None:
        finished = await _finish(doorway, ask, questions)
    else:
        finished = await doorway.answers.get(key, lambda: _finish(doorway, ask, questions))
    content, headers = finished.give(gzip=gzip)
    age = int(doorway.timer() - finished.read_at)
    if age > 0 or finished.headers:
        headers["Age"] = str(age)
    return JsonResponse(content, headers=headers)


def _edition(doorway: Doorway, questions: Sequence[Question]) -> Hashable | None:
    """Return what requests with the same answer have in common; None for live tables."""
    parts = []
    for question in questions:
        if isinstance(question, LiveQuestion):
            return None
        target, _, downsample, query = question
        try:
            edition = query and doorway.engine.edition(query)
        except BadRequestError as error:
            raise _in_target(error, target.field, None) from None
        parts.append((target.wanted, target.ref_id, downsample, edition))
    return hashkey(*parts) if parts else None  # long lists of names are hashed once


async def _finish(doorway: Doorway, ask: Ask, questions: Sequence[Question]) -> Finished:
    """Run all questions at the same time and encode what they answer."""
    results = await in_order(_run(doorway, ask, question) for question in questions)
    read = [result.freshness for result in results if result.freshness is not None]
    freshness = overall(read)
    read_at = doorway.timer() - freshness.age_s
    good_until = doorway.timer() + freshness.good_s
    points = count_points(results)
    doorway.limits.require_points(points)
    work = elements(results, source_step_ms=doorway.limits.source_step_ms)
    made = b"".join(await in_slices(json_list(work), points))
    missing = dict.fromkeys(text for result in results for text in result.missing)
    if missing:
        return Finished(made, {"Warning": _warning(missing)}, read_at, read_at)
    return Finished(made, {}, read_at, good_until)


def _warning(missing: Iterable[str]) -> str:
    """Say in a header what an answer lacks (RFC 7234, section 5.5)."""
    line = " ".join(clipped("; ".join(missing)).split()).replace('"', "'")
    text = line.encode("ascii", "replace").decode()
    return f'199 vscope-bridge "{"".join(one for one in text if one.isprintable())}"'


def _visible(doorway: Doorway, body: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Return the targets to answer, each with its place in the request."""
    targets = body.get("targets")
    if not isinstance(targets, list):
        found = "nothing" if targets is None else kind_of(targets)
        raise BadRequestError(f"expected a list of targets, found {found}", field="targets")
    if len(targets) > doorway.limits.max_targets:
        raise TooMuchError(
            f"{len(targets):,} targets, more than the limit of "
            f"{doorway.limits.max_targets:,} (setting max_targets)"
        )
    visible = []
    for index, target in enumerate(targets):
        field = f"targets[{index}]"
        if not isinstance(target, dict):
            raise BadRequestError(f"expected an object, found {kind_of(target)}", field=field)
        text = target.get("target")
        if text is not None and not isinstance(text, str):
            raise BadRequestError(
                f"expected a text, found {kind_of(text)}", field=f"{field}.target"
            )
        ref_id = target.get("refId")
        if ref_id is not None and not (isinstance(ref_id, str) and len(ref_id) <= MAX_REF_ID):
            raise BadRequestError(
                f"expected a text of at most {MAX_REF_ID} characters", field=f"{field}.refId"
            )
        if not target.get("hide"):
            visible.append((field, target))
    return visible


def _is_chosen(target: Mapping[str, Any]) -> bool:
    """Whether a target says anything yet; a new panel asks for nothing."""
    return (target.get("target") or "").strip() not in {"", _PLACEHOLDER}


def _read_target(doorway: Doorway, field: str, given: Mapping[str, Any]) -> Target:
    text, known = given["target"], doorway.engine
    try:
        target = parse_target(text)
    except BadRequestError as error:
        raise _in_target(error, field, error.position) from None
    if isinstance(target, SeriesTarget):
        try:
            known.require_metric(target.metric)
        except BadRequestError as error:
            written = text.find(target.metric)
            raise _in_target(error, field, written if written >= 0 else None) from None
    try:
        wanted = apply_payload(target, given.get("payload"), known.require_metric)
    except BadRequestError as error:
        raise error.within(field) from None
    if given.get("type") == "table":
        wanted = replace(wanted, table=True)
    return Target(field, given.get("refId") or "A", wanted)


def _in_target(error: BadRequestError, field: str, position: int | None) -> BadRequestError:
    """Place an error in a target's text."""
    return BadRequestError(error.message, field=f"{field}.target", position=position)


class LiveQuestion(NamedTuple):
    """A target that asks for a live table."""

    target: Target
    wanted: LiveTarget


class SeriesQuestion(NamedTuple):
    """A target that asks for series, and what to ask the engine for it.

    Attributes:
        target: What the client wants.
        wanted: The same, without the client's form of it.
        downsample: How points become buckets.
        query: None where no filter can match.
    """

    target: Target
    wanted: SeriesTarget
    downsample: Downsample
    query: Query | None


Question = LiveQuestion | SeriesQuestion


def _question(doorway: Doorway, ask: Ask, target: Target) -> Question:
    wanted = target.wanted.target
    if isinstance(wanted, LiveTarget):
        return LiveQuestion(target, wanted)
    if ask.window is None:
        raise BadRequestError("a range is needed", field="range")
    downsample = target.wanted.buckets(
        ask.window,
        interval_ms=ask.interval_ms,
        max_points=ask.max_points,
        source_step_ms=doorway.limits.source_step_ms,
    )
    filters = narrow_series(wanted.filters, ask.adhoc, doorway.engine.require_metric(wanted.metric))
    if filters is None:
        return SeriesQuestion(target, wanted, downsample, None)
    query = Query(
        wanted.metric,
        ask.window,
        aggregator=wanted.aggregator or "none",
        downsample=downsample,
        rate=wanted.rate,
        filters=filters,
        explicit_tags=wanted.explicit_tags,
        timezone=ask.timezone,
        partial=True,
    )
    return SeriesQuestion(target, wanted, downsample, query)


async def _run(doorway: Doorway, ask: Ask, question: Question) -> Result:
    if isinstance(question, LiveQuestion):
        return _live(doorway, ask, *question)
    target, wanted, downsample, query = question
    if query is None:
        return SeriesResult((), target.ref_id, target.wanted.table, downsample)
    metric = doorway.engine.require_metric(wanted.metric)
    answered = await _ask_engine(doorway, target, query)
    return SeriesResult(
        tuple(
            Named(series, wanted, metric, downsample.function, target.ref_id)
            for series in answered.series
        ),
        target.ref_id,
        target.wanted.table,
        downsample,
        answered.notices,
        answered.missing,
        answered.freshness,
    )


async def _ask_engine(doorway: Doorway, target: Target, query: Query) -> Answer:
    try:
        answered = await doorway.engine.query(query)
        limit = doorway.limits.max_series
        if len(answered.series) > limit:
            raise TooMuchError(
                f"{len(answered.series):,} series, more than the limit of {limit:,} "
                "(setting max_series): filter, or group by fewer labels"
            )
    except BadRequestError as error:
        raise _in_target(error, target.field, None) from error
    except BridgeError as error:
        raise PlacedError(error, f"{target.field}.target") from error
    return answered


def _live(doorway: Doorway, ask: Ask, target: Target, wanted: LiveTarget) -> TableResult:
    split = split_live(wanted.kind, ask.adhoc)
    name = f"live:{wanted.kind}"
    if split is None:
        return TableResult(Table(live_columns(wanted.kind), ()), target.ref_id, name)
    filters, compared = split
    snapshot, now = doorway.snapshot(), doorway.clock()
    narrowed = [*wanted.filters, *filters]
    try:
        table = live_table(snapshot, wanted.kind, narrowed, now=now, show_hidden=wanted.show_hidden)
        doorway.limits.require_rows(len(table.rows), "rows")
        missing = _lacking(doorway, wanted.kind, snapshot, narrowed, now)
    except BadRequestError as error:
        raise _in_target(error, target.field, None) from None
    except BridgeError as error:
        raise PlacedError(error, f"{target.field}.target") from error
    old = Freshness(_oldest_s(table), 0.0, stale=True) if missing else None
    table = compare_rows(wanted.kind, table, compared)
    return TableResult(table, target.ref_id, name, missing, old)


def _lacking(
    doorway: Doorway, kind: str, snapshot: Snapshot, filters: Sequence[TagFilter], now: float
) -> tuple[str, ...]:
    """Say what a live table lacks; the table of services says it itself, in its columns."""
    if kind == "service" and snapshot.services:
        return ()
    return lacking(snapshot, filters, now=now, max_age_s=doorway.limits.max_live_age_s)


def _oldest_s(table: Table) -> float:
    at = next((n for n, column in enumerate(table.columns) if column.name == "age"), None)
    ages = () if at is None else (row[at] for row in table.rows)
    return max((float(age) for age in ages if isinstance(age, int | float)), default=0.0)


def _timezone(body: Mapping[str, Any]) -> str:
    """Return the dashboard's time zone; "browser" is not known here, so it is UTC."""
    name = body.get("timezone")
    if isinstance(name, str) and "/" in name:
        try:
            return ZoneInfo(name).key
        except (ValueError, OSError, KeyError):
            return "UTC"
    return "UTC"
