"""The order in which people expect names: ``web2`` before ``web10``."""

from __future__ import annotations

import re
from functools import lru_cache
from sys import maxunicode

_DIGITS = re.compile(r"([0-9]+)")

#: What ``natural_key`` returns: comparable with any other of its results, at a text's speed.
NaturalKey = str

#: Stand before digits and behind the last part; no name has them.
_NUMBER, _END = "\x01", "\x00"


@lru_cache(maxsize=20_000)  # names are sorted again at every reading of a list
def natural_key(text: str) -> NaturalKey:
    """Return a sort key: digits compare as numbers, letters without case.

    Numbers of any length are compared by their digits, fewer being less, so no text is too
    long for it. The text itself comes last, so that different texts never compare equal.
    """
    parts = _DIGITS.split(text.casefold())
    for at in range(1, len(parts), 2):
        digits = parts[at].lstrip("0")
        parts[at] = f"{_NUMBER}{chr(min(len(digits) + 1, maxunicode))}{digits}"
    return "".join((*parts, _END, text))
