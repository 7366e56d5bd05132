"""The recording: an embedded store on DuckDB, one folder, no server.

::

    lock                        held by the bridge that has the folder open; says which
    store.duckdb, .wal          recent points, names, label eras, which files count
    raw/2026-03.00000042.parquet    points of a month: series, time, value
    10m/2026-03.00000042.parquet    roll-up to 10 minutes: series, time, sum, count, min, max,
    1h/2026-03.00000042.parquet     first, last; and to 1 hour
    series.parquet              what the numbers of series mean: series, metric, tags (JSON)
    eras.parquet                a copy of the label eras
    set-aside/                  damaged files somebody asked to take out of the way
    tmp/                        what does not fit into memory, files being written

Times are epoch milliseconds, months and buckets those of UTC. A file holds a range of series
of one month (a month with many points has several), sorted by series and time; its number
only grows, and it is never changed: what changes is written anew, made durable, renamed into
place and made to count in one transaction with the removal of its points from the database.
Then the old file goes, once nobody reads it. Points stay in the database for half a day to
one and a half, so that a lost database costs that much, and the rest can be adopted from the
files. Points that come late, for times already in files, wait in a table of their own; every
answer counts them at once.

Roll-ups are made of points when those move into files. A file is deleted when its month has
ended so many days ago as its tier is kept, whole, and a day after its last change. From then
on a question is answered from the coarsest tier that gives the exact answer, else refused. A
roll-up whose points have gone is renewed by late ones only if there are at least as many as
it was made of: the same points once more change nothing, and some never replace all.

Deletion goes by the clock, and waits for a day after the clock has jumped (or the bridge was
off for two days), so that a wrong clock deletes nothing.

Modules, from the outside in: ``history`` (the face, asynchronous), ``workers`` (threads),
``reading`` and ``choice`` (questions), ``writing``, ``maintenance`` and ``merging`` (files),
``views`` (the SQL that questions and maintenance share), ``store`` and ``database``.
"""

from bridge.sources.history.aside import set_database_aside
from bridge.sources.history.backup import BackedUp
from bridge.sources.history.errors import (
    HistoryDamagedError,
    HistoryFullError,
    HistoryInUseError,
    HistoryVersionError,
)
from bridge.sources.history.exporting import ExportRequest
from bridge.sources.history.history import History
from bridge.sources.history.importing import Imported
from bridge.sources.history.maintenance import Maintained
from bridge.sources.history.retention import Retention
from bridge.sources.history.stats import HistoryStats, TierStats
from bridge.sources.history.verifying import Verified

__all__ = [
    "BackedUp",
    "ExportRequest",
    "History",
    "HistoryDamagedError",
    "HistoryFullError",
    "HistoryInUseError",
    "HistoryStats",
    "HistoryVersionError",
    "Imported",
    "Maintained",
    "Retention",
    "TierStats",
    "Verified",
    "set_database_aside",
]
