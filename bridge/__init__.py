"""Grafana for VMware on OVHcloud: vScope data in panels, variables and tables."""

__version__ = "0.1.0"
