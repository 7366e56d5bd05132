"""Which file an error comes from, where DuckDB does not say."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from bridge.errors import BridgeError, UpstreamError
from bridge.sources.history.errors import HistoryDamagedError
from bridge.sources.history.parts import scan

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from bridge.sources.history.parts import Part
    from bridge.sources.history.store import Store


@contextlib.contextmanager
def blaming(store: Store, parts: Sequence[Part]) -> Iterator[None]:
    """Name the damaged file when the store fails; ``parts`` may be filled inside the block.

    Raises:
        HistoryDamagedError: Instead of an error that names no file, if one cannot be read.
    """
    with store.pins.hold():
        try:
            yield
        except HistoryDamagedError:
            raise
        except UpstreamError as error:
            files = [(tier, file.name) for part in parts for tier, file in part.files.items()]
            for path in (store.layout.file(tier, name) for tier, name in files):
                problem = _problem(store, path)
                if problem is not None:
                    raise HistoryDamagedError(path, problem) from error
            raise


def _problem(store: Store, path: Path) -> str | None:
    try:
        with store.database.cursor() as cursor:
            cursor.execute(f"SELECT bit_xor(hash(row)) FROM {scan([path])} AS row").fetchall()
    except BridgeError as error:
        return error.message.removeprefix("the recording's database: ")
    return None
