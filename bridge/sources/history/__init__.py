"""The recording: an embedded store on DuckDB, one folder, no server."""

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
