"""What a snapshot lacks: a reason to refuse whoever cannot be told, a notice for who can."""

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

    Expired services are left out, unless that leaves none: nothing of them exists for
    OVHcloud any more.

    Args:
        snapshot: The inventory.
        filters: Those on ``service`` say which services are concerned.
        now: Epoch seconds.
        max_age_s: Oldest poll that counts as fresh.

    Raises:
        UnavailableError: A service concerned has not been read, not completely, or too long
            ago; there may be services nobody knows of; or all concerned are expired.
    """
    scope = [flt for flt in filters if flt.key == "service"]
    if snapshot.unlisted and not scope:
        raise UnavailableError(f"{_unlisted(snapshot.unlisted[0])}, or name services: service=...")
    if not snapshot.services:
        raise UnavailableError(_UNREAD)
    concerned = _concerned(snapshot, scope)
    alive = [service for service in concerned if service.state != "expired"]
    for service in alive or concerned:
        problem = _problem(service, now=now, max_age_s=max_age_s)
        if problem is not None:
            raise UnavailableError(f"{problem}; for other services name them: service=...")
    return replace(snapshot, services={service.name: service for service in alive})


def lacking(
    snapshot: Snapshot, filters: Sequence[TagFilter], *, now: float, max_age_s: float
) -> tuple[str, ...]:
    """Say what somebody who sees the whole snapshot must be told about it; nothing if all is well.

    Args:
        snapshot: The inventory.
        filters: Those on ``service`` say which services are concerned.
        now: Epoch seconds.
        max_age_s: Oldest poll that counts as fresh.

    Raises:
        UnavailableError: Nothing of what is concerned has ever been read.
    """
    scope = [flt for flt in filters if flt.key == "service"]
    told = [] if scope else [_unlisted(account) for account in snapshot.unlisted]
    if not (told or snapshot.services):
        raise UnavailableError(_UNREAD)
    concerned = _concerned(snapshot, scope)
    known = [service for service in concerned if service.polled_at is not None]
    # Of one that had expired before it could be read there is nothing to be old.
    for service in concerned:
        problem = _problem(service, now=now, max_age_s=max_age_s)
        if problem is not None and (service in known or service.state != "expired" or not known):
            told.append(problem)
    if told and not known:
        raise UnavailableError(told[0])
    return tuple(told)


_UNREAD = "the inventory has not been read yet; see /readyz for the reason"


def _unlisted(account: str) -> str:
    return f"the services of the account {account!r} are not known yet; see /readyz for the reason"


def _concerned(snapshot: Snapshot, scope: Sequence[TagFilter]) -> list[ServiceInventory]:
    matches = match_all(scope)
    return [one for name, one in snapshot.services.items() if matches({"service": name})]


def _problem(service: ServiceInventory, *, now: float, max_age_s: float) -> str | None:
    """Say why a service's objects are not what there is now, None where they are."""
    if service.polled_at is None and service.state != "expired":
        problem = "has not been read yet"
    elif service.state != "ok":
        problem = f"is {service.state}"
    elif service.polled_at is not None and now - service.polled_at > max_age_s:
        problem = (
            f"was last read {now - service.polled_at:.0f} s ago, more than {max_age_s:.0f} s "
            "(setting max_live_age_s)"
        )
    else:
        return None
    reason = f": {service.problem}" if service.problem else ""
    return f"the inventory of {service.name} {problem}{reason}"
