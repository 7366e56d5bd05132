"""OVHcloud's tasks as OpenTSDB's annotations: times in seconds, the text in ``description``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bridge.doors.annotations import events
from bridge.doors.opentsdb.times import read_time
from bridge.errors import BadRequestError, NotFoundError
from bridge.model import Window

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bridge.doors.annotations import Event
    from bridge.doors.doorway import Doorway


def notes(doorway: Doorway, window: Window) -> list[dict[str, Any]]:
    """Return the tasks that overlap a window as global annotations, oldest first."""
    return [_note(event) for event in events(doorway, window, None, field="", adhoc={})]


def find_note(doorway: Doorway, words: Mapping[str, str]) -> dict[str, Any]:
    """Return the task that begins in a second, for ``GET /api/annotation``.

    Raises:
        BadRequestError: No start time, or one that cannot be read.
        NotFoundError: No task begins then, or the note of one series is asked for.
    """
    start = words.get("start_time", "")
    if not start:
        raise BadRequestError("Missing start time", field="start_time")
    second = read_time(start, "start_time", int(doorway.clock() * 1000), "UTC") // 1000
    if not words.get("tsuid"):
        for note in notes(doorway, Window(second * 1000, second * 1000 + 999)):
            if note["startTime"] == second:
                return note
    raise NotFoundError("Unable to locate annotation in storage")


def _note(event: Event) -> dict[str, Any]:
    return {
        "tsuid": "",
        "description": f"{event.title}: {event.text}" if event.text else event.title,
        "notes": ", ".join(event.tags),
        "startTime": event.time // 1000,
        "endTime": 0 if event.time_end is None else event.time_end // 1000,
    }
