"""The simulated OVHcloud as its own process; VMS says how many machines it has."""

from __future__ import annotations

import os

from bridge.demo.options import DemoOptions
from bridge.demo.server import create_simulator

app = create_simulator(DemoOptions(vms=int(os.environ["VMS"])))
