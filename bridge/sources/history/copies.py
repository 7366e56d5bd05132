"""Copies of the names beside the points' files.

The files hold series by number. Should the database be lost, these copies still say what
the numbers mean; they are made anew before points are moved.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bridge.sources.history.database import quoted
from bridge.sources.history.layout import sync

if TYPE_CHECKING:
    from bridge.sources.history.store import Store


def copy_names(store: Store) -> None:
    """Write the series and the eras beside the files.

    Raises:
        BridgeError: They could not be written; the old copies stay.
    """
    layout = store.layout
    with store.snapshot() as cursor:
        for table, order, place in (
            ("series", "series", layout.series),
            ("eras", "kind, datacenter, value, since_ms", layout.eras),
        ):
            path = layout.scratch / place.name
            cursor.execute(
                f"COPY (SELECT * FROM {table} ORDER BY {order}) TO {quoted(str(path))} "
                "(FORMAT parquet, COMPRESSION zstd)"
            )
            sync(path)
            path.replace(place)
    sync(layout.folder)
