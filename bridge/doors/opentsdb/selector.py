"""``metric{key=value,...}`` as ``/api/search/lookup`` and ``/api/query/last`` take it.

Read literally, and by splitting at commas, so that names with spaces and brackets in them
can be asked for.
"""

from __future__ import annotations

from dataclasses import dataclass

from bridge.errors import BadRequestError


@dataclass(frozen=True, slots=True)
class Selector:
    """Which series are meant.

    Attributes:
        metric: Empty or ``*`` for every metric.
        pairs: Tag keys and values, in the client's order; a key may repeat.
    """

    metric: str
    pairs: tuple[tuple[str, str], ...] = ()


def parse_selector(text: str, field: str) -> Selector:
    """Read a selector.

    A part without ``=`` belongs to the value before it, which holds a comma.

    Raises:
        BadRequestError: The braces do not match, or hold something without a key.
    """
    metric, brace, inner = text.strip().partition("{")
    if not brace:
        return Selector(metric)
    if not inner.endswith("}"):
        raise BadRequestError(
            f"Unable to parse query: Missing '}}' at the end of: {text}", field=field
        )
    pairs: list[tuple[str, str]] = []
    inner = inner[:-1]
    for part in inner.split(",") if inner.strip() else ():
        key, equals, value = part.partition("=")
        if not equals and pairs:
            last, before = pairs[-1]
            pairs[-1] = (last, f"{before},{part}")
        elif not equals or not key.strip():
            raise BadRequestError(
                f"Unable to parse query: expected key=value, found {part[:60]!r}", field=field
            )
        else:
            pairs.append((key.strip(), value))
    return Selector(metric, tuple(pairs))
