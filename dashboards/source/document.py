"""The list of all panels for ``docs/dashboards.md``, from the dashboards themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dashboards.source.queries import Live, OpenTsdb, SimPod

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from grafana_foundation_sdk.cog.variants import Dataquery

    from dashboards.source.boards import Board

BEGIN, END = "<!-- panels: written by make dashboards -->\n", "<!-- end of panels -->"


def inserted(text: str, boards: Iterable[Board]) -> str:
    """Return a document with its list of panels brought up to date.

    Raises:
        ValueError: The document has no place for it.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"expected {BEGIN.strip()!r} and {END!r}")
    return "".join((before, BEGIN, *_lines(boards), END, after))


def _lines(boards: Iterable[Board]) -> Iterator[str]:
    for board in boards:
        yield f"\n### {board.title}\n\n{board.description}\n\n"
        yield "| panel | shows |\n|---|---|\n"
        for row in board.rows:
            for builder in row.panels:
                panel = builder.build()
                shown = dict.fromkeys(_shown(one) for one in panel.targets or ())
                told = "; ".join(shown) or "-"
                yield f"| {panel.title} | {told} |\n"
    yield "\n"


def _shown(query: Dataquery) -> str:
    match query:
        case OpenTsdb():
            return f"`{query.metric}`"
        case Live():
            return f"`live:{query.kind}`: {', '.join(query.columns)}"
        case SimPod():
            return f"`{query.target}`"
        case _:
            raise TypeError(type(query))
