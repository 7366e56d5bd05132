"""A small WarpScript machine, written from what the real one was recorded to do.

It knows nothing of the bridge's scripts or of the simulator: it splits a text into words as
Warp 10 does (a quote ends a literal only before white space, a literal cannot hold a line
end, percent signs are decoded) and runs the words on a stack, one value and one point at a
time.
"""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

_NUMBER = re.compile(r"[+-]?\d+")
_FLOAT = re.compile(r"[+-]?\d+\.\d+")
_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


class ScriptError(Exception):
    """A script stops, in a line and at a word."""

    def __init__(self, reason: str, line: int = 0, word: str = "") -> None:
        super().__init__(f"line {line}, {word}: {reason}")
        self.reason, self.line, self.word = reason, line, word


@dataclass(frozen=True)
class Word:
    """One word of a script; a literal's text is decoded."""

    text: str
    line: int
    literal: bool = False


def words(script: str) -> Iterator[Word]:
    """Split a script into words.

    Raises:
        ScriptError: A literal without end, or with a broken escape.
    """
    multiline: list[str] | None = None
    for number, line in enumerate(re.split(r"\r\n|\r|\n", script), start=1):
        if multiline is not None:
            if line.strip() == "'>":
                yield Word("\n".join(multiline), number, literal=True)
                multiline = None
            else:
                multiline.append(line)
            continue
        rest = line.strip(" \t")
        while rest:
            if rest == "<'":
                multiline, rest = [], ""
            elif rest.startswith(("#", "//")):
                rest = ""
            elif rest[0] in "'\"":
                end = re.search(rest[0] + r"(?=\s|$)", rest[1:])
                if end is None:
                    raise ScriptError("Cannot find end of string", number, rest)
                raw = rest[1 : end.start() + 1]
                if _BROKEN_ESCAPE.search(raw):
                    raise ScriptError("Illegal hex characters in escape", number, raw)
                yield Word(unquote(raw), number, literal=True)
                rest = rest[end.end() + 1 :].lstrip(" \t")
            else:
                word, _, rest = rest.partition(" ")
                yield Word(word, number)
                rest = rest.lstrip(" \t")


@dataclass(frozen=True)
class Gts:
    """A series: points are (microsecond, value)."""

    name: str
    labels: Mapping[str, str]
    points: tuple[tuple[int, Any], ...] = ()

    def as_json(self) -> dict[str, Any]:
        return {
            "c": self.name,
            "l": dict(self.labels),
            "a": {},
            "la": 0,
            "v": [list(point) for point in self.points],
        }


@dataclass(frozen=True)
class Limits:
    points: int = 100_000
    points_hard: int = 20_000_000
    series: int = 100_000
    buckets: int = 1_000_000


_MARK = object()
_BUCKETIZERS: Mapping[str, Callable[[list[Any]], Any]] = {
    "sum": sum,
    "count": len,
    "min": min,
    "max": max,
    "first": lambda values: values[0],
    "last": lambda values: values[-1],
    "mean": lambda values: sum(values) / len(values),
}


def selected(selector: str, text: str) -> bool:
    if selector.startswith("~"):
        return re.fullmatch(selector[1:], text) is not None
    return text == selector.removeprefix("=")


@dataclass
class Machine:
    """Runs one script.

    Args:
        series: What is stored.
        tokens: Who may read, and why others may not: an empty text, or Warp 10's words.
        limits: What a script may do.
        version: 2 or 3.
        headers: Of the request.
    """

    series: Iterable[Gts]
    tokens: Mapping[str, str]
    limits: Limits = field(default_factory=Limits)
    version: int = 2
    headers: Mapping[str, str] = field(default_factory=dict)

    def run(self, script: str) -> str:
        """Return the stack as JSON, its top first.

        Raises:
            ScriptError: As Warp 10 would stop.
        """
        self.stack: list[Any] = []
        self.symbols: dict[str, Any] = {}
        self.strict = False
        self.fetched = 0
        self.may_fetch = self.limits.points
        self.authenticated = False
        exposed = self.headers.get("X-Warp10-ExposeHeaders")
        if exposed:
            self.symbols[exposed] = {key: [value] for key, value in self.headers.items()}
        self._run(_nested(iter(list(words(script)))))
        top_first = [_plain(value, strict=self.strict) for value in reversed(self.stack)]
        return json.dumps(top_first)

    def _run(self, program: list[Any]) -> None:
        for step in program:
            if isinstance(step, list):
                self.stack.append(step)
                continue
            try:
                self._step(step)
            except ScriptError as error:
                raise ScriptError(error.reason, step.line, step.text) from None
            except (IndexError, TypeError, KeyError, ValueError) as error:
                raise ScriptError(repr(error), step.line, step.text) from error

    def _step(self, word: Word) -> None:
        text, push = word.text, self.stack.append
        if word.literal:
            push(text)
        elif _NUMBER.fullmatch(text):
            push(int(text))
        elif _FLOAT.fullmatch(text):
            push(float(text))
        elif text.startswith("$"):
            push(self.symbols[text[1:]])
        elif text.startswith("bucketizer."):
            push(_BUCKETIZERS[text.removeprefix("bucketizer.")])
        elif text in _WORDS:
            _WORDS[text](self)
        else:
            raise ScriptError(f"Unknown function '{text}'")

    def fetch(self, *, as_doubles: bool) -> None:
        token, name, labels, end, timespan = self.stack.pop()
        if isinstance(end, str):  # two dates, both included, in any order
            first, end = sorted((_microseconds(end), _microseconds(timespan)))
            timespan = end - first + 1
        self._check_token(token)
        found = []
        for one in self.series:
            if not selected(name, one.name):
                continue
            if not all(k in one.labels and selected(s, one.labels[k]) for k, s in labels.items()):
                continue
            inside = tuple(
                (stamp, float(value) if as_doubles else value)
                for stamp, value in one.points
                if end - timespan < stamp <= end
            )
            found.append(replace(one, points=inside))
        if len(found) > self.limits.series:
            raise ScriptError(f"exceeded limit of {self.limits.series} Geo Time Series")
        found = [one for one in found if one.points]
        self.fetched += sum(len(one.points) for one in found)
        if self.fetched > self.may_fetch:
            raise ScriptError(
                f"exceeded limit of {self.may_fetch} datapoints, current count is {self.fetched}"
            )
        self.stack.append(found)

    def _check_token(self, token: str) -> None:
        problem = self.tokens.get(token, "Invalid token.")
        if problem:
            raise ScriptError(problem)

    def authenticate(self) -> None:
        if self.version > 2:
            raise ScriptError("Unknown function 'AUTHENTICATE'")
        self._check_token(self.stack.pop())
        self.authenticated = True

    def limit(self) -> None:
        limit = self.stack.pop()
        if not self.authenticated:
            raise ScriptError("requires the stack to be authenticated")
        if limit > self.limits.points_hard:
            raise ScriptError(f"cannot extend limit past {self.limits.points_hard}")
        self.may_fetch = limit

    def bucketize(self) -> None:
        *given, function, last, span, count = self.stack.pop()
        series = [one for item in given for one in (item if isinstance(item, list) else [item])]
        made = []
        for one in series:
            if count > self.limits.buckets:
                raise ScriptError(
                    f"Bucket count ({count}) would exceed maximum value of {self.limits.buckets}"
                )
            buckets: dict[int, list[Any]] = {}
            for stamp, value in sorted(one.points):
                back = (last - stamp) // span
                if 0 <= back < count:
                    buckets.setdefault(last - back * span, []).append(value)
            # Newest first, as recorded.
            points = tuple((at, function(buckets[at])) for at in sorted(buckets, reverse=True))
            made.append(replace(one, points=points))
        self.stack.append(made)

    def lmap(self) -> None:
        macro = self.stack.pop()
        results = []
        for index, element in enumerate(self.stack.pop()):
            self.stack += [element, index]
            self._run(macro)
            results.append(self.stack.pop())
        self.stack.append(results)

    def to_mark(self) -> list[Any]:
        items: list[Any] = []
        while (item := self.stack.pop()) is not _MARK:
            items.insert(0, item)
        return items

    def close_map(self) -> None:
        items = self.to_mark()
        self.stack.append(dict(zip(items[0::2], items[1::2], strict=True)))

    def get(self) -> None:
        key, holder = self.stack.pop(), self.stack.pop()
        self.stack.append(holder[key])

    def store(self) -> None:
        name, value = self.stack.pop(), self.stack.pop()
        self.symbols[name] = value

    def list_of(self) -> None:
        count = self.stack.pop()
        items = self.stack[len(self.stack) - count :]
        del self.stack[len(self.stack) - count :]
        self.stack.append(items)

    def decoded(self) -> None:
        text = self.stack.pop()
        self.stack.append(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))

    def as_text(self) -> None:
        charset, raw = self.stack.pop(), self.stack.pop()
        self.stack.append(raw.decode(charset))

    def over_series(self, change: Callable[[Gts], Any]) -> None:
        top = self.stack.pop()
        self.stack.append([change(one) for one in top] if isinstance(top, list) else change(top))

    def be_strict(self) -> None:
        self.strict = True

    def swap(self) -> None:
        self.stack[-1], self.stack[-2] = self.stack[-2], self.stack[-1]


_WORDS: Mapping[str, Callable[[Machine], Any]] = {
    "[": lambda m: m.stack.append(_MARK),
    "]": lambda m: m.stack.append(m.to_mark()),
    "{": lambda m: m.stack.append(_MARK),
    "}": Machine.close_map,
    "->LIST": Machine.list_of,
    "AUTHENTICATE": Machine.authenticate,
    "B64URL->": Machine.decoded,
    "BUCKETIZE": Machine.bucketize,
    "BYTES->": Machine.as_text,
    "DROP": lambda m: m.stack.pop(),
    "DUP": lambda m: m.stack.append(m.stack[-1]),
    "FETCH": lambda m: m.fetch(as_doubles=False),
    "FETCHDOUBLE": lambda m: m.fetch(as_doubles=True),
    "GET": Machine.get,
    "JSON->": lambda m: m.stack.append(json.loads(m.stack.pop())),
    "JSONSTRICT": Machine.be_strict,
    "LABELS": lambda m: m.over_series(lambda one: dict(one.labels)),
    "LIMIT": Machine.limit,
    "LMAP": Machine.lmap,
    "NaN": lambda m: m.stack.append(float("nan")),
    "SIZE": lambda m: m.stack.append(len(m.stack.pop())),
    "SORT": lambda m: m.over_series(lambda one: replace(one, points=tuple(sorted(one.points)))),
    "STORE": Machine.store,
    "SWAP": Machine.swap,
    "TICKLIST": lambda m: m.over_series(lambda one: [stamp for stamp, _ in one.points]),
    "VALUES": lambda m: m.over_series(lambda one: [value for _, value in one.points]),
}


def _nested(stream: Iterator[Word], *, inside: bool = False) -> list[Any]:
    """Turn macros into lists."""
    program: list[Any] = []
    for word in stream:
        if not word.literal and word.text == "<%":
            program.append(_nested(stream, inside=True))
        elif not word.literal and word.text == "%>":
            if not inside:
                raise ScriptError("macro end without start", word.line, word.text)
            return program
        else:
            program.append(word)
    if inside:
        raise ScriptError("macro without end")
    return program


def _microseconds(date: str) -> int:
    return int(datetime.fromisoformat(date).timestamp()) * 1_000_000


def _plain(value: Any, *, strict: bool) -> Any:
    if isinstance(value, Gts):
        return _plain(value.as_json(), strict=strict)
    if isinstance(value, list):
        return [_plain(item, strict=strict) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item, strict=strict) for key, item in value.items()}
    if strict and isinstance(value, float) and value in (float("inf"), float("-inf")):
        return "Infinity" if value > 0 else "-Infinity"
    if strict and isinstance(value, float) and value != value:  # noqa: PLR0124 -- NaN
        return "NaN"
    return value
