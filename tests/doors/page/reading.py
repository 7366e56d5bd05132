"""Reads pages as a browser would, with nothing but the standard library."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

_VOID = frozenset({"meta", "link", "input", "br", "hr", "img", "line", "path"})


@dataclass
class Element:
    tag: str
    attributes: dict[str, str]
    children: list[Element | str] = field(default_factory=list)

    def all(self, tag: str = "", **wanted: str) -> Iterator[Element]:
        """Yield elements inside, by tag and attributes (``class_`` is one of the classes)."""
        for child in self.children:
            if isinstance(child, str):
                continue
            own = child.attributes
            if (not tag or child.tag == tag) and all(
                value in own.get("class", "").split()
                if key == "class_"
                else own.get(key.replace("_", "-")) == value
                for key, value in wanted.items()
            ):
                yield child
            yield from child.all(tag, **wanted)

    def one(self, tag: str = "", **wanted: str) -> Element:
        found = list(self.all(tag, **wanted))
        assert len(found) == 1, (tag, wanted, len(found))
        return found[0]

    @property
    def text(self) -> str:
        parts = [child if isinstance(child, str) else child.text for child in self.children]
        return " ".join("".join(parts).split())


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Element("", {})
        self._open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), (tag, names)
        element = Element(tag, {name: value or "" for name, value in attrs})
        self._open[-1].children.append(element)
        if tag not in _VOID:
            self._open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open[-1].children.append(Element(tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        if tag in _VOID:
            return
        assert self._open[-1].tag == tag, (self._open[-1].tag, tag)
        self._open.pop()

    def handle_data(self, data: str) -> None:
        self._open[-1].children.append(data)


def read(response: httpx.Response) -> Element:
    """Return a page's root; every element must be closed where it should be."""
    assert response.headers["content-type"] == "text/html; charset=utf-8", response.text[:300]
    reader = _Reader()
    reader.feed(response.text)
    reader.close()
    assert len(reader._open) == 1, [element.tag for element in reader._open]
    return reader.root


def query_of(address: str) -> list[tuple[str, str]]:
    return parse_qsl(urlsplit(address).query)


@dataclass
class Command:
    """A curl line as its shell would read it."""

    url: str
    options: list[tuple[str, str]]

    @classmethod
    def of(cls, text: str) -> Command:
        words = shlex.split(text.replace("\\\n", " "))
        assert words[:2] == ["curl", "-sS"], words
        words = [word for word in words[2:] if word != "-G"]
        return cls(words[0], list(zip(words[1::2], words[2::2], strict=True)))

    def run(self, client: httpx.Client, password: str = "") -> httpx.Response:
        given = dict(self.options)
        headers = dict([given["-H"].split(": ", 1)]) if "-H" in given else {}
        pairs = [text.split("=", 1) for name, text in self.options if name == "--data-urlencode"]
        return client.request(
            "POST" if "-d" in given else "GET",
            self.url,
            content=given.get("-d"),
            headers=headers,
            params=pairs or None,  # type: ignore[arg-type]  # pairs as lists
            auth=(given["-u"], password) if "-u" in given else None,
        )
