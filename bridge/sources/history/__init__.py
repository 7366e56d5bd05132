"""The recording: an embedded store on DuckDB, one folder, no server."""

from bridge.sources.history.history import History

__all__ = ["History"]
