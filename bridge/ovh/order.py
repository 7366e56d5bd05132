"""The order in which people expect names: ``web2`` before ``web10``."""

from __future__ import annotations

import re
from functools import lru_cache

_DIGITS = re.compile(r"([0-9]+)")

#: What ``natural_key`` returns: comparable with any other of its results.
NaturalKey = tuple[tuple[tuple[int, str], ...], str]


@lru_cache(maxsize=20_000)  # names are sorted again at every reading of a list
def natural_key(text: str) -> NaturalKey:
    """Return a sort key: digits compare as numbers, letters without case.

    Numbers of any length are compared by their digits, so no text is too long for it. The
    text itself comes last, so that different texts never compare equal.
    """
    parts = _DIGITS.split(text)
    return tuple(
        # Odd positions hold digits. Fewer digits is the smaller number.
        (len(part.lstrip("0")), part.lstrip("0")) if at % 2 else (0, part.casefold())
        for at, part in enumerate(parts)
    ), text
