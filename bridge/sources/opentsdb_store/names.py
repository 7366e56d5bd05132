"""What OpenTSDB can store: the characters of names, and how many tags a series may have.

Names are kept in ISO 8859-1: a letter outside of it would silently become another name
(measured on 2.4.1: two such names collide). So letters count up to U+00FF here, though the
server lets all of them through.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bridge.model import SeriesKey

#: What a server takes unless it is set otherwise.
MOST_TAGS = 8
_PLAIN = re.compile(r"[A-Za-z0-9\-_./]+")


def why_not(key: SeriesKey, *, most_tags: int = MOST_TAGS, special: str = "") -> str | None:
    """Say why a series cannot be stored; None where it can.

    Args:
        key: The series.
        most_tags: ``tsd.storage.max_tags``.
        special: ``tsd.core.tag.allow_specialchars``.
    """
    if len(key.tags) > most_tags:
        return f"{len(key.tags)} tags, and OpenTSDB takes {most_tags}"
    if not key.tags:
        return "no tag, and OpenTSDB demands one"
    for text in (key.metric, *(part for pair in key.tags for part in pair)):
        if _PLAIN.fullmatch(text):
            continue
        bad = next((char for char in text if not _may_stand(char, special)), None)
        if bad is not None or not text:
            return f"the character {bad!r} in {text!r}" if text else "an empty name"
    return None


def _may_stand(char: str, special: str) -> bool:
    if char in special:
        return True
    return bool(_PLAIN.fullmatch(char)) or (char.isalpha() and ord(char) < 0x100)
