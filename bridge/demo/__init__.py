"""A simulated OVHcloud, served over real HTTP: for trying the bridge out and for tests."""

from __future__ import annotations

from bridge.demo.account import demo_account
from bridge.demo.options import DemoOptions
from bridge.demo.server import create_simulator

__all__ = ["DemoOptions", "create_simulator", "demo_account"]
