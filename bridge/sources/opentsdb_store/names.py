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


class Names:
    """Tells which series a server can store; what it has looked at it knows.

    Args:
        most_tags: ``tsd.storage.max_tags``.
        special: ``tsd.core.tag.allow_specialchars``.
    """

    def __init__(self, most_tags: int = MOST_TAGS, special: str = "") -> None:
        self._most_tags = most_tags
        self._special = special
        self._metrics: dict[str, str | None] = {}
        self._tags: dict[tuple[tuple[str, str], ...], str | None] = {}

    def why_not(self, key: SeriesKey) -> str | None:
        """Say why a series cannot be stored; None where it can."""
        if key.metric not in self._metrics:
            self._metrics[key.metric] = self._bad((key.metric,))
        if key.tags not in self._tags:
            self._tags[key.tags] = self._bad_tags(key.tags)
        return self._metrics[key.metric] or self._tags[key.tags]

    def _bad_tags(self, tags: tuple[tuple[str, str], ...]) -> str | None:
        if len(tags) > self._most_tags:
            return f"{len(tags)} tags, and OpenTSDB takes {self._most_tags}"
        if not tags:
            return "no tag, and OpenTSDB demands one"
        return self._bad(tuple(part for pair in tags for part in pair))

    def _bad(self, texts: tuple[str, ...]) -> str | None:
        for text in texts:
            if _PLAIN.fullmatch(text):
                continue
            if not text:
                return "an empty name"
            bad = next((char for char in text if not self._may_stand(char)), None)
            if bad is not None:
                return f"the character {bad!r} in {text!r}"
        return None

    def _may_stand(self, char: str) -> bool:
        if char in self._special:
            return True
        return bool(_PLAIN.fullmatch(char)) or (char.isalpha() and ord(char) < 0x100)
