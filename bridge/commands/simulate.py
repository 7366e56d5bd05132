"""``simulate``: the simulated OVHcloud alone."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import typer

from bridge.commands.pipes import closed
from bridge.demo import create_simulator
from bridge.logs import configure_logs
from bridge.serving import listen, serve

if TYPE_CHECKING:
    from bridge.demo import DemoOptions

HOST = "127.0.0.1"
"""The simulator accepts credentials that everybody knows, so nobody else may reach it."""


def run_simulator(options: DemoOptions, port: int, *, supervised: bool = False) -> None:
    """Serve the simulated OVHcloud until told to stop.

    Args:
        options: What is simulated.
        port: 0 takes a free one.
        supervised: Started by another process: write nothing but the base URL, and stop
            when standard input is closed, however that process ended.

    Raises:
        ListenError: the port cannot be listened on.
    """
    configure_logs("warning")
    listening = listen(HOST, port)

    async def announce(url: str) -> None:
        if supervised:
            typer.echo(url)
            await closed(sys.stdin.buffer)
            raise EOFError
        typer.echo(f"The simulated OVHcloud answers at {url}/1.0; Ctrl-C ends it.")

    try:
        serve(create_simulator(options), listening, meanwhile=announce, patience_s=1)
    except EOFError:
        return
