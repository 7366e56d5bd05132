"""What is made of an object, made once for all who share it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

#: The most objects known at once: those who share nothing must not pile up.
_MOST = 256

ObjectT = TypeVar("ObjectT")
MadeT = TypeVar("MadeT")


class Once(Generic[ObjectT, MadeT]):
    """Remembers what was made of each object, by its identity.

    The series of an answer mostly share their stamps: one array, and not only equal ones.

    Args:
        make: Makes it; the object must not change afterwards.
    """

    def __init__(self, make: Callable[[ObjectT], MadeT]) -> None:
        self._make = make
        # The object is kept too, so that no other one takes its identity.
        self._made: dict[int, tuple[ObjectT, MadeT]] = {}

    def of(self, given: ObjectT) -> MadeT:
        """Return what is made of an object."""
        found = self._made.get(id(given))
        if found is None:
            if len(self._made) >= _MOST:
                self._made.clear()
            found = self._made[id(given)] = given, self._make(given)
        return found[1]
