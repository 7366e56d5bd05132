"""What ``history export`` is asked for, read from its options."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bridge.commands.errors import UsageError
from bridge.commands.history import Span
from bridge.engine.lexemes import parse_filter
from bridge.errors import BadRequestError
from bridge.sources.history import ExportRequest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bridge.model import TagFilter

FORMS = ("parquet", "csv")
TIERS = ("raw", "10m", "1h")


def export_request(
    form: str, metrics: Sequence[str], labels: Sequence[str], start: str, end: str, tier: str
) -> ExportRequest:
    """Check the options of an export.

    Raises:
        UsageError: One of them cannot be understood.
    """
    first, last = Span(start, end).read()
    form_given: Any = _one_of("--format", form, FORMS)
    tier_given: Any = _one_of("--tier", tier, TIERS)
    filters: list[TagFilter] = []
    for label in labels:
        key, equals, text = label.partition("=")
        if not equals or not key:
            raise UsageError(f"--label: expected label=value, found {label!r}")
        try:
            filters += parse_filter(key, text)
        except BadRequestError as error:
            raise UsageError(f"--label {key}: {error.message}") from None
    return ExportRequest(form_given, tuple(metrics), tuple(filters), first, last, tier_given)


def _one_of(option: str, given: str, accepted: Sequence[str]) -> str:
    if given not in accepted:
        raise UsageError(f"{option}: expected {' or '.join(accepted)}, found {given!r}")
    return given
