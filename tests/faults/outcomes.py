"""What is expected of a cell, in a few words each."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.faults.upstream import Upstream
    from tests.faults.wrongs import Wrong

COLUMNS = ("cold", "warm", "recording")


@dataclass(frozen=True)
class Complete:
    """Everybody gets a complete and fresh answer all the same."""


@dataclass(frozen=True)
class No:
    """Nobody gets an answer: this status, with these words in the reason.

    For faults of APIv6 the reason stands at ``/readyz``, to which the answers refer.
    """

    status: int
    words: str


@dataclass(frozen=True)
class Partly:
    """A panel gets what could be read, with a notice; others get 503 with the reason."""

    words: str


@dataclass(frozen=True)
class Old:
    """A panel gets what was read before, with a notice; others get this status.

    Attributes:
        series: For faults of APIv6: what is answered to those who ask for series.
    """

    status: int
    words: str
    series: int = 200


@dataclass(frozen=True)
class Fewer:
    """The world is smaller: everybody is told so as a plain fact, and recording follows."""


@dataclass(frozen=True)
class GoesOn:
    """Recording goes on for every machine while the fault lasts."""


@dataclass(frozen=True)
class Stops:
    """Nothing is recorded while it lasts, and ``/readyz`` says why."""

    words: str


@dataclass(frozen=True)
class Lacks:
    """Recording goes on for some machines, and ``/readyz`` says what is missing."""

    words: str


@dataclass(frozen=True)
class Others:
    """Recording goes on, under the names of the machines that are there now."""


Cold = Complete | No | Partly | Fewer
Warm = Complete | No | Old | Fewer
Recording = GoesOn | Stops | Lacks | Fewer | Others


@dataclass(frozen=True)
class Row:
    """One fault, and what is expected of the bridge in each column.

    Attributes:
        fault: Its name.
        part: Which upstream goes wrong: ``api``, ``opentsdb`` or ``warp10``.
        wrong: What it does with a request, or a state of the world.
        where: Regular expression of the paths concerned.
        protocol: How history is read; the part's own by default.
        datacenters: Of the simulated company.
    """

    fault: str
    part: str
    wrong: Wrong | World
    cold: Cold
    warm: Warm
    recording: Recording
    where: str = ""
    protocol: str = ""
    datacenters: int = 1

    @property
    def id(self) -> str:
        return f"{self.part}: {self.fault}"


class World:
    """A fault that is not in an answer's bytes.

    Attributes:
        secure: Whether the upstream speaks HTTPS.
        named: Whether APIv6 is reached by a name.
    """

    secure = False
    named = False

    async def begin(self, upstream: Upstream, part: str) -> None:
        """Bring it about."""
        raise NotImplementedError

    async def end(self, upstream: Upstream, part: str) -> None:
        """Undo it."""
        raise NotImplementedError


def says(text: str, words: str) -> bool:
    """Whether a text says something (a regular expression)."""
    return re.search(words, text) is not None
