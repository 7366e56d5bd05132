"""The ten-line bridge with a meter around it."""

from __future__ import annotations

from benchmarks.meter import Meter
from benchmarks.small_bridge import app as small

app = Meter(small)
