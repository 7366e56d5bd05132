"""Who may call the simulated APIv6: application keys, consumer keys, service accounts."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from bridge.demo.apiv6.refusals import classed, coded
from bridge.demo.noise import key_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

State = Literal["validated", "pendingValidation", "expired", "refused"]

#: What the simulator accepts; it guards nothing but itself.
APPLICATION_KEY = "simulatedappkey0"
APPLICATION_SECRET = "simulated-application-secret-000"  # noqa: S105 -- accepted only here
CONSUMER_KEY = "simulated-consumer-key-000000000"
CLIENT_ID = "EU.simulated0000000"
CLIENT_SECRET = "simulated-client-secret-00000000"  # noqa: S105 -- accepted only here
#: Seconds a clock may be off (tolerance of the real API is unknown; reference: ovh 3.1).
TOLERANCE_S = 180
BEARER_LIFE_S = 3599
#: How long the simulated key still holds when the simulator starts, as most people's do.
KEY_LIFE_S = 60 * 86_400
_RULES = (
    ("GET", "/dedicatedCloud"),
    ("GET", "/dedicatedCloud/*"),
    ("POST", "/dedicatedCloud/*/user/*/metricsToken"),
    ("POST", "/dedicatedCloud/*/user/*/getVscopeMetricsToken"),
)


@dataclass(slots=True)
class Credential:
    """One consumer key.

    Attributes:
        state: As in ``auth.CredentialStateEnum``.
        rules: Method and path pairs; ``*`` in a path stands for anything.
        expiration: Epoch seconds, or None.
    """

    number: int
    application: str
    state: State
    rules: tuple[tuple[str, str], ...]
    created: float
    expiration: float | None = None
    last_use: float | None = None
    validation: str = ""

    def state_at(self, now: float) -> State:
        """Return the state, expiry considered."""
        if self.state == "validated" and self.expiration is not None and now >= self.expiration:
            return "expired"
        return self.state

    def grants(self, method: str, path: str) -> bool:
        """Tell whether a rule allows the call."""
        for allowed, pattern in self.rules:
            shape = ".*".join(re.escape(part) for part in pattern.split("*"))
            if allowed == method and re.fullmatch(shape, path):
                return True
        return False


@dataclass(slots=True)
class ServiceAccount:
    """One OAuth2 client; IAM denies the named actions."""

    secret: str
    denied: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Caller:
    """Who makes a call: a consumer key, or a service account."""

    name: str
    credential: Credential | None = None
    account: ServiceAccount | None = None

    def check(self, method: str, path: str, action: str) -> None:
        """Raise when the caller may not make this call."""
        if self.credential is not None and not self.credential.grants(method, path):
            raise coded(403, "NOT_GRANTED_CALL", "This call has not been granted")
        if self.account is not None and action in self.account.denied:
            raise classed(
                403,
                "Client::Forbidden",
                "User not granted for this request",
                unauthorizedActionsByAuthentication="",
                unauthorizedActionsByIAM=action,
            )


@dataclass(slots=True)
class Keys:
    """All credentials, and how often each was used lately.

    Attributes:
        rate_limit: Calls a minute and credential, or None.
    """

    clock: Callable[[], float]
    rate_limit: int | None = None
    applications: dict[str, str] = field(
        default_factory=lambda: {APPLICATION_KEY: APPLICATION_SECRET}
    )
    consumers: dict[str, Credential] = field(default_factory=dict)
    accounts: dict[str, ServiceAccount] = field(
        default_factory=lambda: {CLIENT_ID: ServiceAccount(CLIENT_SECRET)}
    )
    _bearers: dict[str, tuple[str, float]] = field(default_factory=dict)
    _recent: dict[str, deque[float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        now = self.clock()
        self.consumers[CONSUMER_KEY] = Credential(
            1, APPLICATION_KEY, "validated", _RULES, now, now + KEY_LIFE_S
        )

    def request(self, application: str, rules: tuple[tuple[str, str], ...]) -> tuple[str, str]:
        """Create a pending consumer key; return it and its validation code."""
        if application not in self.applications:
            raise classed(403, "Client::Forbidden", "This application key is invalid")
        number = 1 + max(credential.number for credential in self.consumers.values())
        key = f"{key_of('consumer', number):016x}{key_of('key', number):016x}"
        code = f"{key_of('validation', number):016x}"
        self.consumers[key] = Credential(
            number, application, "pendingValidation", rules, self.clock(), validation=code
        )
        return key, code

    def validate(self, code: str) -> bool:
        """Validate the pending key with this code (a person's click); tell whether it is."""
        for credential in self.consumers.values():
            if code and credential.validation == code and credential.state == "pendingValidation":
                credential.state = "validated"
                return True
        return False

    def bearer(self, client: str, secret: str) -> str | None:
        """Return a new bearer token for a service account, None for wrong credentials."""
        account = self.accounts.get(client)
        if account is None or not hmac.compare_digest(account.secret, secret):
            return None
        now = self.clock()
        token = f"simulated-bearer-{key_of(client, now, len(self._bearers)):016x}"
        self._bearers[token] = (client, now + BEARER_LIFE_S)
        return token

    def expire_bearers(self) -> None:
        """Make every bearer token given so far invalid."""
        self._bearers.clear()

    def identify(self, method: str, url: str, headers: Mapping[str, str], body: str) -> Caller:
        """Return who signs the call.

        Args:
            method: HTTP method.
            url: The address as the client sent it.
            headers: Request headers, lower-case names.
            body: Request body.

        Raises:
            RefusalError: in the order the real API checks.
        """
        authorization = headers.get("authorization", "")
        if authorization.startswith("Bearer "):
            return self._by_bearer(authorization.removeprefix("Bearer "))
        application = headers.get("x-ovh-application")
        signature = headers.get("x-ovh-signature")
        if not application or not signature:
            raise classed(401, "Client::Unauthorized", "You must login first")
        secret = self.applications.get(application)
        if secret is None:
            raise classed(403, "Client::Forbidden", "This application key is invalid")
        stamp = headers.get("x-ovh-timestamp", "")
        now = self.clock()
        if not stamp.isdigit() or abs(int(stamp) - now) > TOLERANCE_S:
            raise coded(400, "QUERY_TIME_OUT", "Query out of time")
        consumer = headers.get("x-ovh-consumer", "")
        credential = self.consumers.get(consumer)
        if credential is None or credential.state_at(now) != "validated":
            raise coded(403, "INVALID_CREDENTIAL", "This credential is not valid")
        text = f"{secret}+{consumer}+{method}+{url}+{body}+{stamp}"
        # SHA-1 is what OVHcloud's signature is made of.
        expected = "$1$" + hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
        if not hmac.compare_digest(expected, signature):
            raise coded(400, "INVALID_SIGNATURE", "Invalid signature")
        credential.last_use = now
        return Caller(consumer, credential=credential)

    def _by_bearer(self, token: str) -> Caller:
        client, until = self._bearers.get(token, ("", 0.0))
        account = self.accounts.get(client)
        if account is None or self.clock() >= until:
            raise classed(401, "Client::Unauthorized", "This token is invalid or expired")
        return Caller(client, account=account)

    def count(self, caller: Caller) -> None:
        """Count a call; raise when the caller made too many in the last minute."""
        now = self.clock()
        recent = self._recent.setdefault(caller.name, deque())
        while recent and recent[0] <= now - 60:
            recent.popleft()
        if self.rate_limit is not None and len(recent) >= self.rate_limit:
            raise classed(429, "Client::TooManyRequests", "Too many requests, retry later")
        recent.append(now)
