"""What a bridge would have recorded of the simulated OVHcloud, made up in a folder."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import typer

from bridge.commands.progress import progress
from bridge.demo.fleet import build_fleet
from bridge.demo.past import record_past
from bridge.sources.history import History

if TYPE_CHECKING:
    from pathlib import Path

    from bridge.demo import DemoOptions

RECORDED_DAYS = 30


async def make_past(
    options: DemoOptions, folder: Path, days: int, *, maintained: bool = False
) -> None:
    """Record the days before now.

    Args:
        options: What is simulated.
        folder: Where to.
        days: How many.
        maintained: Whether the first maintenance, which takes as long again, is done as well;
            else the bridge does it beside its work, and a stop waits for its step.

    Raises:
        BridgeError: It cannot be written there.
    """
    async with progress(f"Recording {days} days of the past"), History(folder) as history:
        now = time.time()
        fleet = build_fleet(options, now)
        await record_past(fleet, history, until=now, days=days, source=history)
        if maintained:
            await history.maintain()


def run_past(options: DemoOptions, folder: Path) -> None:
    """Make up a past in an empty folder; one that holds anything is left as it is.

    Raises:
        BridgeError: It cannot be written there.
    """
    if folder.exists() and any(folder.iterdir()):
        typer.echo(f"{folder} is not empty: nothing is made up in it.")
        return
    asyncio.run(make_past(options, folder, RECORDED_DAYS, maintained=True))
    typer.echo(f"{RECORDED_DAYS} recorded days are in {folder}.")
