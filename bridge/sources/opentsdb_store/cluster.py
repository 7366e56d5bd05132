"""What an OpenTSDB says of itself at ``/api/config``, as far as writing depends on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from bridge.sources.opentsdb_store.names import MOST_TAGS

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Every server takes bodies of so many bytes.
SAFE_BYTES = 4096
#: A body of so many bytes is no "chunked" one yet, whatever ``max_chunk`` says (measured on
#: 2.4.1: 9,160 bytes are a 400 without ``enable_chunked``, a closed connection with it).
_WHOLE_BYTES = 8000
#: No body is larger.
MOST_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    """What matters of a server's settings.

    Attributes:
        known: Whether the server told them.
        body_bytes: The largest body it takes, compressed or not.
        most_tags: Of one series.
        special: Characters names may have besides the usual ones.
        new_names: Whether names it has never seen are taken.
        mends: Whether two values that were written for one time, into an hour that was
            compacted between them, are one point when they are read.
    """

    known: bool = False
    body_bytes: int = SAFE_BYTES
    most_tags: int = MOST_TAGS
    special: str = ""
    new_names: bool = True
    mends: bool = True

    @classmethod
    def of(cls, told: Mapping[str, str]) -> Self:
        """Read the answer of ``/api/config``."""

        def on(name: str, *, default: bool = False) -> bool:
            return told.get(name, str(default)).strip().lower() in {"true", "1", "yes"}

        chunk = _number(told.get("tsd.http.request.max_chunk"), SAFE_BYTES)
        body = max(chunk, _WHOLE_BYTES) if on("tsd.http.request.enable_chunked") else _WHOLE_BYTES
        return cls(
            known=True,
            body_bytes=min(body, MOST_BYTES),
            most_tags=_number(told.get("tsd.storage.max_tags"), MOST_TAGS),
            special=told.get("tsd.core.tag.allow_specialchars") or "",
            new_names=all(
                on(f"tsd.core.auto_create_{one}", default=one != "metrics")
                for one in ("metrics", "tagks", "tagvs")
            ),
            mends=on("tsd.storage.fix_duplicates")
            or on("tsd.storage.enable_appends")
            or not on("tsd.storage.enable_compaction", default=True),
        )

    def demands(self) -> tuple[str, ...]:
        """Say, in sentences, what should be set otherwise at the server."""
        demands = []
        if not self.new_names:
            demands.append(
                "OpenTSDB refuses names it has not seen: set tsd.core.auto_create_metrics (and "
                "_tagks, _tagvs) to true on every TSD"
            )
        if not self.mends:
            demands.append(
                "OpenTSDB cannot read an hour into which two bridges wrote late and differently: "
                "set tsd.storage.fix_duplicates to true on every TSD"
            )
        return tuple(demands)


def _number(text: str | None, default: int) -> int:
    try:
        return int(text) if text else default
    except ValueError:
        return default
