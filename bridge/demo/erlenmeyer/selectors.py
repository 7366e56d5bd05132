"""Warp 10 selectors, as Erlenmeyer builds them out of tags and filters."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bridge.demo.shelf import Selector

_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_CODE = re.compile(r"'[\s]|[\r\n]")


class BackendError(Exception):
    """Warp 10 would refuse the script: all a client of Erlenmeyer sees is a 500."""


class InjectionError(BackendError):
    """The text would have run as code inside the script."""


def literal(text: str) -> str:
    """Return what Warp 10 makes of text pasted between two quotes of a script.

    Raises:
        InjectionError: a quote followed by white space, or a line break, ends the literal
            (reference: opentsdb 2.6, "Injection is real").
        BackendError: a broken percent escape.
    """
    if _CODE.search(text):
        raise InjectionError
    if _BROKEN_ESCAPE.search(text):
        raise BackendError
    return unquote(text)


@dataclass(frozen=True, slots=True)
class Exact:
    """Matches one text."""

    exact: str | None

    def matches(self, text: str) -> bool:
        """Tell whether ``text`` is the one."""
        return text == self.exact


@dataclass(frozen=True, slots=True)
class Pattern:
    """A regular expression that must match completely, behind Warp 10's short cut.

    Attributes:
        pattern: The compiled expression.
        fragment: The longest alphanumeric run outside brackets; text without it never
            matches, even where the expression would (reference: opentsdb 2.3).
    """

    pattern: re.Pattern[str]
    fragment: str | None
    exact: None = None

    def matches(self, text: str) -> bool:
        """Tell whether the whole of ``text`` matches."""
        if self.fragment is not None and self.fragment not in text:
            return False
        return self.pattern.fullmatch(text) is not None


def _fragment(expression: str) -> str | None:
    if "|" in expression:
        return None
    for brackets in (r"\(.*\)", r"\[.*\]", r"\{.*\}"):
        expression = re.sub(brackets, " ", expression)
    expression = re.sub(r"\\.*", "", expression)
    runs = re.findall(r"[a-zA-Z0-9]+", expression)
    return max(runs, key=len) if runs else None


def selector(text: str) -> Selector:
    """Return the selector for ``=exact``, ``~regexp`` or plain text.

    Raises:
        BackendError: not a regular expression.
    """
    if text.startswith("~"):
        try:
            return Pattern(re.compile(text[1:]), _fragment(text[1:]))
        except re.error as error:
            raise BackendError from error
    return Exact(text.removeprefix("="))


def tag_selectors(tags: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """Translate a ``tags`` object into selector texts and the keys to group by."""
    texts: dict[str, str] = {}
    groups: list[str] = []
    for key, value in tags.items():
        if value == "*":
            groups.append(key)
            texts[key] = "~.*"
        elif "|" in value:
            groups.append(key)
            texts[key] = "~" + "|".join(re.escape(part.strip()) for part in value.split("|"))
        else:
            texts[key] = "=" + value
    return texts, groups


def filter_text(kind: str, expression: str) -> str | None:
    """Translate one filter; None for the kinds that Erlenmeyer silently ignores."""
    if kind == "wildcard":
        return "~" + expression.replace("*", ".*")
    if kind == "literal_or":
        return ("~" if "|" in expression else "=") + expression
    if kind == "regexp":
        return "~" + expression
    return None


def compile_selectors(texts: Mapping[str, str]) -> dict[str, Selector]:
    """Compile selector texts, label by label.

    Raises:
        BackendError: text that breaks the script.
    """
    return {literal(key): selector(literal(text)) for key, text in texts.items()}


def unique(keys: Sequence[str]) -> list[str]:
    """Return the keys in order, each once."""
    return list(dict.fromkeys(keys))
