"""OVHcloud's tasks as OpenTSDB's annotations: times in seconds, the text in ``description``.

They come with the first series of a query that asks for global annotations. Grafana fills a
dashboard's annotations by such a query on a whole metric, without downsampling, of which it
reads nothing else; ``live:task{...}`` in the place of the metric spares reading any history,
takes filters, and brings its annotations unasked, as newer versions need it (reference:
grafana 4.2, 4.3).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bridge.doors.annotations import events
from bridge.doors.opentsdb.times import read_time
from bridge.errors import BadRequestError, NotFoundError, UnavailableError
from bridge.model import Series, Window

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bridge.doors.annotations import Event
    from bridge.doors.doorway import Doorway
    from bridge.doors.opentsdb.ask import SubQuery

Note = dict[str, Any]


def notes(doorway: Doorway, window: Window) -> list[Note]:
    """Return the tasks that overlap a window as global annotations, oldest first.

    Grafana asks for them with every panel; one that has points must not wait for the tasks.
    """
    try:
        return [_note(event) for event in events(doorway, window, None, field="", adhoc={})]
    except UnavailableError:
        return []


def live_series(doorway: Doorway, sub_query: SubQuery) -> tuple[tuple[Series, ...], list[Note]]:
    """Answer ``live:task{...}``: how many tasks begin in a second, and the tasks.

    A task that began before the range counts at its start.

    Raises:
        BadRequestError: Another live table, or filters that cannot be read.
    """
    metric, window = sub_query.query.metric, sub_query.query.window
    found = events(doorway, window, metric, field=f"{sub_query.field}.metric", adhoc={})
    if not found:
        return (), []
    begun = [max(event.time, window.start_ms) // 1000 * 1000 for event in found]
    stamps, counts = np.unique(np.array(begun, dtype=np.int64), return_counts=True)
    series = Series(metric, {}, (), stamps, counts.astype(np.float64))
    return (series,), [_note(event) for event in found]


def find_note(doorway: Doorway, words: Mapping[str, str]) -> Note:
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


def _note(event: Event) -> Note:
    return {
        "tsuid": "",
        "description": f"{event.title}: {event.text}" if event.text else event.title,
        "notes": ", ".join(event.tags),
        "startTime": event.time // 1000,
        "endTime": 0 if event.time_end is None else event.time_end // 1000,
    }
