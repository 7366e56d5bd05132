"""What Warp 10's refusals mean.

It answers 500 with an HTML page and its text in a header (reference: opentsdb 2.7). The
text quotes the script, which holds the token, so it is read here and never passed on; only
its numbers are.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto
from types import MappingProxyType
from typing import TYPE_CHECKING

from bridge.errors import TooMuchError, UpstreamError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bridge.sources.upstream import Reply

_HEADER = "x-warp10-error-message"

#: Letters of an error page that are searched where the header is missing.
_PAGE_BYTES = 4096


class Reason(Enum):
    """Why Warp 10 refused."""

    TOKEN = auto()
    POINTS = auto()
    SERIES = auto()
    BUCKETS = auto()
    WORK = auto()
    NOT_RAISED = auto()
    OTHER = auto()


@dataclass(frozen=True, slots=True)
class Refusal:
    """One refusal.

    Attributes:
        reason: Its kind.
        limit: The limit it names, where it names one.
    """

    reason: Reason
    limit: int | None = None


_PATTERNS: Mapping[Reason, re.Pattern[str]] = MappingProxyType(
    {
        reason: re.compile(pattern, re.IGNORECASE)
        for reason, pattern in {
            Reason.TOKEN: r"\binvalid (?:read )?token\b|\btoken (?:expired|revoked|missing)\b"
            r"|\bapplication suspended or closed\b",
            Reason.POINTS: r"exceeded limit of (\d+) datapoints",
            Reason.SERIES: r"exceeded limit of (\d+) Geo Time Series",
            Reason.BUCKETS: r"Bucket count \(\d+\) would exceed maximum value of (\d+)",
            Reason.WORK: r"Operation count \(\d+\) exceeded maximum of (\d+)",
            Reason.NOT_RAISED: r"cannot extend limit past (\d+)|missing capability"
            r"|Unknown function 'AUTHENTICATE'|requires the stack to be authenticated",
        }.items()
    }
)

_LIMITS: Mapping[Reason, str] = MappingProxyType(
    {
        Reason.POINTS: "reads at most{limit} points at once: narrow the range or the filters",
        Reason.SERIES: "reads at most{limit} series at once: narrow the filters",
        Reason.BUCKETS: "answers at most{limit} buckets a series: "
        "take a wider interval or a shorter range",
        Reason.WORK: "finds this too much work: narrow the range or the filters",
    }
)


class PlatformLimitError(TooMuchError):
    """A limit of Warp 10's, which another way to the same data may not have."""


def refusal_of(reply: Reply) -> Refusal | None:
    """Return why a request was refused, or None when it was not."""
    if reply.status == 200:
        return None
    if reply.status in (401, 403):
        return Refusal(Reason.TOKEN)
    if reply.status != 500:
        return Refusal(Reason.OTHER)
    text = reply.headers.get(_HEADER) or reply.body[:_PAGE_BYTES].decode(errors="replace")
    for reason, pattern in _PATTERNS.items():
        found = pattern.search(text)
        if found is not None:
            limit = found.group(1) if pattern.groups else None
            return Refusal(reason, int(limit[:18]) if limit else None)
    return Refusal(Reason.OTHER)


def error_of(refusal: Refusal, status: int, who: str) -> UpstreamError | PlatformLimitError:
    """Return the error that tells a person what a refusal means.

    Args:
        refusal: Why.
        status: With which HTTP status.
        who: The upstream's name for messages.
    """
    if refusal.reason in _LIMITS:
        limit = f" {refusal.limit:,}" if refusal.limit is not None else " fewer"
        return PlatformLimitError(f"{who} {_LIMITS[refusal.reason].format(limit=limit)}")
    if refusal.reason is Reason.TOKEN:
        return UpstreamError(f"{who} refused the token (HTTP {status})")
    if 300 <= status < 400:
        return UpstreamError(f"{who} redirects elsewhere (HTTP {status}), which is not followed")
    return UpstreamError(f"{who} failed (HTTP {status})")
