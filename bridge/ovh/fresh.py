"""Whether a snapshot can answer for someone who cannot see how old it is."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from bridge.engine.filters import match_all
from bridge.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bridge.model import TagFilter
    from bridge.ovh.objects import ServiceInventory, Snapshot


def fresh_snapshot(
    snapshot: Snapshot, filters: Sequence[TagFilter], *, now: float, max_age_s: float
) -> Snapshot:
    """Return the services that filters concern, when all of them are complete and fresh.

    Expired services are left out: nothing of them exists for OVHcloud any more.

    Args:
        snapshot: The inventory.
        filters: Those on ``service`` say which services are concerned.
        now: Epoch seconds.
        max_age_s: Oldest poll that counts as fresh.

    Raises:
        UnavailableError: A service concerned has not been read, not completely, or too long
            ago; or there may be services nobody knows of.
    """
    scope = [flt for flt in filters if flt.key == "service"]
    if snapshot.unlisted and not scope:
        raise UnavailableError(
            f"the services of the account {snapshot.unlisted[0]!r} are not known yet; see /readyz "
            "for the reason, or name services: service=..."
        )
    concerned = match_all(scope)
    services = {
        name: service
        for name, service in snapshot.services.items()
        if service.state != "expired" and concerned({"service": name})
    }
    if not snapshot.services:
        raise UnavailableError("the inventory has not been read yet; see /readyz for the reason")
    for service in services.values():
        _require_fresh(service, now=now, max_age_s=max_age_s)
    return replace(snapshot, services=services)


def _require_fresh(service: ServiceInventory, *, now: float, max_age_s: float) -> None:
    if service.polled_at is None:
        problem = "has not been read yet"
    elif service.state != "ok":
        problem = f"is {service.state}"
    elif now - service.polled_at > max_age_s:
        problem = (
            f"was last read {now - service.polled_at:.0f} s ago, more than {max_age_s:.0f} s "
            "(setting max_live_age_s)"
        )
    else:
        return
    reason = f": {service.problem}" if service.problem else ""
    raise UnavailableError(
        f"the inventory of {service.name} {problem}{reason}; for other services name them: "
        "service=..."
    )
