"""Single values of a client's JSON or address, read as loosely as OpenTSDB does.

Numbers do for texts, texts for numbers and truths, and null is as good as nothing. Messages
name the key, ``field`` its place in the request.
"""

from __future__ import annotations

import contextlib
import math
from typing import TYPE_CHECKING, Any

from bridge.doors.fields import shown
from bridge.doors.http import kind_of
from bridge.errors import BadRequestError

if TYPE_CHECKING:
    from collections.abc import Mapping

#: OpenTSDB's counts are Java's.
LARGEST_COUNT = 2**31 - 1

_TRUTH = {"true": True, "false": False, "": False}


def expected(what: str, value: Any, place: str) -> BadRequestError:
    """Say what was expected at a place of the request, and what stood there."""
    name = place.rpartition(".")[2]
    found = "nothing" if value is None else kind_of(value)
    return BadRequestError(f"{name}: expected {what}, found {found}", field=place)


def inside(field: str, key: str) -> str:
    """Return the place of a key."""
    return f"{field}.{key}" if field else key


def read_list(given: Mapping[str, Any], key: str, field: str = "") -> list[Any]:
    """Read a list; nothing is an empty one.

    Raises:
        BadRequestError: It is something else.
    """
    value = given.get(key)
    if value is None:
        return []
    if not isinstance(value, list):
        raise expected("a list", value, inside(field, key))
    return value


def read_object(value: Any, place: str) -> dict[str, Any]:
    """Read an object.

    Raises:
        BadRequestError: It is something else.
    """
    if not isinstance(value, dict):
        raise expected("an object", value, place)
    return value


def read_text(given: Mapping[str, Any], key: str, field: str = "") -> str:
    """Read a text; nothing is an empty one.

    Raises:
        BadRequestError: It is something else.
    """
    value = given.get(key)
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise expected("a text", value, inside(field, key))
    return str(value)


def read_truth(given: Mapping[str, Any], key: str, field: str = "") -> bool:
    """Read true or false; nothing is false.

    Raises:
        BadRequestError: It is something else.
    """
    value = given.get(key)
    if isinstance(value, bool | int | None):
        return bool(value)
    truth = _TRUTH.get(value.strip().lower()) if isinstance(value, str) else None
    if truth is None:
        raise BadRequestError(
            f"{key}: expected true or false, found {shown(value)}", field=inside(field, key)
        )
    return truth


def read_figure(given: Mapping[str, Any], key: str, field: str = "") -> float:
    """Read a number from 0; nothing is 0.

    Raises:
        BadRequestError: It is something else.
    """
    value = given.get(key)
    if value is None or (isinstance(value, str) and not value.strip()):
        return 0.0
    try:
        figure = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        figure = math.nan
    if not (math.isfinite(figure) and figure >= 0):
        raise BadRequestError(
            f"{key}: expected a number from 0, found {shown(value)}", field=inside(field, key)
        )
    return figure


def read_count(given: Mapping[str, Any], key: str, refusal: str) -> int | None:
    """Read a whole number; None when there is none.

    Args:
        given: Where it stands.
        key: Its name.
        refusal: OpenTSDB's words for one that cannot be read.

    Raises:
        BadRequestError: It is something else.
    """
    value = given.get(key)
    if value is None or value == "":
        return None
    count = None
    if isinstance(value, int | str) and not isinstance(value, bool):
        with contextlib.suppress(ValueError):
            count = int(value)
    if count is None or abs(count) > LARGEST_COUNT:
        raise BadRequestError(f"{refusal}: {shown(value)}", field=key)
    return count
