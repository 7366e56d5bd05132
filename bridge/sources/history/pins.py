"""Keeps files on the disk as long as somebody may still read them."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path


class Pins:
    """Readers hold on to what there was when they began; a replaced file goes after the last.

    A reader must hold before it looks which files there are; a writer retires a file after
    nobody who looks from now on finds it.
    """

    def __init__(self) -> None:
        self._state = threading.Lock()
        self._next = 0
        self._held: set[int] = set()
        self._retired: list[tuple[int, Path]] = []

    @contextlib.contextmanager
    def hold(self) -> Iterator[None]:
        """Keep every file that is there now until the block ends."""
        with self._state:
            mine = self._next
            self._next += 1
            self._held.add(mine)
        try:
            yield
        finally:
            with self._state:
                self._held.discard(mine)
                self._sweep()

    def retire(self, paths: Iterable[Path]) -> None:
        """Delete files once no reader that has begun before holds them."""
        with self._state:
            self._retired += [(self._next, path) for path in paths]
            self._sweep()

    def _sweep(self) -> None:
        oldest = min(self._held, default=self._next)
        kept = []
        for age, path in self._retired:
            if age > oldest:
                kept.append((age, path))
                continue
            # Whatever stays behind is found again when the store is opened.
            with contextlib.suppress(OSError):
                path.unlink()
        self._retired = kept
