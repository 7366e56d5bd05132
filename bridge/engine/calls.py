"""Variable texts: calls of the functions that list names, ``name(value, key=value)``.

OpenTSDB's functions and the inventory's (design 4, "Variable text"). What a function
answers is the doors' affair; here its arguments are read and counted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from bridge.engine.lexemes import (
    WORD,
    as_filter,
    check_length,
    count_values,
    fail,
    found,
    read_value,
    skip_space,
    unescape,
    unknown,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bridge.model import TagFilter

_CALL = re.compile(r"\s*([A-Za-z_]+)\s*\(")


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of a call.

    Attributes:
        key: Label for ``key=value``, None for a positional argument.
        text: The value without escapes; alternatives are joined by ``|``.
        filter: The same as a filter (its key is empty for a positional argument); None
            for an empty positional argument.
        position: Offset of the value.
    """

    key: str | None
    text: str
    filter: TagFilter | None
    position: int


@dataclass(frozen=True, slots=True)
class Call:
    """A variable's function call, its number of arguments checked."""

    name: str
    args: tuple[Argument, ...] = ()

    def positional(self) -> tuple[Argument, ...]:
        """Return the arguments without a key, in order."""
        return tuple(arg for arg in self.args if arg.key is None)

    def filters(self) -> tuple[TagFilter, ...]:
        """Return the ``key=value`` arguments as filters."""
        return tuple(arg.filter for arg in self.args if arg.key is not None and arg.filter)


@dataclass(frozen=True, slots=True)
class Signature:
    """What a function takes.

    Attributes:
        parameters: Names of the positional arguments, in order.
        required: How many of them must be given.
        filters: Whether ``key=value`` arguments are taken.
    """

    parameters: tuple[str, ...] = ()
    required: int = 0
    filters: bool = False


FUNCTIONS: Mapping[str, Signature] = MappingProxyType(
    {
        "metrics": Signature(("text",)),
        "tag_names": Signature(("metric",), 1),
        "tag_values": Signature(("metric", "key"), 2, filters=True),
        "suggest_tagk": Signature(("text",)),
        "suggest_tagv": Signature(("text",)),
        "services": Signature(),
        "datacenters": Signature(("service",)),
        "clusters": Signature(("datacenter",), filters=True),
        "hosts": Signature(("datacenter",), filters=True),
        "vms": Signature(("datacenter",), filters=True),
        "datastores": Signature(("datacenter",), filters=True),
        "nics": Signature(("host",), 0),
    }
)


def parse_variable(text: str) -> Call | None:
    """Read a function call; None when the text is none.

    The bare name of a function that needs no argument is a call too (``vms``).

    Raises:
        BadRequestError: A call of an unknown function, with wrong arguments or not closed.
    """
    check_length(text)
    head = _CALL.match(text)
    if head is None:
        name = text.strip()
        known = FUNCTIONS.get(name)
        return Call(name) if known is not None and not known.required else None
    signature = FUNCTIONS.get(head[1])
    if signature is None:
        fail(unknown(f"there is no function '{head[1]}'", head[1], FUNCTIONS), head.start(1))
    args, at = _arguments(text, head.end())
    at = skip_space(text, at)
    if at < len(text):
        fail(f"expected the end after ')', found {found(text, at)}", at)
    _check_arguments(head[1], signature, args, head.start(1))
    return Call(head[1], args)


def _arguments(text: str, position: int) -> tuple[tuple[Argument, ...], int]:
    """Read arguments up to the closing bracket; ``position`` is behind the opening one."""
    args: list[Argument] = []
    at, total = skip_space(text, position), 0
    if text.startswith(")", at):
        return (), at + 1
    while True:
        key = None
        word = WORD.match(text, at)
        if word and text.startswith("=", equals := skip_space(text, word.end())):
            key, at = unescape(word[0]), equals + 1
        value, at = read_value(text, at, ",)")
        total = count_values(value, total)
        empty = key is None and not any(value.alternatives)
        flt = None if empty else as_filter(key or "", value)
        args.append(Argument(key, "|".join(value.alternatives), flt, value.position))
        if at >= len(text):
            fail("'(' is not closed: expected ',' or ')', found the end", position - 1)
        if text[at] == ")":
            return tuple(args), at + 1
        at = skip_space(text, at + 1)


def _check_arguments(
    name: str, signature: Signature, args: tuple[Argument, ...], position: int
) -> None:
    given = [arg for arg in args if arg.key is None]
    if len(given) > len(signature.parameters):
        extra = given[len(signature.parameters)]
        takes = ", ".join(signature.parameters) or "nothing"
        fail(f"{name}() takes {takes}; found one more argument", extra.position)
    for parameter, arg in zip(signature.parameters[: signature.required], given, strict=False):
        if arg.filter is None:
            fail(f"{name}() needs a {parameter}, found none", arg.position)
    if len(given) < signature.required:
        missing = signature.parameters[len(given)]
        fail(f"{name}() needs a {missing}", position)
    for arg in args:
        if arg.key is not None and not signature.filters:
            fail(f"{name}() takes no key=value arguments, found '{arg.key}'", arg.position)
