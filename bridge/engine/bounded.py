"""A cache bounded in bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from cachetools import LRUCache

if TYPE_CHECKING:
    from collections.abc import Callable

KeyT = TypeVar("KeyT")
ValueT = TypeVar("ValueT")


class Bounded(LRUCache[KeyT, ValueT], Generic[KeyT, ValueT]):
    """A least-recently-used cache that tells what it evicts."""

    def __init__(
        self,
        max_bytes: int,
        size_of: Callable[[ValueT], int],
        on_evict: Callable[[KeyT], None] = lambda _: None,
    ) -> None:
        super().__init__(max_bytes, size_of)
        self._on_evict = on_evict

    def popitem(self) -> tuple[KeyT, ValueT]:
        """Evict one item."""
        key, value = super().popitem()
        self._on_evict(key)
        return key, value
