"""A process that is killed loses the running poll at most."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

import pytest

from tests.sources.history.crashes import ROOT, killed, look, look_migrated

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("after_s", [0.0, 0.03])
def test_killed_while_writing(folder: Path, after_s: float) -> None:
    newest = -1
    for _ in range(2):
        told = killed(folder, "write", after_s=after_s)
        newest = look(folder, newest if told is None else told)


@pytest.mark.timeout(600)
def test_killed_at_steps_of_maintenance(folder: Path) -> None:
    """The steps of one day's maintenance, one after the other, and some in between."""
    newest = -1
    for step in (60, 74, 81, 88, 97, 143):
        told = killed(folder, "maintain", step=step)
        newest = look(folder, newest if told is None else told)
    assert newest > 8


@pytest.mark.timeout(600)
def test_killed_while_months_are_deleted(folder: Path) -> None:
    """The last days of a long run, in which the points of March are deleted."""
    newest = look(folder, killed(folder, "maintain", step=1560) or 0)
    for step in (90, 160, 230):
        told = killed(folder, "maintain", step=step)
        newest = look(folder, newest if told is None else told)
    assert not list(folder.glob("raw/2026-03*"))


@pytest.mark.parametrize("step", [1, 3, 4, 6])
def test_killed_while_migrating(folder: Path, step: int) -> None:
    with zipfile.ZipFile(ROOT / "tests" / "fixtures" / "history-v1.zip") as archive:
        archive.extractall(folder)
    assert killed(folder, "write", step=step) is None
    look_migrated(folder)
