"""How a command ends when it cannot do its work."""

from __future__ import annotations


class CommandError(Exception):
    """The command failed; the text is one line for a person, without secrets."""


class UsageError(CommandError):
    """What was asked for cannot be understood."""
