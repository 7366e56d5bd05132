"""Secrets that can be found again in whatever a process gives away."""

from __future__ import annotations

import base64
import html
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@dataclass(frozen=True)
class Marked:
    """A secret and every form of it that somebody could read it from."""

    name: str
    text: str

    def forms(self) -> Iterator[bytes]:
        """Return the text, escaped in several ways, and its base64 wherever it begins."""
        text = self.text
        yield from {
            form.encode()
            for form in (
                text,
                quote(text),
                quote(text, safe=""),
                quote_plus(text),
                json.dumps(text)[1:-1],
                json.dumps(text, ensure_ascii=False)[1:-1],
                html.escape(text),
                repr(text)[1:-1],
                text.encode().hex(),
            )
        }
        # In the base64 of a longer text the secret is at one of three places.
        for before in range(3):
            coded = base64.b64encode(b"\0" * before + text.encode())
            whole = coded[-(-before * 8 // 6) :][: len(text.encode()) * 8 // 6 - 1]
            yield whole
            yield whole.translate(bytes.maketrans(b"+/", b"-_"))


def leaks(given_away: Mapping[str, bytes], secrets: list[Marked]) -> list[str]:
    """Return which secret is found where; a form of fewer than eight bytes proves nothing."""
    return [
        f"{secret.name} in {place}"
        for secret in secrets
        for form in set(secret.forms())
        if len(form) >= 8
        for place, content in given_away.items()
        if form in content
    ]
