"""``hash``: what stands in the settings instead of a password or token."""

from __future__ import annotations

import sys

import typer
from argon2 import PasswordHasher

from bridge.commands.errors import UsageError


def run_hash() -> None:
    """Read a secret, from a terminal without showing it, and print its hash.

    Raises:
        UsageError: Nothing was given.
    """
    if sys.stdin.isatty():
        secret = typer.prompt("Password or token", hide_input=True, confirmation_prompt=True)
    else:
        secret = sys.stdin.readline().rstrip("\r\n")
    if not secret:
        raise UsageError("expected a password or token on standard input")
    # One lane and 19 MiB: what OWASP names as enough, at some 30 ms a check.
    typer.echo(PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1).hash(secret))
