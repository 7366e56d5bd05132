"""What the overview shows, as values that know nothing of where they come from.

The wiring fills in a ``Status``; a part of the bridge that has something to tell adds a
``Section`` of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class Level(StrEnum):
    """How well something is."""

    GOOD = "good"
    WAITING = "waiting"
    NOTE = "note"
    WARNING = "warning"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Mark:
    """A state: one or two words, and how good that is."""

    word: str
    level: Level


@dataclass(frozen=True, slots=True)
class Moment:
    """A point in time, shown as its age; None is never."""

    at_s: float | None


@dataclass(frozen=True, slots=True)
class Amount:
    """A number with its Grafana unit (``bytes``, ``s``, ``none``); None is unknown."""

    value: float | None
    unit: str = "none"


@dataclass(frozen=True, slots=True)
class Link:
    """A text that leads to another page of the bridge.

    Attributes:
        text: What stands there.
        page: ``explore`` or ``live``.
        query: Its parameters.
    """

    text: str
    page: str
    query: Mapping[str, str]


Cell = str | Mark | Moment | Amount | Link


@dataclass(frozen=True, slots=True)
class Section:
    """One table of the overview.

    Attributes:
        title: Its heading.
        columns: What the cells of a row are, the first names the row.
        rows: As many cells each as there are columns.
        note: A sentence under the heading.
        empty: What stands there instead of a table without rows.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""
    empty: str = "None."


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is not as it should be.

    Attributes:
        text: What is wrong, naming the account or service.
        advice: What to do; empty where nobody knows.
        level: How bad it is.
    """

    text: str
    advice: str = ""
    level: Level = Level.WARNING


@dataclass(frozen=True, slots=True)
class Status:
    """The whole overview.

    Attributes:
        state: All of it in a word.
        summary: In a sentence.
        problems: The worst first.
        sections: In the order they are shown.
    """

    state: Mark
    summary: str
    problems: tuple[Problem, ...] = ()
    sections: tuple[Section, ...] = field(default=())
