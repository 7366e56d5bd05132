"""The bridge's own page for a browser: overview, metric explorer, live tables.

Rendered here, a little script on top, nothing from elsewhere. It asks the same engine and
inventory as Grafana's panels, within the same limits.
"""

from bridge.doors.page.routes import Site

__all__ = ["Site"]
