"""What a store holds, in numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bridge.sources.history.layout import RAW, TIERS, month_start
from bridge.sources.history.meta import meta, one
from bridge.sources.history.parts import read_parts
from bridge.sources.history.schema import VERSION

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from bridge.sources.history.store import Store


@dataclass(frozen=True, slots=True)
class TierStats:
    """What there is of one tier.

    Attributes:
        rows: Points, or buckets of a roll-up, in files.
        files: How many files.
        size: Their size in bytes.
        first_ms: The earliest time in them; None without files.
        last_ms: The latest one.
    """

    rows: int = 0
    files: int = 0
    size: int = 0
    first_ms: int | None = None
    last_ms: int | None = None


@dataclass(frozen=True, slots=True)
class HistoryStats:
    """What a store holds. Times are epoch milliseconds, sizes bytes.

    Attributes:
        folder: Where it is.
        version: Of the store's tables.
        metrics: How many.
        series: How many.
        first_ms: The earliest time of which anything is kept; None when there is nothing.
        last_ms: The newest point.
        oldest_raw_ms: From when on the points themselves are kept of every series.
        points: Points kept, in files and not yet.
        recent: Points not yet in files.
        late: Points that came late and are not yet in files.
        tiers: Files by the tier's name (``raw``, ``10m``, ``1h``).
        database_size: The database with its write-ahead log.
        size: Everything that counts, set-aside files not included.
        set_aside: Files that were set aside.
        written_ms: When points were last written.
        maintained_ms: When maintenance last ended.
        problems: In words, what is wrong with the files.
    """

    folder: Path
    version: int
    metrics: int
    series: int
    first_ms: int | None
    last_ms: int | None
    oldest_raw_ms: int | None
    points: int
    recent: int
    late: int
    tiers: Mapping[str, TierStats]
    database_size: int
    size: int
    set_aside: int
    written_ms: int | None
    maintained_ms: int | None
    problems: tuple[str, ...]


def read_stats(store: Store) -> HistoryStats:
    """Count what a store holds, without reading the files' points."""
    layout = store.layout
    with store.snapshot() as cursor:
        parts = read_parts(cursor)
        recent = one(cursor, "SELECT count(*) FROM recent")
        late = one(cursor, "SELECT count(*) FROM late")
        lost = one(cursor, f"SELECT max(month) FROM coverage WHERE lost & {RAW.bit} <> 0")
        spans = cursor.execute(
            "SELECT min(time), max(time) FROM "
            "(SELECT time FROM recent UNION ALL SELECT time FROM late)"
        ).fetchone()
        written, maintained = meta(cursor, "written_ms", 0), meta(cursor, "maintained_ms", 0)
    files = {tier: [part.files[tier] for part in parts if tier in part.files] for tier in TIERS}
    tiers = {
        tier.name: TierStats(
            sum(file.rows for file in own),
            len(own),
            sum(file.size for file in own),
            min((file.first_ms for file in own), default=None),
            max((file.last_ms for file in own), default=None),
        )
        for tier, own in files.items()
    }
    low, high = spans or (None, None)
    firsts = [at for at in (low, *(t.first_ms for t in tiers.values())) if at is not None]
    lasts = [at for at in (high, tiers[RAW.name].last_ms) if at is not None]
    raws = [at for at in (low, tiers[RAW.name].first_ms) if at is not None]
    oldest = max(min(raws), month_start(lost + 1) if lost else 0) if raws else None
    database = layout.database.stat().st_size + store.database.log_bytes()
    return HistoryStats(
        layout.folder,
        VERSION,
        len(store.series.metrics()),
        len(store.series),
        min(firsts, default=None),
        max(lasts, default=None),
        oldest,
        tiers[RAW.name].rows + recent + late,
        recent,
        late,
        tiers,
        database,
        database + sum(tier.size for tier in tiers.values()),
        sum(1 for _ in layout.aside.iterdir()) if layout.aside.is_dir() else 0,
        written or None,
        maintained or None,
        tuple(store.damaged()),
    )
