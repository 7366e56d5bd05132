"""The fenced blocks of the documents: what each is, so that each can be run or checked.

The words after the fence say how::

    sh                  run by bash; the answer must not be an error
    sh refused          run by bash; the answer must be an error
    sh grafana          commands on Grafana's machine: their form is checked
    python              run by Python
    csv                 the first line of what the ``sh`` block before it writes
    json POST /path     sent to that path
    yaml datasources    a provisioning file, checked against Grafana's format
    yaml messages       annotations of a rule, checked the same
    target, variable    one text a line, asked through the JSON doors
    text                nothing to run
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [*sorted((ROOT / "docs" / "clients").glob("*.md")), ROOT / "docs" / "alerting.md"]
PAGES += [ROOT / "docs" / "rows.md"]
#: Address of the bridge in all documents.
ADDRESS = "http://127.0.0.1:8080"

KINDS = {"sh", "python", "csv", "json", "yaml", "target", "variable", "text"}
_FENCE = re.compile(r"^( *)```([^\n]*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """One fenced block.

    Attributes:
        page: File name.
        line: Of the opening fence.
        kind: First word after the fence.
        words: Further ones.
        text: Its lines.
    """

    page: str
    line: int
    kind: str
    words: tuple[str, ...]
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"

    def at(self, url: str) -> str:
        """Return the text with the address of a running bridge."""
        return self.text.replace(ADDRESS, url)


def blocks(path: Path) -> list[Block]:
    """Return the blocks of a page, in order."""
    text = path.read_text(encoding="utf-8")
    found = []
    for match in _FENCE.finditer(text):
        kind, *words = match[2].split() or ["text"]
        indent = match[1]
        body = re.sub(f"^{indent}", "", match[3], flags=re.MULTILINE)
        line = text.count("\n", 0, match.start()) + 1
        found.append(Block(path.name, line, kind, tuple(words), body))
    return found


ALL = [block for page in PAGES for block in blocks(page)]


def of(kind: str, *words: str) -> list[Block]:
    """Return the blocks of one kind."""
    found = [one for one in ALL if one.kind == kind and one.words[: len(words)] == words]
    assert found, (kind, words)
    return found
