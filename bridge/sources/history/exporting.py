"""Points out of a store, as a stream of CSV or Parquet.

Both have the columns ``metric``, ``time`` (epoch milliseconds) and ``value``. CSV then has a
column for each label, empty where a series has none of that name; Parquet has one map,
``tags``. A roll-up has ``sum``, ``count``, ``min``, ``max``, ``first`` and ``last`` instead
of ``value``. Rows come in no particular order. What has been exported can be imported, except
roll-ups.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Literal

import numpy as np
import orjson

from bridge.errors import BadRequestError
from bridge.sources.history.database import relation
from bridge.sources.history.layout import LAST_MS, RAW, TIER
from bridge.sources.history.meta import one
from bridge.sources.history.parts import read_parts, scan_tier
from bridge.sources.history.reading import points_sql
from bridge.sources.history.views import FIGURES, rolled
from bridge.sources.history.writing import texts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from io import FileIO

    from numpy.typing import NDArray

    from bridge.model import TagFilter
    from bridge.sources.history.database import Cursor
    from bridge.sources.history.series import Selection
    from bridge.sources.history.store import Store

#: Columns that are no labels.
RESERVED = ("metric", "time", "value", "tags", *FIGURES)

_FORMATS = {
    "csv": "FORMAT csv, HEADER true",
    "parquet": "FORMAT parquet, COMPRESSION zstd, PARQUET_VERSION v2",
}


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """What to export.

    Attributes:
        form: Of the stream.
        metrics: Names, in which ``*`` stands for any text.
        filters: On stored labels; a series must match all.
        start_ms: First time, inclusive.
        end_ms: Last time, inclusive.
        tier: ``raw``, ``10m`` or ``1h``.
    """

    form: Literal["csv", "parquet"] = "parquet"
    metrics: tuple[str, ...] = ("*",)
    filters: tuple[TagFilter, ...] = ()
    start_ms: int = 0
    end_ms: int = LAST_MS
    tier: Literal["raw", "10m", "1h"] = "raw"


def export(store: Store, request: ExportRequest, sink: FileIO) -> None:
    """Write an export to an open pipe or file, and close it.

    Raises:
        BadRequestError: Nothing matches, or it cannot be written so.
        BridgeError: The store failed, or nobody reads the stream any more.
    """
    with sink:
        chosen = _chosen(store, request)
        columns, select = _columns(request, chosen)
        with store.snapshot() as cursor, relation(cursor, "chosen", **columns):
            rows = _rows(store, cursor, request, chosen)
            cursor.execute(
                f"COPY (SELECT {select} FROM ({rows}) JOIN chosen USING (series)) "
                f"TO '/dev/fd/{sink.fileno()}' ({_FORMATS[request.form]}, USE_TMP_FILE false)"
            )


def _chosen(store: Store, request: ExportRequest) -> list[tuple[str, Selection]]:
    chosen = []
    for metric in store.series.metrics():
        if any(fnmatchcase(metric, pattern) for pattern in request.metrics):
            selection = store.series.select(metric, request.filters)
            if selection.tags:
                chosen.append((metric, selection))
    if not chosen:
        raise BadRequestError(
            f"no recorded series matches {', '.join(request.metrics)} with these filters"
        )
    return chosen


def _columns(
    request: ExportRequest, chosen: Sequence[tuple[str, Selection]]
) -> tuple[Mapping[str, NDArray[np.generic]], str]:
    """Return the table of the chosen series, and the SQL of the columns to write."""
    labels = [tags for _, selection in chosen for tags in selection.tags]
    table: dict[str, NDArray[np.generic]] = {
        "series": np.concatenate([selection.numbers for _, selection in chosen]),
        "metric": texts(metric for metric, selection in chosen for _ in selection.tags),
    }
    figures = ["value"] if request.tier == RAW.name else [f'"{name}"' for name in FIGURES]
    select = ["metric", "time", *figures]
    if request.form == "parquet":
        table["tags"] = texts(orjson.dumps(dict(tags)).decode() for tags in labels)
        select.append("""from_json(tags, '"MAP(VARCHAR, VARCHAR)"') AS tags""")
        return table, ", ".join(select)
    keys = sorted({key for tags in labels for key in tags})
    clash = next((key for key in keys if key.lower() in RESERVED or key.lower() == "series"), None)
    if clash is not None:
        raise BadRequestError(
            f"a label called {clash!r} cannot be a column of CSV beside the others; "
            "export to Parquet"
        )
    for at, key in enumerate(keys):
        table[f"label_{at}"] = texts(tags.get(key, "") for tags in labels)
        name = key.replace('"', '""')
        select.append(f'label_{at} AS "{name}"')
    return table, ", ".join(select)


def _rows(
    store: Store,
    cursor: Cursor,
    request: ExportRequest,
    chosen: Sequence[tuple[str, Selection]],
) -> str:
    """Return the SQL of the rows of one tier; ``cursor`` is in the transaction that reads."""
    low = min(int(selection.numbers[0]) for _, selection in chosen)
    high = max(int(selection.numbers[-1]) for _, selection in chosen)
    condition = (
        f"(series BETWEEN {low} AND {high} AND series IN (SELECT series FROM chosen) "
        f"AND time BETWEEN {request.start_ms} AND {request.end_ms})"
    )
    tier = TIER[request.tier]
    parts = [
        part
        for part in read_parts(
            cursor, start_ms=request.start_ms, end_ms=request.end_ms, low=low, high=high + 1
        )
        if tier in part.files
    ]
    late = one(cursor, "SELECT count(*) FROM late") > 0
    if tier is RAW:
        return points_sql(store, parts, condition, late=late)
    if late:
        raise BadRequestError(
            "points that came late are not rolled up yet: compact the recording first"
        )
    rows = rolled(f"(SELECT * FROM recent WHERE {condition})", tier.width_ms)
    if parts:
        rows += f" UNION ALL SELECT * FROM {scan_tier(store.layout, parts, tier)} WHERE {condition}"
    return rows
