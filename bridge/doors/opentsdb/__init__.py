"""OpenTSDB's HTTP API, for Grafana's own OpenTSDB datasource and everything else that speaks it.

The answers are those of OpenTSDB 2.4.1 as measured (reference: opentsdb 1a), with the
differences stated there, and these:

* an error also has its message at the top level, where other clients look for it;
* ``null`` and ``"NaN"`` never reach a client that cannot read them (``ask.Ask.gaps``);
* of several points in one second, asked for in seconds, the last one is answered;
* nothing can be written or deleted.
"""

from __future__ import annotations

from bridge.doors.opentsdb.api import routes

__all__ = ["routes"]
