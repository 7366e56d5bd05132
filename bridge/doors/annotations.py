"""OVHcloud's tasks as annotations: maintenance and changes drawn over the graphs.

SimpleJSON has a route of its own, simPod asks through ``/query`` with the query ``Anno``
(reference: grafana 1.3, 2.3). Times are milliseconds; a task with an end is a region.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from bridge.doors.adhoc import has_column, read_adhoc, split_live
from bridge.doors.fields import read_window
from bridge.doors.http import JsonResponse, both, kind_of, read_object
from bridge.engine.grammar import LiveTarget, parse_target
from bridge.errors import BadRequestError
from bridge.ovh.fresh import lacking
from bridge.ovh.live import live_rows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

    from bridge.doors.doorway import Doorway
    from bridge.model import TagFilter, Window
    from bridge.ovh.fields import Row
    from bridge.ovh.objects import Task

#: Longest ``annotation`` object, which each annotation repeats.
MAX_ECHO = 65_536
_KIND = "task"
#: The task is going on.
_RUNNING = "doing"


@dataclass(frozen=True, slots=True)
class Event:
    """One annotation.

    Attributes:
        time: Start, epoch milliseconds.
        time_end: End; None for a moment.
        title: Name of the task.
        text: What it does, in words.
        tags: State, service, datacenter.
        id: OVHcloud's number of the task.
    """

    time: int
    time_end: int | None
    title: str
    text: str
    tags: tuple[str, ...]
    id: str


def routes(doorway: Doorway) -> list[Route]:
    """Return SimpleJSON's ``/annotations``."""

    async def annotations(request: Request) -> Response:
        """Answer the tasks that overlap the range."""
        body = await read_object(request, max_bytes=doorway.limits.max_body_bytes)
        window = read_window(body)
        asked = body.get("annotation")
        asked = {} if asked is None else asked
        if not isinstance(asked, dict):
            raise BadRequestError(f"expected an object, found {kind_of(asked)}", field="annotation")
        echo = _length(asked)
        found = events(doorway, window, asked.get("query"), field="annotation.query", adhoc=body)
        # Each of them repeats what was asked.
        doorway.limits.require_rows(len(found) * (1 + echo // 1_000), "annotations")
        return JsonResponse([_element(event, asked) for event in found])

    return both("/annotations", annotations, ["POST"])


def _length(asked: Mapping[str, Any]) -> int:
    """Return the bytes of what each annotation repeats; refuse what could not be repeated."""
    try:
        length = len(orjson.dumps([{"annotation": asked}]))
    except TypeError:
        raise BadRequestError("nested too deeply", field="annotation") from None
    if length > MAX_ECHO:
        raise BadRequestError(f"longer than {MAX_ECHO:,} bytes", field="annotation")
    return length


def wants_annotations(
    body: Mapping[str, Any], visible: Sequence[tuple[str, Mapping[str, Any]]]
) -> bool:
    """Whether a data request is simPod's for annotations (reference: grafana 7.2)."""
    scoped = body.get("scopedVars")
    return (isinstance(scoped, dict) and "__annotation" in scoped) or any(
        target.get("refId") == "Anno" for _, target in visible
    )


def annotation_table(
    doorway: Doorway,
    body: Mapping[str, Any],
    visible: Sequence[tuple[str, Mapping[str, Any]]],
) -> bytes:
    """Answer simPod's request for annotations: one table a target, columns by name.

    Raises:
        BadRequestError: The range or a target cannot be read.
    """
    window = read_window(body)
    columns = [
        {"text": "time", "type": "time"},
        {"text": "timeEnd", "type": "time"},
        *({"text": name, "type": "string"} for name in ("title", "text", "tags", "id")),
    ]
    tables = []
    total = 0
    for field, target in visible:
        found = events(doorway, window, target.get("target"), field=f"{field}.target", adhoc=body)
        total += len(found)
        doorway.limits.require_rows(total, "annotations")
        rows = [
            [one.time, one.time_end, one.title, one.text, ",".join(one.tags), one.id]
            for one in found
        ]
        ref_id = str(target.get("refId") or "Anno")
        tables.append({"type": "table", "refId": ref_id, "columns": columns, "rows": rows})
    return orjson.dumps(tables)


def events(
    doorway: Doorway, window: Window, text: Any, *, field: str, adhoc: Mapping[str, Any]
) -> list[Event]:
    """Return the tasks that overlap a window, oldest first.

    Args:
        doorway: The inventory and the clock.
        window: Asked span.
        text: ``live:task{...}``; empty for all tasks.
        field: Where the text stands in the request.
        adhoc: The request; its ad hoc filters count where tasks have their key, so that a
            dashboard narrowed to one machine still shows maintenance.

    Raises:
        BadRequestError: The text is no ``live:task`` target.
        UnavailableError: No task has ever been read.
    """
    target = _target(text, field)
    known = [one for one in read_adhoc(adhoc) if has_column(_KIND, one.key)]
    split = split_live(_KIND, (one for one in known if one.operator not in {"<", ">"}))
    if split is None:
        return []
    filters: list[TagFilter] = [*target.filters, *split[0]]
    snapshot, now = doorway.snapshot(), doorway.clock()
    now_ms = int(now * 1000)
    try:
        rows = list(live_rows(snapshot, _KIND, filters, now=now, show_hidden=target.show_hidden))
        # Old ones are as true as ever; none at all would look like a quiet time.
        lacking(snapshot, filters, now=now, max_age_s=doorway.limits.max_live_age_s)
    except BadRequestError as error:
        raise BadRequestError(error.message, field=field, position=error.position) from None
    found = (_event(row, now_ms) for row in rows)
    overlapping = (
        event
        for event in found
        if event.time <= window.end_ms and (event.time_end or event.time) >= window.start_ms
    )
    return sorted(overlapping, key=lambda event: (event.time, event.id))


def _target(text: Any, field: str) -> LiveTarget:
    if text is None or text == "":
        return LiveTarget(_KIND)
    if not isinstance(text, str):
        raise BadRequestError(f"expected a text, found {kind_of(text)}", field=field)
    if not text.strip():
        return LiveTarget(_KIND)
    try:
        target = parse_target(text)
    except BadRequestError as error:
        message = f"{error.message}; annotations are asked as live:task{{state=done}}"
        raise BadRequestError(message, field=field, position=error.position) from None
    if not isinstance(target, LiveTarget) or target.kind != _KIND:
        raise BadRequestError(
            "expected live:task, with filters such as {state=done}, or nothing for all tasks",
            field=field,
            position=0,
        )
    return target


def _event(row: Row[Task], now_ms: int) -> Event:
    task = row.value
    start, end = _span(task, now_ms)
    where = row.datacenter.datacenter.value.name if row.datacenter else ""
    tags = (task.state, row.service.name, where or (row.datacenter.label if row.datacenter else ""))
    detail = [task.description or "", f"by {task.created_by}" if task.created_by else ""]
    state = f"{task.state}, {task.progress} %" if task.state == _RUNNING else task.state
    return Event(
        start,
        end if end is not None and end > start else None,
        task.name,
        "; ".join(filter(None, [*detail, state])),
        tuple(filter(None, tags)),
        str(task.task_id),
    )


def _span(task: Task, now_ms: int) -> tuple[int, int | None]:
    """Return start and end: of the run, or of the window in which a planned one may start."""
    if task.end_date is not None:
        return _ms(task.execution_date), _ms(task.end_date)
    if task.state == _RUNNING:
        return _ms(task.execution_date), now_ms
    start, end = task.maintenance_date_from, task.maintenance_date_to
    return _ms(start or task.execution_date), None if end is None else _ms(end)


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def _element(event: Event, asked: Mapping[str, Any]) -> dict[str, Any]:
    element = {
        "annotation": asked,
        "time": event.time,
        "title": event.title,
        "text": event.text,
        "tags": event.tags,
        "id": event.id,
    }
    if event.time_end is not None:
        element |= {"timeEnd": event.time_end, "isRegion": True}
    return element
