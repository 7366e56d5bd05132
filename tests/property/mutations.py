"""Arbitrary JSON, and real answers that something happened to."""

from __future__ import annotations

import copy
import json
from typing import Any

from hypothesis import strategies as st

odd = st.sampled_from(
    [
        *(None, True, False, 0, -1, 2**63, 1e308, "", "12", "²", "NaN", "Infinity", "nan"),
        *("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-02-30", "\ud800"),
        *([], {}, [[]], {"": None}, "\x00", "x" * 5_000),
    ]
)
leaf = st.one_of(odd, st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text())
anything = st.recursive(
    leaf,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)


def deep(levels: int) -> Any:
    value: Any = 1
    for level in range(levels):
        value = [value] if level % 2 else {"x": value}
    return value


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place of a JSON value that is not deep inside it."""
    found = [path]
    if len(path) > 5:
        return found
    if isinstance(value, dict):
        for key in value:
            found += places(value[key], (*path, key))
    elif isinstance(value, list):
        for at, one in enumerate(value[:3]):
            found += places(one, (*path, at))
    return found


@st.composite
def mutated(draw: st.DrawFn, real: Any, changes: int = 3) -> Any:
    """A real answer in which something is replaced, removed or doubled."""
    value = copy.deepcopy(real)
    for _ in range(draw(st.integers(1, changes))):
        path = draw(st.sampled_from(places(value)))
        if not path:
            continue
        inner = value
        for key in path[:-1]:
            inner = inner[key]
        match draw(st.sampled_from(["replace", "remove", "double", "deep"])):
            case "remove":
                del inner[path[-1]]
            case "double" if isinstance(inner, list):
                inner.append(copy.deepcopy(inner[path[-1]]))
            case "deep":
                inner[path[-1]] = deep(draw(st.sampled_from([3, 300, 900])))
            case _:
                inner[path[-1]] = copy.deepcopy(draw(anything))
    return value


def encoded(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode("utf-8", "surrogatepass")


def cut_and_flipped(body: bytes) -> st.SearchStrategy[bytes]:
    """A body that broke off, or in which a byte is another one."""
    at = st.integers(0, len(body) - 1)
    return st.one_of(
        at.map(lambda end: body[:end]),
        st.builds(lambda i, b: body[:i] + bytes([b]) + body[i + 1 :], at, st.integers(0, 255)),
    )
