"""``/api/suggest``: names of metrics, tag keys and tag values (reference: grafana 0a, 4.2).

What only holds the text, whatever the case, is suggested too, behind what begins with it:
all our metrics begin alike, and Grafana's test asks for ``cpu``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bridge.doors.names import find_metrics, find_values, label_keys
from bridge.doors.opentsdb.values import read_count, read_text
from bridge.errors import BadRequestError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bridge.doors.doorway import Doorway

TYPES = ("metrics", "tagk", "tagv")
#: Names given when the client names no number, or none above zero.
DEFAULT_MAX = 25


async def suggest(doorway: Doorway, words: Mapping[str, Any], *, missing: str) -> list[str]:
    """Return the names that a text begins or is part of.

    Args:
        doorway: The engine and the inventory.
        words: ``type``, ``q`` and ``max``.
        missing: What to say when there is no type.

    Raises:
        BadRequestError: No or another type, or a number that is none.
    """
    kind, text = read_text(words, "type"), read_text(words, "q")
    if not kind:
        raise BadRequestError(f"{missing} (accepted: {', '.join(TYPES)})", field="type")
    if kind not in TYPES:
        raise BadRequestError(
            f"Invalid 'type' parameter:{kind} (accepted: {', '.join(TYPES)})", field="type"
        )
    limit = read_count(words, "max", "Unable to parse 'max' as a number")
    limit = limit if limit is not None and limit > 0 else DEFAULT_MAX
    limit = min(limit, doorway.limits.max_rows)
    if kind == "metrics":
        found = await find_metrics(doorway, text, limit=limit)
        names = sorted(metric.name for metric in found)
    elif kind == "tagk":
        names = sorted(label_keys(doorway))
    else:
        names = [choice.value for choice in find_values(doorway, text, limit=None)]
    return _matching(names, text)[:limit]


def _matching(names: Iterable[str], text: str) -> list[str]:
    """Keep the names that hold a text, in their order, those that begin with it first."""
    wanted = text.casefold()

    def later(name: str) -> tuple[bool, bool]:
        return not name.startswith(text), not name.casefold().startswith(wanted)

    return sorted((name for name in names if wanted in name.casefold()), key=later)
