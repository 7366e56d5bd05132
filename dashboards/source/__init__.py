"""Makes the Grafana dashboards: ``python -m dashboards.source`` writes them next door.

The dashboard model is the oldest that ``grafana-foundation-sdk`` has, Grafana 10.1's: what it
writes (schema version 36) is read by Grafana 9 to 13, which convert it as they load it.
"""
