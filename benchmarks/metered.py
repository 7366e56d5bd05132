"""The bridge with a meter around it; settings come from the environment as always."""

from __future__ import annotations

from benchmarks.meter import Meter
from bridge.app import create_app
from bridge.settings import load_settings

app = Meter(create_app(load_settings()))
