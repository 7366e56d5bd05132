"""The simulator's own routes: faults, tokens, credentials and counters.

They need no credentials: the simulator guards nothing and listens on a loopback address.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import orjson
from starlette.responses import JSONResponse
from starlette.routing import Route

from bridge.demo.apiv6.credentials import CLIENT_ID, CONSUMER_KEY, Credential
from bridge.demo.faults import parse_fault

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request
    from starlette.responses import Response

    from bridge.demo.apiv6.credentials import Keys
    from bridge.demo.erlenmeyer.front import Erlenmeyer
    from bridge.demo.faults import Faults
    from bridge.demo.tokens import VscopeTokens
    from bridge.demo.warp10.front import Warp10

_STATES = frozenset({"validated", "pendingValidation", "expired", "refused"})


class Calls:
    """Counts calls by route, so that tests can prove caching and batching."""

    def __init__(self) -> None:
        self._routes: Counter[str] = Counter()

    def seen(self, route: str) -> None:
        """Count one call."""
        self._routes[route] += 1

    def clear(self) -> None:
        """Start again at zero."""
        self._routes.clear()

    def listing(self) -> dict[str, Any]:
        """Return all counts as JSON."""
        return {"total": self._routes.total(), "routes": dict(sorted(self._routes.items()))}


async def _table(request: Request) -> dict[str, Any]:
    body = await request.body()
    value = orjson.loads(body) if body else {}
    if not isinstance(value, dict):
        raise TypeError("a JSON object is expected")
    return value


def _wrong(error: Exception) -> Response:
    return JSONResponse({"message": str(error)}, 400)


class Control:
    """The control routes over the parts they steer."""

    def __init__(
        self,
        faults: Faults,
        tokens: VscopeTokens,
        keys: Keys,
        calls: Calls,
        erlenmeyer: Erlenmeyer,
        warp10: Warp10,
        clock: Callable[[], float],
    ) -> None:
        self._faults = faults
        self._tokens = tokens
        self._keys = keys
        self._calls = calls
        self._erlenmeyer = erlenmeyer
        self._warp10 = warp10
        self._clock = clock

    def routes(self) -> list[Route]:
        """Return the routes below ``/_simulator``."""
        return [
            Route("/_simulator/faults", self._set_fault, methods=["POST"]),
            Route("/_simulator/faults", self._clear_faults, methods=["DELETE"]),
            Route("/_simulator/faults", self._show_faults, methods=["GET"]),
            Route("/_simulator/token", self._revoke, methods=["POST"]),
            Route("/_simulator/credential", self._credential, methods=["POST"]),
            Route("/_simulator/calls", self._show_calls, methods=["GET"]),
            Route("/_simulator/calls", self._clear_calls, methods=["DELETE"]),
        ]

    async def _set_fault(self, request: Request) -> Response:
        try:
            target, fault = parse_fault(await _table(request))
        except (ValueError, TypeError) as error:
            return _wrong(error)
        self._faults.set(target, fault)
        return JSONResponse(self._faults.listing())

    async def _clear_faults(self, request: Request) -> Response:
        del request
        self._faults.clear()
        return JSONResponse([])

    async def _show_faults(self, request: Request) -> Response:
        del request
        return JSONResponse(self._faults.listing())

    async def _revoke(self, request: Request) -> Response:
        """Revoke the vScope tokens.

        ``{"mode": "deny"}`` makes Erlenmeyer answer 403 instead of 500, ``"expire"`` makes
        Warp 10 say so.
        """
        try:
            mode = (await _table(request)).get("mode")
        except (ValueError, TypeError) as error:
            return _wrong(error)
        if mode == "deny":
            self._tokens.deny()
        elif mode == "expire":
            self._tokens.expire()
        else:
            self._tokens.revoke()
        return JSONResponse({"revoked": True})

    async def _credential(self, request: Request) -> Response:
        """Change a consumer key, a service account, bearers or the rate limit."""
        try:
            wanted = await _table(request)
            if "rate_limit_per_minute" in wanted:
                limit = wanted["rate_limit_per_minute"]
                self._keys.rate_limit = None if limit is None else int(limit)
            if wanted.get("expire_bearers"):
                self._keys.expire_bearers()
            if "denied_actions" in wanted:
                client = str(wanted.get("client_id", CLIENT_ID))
                account = self._keys.accounts[client]
                account.denied = frozenset(map(str, wanted["denied_actions"]))
            if {"state", "rules", "expiration"} & wanted.keys():
                key = str(wanted.get("consumer_key", CONSUMER_KEY))
                self._keys.consumers[key] = _changed(self._keys.consumers[key], wanted)
        except KeyError as error:
            return _wrong(ValueError(f"unknown: {error}"))
        except (ValueError, TypeError) as error:
            return _wrong(error)
        return JSONResponse({"changed": True})

    async def _show_calls(self, request: Request) -> Response:
        del request
        counters, scripts = self._erlenmeyer.counters, self._warp10.counters
        return JSONResponse(
            {
                **self._calls.listing(),
                "sub_queries": counters.sub_queries,
                "scripts": scripts.scripts,
                "injections": counters.injections + scripts.unknown_scripts,
            }
        )

    async def _clear_calls(self, request: Request) -> Response:
        del request
        self._calls.clear()
        self._erlenmeyer.counters.clear()
        self._warp10.counters.clear()
        return JSONResponse({"total": 0})


def _changed(credential: Credential, wanted: dict[str, Any]) -> Credential:
    state = wanted.get("state", credential.state)
    if state not in _STATES:
        raise ValueError(f"state must be one of {', '.join(sorted(_STATES))}")
    rules = credential.rules
    if "rules" in wanted:
        rules = tuple((str(rule["method"]), str(rule["path"])) for rule in wanted["rules"])
    expiration = wanted.get("expiration", credential.expiration)
    return replace(
        credential,
        state=state,
        rules=rules,
        expiration=None if expiration is None else float(expiration),
    )
