"""OVHcloud's tasks as OpenTSDB's annotations: times in seconds, the text in ``description``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bridge.doors.annotations import events

if TYPE_CHECKING:
    from bridge.doors.doorway import Doorway
    from bridge.model import Window


def notes(doorway: Doorway, window: Window) -> list[dict[str, Any]]:
    """Return the tasks that overlap a window as global annotations, oldest first."""
    return [
        {
            "tsuid": "",
            "description": f"{event.title}: {event.text}" if event.text else event.title,
            "notes": ", ".join(event.tags),
            "startTime": event.time // 1000,
            "endTime": 0 if event.time_end is None else event.time_end // 1000,
        }
        for event in events(doorway, window, None, field="", adhoc={})
    ]
