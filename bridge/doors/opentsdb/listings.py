"""What the bridge is and serves: aggregators, filter types and the version."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from bridge import __version__
from bridge.engine.functions import AGGREGATORS
from bridge.model import FilterKind

if TYPE_CHECKING:
    from collections.abc import Mapping

#: The OpenTSDB whose behaviour this is.
LIKE_OPENTSDB = "2.4.1"

_FILTERS: Mapping[FilterKind, tuple[str, str]] = MappingProxyType(
    {
        FilterKind.LITERAL_OR: ("web01|web02", "One of these values exactly."),
        FilterKind.ILITERAL_OR: ("WEB01|web02", "One of these values, whatever the case."),
        FilterKind.NOT_LITERAL_OR: ("web01|web02", "None of these values."),
        FilterKind.NOT_ILITERAL_OR: ("WEB01|web02", "None of these values, whatever the case."),
        FilterKind.WILDCARD: ("web*", "Any text at each '*', of which there is at least one."),
        FilterKind.IWILDCARD: ("WEB*", "Any text at each '*', whatever the case."),
        FilterKind.REGEXP: ("^web[0-9]+$", "The regular expression is found in the value."),
    }
)


def aggregators() -> list[str]:
    """Return the aggregators that are served."""
    return sorted(AGGREGATORS)


def filters() -> dict[str, dict[str, str]]:
    """Return the filter types that are served, with an example and a description."""
    return {
        kind.value: {
            "examples": f'vm_name={kind}({example}), {{"type":"{kind}","tagk":"vm_name",'
            f'"filter":"{example}","groupBy":false}}',
            "description": description,
        }
        for kind, (example, description) in _FILTERS.items()
    }


def version() -> dict[str, Any]:
    """Return OpenTSDB's map of texts."""
    return {
        "version": LIKE_OPENTSDB,
        "short_revision": __version__,
        "full_revision": f"vscope-bridge {__version__}",
        "repo": "vscope-bridge",
        "repo_status": "MINT",
        "branch": "",
        "host": "",
        "user": "",
        "timestamp": "0",
    }
