"""The rights the bridge needs at OVHcloud, and which of them a credential lacks."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


@dataclass(frozen=True, slots=True)
class Rule:
    """One access rule of a consumer key: a method and a path in which ``*`` is any text."""

    method: str
    path: str

    def __str__(self) -> str:
        """Return the rule as OVHcloud's pages write it."""
        return f"{self.method} {self.path}"

    def covers(self, other: Rule) -> bool:
        """Tell whether everything ``other`` allows is allowed by this rule."""
        pattern = ".*".join(re.escape(part) for part in self.path.split("*"))
        return self.method == other.method and re.fullmatch(pattern, other.path) is not None


OWN_RULES = (Rule("GET", "/auth/currentCredential"), Rule("GET", "/auth/details"))
"""To show validity, expiry and rights, and to record when the credential expires."""

TOKEN_CALLS = ("metricsToken", "getVscopeMetricsToken")
"""Names of the call that gives the vScope token, today's first (reference: ovh 0)."""

IAM_ACTIONS: tuple[str, ...] = (
    "get",
    "datacenter/get",
    "datacenter/cluster/get",
    "datacenter/filer/get",
    "datacenter/host/get",
    "datacenter/vm/get",
    "filer/get",
    "globalTasks/get",
    "task/get",
    "user/get",
    "user/metricsToken/create",
)
"""IAM actions, without their prefix ``pccVMware:apiovh:`` (reference: ovh 1.1)."""


def reading_rules(services: Sequence[str] = ()) -> tuple[Rule, ...]:
    """Return the rules for the inventory of all services, or of some."""
    if not services:
        return Rule("GET", "/dedicatedCloud"), Rule("GET", "/dedicatedCloud/*")
    return tuple(
        rule
        for service in services
        for rule in (
            Rule("GET", f"/dedicatedCloud/{service}"),
            Rule("GET", f"/dedicatedCloud/{service}/*"),
        )
    )


def token_rules(services: Sequence[str] = ()) -> tuple[Rule, ...]:
    """Return the rules for the vScope token, which OVHcloud's history needs."""
    return tuple(
        Rule("POST", f"/dedicatedCloud/{service}/user/*/{call}")
        for service in services or ("*",)
        for call in TOKEN_CALLS
    )


def missing_rules(needed: Iterable[Rule], granted: Any) -> tuple[Rule, ...]:
    """Return the needed rules that no rule of OVHcloud's answer covers.

    Args:
        needed: What the bridge asks for.
        granted: ``rules`` or ``allowedRoutes`` as OVHcloud answers it: objects with
            ``method`` and ``path``; None where everything is allowed.
    """
    if granted is None:
        return ()
    rules = [
        Rule(str(rule.get("method")), str(rule.get("path")))
        for rule in (granted if isinstance(granted, list) else ())
        if isinstance(rule, dict)
    ]
    return tuple(rule for rule in needed if not any(have.covers(rule) for have in rules))


def iam_policy(
    *, region: str, services: Sequence[str] = (), client_id: str | None = None
) -> dict[str, Any]:
    """Return the body of ``POST /v2/iam/policy`` that lets a service account read.

    Args:
        region: ``eu``, ``ca`` or ``us``, as in OVHcloud's resource names.
        services: Only these services; empty means all.
        client_id: Of the service account; a placeholder stands for it when unknown.
    """
    identity = f"<account>/oauth2-{client_id or '<client id>'}"
    return {
        "name": "vscope-bridge",
        "description": "Lets vscope-bridge read Hosted Private Cloud services",
        "identities": [f"urn:v1:{region}:identity:credential:{identity}"],
        "resources": [
            {"urn": f"urn:v1:{region}:resource:pccVMware:{service}"} for service in services or "*"
        ],
        "permissions": {
            "allow": [{"action": f"pccVMware:apiovh:{action}"} for action in IAM_ACTIONS]
        },
    }
