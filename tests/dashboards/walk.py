"""A walk through every dashboard: variables in their chain, then every panel's requests."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.dashboards.grafana import (
    Chosen,
    Request,
    Span,
    annotation_request,
    options_of,
    panels_of,
    requests_of,
    variable_request,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

FOLDER = Path(__file__).parents[2] / "dashboards"
FILES = sorted(FOLDER.glob("*.json"))


def load(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


@dataclass
class Asked:
    """One request and what came back.

    Attributes:
        board: The dashboard's identifier.
        title: Panel, variable or annotation.
        kind: Which of the three.
        saved: As the dashboard has it.
        request: What was sent.
        answer: The body.
    """

    board: str
    title: str
    kind: str
    saved: dict[str, Any]
    request: Request
    answer: Any

    def __str__(self) -> str:
        return f"{self.board}: {self.kind} {self.title!r} by {self.request.of}"


@dataclass
class Walk:
    """Everything one dashboard asked for.

    Attributes:
        board: The dashboard.
        span: Its time range.
        chosen: Values of its variables.
        options: What each variable offers, texts and values.
        asked: Every request, in order.
    """

    board: dict[str, Any]
    span: Span
    chosen: Chosen
    options: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)

    def of(self, kind: str) -> list[Asked]:
        return [one for one in self.asked if one.kind == kind]


def walk(client: httpx.Client, board: dict[str, Any], **preset: str) -> Walk:
    """Open a dashboard as Grafana does.

    Args:
        client: Of the bridge.
        board: The dashboard.
        preset: Values of variables that a link brought.
    """
    walked = Walk(board, Span.of(board, int(time.time())), Chosen())

    def ask(kind: str, title: str, saved: dict[str, Any], request: Request) -> Any:
        answer = client.request(
            request.method, request.path, params=dict(request.params), json=request.body
        )
        assert answer.status_code == 200, f"{board['uid']}, {title!r}: {answer.text}\n{request}"
        body = answer.json()
        walked.asked.append(Asked(board["uid"], title, kind, saved, request, body))
        return body

    for variable in board["templating"]["list"]:
        name = variable["name"]
        request = variable_request(variable, walked.chosen, walked.span)
        offered = options_of(variable, ask("variable", name, variable, request))
        walked.options[name] = offered
        values = [value for _, value in offered]
        wanted = preset.get(name)
        assert wanted in (None, "All") or wanted in values, (name, wanted, values)
        if wanted not in {None, "All"}:
            values = [wanted]
        elif not variable["includeAll"]:
            values = values[:1]
        walked.chosen.values[name] = values
    for panel in panels_of(board):
        for request in requests_of(panel, walked.chosen, walked.span):
            ask("panel", panel["title"], panel, request)
    for annotation in board["annotations"]["list"]:
        asked = annotation_request(annotation, walked.chosen, walked.span)
        if asked is not None:
            ask("annotation", annotation["name"], annotation, asked)
    return walked


def values_of(asked: Asked) -> Iterator[tuple[str, list[Any]]]:
    """Yield each query's letter with the values it got, gaps and empty cells left out."""
    for index, ref_id in enumerate(asked.request.ref_ids):
        if asked.request.path == "/api/query":
            series = [one for one in asked.answer if one["query"]["index"] == index]
            values = [value for one in series for value in one["dps"].values()]
        elif asked.request.path == "/rows":
            targets = asked.saved.get("targets") or [asked.saved["target"]]
            (target,) = (one for one in targets if one["refId"] == ref_id)
            first = target["columns"][0]["selector"]
            values = [row[first] for row in asked.answer]
        else:
            values = [
                cell
                for one in asked.answer
                if one["refId"] == ref_id
                for row in one.get("rows") or one.get("datapoints")
                for cell in row[:1]
            ]
        yield ref_id, [value for value in values if value not in (None, "")]
