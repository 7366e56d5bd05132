"""What a simulated OVHcloud is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """Size and behaviour of the simulated OVHcloud.

    Attributes:
        vms: Virtual machines in the main service (stories come first, see ``cast``).
        hosts: ESXi hosts in the main service.
        datacenters: Virtual datacenters of the main service.
        offer_token: Whether OVHcloud hands out vScope tokens (it stopped in 2024,
            reference: ovh 0); when False both token paths are 404.
        seed: Another seed is another world.
        rate_limit_per_minute: Calls a minute and credential before APIv6 answers 429.
        issuing_path: Which of the two historic paths answers; the other one is 404.
        expired_service: Adds a second service that has expired (HTTP 460).
        history_days: How far back history goes.
        services: Services of this size; those beside the main one have no history.
    """

    vms: int = 60
    hosts: int = 8
    datacenters: int = 2
    offer_token: bool = True
    seed: int = 1
    rate_limit_per_minute: int | None = None
    issuing_path: Literal["metricsToken", "getVscopeMetricsToken"] = "metricsToken"
    expired_service: bool = False
    history_days: int = 400
    services: int = 1

    def __post_init__(self) -> None:
        sizes = (self.vms, self.hosts, self.datacenters, self.history_days, self.services)
        if min(sizes) < 1:
            raise ValueError("vms, hosts, datacenters, history_days, services must be at least 1")
