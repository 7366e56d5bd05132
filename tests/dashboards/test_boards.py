"""The dashboards as files: made from the source, sound in themselves, linked to one another."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from dashboards.source.__main__ import BOARDS, DOCUMENT, main, written
from dashboards.source.document import inserted
from tests.dashboards.grafana import panels_of
from tests.dashboards.walk import FILES, FOLDER, load

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

by_file = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)


def test_files_are_what_the_source_makes() -> None:
    found = {path.name: path.read_text(encoding="utf-8") for path in FILES}
    assert found == written(), "run: make dashboards"


def test_document_lists_the_panels() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert text == inserted(text, BOARDS), "run: make dashboards"
    with pytest.raises(ValueError, match="expected"):
        inserted("no place", BOARDS)


def test_writing_drops_files_of_no_dashboard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dashboards.source.__main__.FOLDER", tmp_path)
    document = tmp_path / "dashboards.md"
    document.write_text(DOCUMENT.read_text())
    monkeypatch.setattr("dashboards.source.__main__.DOCUMENT", document)
    (tmp_path / "vscope-gone.json").write_text("{}")
    main()
    assert {path.name for path in tmp_path.glob("*.json")} == set(written())


@by_file
def test_file_is_named_after_its_uid(path: Path) -> None:
    board = load(path)
    assert board["uid"] == path.stem
    assert board["title"].startswith("vScope: ")
    assert board["description"]


@by_file
def test_panels_fill_the_grid_without_overlap(path: Path) -> None:
    board = load(path)
    numbers = [panel["id"] for panel in board["panels"]]
    assert numbers == sorted(set(numbers))
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24, panel["title"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells
    bottom = max(y for _, y in taken) + 1
    assert len(taken) == 24 * bottom, "an empty place"


@by_file
def test_titles_tell_panels_apart(path: Path) -> None:
    titles = [panel["title"] for panel in panels_of(load(path))]
    assert len(titles) == len(set(titles))
    assert all(titles)


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for one in value.values():
            yield from texts(one)
    elif isinstance(value, list):
        for one in value:
            yield from texts(one)
    elif isinstance(value, str):
        yield value


@by_file
def test_variables_named_exist_and_depend_on_earlier_ones(path: Path) -> None:
    board = load(path)
    known: set[str] = set()
    named = re.compile(r"\$\{?(?!__|tag_)([a-z]\w*)")
    for variable in board["templating"]["list"]:
        asked = {name for text in texts(variable["query"]) for name in named.findall(text)}
        assert asked <= known, variable["name"]
        known.add(variable["name"])
    targets = [target for panel in panels_of(board) for target in panel.get("targets", ())]
    targets += [one.get("target") for one in board["annotations"]["list"]]
    assert {name for text in texts(targets) for name in named.findall(text)} <= known


@by_file
def test_links_lead_to_dashboards_and_their_variables(path: Path) -> None:
    for text in texts(load(path)):
        if not text.startswith("/d/"):
            continue
        uid, _, query = text.removeprefix("/d/").partition("?")
        page = load(FOLDER / f"{uid}.json")
        there = {variable["name"] for variable in page["templating"]["list"]}
        assert set(re.findall(r"var-(\w+)=", query)) == there, text


@by_file
def test_link_fields_are_in_the_row(path: Path) -> None:
    for panel in panels_of(load(path)):
        fields = set(re.findall(r"__data\.fields\.(\w+)", json.dumps(panel)))
        columns = {
            column["text"]
            for target in panel.get("targets", ())
            for column in target.get("columns", ())
        }
        assert fields <= columns, panel["title"]


@by_file
def test_lines_break_where_nothing_was_measured(path: Path) -> None:
    for panel in panels_of(load(path)):
        if panel["type"] != "timeseries":
            continue
        look = panel["fieldConfig"]["defaults"]["custom"]
        assert look["spanNulls"] is False
        assert look["insertNulls"] > 0
        for target in panel["targets"]:
            if target["datasource"]["type"] == "opentsdb":
                assert target["downsampleFillPolicy"] == "null"
                assert panel["interval"] == "5m"
