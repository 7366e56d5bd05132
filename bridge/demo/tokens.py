"""vScope tokens: issued by APIv6, checked by the simulated OpenTSDB and Warp 10."""

from __future__ import annotations

from bridge.demo.noise import key_of


class VscopeTokens:
    """The tokens of one service: one a user, the same until it is revoked.

    Args:
        seed: Another seed gives other tokens.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._serial = 0
        self._valid: set[str] = set()
        self._denied: set[str] = set()
        self._expired: set[str] = set()

    def issue(self, user: str) -> str:
        """Return the user's current token."""
        parts = (f"{key_of(self._seed, user, self._serial, part):016x}" for part in range(4))
        token = "_".join(parts)
        self._valid.add(token)
        return token

    def revoke(self) -> None:
        """Make every token invalid; the next one issued is a new one."""
        self._serial += 1
        self._valid.clear()

    def expire(self) -> None:
        """Let every token expire; new ones are issued."""
        self._expired |= self._valid
        self.revoke()

    def deny(self) -> None:
        """Put every token on Erlenmeyer's own deny list, and let new ones be issued."""
        self._denied |= self._valid
        self.revoke()

    def may_read(self, token: str) -> bool:
        """Tell whether the token is valid now."""
        return token in self._valid

    def expired(self, token: str) -> bool:
        """Tell whether the token was valid until it expired."""
        return token in self._expired

    def denied(self, token: str) -> bool:
        """Tell whether the token is deny-listed."""
        return token in self._denied
